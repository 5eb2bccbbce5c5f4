/**
 * A judge's or a guard's state as one string for the Canary's status: versioned, bounded, exact to the bit. It keeps of
 * each pod its totals only; an arm with too many pods is kept as a whole. It never throws on what it reads. Pure.
 */
import assert from 'node:assert/strict';
import { z } from 'zod';
import { type ArmCounters, PODS_KEPT_MAX, podSetOf, sumOf, totalsOfPod } from './counters.ts';
import type { GuardState } from './guard.ts';
import type { JudgeState } from './judge.ts';

/** Rises when the meaning of a field changes: a state that is read wrongly is worse than none. */
const VERSION = 1;
/** Half of what a status may take. Two arms of 64 pods with the greatest counters are 13 KiB. */
export const CHECKPOINT_BYTES_MAX = 16 * 1024;
/** Latency bounds of a state. */
const SLOW_MAX = 3;

export type Checkpoint = { kind: 'judge'; state: JudgeState } | { kind: 'guard'; state: GuardState };

/** JSON has no -Infinity, the logarithm of nothing. Numbers are written so that they read back to the same bits. */
const log = z
  .number()
  .nullable()
  .transform(value => value ?? Number.NEGATIVE_INFINITY);
const count = z.number().nonnegative();
const counts = z.object({ total: count, failures: count });
const metric = z.enum(['request-success-rate', 'request-duration']);
const optional = z
  .number()
  .optional()
  .transform(value => value);

const dispersion = z
  .object({ icc: z.number(), clumping: z.number() })
  .optional()
  .transform(value => value);

const row = z.tuple([z.string().max(16), z.number(), z.number()]).rest(z.number());
const arm = z.object({
  pods: z.array(row).max(PODS_KEPT_MAX),
  present: count,
  isForgetful: z.boolean(),
  whole: row.optional(),
});
const times = { startedAtMs: z.number(), atMs: z.number() };
const counters = z.object({ canary: arm, primary: arm });

const comparison = z.object({
  metric,
  slow: optional,
  upperMs: optional,
  weight: z.number(),
  bound: optional,
  margin: z.object({ ratio: z.number(), offset: z.number() }),
  promotionMargin: z.number(),
  mustBeShown: z.boolean(),
  base: z.object({ rate: z.number(), weight: z.number() }),
  dispersion,
});

const evidence = z.object({
  logWealth: z.array(log),
  recent: counts,
  logShown: z.tuple([z.number(), z.number()]),
  logShownMost: z.number(),
  canary: counts,
  primary: counts,
  dispersion: z.object({ canary: z.number(), primary: z.number() }),
});

const judgeState = z.object({
  runId: z.string(),
  comparisons: z.array(comparison).max(1 + SLOW_MAX),
  boundsMs: z.array(z.number()).max(SLOW_MAX),
  hasHistory: z.boolean(),
  progress: z
    .object({
      ...times,
      trafficAtMs: z.number(),
      step: z.number(),
      stepSinceMs: z.number(),
      counters,
      evidence: z.array(evidence),
    })
    .optional(),
});

const guardState = z.object({
  runId: z.string(),
  guarded: z.array(
    z.object({
      metric,
      share: z.number(),
      upperMs: z.number().exactOptional(),
      slow: optional,
      dispersion,
    }),
  ),
  boundsMs: z.array(z.number()).max(SLOW_MAX),
  rps: optional,
  progress: z
    .object({
      ...times,
      checkpointAtMs: z.number(),
      canaryPods: count,
      counters,
      evidence: z.array(
        z.object({
          logWealth: z.array(log),
          since: counts,
          dispersion: z.number(),
          streak: z.object({ evaluations: count, canary: counts, primary: counts }),
          calm: counts.optional().transform(value => value),
          canary: counts,
          primary: counts,
        }),
      ),
    })
    .optional(),
});

const checkpoint = z.discriminatedUnion('kind', [
  z.object({ version: z.literal(VERSION), kind: z.literal('judge'), state: judgeState }),
  z.object({ version: z.literal(VERSION), kind: z.literal('guard'), state: guardState }),
]);

/** @returns ASCII JSON of at most CHECKPOINT_BYTES_MAX bytes */
export function encodeCheckpoint({ kind, state }: Checkpoint): string {
  const { progress } = state;
  const packed = progress && {
    ...progress,
    counters: {
      canary: packedArm(progress.counters.canary, state.boundsMs),
      primary: packedArm(progress.counters.primary, state.boundsMs),
    },
  };
  const text = JSON.stringify({ version: VERSION, kind, state: { ...state, progress: packed } });
  assert(text.length <= CHECKPOINT_BYTES_MAX, `a checkpoint of ${text.length} bytes`);
  return text;
}

/**
 * @param runId the run that the status speaks of
 * @returns undefined when there is no state to go on with: of another run, of another version, or not readable
 */
export function decodeCheckpoint(text: string, runId: string): Checkpoint | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { data } = checkpoint.safeParse(parsed);
  if (!data || data.state.runId !== runId) return undefined;
  if (data.kind === 'judge') {
    const { progress } = data.state;
    const state = {
      ...data.state,
      progress: progress && { ...progress, counters: unpacked(progress.counters) },
    };
    return { kind: 'judge', state };
  }
  const { progress } = data.state;
  const state = {
    ...data.state,
    progress: progress && { ...progress, counters: unpacked(progress.counters) },
  };
  return { kind: 'guard', state };
}

type PackedArm = z.output<typeof arm>;

/** Pods that were gone at the last reading are forgotten first. */
function packedArm(counters: ArmCounters, boundsMs: readonly number[]): PackedArm {
  const all = [...counters.pods];
  if (counters.whole) {
    const { podSet, total, failures, slow } = counters.whole;
    return {
      pods: [],
      present: counters.present,
      isForgetful: true,
      whole: [podSet, total, failures, ...slow],
    };
  }
  const present = all.slice(all.length - counters.present);
  if (present.length > PODS_KEPT_MAX) {
    const { total, failures, slow } = sumOf(
      present.map(([, seen]) => totalsOfPod(seen, boundsMs)),
      boundsMs,
    );
    const podSet = podSetOf(present.map(([key]) => key));
    return {
      pods: [],
      present: counters.present,
      isForgetful: true,
      whole: [podSet, total, failures, ...slow],
    };
  }
  const kept = all.slice(-PODS_KEPT_MAX);
  return {
    pods: kept.map(([key, seen]) => {
      const { total, failures, slow } = totalsOfPod(seen, boundsMs);
      return [key, total, failures, ...slow];
    }),
    present: counters.present,
    isForgetful: counters.isForgetful || kept.length < all.length,
  };
}

function unpacked(packed: z.output<typeof counters>): { canary: ArmCounters; primary: ArmCounters } {
  return { canary: unpackedArm(packed.canary), primary: unpackedArm(packed.primary) };
}

function unpackedArm({ pods, present, isForgetful, whole }: PackedArm): ArmCounters {
  return {
    pods: new Map(
      pods.map(([key, total, failures, ...slow]) => [key, { totals: { total, failures, slow } }]),
    ),
    present,
    isForgetful,
    whole: whole && {
      podSet: whole[0],
      total: whole[1],
      failures: whole[2],
      slow: whole.slice(3) as number[],
    },
  };
}
