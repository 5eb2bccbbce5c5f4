/**
 * The status that a real kubelet would report for a pod in a given state, in a real kubelet's and scheduler's words.
 * Pure; the previous status gives the transition times that have not changed.
 */
import type { KubernetesObject } from '../../engine/kubernetes/types.ts';
import type { PodState } from './behaviour.ts';

export interface PodFacts {
  pod: KubernetesObject;
  state: PodState;
  /** Undefined while the pod has no address. */
  address: string | undefined;
  /** When the kubelet first saw the pod, milliseconds since the epoch. */
  acceptedAt: number;
  /** When the containers last started; undefined when they never did. */
  startedAt: number | undefined;
  /** The run of the first container that ended last. */
  crash: { startedAt: number; finishedAt: number } | undefined;
  restartCount: number;
  now: number;
}

interface Condition {
  type: string;
  status: 'True' | 'False';
  lastTransitionTime: string;
  reason?: string;
  message?: string;
}

const UNSCHEDULABLE_MESSAGE =
  '0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available: ' +
  '3 No preemption victims found for incoming pod.';
/** A real kubelet's first wait; the played pod stays down until its behaviour is changed. */
const CRASH_BACK_OFF = 'back-off 10s';

/** The fields that the kubelet owns: to be sent as a merge patch of `status`. `conditions` is complete. */
export function podStatus(facts: PodFacts): Record<string, unknown> {
  const { state, address } = facts;
  const ready = isReady(facts);
  const unready = ready ? {} : unreadyCause(facts);
  const conditions: Condition[] =
    state.kind === 'unschedulable'
      ? [condition(facts, 'PodScheduled', false, { reason: 'Unschedulable', message: UNSCHEDULABLE_MESSAGE })]
      : [
          condition(facts, 'PodScheduled', true),
          condition(facts, 'Initialized', true),
          condition(facts, 'ContainersReady', ready, unready),
          condition(facts, 'Ready', ready, unready),
        ];
  const hasStarted = state.kind === 'running' || state.kind === 'crashed';
  if (state.kind === 'unschedulable') return { phase: 'Pending', conditions };
  return {
    phase: hasStarted ? 'Running' : 'Pending',
    conditions,
    startTime: time(facts.acceptedAt),
    ...(address === undefined ? {} : { podIP: address, podIPs: [{ ip: address }] }),
    containerStatuses: (facts.pod.spec?.containers ?? []).map(
      (container: { name: string; image: string }, index: number) =>
        containerStatus(facts, container, index === 0),
    ),
  };
}

function isReady(facts: PodFacts): boolean {
  return facts.state.kind === 'running' && facts.state.isReady;
}

function unreadyCause(facts: PodFacts): { reason: string; message: string } {
  // In all but the pull failure it is the first container, the application, that is not ready.
  const containers: { name: string }[] = facts.pod.spec?.containers ?? [];
  const down = facts.state.kind === 'imagePull' ? containers : containers.slice(0, 1);
  return {
    reason: 'ContainersNotReady',
    message: `containers with unready status: [${down.map(container => container.name).join(' ')}]`,
  };
}

function condition(
  facts: PodFacts,
  type: string,
  isTrue: boolean,
  why: { reason?: string; message?: string } = {},
): Condition {
  const status = isTrue ? 'True' : 'False';
  const previous: Condition | undefined = facts.pod.status?.conditions?.find(
    (known: Condition) => known.type === type,
  );
  const since = previous?.status === status ? previous.lastTransitionTime : time(facts.now);
  return { type, status, lastTransitionTime: since, ...why };
}

function containerStatus(
  facts: PodFacts,
  container: { name: string; image: string },
  isApplication: boolean,
): Record<string, unknown> {
  const { name, image } = container;
  const waits = facts.state.kind === 'imagePull' || (isApplication && facts.state.kind === 'crashed');
  return {
    name,
    image,
    imageID: waits && facts.startedAt === undefined ? '' : `played://${image}`,
    restartCount: isApplication ? facts.restartCount : 0,
    ready: isApplication ? isReady(facts) : !waits,
    started: !waits,
    state: waits
      ? { waiting: waitingState(facts, container) }
      : { running: { startedAt: time(facts.startedAt ?? facts.now) } },
    lastState: isApplication && facts.crash !== undefined ? { terminated: termination(facts.crash) } : {},
  };
}

function termination(crash: { startedAt: number; finishedAt: number }): Record<string, unknown> {
  return {
    exitCode: 1,
    reason: 'Error',
    startedAt: time(crash.startedAt),
    finishedAt: time(crash.finishedAt),
  };
}

function waitingState(
  facts: PodFacts,
  container: { name: string; image: string },
): { reason: string; message: string } {
  const { pod, state } = facts;
  if (state.kind !== 'imagePull') {
    const { name, namespace, uid } = pod.metadata;
    return {
      reason: 'CrashLoopBackOff',
      message: `${CRASH_BACK_OFF} restarting failed container=${container.name} pod=${name}_${namespace}(${uid})`,
    };
  }
  if (state.reason === 'ImagePullBackOff') {
    return { reason: state.reason, message: `Back-off pulling image "${container.image}"` };
  }
  const reference = fullReference(container.image);
  return {
    reason: state.reason,
    message:
      `failed to pull and unpack image "${reference}": failed to resolve reference "${reference}": ` +
      `${reference}: not found`,
  };
}

/** The image's name as a container runtime completes it: `web:2` is `docker.io/library/web:2`. */
function fullReference(image: string): string {
  const first = image.split('/', 1)[0] ?? '';
  if (!image.includes('/')) return `docker.io/library/${image}`;
  return first.includes('.') || first.includes(':') || first === 'localhost' ? image : `docker.io/${image}`;
}

/** Kubernetes' own precision: whole seconds. */
export function time(milliseconds: number): string {
  return `${new Date(milliseconds).toISOString().slice(0, 19)}Z`;
}
