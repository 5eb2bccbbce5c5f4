/**
 * A light kubelet: pods become ready, flap, crash and end as the environment of their container says, by writes to the
 * API in memory and nothing else. No server stands behind them; whether one would answer, it says when it is asked.
 */
import type { KubernetesObject } from '../../engine/kubernetes/types.ts';
import type { Clock, Timer } from '../../engine/clock.ts';
import { draft, type ProcessStore } from '../api/inprocess.ts';
import type { Json } from '../api/json.ts';
import { POD } from '../controllers/objects.ts';
import { podStatus } from '../world/podstatus.ts';
import type { Behaviour } from './plan.ts';

export const NODE_NAME = 'node-1';
/** A crashed container is started again after this. */
const BACK_OFF_MS = 15_000;
/** How long a pod that leaves goes on serving. */
const TERMINATION_MS = 2_000;

export interface Pods {
  /** True when a request that reaches this pod now is answered at all. */
  isAnswering(uid: string): boolean;
  /** Makes pods not ready, or restarts them, for a while. */
  disturb(pods: readonly KubernetesObject[], how: 'unready' | 'kill', forMs: number): void;
}

interface Container {
  uid: string;
  namespace: string;
  name: string;
  behaviour: Behaviour;
  startedAtMs: number;
  address: string;
  timer: Timer | undefined;
  unreadyUntilMs: number;
  downUntilMs: number;
  restarts: number;
  isLeaving: boolean;
  told: string;
}

export function behaviourOf(template: Json): Behaviour & { version: string } {
  const env: { name: string; value?: string }[] = template?.spec?.containers?.[0]?.env ?? [];
  const values = Object.fromEntries(env.map(one => [one.name, one.value ?? '']));
  const number = (name: string) => Number(values[name] ?? 0);
  return {
    version: values['VERSION'] ?? '',
    errorPercent: number('ERROR_PERCENT'),
    latencyMs: number('LATENCY_MS'),
    readyAfterMs: number('READY_AFTER_MS'),
    neverReady: values['NEVER_READY'] === '1',
    crashEveryMs: number('CRASH_EVERY_MS'),
    flapEveryMs: number('FLAP_EVERY_MS'),
  };
}

export function environmentOf(version: string, behaviour: Behaviour): { name: string; value: string }[] {
  return [
    { name: 'VERSION', value: version },
    { name: 'ERROR_PERCENT', value: String(behaviour.errorPercent) },
    { name: 'LATENCY_MS', value: String(behaviour.latencyMs) },
    { name: 'READY_AFTER_MS', value: String(behaviour.readyAfterMs) },
    { name: 'NEVER_READY', value: behaviour.neverReady ? '1' : '0' },
    { name: 'CRASH_EVERY_MS', value: String(behaviour.crashEveryMs) },
    { name: 'FLAP_EVERY_MS', value: String(behaviour.flapEveryMs) },
  ];
}

/** What a pod does at a moment after its start, and when that changes next (milliseconds from its start). */
export function playedState(
  behaviour: Behaviour,
  ageMs: number,
): { isUp: boolean; isReady: boolean; nextMs: number } {
  const { readyAfterMs, neverReady, crashEveryMs, flapEveryMs } = behaviour;
  if (crashEveryMs > 0) {
    const cycleMs = crashEveryMs + BACK_OFF_MS;
    const intoMs = ageMs % cycleMs;
    const beganMs = ageMs - intoMs;
    if (intoMs >= crashEveryMs) return { isUp: false, isReady: false, nextMs: beganMs + cycleMs };
    const isReady = intoMs >= readyAfterMs && !neverReady;
    const nextMs =
      beganMs + (intoMs < readyAfterMs && readyAfterMs < crashEveryMs ? readyAfterMs : crashEveryMs);
    return { isUp: true, isReady, nextMs };
  }
  if (neverReady) return { isUp: true, isReady: false, nextMs: Number.POSITIVE_INFINITY };
  if (ageMs < readyAfterMs) return { isUp: true, isReady: false, nextMs: readyAfterMs };
  if (flapEveryMs === 0) return { isUp: true, isReady: true, nextMs: Number.POSITIVE_INFINITY };
  const halfMs = flapEveryMs / 2;
  const half = Math.floor((ageMs - readyAfterMs) / halfMs);
  return { isUp: true, isReady: half % 2 === 0, nextMs: readyAfterMs + (half + 1) * halfMs };
}

