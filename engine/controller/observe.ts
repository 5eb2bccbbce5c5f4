/**
 * Gathers one immutable observation of a canary from the watch caches, without any request. What the caches do not
 * hold (companions of the target, trouble of pods) is read by `inspect.ts` and handed in as obstacles.
 */
import { createHash } from 'node:crypto';
import { type Canary, formatProblem } from '../api/decode.ts';
import type { CanaryStatus, JudgeStatus } from '../api/status.ts';
import { COMMAND_ANNOTATION, parseCommand } from '../core/commands.ts';
import type { Judgement, Observation, Problem } from '../core/observation.ts';
import type { Settings } from '../core/settings.ts';
import type { KubernetesObject } from '../kubernetes/types.ts';
import { primaryName, type SelectorLabel, selectorLabelOf, workloadOf } from '../workloads/deployment.ts';
import {
  isSameSelector,
  ORIGINAL_SELECTOR_ANNOTATION,
  primarySelector,
  readyEndpoints,
  targetSelector,
} from '../workloads/service.ts';
import { planServices, type ServicePlan } from '../workloads/servicePlan.ts';
import type { RouteNames } from '../../steppers/stepper.ts';
import { providerProblems } from './providerProblem.ts';
import { referenceProblems } from './references.ts';
import { bareOf, cachedSettings, decodedOf, forgetDecoded, metadataOf } from './decoded.ts';
import type { HeldWrite } from './heldWrites.ts';
import { CACHE_LIVE_MS, FINALIZER, isOwnedBy, ownerReferenceOf, ownLabels, type World } from './world.ts';

/** The observation and the very objects that it was made of: the preconditions of the writes that follow. */
export interface Sighting {
  observation: Observation;
  object: KubernetesObject;
  canary: Canary;
  names: RouteNames & { target: string; primaryWorkload: string };
  label: SelectorLabel | undefined;
  target: KubernetesObject | undefined;
  primary: KubernetesObject | undefined;
  apex: KubernetesObject | undefined;
  services: ServicePlan;
  /** The stored templates. */
  revisions: readonly KubernetesObject[];
}

export interface Inputs {
  obstacles: readonly Problem[];
  /** Why pods do not become ready, when that was looked for. */
  troubles: readonly Problem[];
  judgement: Judgement | undefined;
  /** The last spec of this canary that was accepted: a broken edit must not blind the take-aways. */
  lastAccepted: Canary | undefined;
  /** What judge or guard know of the run. */
  judge?: JudgeStatus | undefined;
  /** Writes of Services that were refused or met a conflict lately. */
  held?: readonly HeldWrite[];
}

export type Sight =
  | { kind: 'gone' }
  /** The API server no longer keeps what its status remembers: nothing may be written. */
  | { kind: 'forgotten' }
  | { kind: 'refused'; object: KubernetesObject; problems: Problem[] }
  | { kind: 'seen'; sighting: Sighting };

export function observe(world: World, namespace: string, name: string, inputs: Inputs): Sight {
  const object = world.stores.canaries.get(namespace, name);
  if (!object) {
    forgetDecoded(world.stores.canaries, namespace, name);
    return { kind: 'gone' };
  }
  if (world.memory.isLost(object)) return { kind: 'forgotten' };
  const decoded = decodedOf(world.stores.canaries, object);
  const problems: Problem[] = decoded.ok
    ? [
        ...world.lacks(namespace),
        ...providerProblems(decoded.canary.spec.provider, world.served()),
        ...ownProblems(world, decoded.canary),
      ]
    : decoded.problems.map(problem => ({
        reason: problem.reason,
        field: problem.field,
        message: formatProblem(problem).slice(problem.field.length + 1),
      }));
  const canary = decoded.ok ? decoded.canary : readable(object, inputs.lastAccepted);
  if (!canary) return { kind: 'refused', object, problems };
  return { kind: 'seen', sighting: sight(world, object, canary, problems, inputs, decoded.ok) };
}

