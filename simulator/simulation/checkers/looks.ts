/**
 * Raw counters are asked for only while they can say something: for a guard from its beginning on while the canary has
 * weight, for a judge while its run is under way; and of one process not more often than new data can be there.
 */
import type { Rule } from './checker.ts';
import { isAnalysing, isJudged, specsSince } from './reading.ts';

/** From an event to the cache that shows it, when nothing is wrong. */
const SLACK_MS = 1_000;
/** A look asks for the history first, and may take so long until it asks for the counters. */
const LOOK_MS_MAX = 5_000;
/** No scrape is quicker. */
const LOOK_MS_MIN = 2_000;
/** A life, a run and another way of judging begin with an empty memory, and without a history with two readings. */
const AGAIN_MAX = 3;
/** A guard begins while the pods come up, with two readings; and once more if its run was looked at too early. */
const BEGINNING_MAX = 4;

interface Looked {
  askedAtMs: number;
  again: number;
  /** Readings at weight 0. */
  begun: number;
}

export const looks: Rule = {
  name: 'looks',
  says: 'counters are read while they can say something, and not more often than every 2 s',
  create(scene, report) {
    /** By life of an engine, canary and run. */
    const last = new Map<string, Looked>();
    return {
      onCounters({ life, namespace, workload, askedAtMs, knewAtMs, answer }) {
        const view = scene.witness.canaries.find(
          one => one.plan.namespace === namespace && one.plan.target === workload,
        );
        if (!view) return;
        const fromMs = knewAtMs - SLACK_MS;
        // One that is cut short may have begun before its process was frozen.
        if (answer.kind === 'reading' && !view.status.held(fromMs - LOOK_MS_MAX, isAnalysing))
          return report(view, 'the counters were read while there was no run to judge');
        const key = `${life} ${view.index} ${view.status.current().run?.id}`;
        const before = last.get(key) ?? { askedAtMs: 0, again: 0, begun: 0 };
        const isWithout = !view.weight.held(fromMs - LOOK_MS_MAX, weight => weight > 0);
        const isGuarded = specsSince(view, fromMs).every(spec => !isJudged(spec));
        const isWhole = answer.kind === 'reading' && answer.reading.canary && answer.reading.primary;
        const begun = before.begun + (isWithout && isGuarded && isWhole ? 1 : 0);
        const passedMs = askedAtMs - before.askedAtMs;
        const again = passedMs < LOOK_MS_MIN - SLACK_MS ? before.again + 1 : 0;
        last.set(key, { askedAtMs, again, begun });
        if (again > AGAIN_MAX) report(view, `the counters were read again after ${passedMs} ms`);
        if (begun > BEGINNING_MAX)
          report(view, 'the counters were read for a guard while the canary had no weight');
      },
    };
  },
};
