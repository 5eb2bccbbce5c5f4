/** What the deadline of a judged run allows, by the provider's times that engines were told. */
import type { Json } from '../../api/json.ts';
import type { CanaryView } from '../witness.ts';
import type { Scene } from './checker.ts';
import { durationMsOf, isJudged } from './reading.ts';

const DEADLINE_MS = 3_600_000;

/**
 * Whether this spec lets that follow now of a run that began then: its deadline counts from the first reading, in the
 * provider's time, which no clock of an engine can shorten but by the time for which it takes the run to be paused.
 */
export function mayFollow(
  scene: Scene,
  view: CanaryView,
  run: { sinceMs: number },
  spec: Json,
  action: 'rollback' | 'promote',
): boolean {
  const { deadline, onDeadline = 'hold' } = spec.analysis?.judge ?? {};
  if (!isJudged(spec) || onDeadline !== action) return false;
  const stretches = scene.readings.since(view, run.sinceMs - 1_000);
  const passedMs = (stretches.at(-1)?.atMs ?? 0) - (stretches[0]?.atMs ?? 0);
  return passedMs >= durationMsOf(deadline, DEADLINE_MS) - scene.clockSpreadMs(run.sinceMs);
}
