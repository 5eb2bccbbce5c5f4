/**
 * Traffic rises only on caches that are live: an engine that has been told nothing for longer than 90 s of what a raise
 * rests on holds still. And whoever has written a status goes on from what was answered, never from before.
 */
import type { Rule } from './checker.ts';
import { routeWrite } from './reading.ts';

/** An event or a bookmark within this time makes a cache live (design, section 2). */
const LIVE_MS = 90_000;
const SLACK_MS = 1_000;

export const caches: Rule = {
  name: 'caches',
  says: 'no raise rests on caches that have been silent for longer than 90 s, and own writes are read',
  create: (scene, report) => ({
    onChange(change, views, hand) {
      const write = routeWrite(change, views, hand);
      if (!write || write.after.canaryWeight <= (write.before?.canaryWeight ?? 0)) return;
      const { view, after } = write;
      // What is written right upon its record was decided when that was asked.
      const record = (view.statuses.get(after.epoch) ?? []).find(one => one.chain === hand.chain);
      const { askedAtMs, sawAtMs = askedAtMs } = record ?? hand;
      const silentMs = askedAtMs - sawAtMs;
      if (!view.isDeleting && silentMs > LIVE_MS + SLACK_MS + scene.clockSpreadMs(sawAtMs))
        report(
          view,
          `the canary was raised to ${after.canaryWeight} % on a cache that is ${silentMs} ms old`,
        );
    },
    onArrival(call, { over }) {
      if (call.kind !== 'status' || !over || over.version >= over.answered) return;
      const view = scene.witness.canaries.find(
        one => one.plan.namespace === call.namespace && one.plan.name === call.name,
      );
      report(view, `a status was written over version ${over.version} after an answer of ${over.answered}`);
    },
  }),
};
