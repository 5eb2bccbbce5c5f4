/**
 * Invariant 11, the judge's part: what it remembers travels with status writes that are made anyway; for its sake alone
 * a status is written at most every ten seconds.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Json } from '../../api/json.ts';
import type { CanaryView } from '../witness.ts';
import type { Rule } from './checker.ts';
import { isAnalysing, isJudged, knownSince, specsSince, statusWrite } from './reading.ts';

const CHECKPOINT_MS = 10_000;
const SLACK_MS = 500;

export const memory: Rule = {
  name: 'memory',
  says: 'for what a judge or a guard remembers, a status is written at most every 10 s',
  create(scene, report) {
    const written = new Map<CanaryView, number>();
    return {
      onChange(change, views, hand) {
        const status = statusWrite(change, views, hand);
        if (!status) return;
        const { view, before, after } = status;
        // Before there is traffic a status is written to fence what follows, with whatever is known by then.
        if (!isAnalysing(after) || view.weight.current() === 0 || !isForMemory(before, after)) return;
        // Of thresholds each check is written down, however often they are checked.
        const isCheck = before.run?.checkedAt !== after.run?.checkedAt;
        if (isCheck && !specsSince(view, knownSince(hand)).every(isJudged)) return;
        const lastMs = written.get(view) ?? 0;
        written.set(view, scene.now());
        const passedMs = scene.now() - lastMs;
        if (passedMs < CHECKPOINT_MS - SLACK_MS - scene.clockSpreadMs(lastMs))
          report(view, `a status was written for what is remembered, ${passedMs} ms after the last one`);
      },
    };
  },
};

/** Nothing else has changed than what was judged, and the marks that every write makes. */
function isForMemory(before: Json, after: Json): boolean {
  if (isDeepStrictEqual(before.judge, after.judge)) return false;
  return isDeepStrictEqual(rest(before), rest(after));
}

function rest(status: Json): Json {
  const { run, conditions, ...kept } = status;
  for (const mark of ['judge', 'checks', 'epoch', 'routeEpoch', 'notified']) delete kept[mark];
  const {
    checkedAt: _checkedAt,
    noData: _noData,
    errors: _errors,
    passedEpoch: _passed,
    ...runKept
  } = run ?? {};
  const said = (conditions ?? []).map(({ type, status: value, reason }: Json) => ({ type, value, reason }));
  return { ...kept, run: runKept, said };
}
