/**
 * How a played pod behaves: read from the environment of its first container, and overridden at run time for pods
 * that match. Pure: given a time it says what state the pod is in and when that changes next.
 */
import type { KubernetesObject } from '../../engine/kubernetes/types.ts';

/** Delays count from the container's start, or from the moment when an override set them, whichever is later. */
export interface Behaviour {
  /** Share of requests answered with 500, 0 to 100. */
  errorPercent: number;
  latencyMs: number;
  /** Added on top of `latencyMs`: uniform between 0 and this. */
  latencyJitterMs: number;
  readyAfterMs: number;
  neverReady: boolean;
  /** Infinity: never. */
  unreadyAfterMs: number;
  /** Infinity: never. */
  crashAfterMs: number;
  imagePullFail: boolean;
  unschedulable: boolean;
}

export const DEFAULT_READY_AFTER_MS = 50;
/** A real kubelet says ErrImagePull first, and ImagePullBackOff when it waits before another try. */
export const IMAGE_PULL_BACK_OFF_AFTER_MS = 1_000;

/** Which pods an override is for: all that is named must match. */
export interface PodMatch {
  namespace?: string;
  pod?: string;
  /** Value of the environment variable VERSION. */
  version?: string;
  labels?: Record<string, string>;
}

/** One layer of behaviour and since when it holds (milliseconds since the epoch). Later layers win. */
export interface BehaviourLayer {
  behaviour: Partial<Behaviour>;
  since: number;
}

export type PodState =
  | { kind: 'unschedulable' }
  | { kind: 'imagePull'; reason: 'ErrImagePull' | 'ImagePullBackOff' }
  | { kind: 'crashed' }
  | { kind: 'running'; isReady: boolean };

export function environmentOf(pod: KubernetesObject): Record<string, string> {
  const entries: { name: string; value?: string }[] = pod.spec?.containers?.[0]?.env ?? [];
  return Object.fromEntries(entries.map(entry => [entry.name, entry.value ?? '']));
}

/** Throws when a number is not one: a test's typing error must not pass as a healthy pod. */
export function behaviourOf(environment: Record<string, string>): Behaviour {
  const number = (name: string, fallback: number): number => {
    const text = environment[name];
    if (text === undefined || text === '') return fallback;
    const value = Number(text);
    if (!Number.isFinite(value) || value < 0) throw new Error(`${name}=${text} is not a number of 0 or more`);
    return value;
  };
  return {
    errorPercent: number('ERROR_PERCENT', 0),
    latencyMs: number('LATENCY_MS', 0),
    latencyJitterMs: number('LATENCY_JITTER_MS', 0),
    readyAfterMs: number('READY_AFTER_MS', DEFAULT_READY_AFTER_MS),
    neverReady: environment['NEVER_READY'] === '1',
    unreadyAfterMs: number('UNREADY_AFTER_MS', Number.POSITIVE_INFINITY),
    crashAfterMs: number('CRASH_AFTER_MS', Number.POSITIVE_INFINITY),
    imagePullFail: environment['IMAGE_PULL_FAIL'] === '1',
    unschedulable: environment['UNSCHEDULABLE'] === '1',
  };
}

export function isMatch(match: PodMatch, pod: KubernetesObject, version: string): boolean {
  if (match.namespace !== undefined && match.namespace !== pod.metadata.namespace) return false;
  if (match.pod !== undefined && match.pod !== pod.metadata.name) return false;
  if (match.version !== undefined && match.version !== version) return false;
  return Object.entries(match.labels ?? {}).every(([key, value]) => pod.metadata.labels?.[key] === value);
}

/** The value of one field, and since when it holds. The first layer must be complete. */
export function settingOf<Field extends keyof Behaviour>(
  layers: readonly BehaviourLayer[],
  field: Field,
): { value: Behaviour[Field]; since: number } {
  for (let index = layers.length - 1; index >= 0; index--) {
    const layer = layers[index];
    const value = layer?.behaviour[field];
    if (layer !== undefined && value !== undefined) return { value, since: layer.since };
  }
  throw new Error(`no layer of behaviour says ${field}`);
}

/** What state the pod is in at `now`, and when to look again (Infinity: not before something else changes). */
export function stateAt(layers: readonly BehaviourLayer[], now: number): { state: PodState; nextAt: number } {
  const never = Number.POSITIVE_INFINITY;
  if (settingOf(layers, 'unschedulable').value) return { state: { kind: 'unschedulable' }, nextAt: never };
  const pull = settingOf(layers, 'imagePullFail');
  if (pull.value) {
    const backOffAt = pull.since + IMAGE_PULL_BACK_OFF_AFTER_MS;
    if (now < backOffAt) return { state: { kind: 'imagePull', reason: 'ErrImagePull' }, nextAt: backOffAt };
    return { state: { kind: 'imagePull', reason: 'ImagePullBackOff' }, nextAt: never };
  }
  const at = (field: 'crashAfterMs' | 'readyAfterMs' | 'unreadyAfterMs'): number => {
    const setting = settingOf(layers, field);
    return setting.since + setting.value;
  };
  const crashAt = at('crashAfterMs');
  if (now >= crashAt) return { state: { kind: 'crashed' }, nextAt: never };
  const readyAt = at('readyAfterMs');
  const unreadyAt = at('unreadyAfterMs');
  const isReady = !settingOf(layers, 'neverReady').value && now >= readyAt && now < unreadyAt;
  const changes = [crashAt, readyAt, unreadyAt].filter(time => time > now);
  return { state: { kind: 'running', isReady }, nextAt: Math.min(never, ...changes) };
}