/** What a refused canary that has been taken over is looked after by; one that has not is left alone. */
function readable(object: KubernetesObject, lastAccepted: Canary | undefined): Canary | undefined {
  if (lastAccepted) return { ...lastAccepted, ...metadataOf(object) };
  return object.status?.phase === undefined ? undefined : bareOf(object);
}

/** Problems that one object alone does not show: another Canary, older, on the same target; what it refers to. */
function ownProblems(world: World, canary: Canary): Problem[] {
  const own = rank({ creationTimestamp: canary.creationTimestamp, name: canary.name });
  const older = world.stores.canaries
    .find(canary.namespace, canary.spec.targetRef.name)
    .find(other => other.metadata.uid !== canary.uid && rank(other.metadata) < own);
  if (!older) return referenceProblems(world, canary);
  return [
    {
      reason: 'TargetTaken',
      field: 'spec.targetRef',
      message: `Canary ${older.metadata.name} is older and has the same target ${canary.spec.targetRef.name}`,
    },
  ];
}

function rank(metadata: { creationTimestamp?: string; name: string }): string {
  return `${metadata.creationTimestamp ?? ''}/${metadata.name}`;
}

/** What the objects of a canary are called. */
export function namesOf(
  namespace: string,
  { apexName, targetName }: Pick<Settings, 'apexName' | 'targetName'>,
): Sighting['names'] {
  return {
    namespace,
    apex: apexName,
    primary: `${apexName}-primary`,
    canary: `${apexName}-canary`,
    target: targetName,
    primaryWorkload: primaryName(targetName),
  };
}

function sight(
  world: World,
  object: KubernetesObject,
  canary: Canary,
  problems: Problem[],
  inputs: Inputs,
  isCurrent: boolean,
): Sighting {
  const { stores } = world;
  const { namespace } = canary;
  const settings = cachedSettings(canary, world.defaults);
  const names = namesOf(namespace, settings);
  const target = stores.deployments.get(namespace, names.target);
  const primary = stores.deployments.get(namespace, names.primaryWorkload);
  const apex = stores.services.get(namespace, names.apex);
  const label = target && selectorLabelOf(target, world.selectorLabels);
  const status = (object.status ?? {}) as CanaryStatus;
  const workload = (deployment: KubernetesObject) =>
    workloadOf(deployment, stores.replicaSets.find(namespace, deployment.metadata.uid ?? ''));
  const endpoints = (service: string) =>
    readyEndpoints(stores.endpointSlices.find(namespace, service), service);
  const isOwn = (one: KubernetesObject | undefined) => one !== undefined && isOwnedBy(one, canary.uid);
  const deletingSince = canary.deletionTimestamp ? Date.parse(canary.deletionTimestamp) : undefined;
  const route = stores.routes.get(namespace, names.apex);
  const revisions = stores.controllerRevisions.find(namespace, canary.uid);
  const obstacles = [...inputs.obstacles];
  if (target && !label) {
    obstacles.push({
      reason: 'InvalidSpec',
      message: `Deployment ${names.target} selects its pods by none of the labels ${world.selectorLabels.join(', ')}.`,
    });
  }
  const foreign = [
    route,
    primary,
    stores.services.get(namespace, names.primary),
    stores.services.get(namespace, names.canary),
  ].find(one => one && !isOwn(one));
  if (foreign) {
    obstacles.push({
      reason: 'FieldOwnedByOther',
      message: `${foreign.kind ?? 'Object'} ${foreign.metadata.name} exists already and belongs to somebody else.`,
    });
  }
  const now = world.clock.now();
  const services = planServices({
    canary,
    names,
    label,
    target,
    service: name => stores.services.get(namespace, name),
    slices: name => stores.endpointSlices.find(namespace, name),
    isOwn,
    labels: ownLabels(object),
    owner: ownerReferenceOf(object),
    isCurrent,
    now,
    drainMs: world.defaults.drainMs,
  });
  const observation: Observation = {
    now,
    canary: {
      namespace,
      name: canary.name,
      uid: canary.uid,
      generation: canary.generation,
      isDeleting: deletingSince !== undefined,
      deletingSince,
      hasFinalizer: canary.finalizers.includes(FINALIZER),
    },
    settings,
    status,
    problems,
    obstacles,
    troubles: [...inputs.troubles],
    target: target && workload(target),
    primary: primary && isOwn(primary) ? workload(primary) : undefined,
    route: world.stepper.observed(names, isOwn(route) ? route : undefined),
    endpoints: {
      primary: endpoints(names.primary),
      canary: endpoints(names.canary),
    },
    objects: objectsOf(services, apexSelects(apex, label), inputs.held ?? [], now),
    stored: new Set(revisions.map(storedHash)),
    goodReplicas: revisions.find(one => storedHash(one) === status.lastGood?.hash)?.data?.replicas,
    ...commandOf(canary.annotations, status),
    staleCaches: staleCaches(world, namespace),
    notified: world.notified(canary, status),
    judge: inputs.judge,
    judgement: inputs.judgement,
  };
  return { observation, object, canary, names, label, target, primary, apex, services, revisions };
}