export function startPods(options: { clock: Clock; store: ProcessStore }): Pods {
  const { clock, store } = options;
  const records = new Map<string, Container>();
  let nextAddress = 0;

  function find(record: Container): KubernetesObject | undefined {
    const pod = store.get(POD, record.namespace, record.name);
    return pod?.metadata.uid === record.uid ? pod : undefined;
  }

  function stateOf(record: Container): { isUp: boolean; isReady: boolean; nextAtMs: number } {
    const nowMs = clock.now();
    const { isUp, isReady, nextMs } = playedState(record.behaviour, nowMs - record.startedAtMs);
    const ends = [record.startedAtMs + nextMs, record.unreadyUntilMs, record.downUntilMs];
    const nextAtMs = Math.min(...ends.filter(atMs => atMs > nowMs));
    const isDown = nowMs < record.downUntilMs;
    return {
      isUp: isUp && !isDown,
      isReady: isReady && isUp && !isDown && nowMs >= record.unreadyUntilMs,
      nextAtMs,
    };
  }

  function look(record: Container): void {
    record.timer?.cancel();
    record.timer = undefined;
    const pod = records.has(record.uid) ? find(record) : undefined;
    if (!pod || record.isLeaving) return;
    const { isUp, isReady, nextAtMs } = stateOf(record);
    report(record, pod, isUp, isReady);
    if (Number.isFinite(nextAtMs)) record.timer = clock.setTimer(() => look(record), nextAtMs - clock.now());
  }

  function report(record: Container, pod: KubernetesObject, isUp: boolean, isReady: boolean): void {
    const told = `${isUp} ${isReady}`;
    if (told === record.told) return;
    if (!isUp) record.restarts += 1;
    record.told = told;
    const nowMs = clock.now();
    const status = podStatus({
      pod,
      state: isUp ? { kind: 'running', isReady } : { kind: 'crashed' },
      address: record.address,
      acceptedAt: record.startedAtMs,
      startedAt: record.startedAtMs,
      crash: record.restarts > 0 ? { startedAt: record.startedAtMs, finishedAt: nowMs } : undefined,
      restartCount: record.restarts,
      now: nowMs,
    });
    store.update({ ...draft(pod), status: { ...pod.status, ...status } }, 'kubelet', 'status');
  }

  function leave(record: Container): void {
    record.isLeaving = true;
    record.timer?.cancel();
    record.timer = clock.setTimer(() => {
      const pod = find(record);
      if (pod) store.delete(pod, { gracePeriodSeconds: 0 });
    }, TERMINATION_MS);
  }

  store.subscribe(({ type, object }) => {
    if (object.kind !== 'Pod') return;
    const uid = object.metadata.uid ?? '';
    const known = records.get(uid);
    if (type === 'DELETED') {
      known?.timer?.cancel();
      records.delete(uid);
      return;
    }
    if (known) {
      if (object.metadata.deletionTimestamp !== undefined && !known.isLeaving) leave(known);
      return;
    }
    const number = nextAddress++ % 60_000;
    const record: Container = {
      uid,
      namespace: object.metadata.namespace ?? '',
      name: object.metadata.name,
      behaviour: behaviourOf(object),
      startedAtMs: clock.now(),
      address: `10.244.${number >> 8}.${number & 255 || 1}`,
      timer: undefined,
      unreadyUntilMs: 0,
      downUntilMs: 0,
      restarts: 0,
      isLeaving: false,
      told: '',
    };
    records.set(uid, record);
    record.timer = clock.setTimer(() => look(record), 0);
  });

  return {
    isAnswering(uid) {
      const record = records.get(uid);
      return record !== undefined && stateOf(record).isUp;
    },
    disturb(pods, how, forMs) {
      for (const pod of pods) {
        const record = records.get(pod.metadata.uid ?? '');
        if (!record) continue;
        const untilMs = clock.now() + forMs;
        if (how === 'kill') record.downUntilMs = Math.max(record.downUntilMs, untilMs);
        else record.unreadyUntilMs = Math.max(record.unreadyUntilMs, untilMs);
        look(record);
      }
    },
  };
}
