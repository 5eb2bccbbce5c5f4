/** Engines do not talk themselves into a storm: what they write about one canary in a minute is bounded. */
import type { CanaryView } from '../witness.ts';
import type { Rule } from './checker.ts';
import { statusWrite } from './reading.ts';

const WINDOW_MS = 60_000;
/** An adoption and the busiest run that the specs allow (a check every 2 s) make fewer than half of this. */
const WRITES_MAX = 120;

export const storm: Rule = {
  name: 'storm',
  says: `the status of one canary is written at most ${WRITES_MAX} times in a minute`,
  create(scene, report) {
    const writes = new Map<CanaryView, number[]>();
    return {
      onChange(change, views, hand) {
        const status = statusWrite(change, views, hand);
        if (!status) return;
        const recent = (writes.get(status.view) ?? []).filter(atMs => atMs > scene.now() - WINDOW_MS);
        recent.push(scene.now());
        writes.set(status.view, recent);
        if (recent.length > WRITES_MAX)
          report(status.view, `${recent.length} statuses were written within a minute`);
      },
    };
  },
};