function objectsOf(
  { isWhole, state, asked }: ServicePlan,
  selects: Observation['objects']['apexSelects'],
  held: readonly HeldWrite[],
  now: number,
): Observation['objects'] {
  // What was refused counts for as long as it is wanted: whoever asks for something else is not told of it any more.
  const isWanted = (one: HeldWrite) =>
    one.action === 'pointApex'
      ? selects !== 'primary'
      : one.asked === asked && (!isWhole || state !== 'asAsked');
  const wanted = held.filter(isWanted);
  return {
    hasServices: isWhole,
    services: state,
    apexSelects: selects,
    held: wanted.filter(one => one.untilMs > now).map(one => one.action),
    refused: wanted.find(one => one.problem !== undefined)?.problem,
  };
}

function apexSelects(
  apex: KubernetesObject | undefined,
  label: SelectorLabel | undefined,
): 'primary' | 'target' | 'nothing' {
  if (!apex) return 'nothing';
  // Without a target nobody knows the label, but a Service that was taken over says so itself.
  if (!label)
    return ORIGINAL_SELECTOR_ANNOTATION in (apex.metadata.annotations ?? {}) ? 'primary' : 'nothing';
  if (isSameSelector(apex.spec?.selector, primarySelector(label))) return 'primary';
  return apex.spec?.selector?.[label.key] === targetSelector(label)[label.key] ? 'target' : 'nothing';
}

/** The command that waits to be answered; the annotation stays when it has been. */
export function commandOf(
  annotations: Record<string, string>,
  status: CanaryStatus,
): Pick<Observation, 'command' | 'unreadCommand'> {
  const parsed = parseCommand(annotations);
  if (!parsed) return { command: undefined };
  if (parsed.ok) return { command: parsed.command.id === status.handledCommand ? undefined : parsed.command };
  // It has no id that could be trusted; its text stands for it.
  const text = createHash('sha256')
    .update(annotations[COMMAND_ANNOTATION] ?? '')
    .digest('hex');
  const id = `unread-${text.slice(0, 12)}`;
  return {
    command: undefined,
    unreadCommand: id === status.handledCommand ? undefined : { id, message: parsed.message },
  };
}

function storedHash(revision: KubernetesObject): string {
  return revision.metadata.labels?.['serin.dev/revision'] ?? '';
}

/** Of this namespace alone: where each has a watch of its own, one that is gone must not hold the others. */
export function staleCaches(world: Pick<World, 'clock' | 'stores'>, namespace: string): string[] {
  const { canaries, deployments, replicaSets, endpointSlices, routes } = world.stores;
  const oldest = world.clock.now() - CACHE_LIVE_MS;
  return [canaries, deployments, replicaSets, endpointSlices, routes]
    .filter(store => store.liveAt(namespace) < oldest)
    .map(store => store.type.plural);
}
