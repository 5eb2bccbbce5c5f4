/**
 * Invariant 11: a canary that is settled costs nothing: no request but the renewal of watches, no metric query. Looked
 * at once everything has settled.
 */
import type { CanaryView } from '../witness.ts';
import type { Rule } from './checker.ts';

/** Watches that come back after faults, and what was queued meanwhile. */
const REST_MS = 60_000;
/**
 * The end of a contest: the primary gets what was asked for and the target goes back to zero. Each is recorded, done and
 * told, by either engine. A loop that comes round every 10 s makes more in the quiet time.
 */
const REQUESTS_MAX = 24;
/** Pods that come and go are told of, each time: that is no idle world. A status write and an event. */
const REQUESTS_PER_CHANGE = 2;
/** From the end of a run to the cache of the other engine that shows it. */
const KNOWN_MS = 1_000;
const IDLE: ReadonlySet<string> = new Set(['Initialized', 'Succeeded', 'Failed']);

export const cost: Rule = {
  name: 'cost',
  says: 'a settled canary causes no request and no metric query',
  create(scene, report) {
    let requests = 0;
    // An engine that was frozen until now has much to hear of before it knows that all is well.
    const restsFromMs = () => Math.max(scene.settledSinceMs(), scene.calmSinceMs()) + REST_MS;
    const isQuiet = () => restsFromMs() < scene.now();
    const isIdle = (view: CanaryView) => view.uid === undefined || IDLE.has(view.status.current().phase);
    const queried = (
      about: { namespace: string; workload: string; askedAtMs: number },
      what: string,
    ): void => {
      if (!isQuiet() || about.askedAtMs < restsFromMs()) return;
      const view = scene.witness.canaries.find(
        one => one.plan.namespace === about.namespace && about.workload.startsWith(one.plan.target),
      );
      // An answer may take longer than what was left of the run.
      const wasActive = view?.status.held(about.askedAtMs - KNOWN_MS, status => !IDLE.has(status.phase));
      if (view && isIdle(view) && !wasActive) report(view, `${what} was asked for an idle canary`);
    };
    return {
      onArrival(call) {
        if (!isQuiet() || call.kind === 'watch' || call.kind === 'list') return;
        const view = scene.witness.canaries.find(
          one => one.plan.namespace === call.namespace && call.name.startsWith(one.plan.target),
        );
        if (!scene.witness.canaries.every(isIdle)) return;
        requests += 1;
        const changes = scene.witness.canaries
          .flatMap(one => [one.endpoints.primary, one.endpoints.canary])
          .reduce((sum, endpoints) => sum + endpoints.during(scene.settledSinceMs()).length - 1, 0);
        if (requests > REQUESTS_MAX + REQUESTS_PER_CHANGE * changes)
          report(
            view,
            `an idle engine made ${requests} requests, the last for ${call.kind} ${call.namespace}/${call.name}`,
          );
      },
      onAnswer: answer => queried(answer, answer.metric),
      onCounters: told => queried(told, 'the counters'),
    };
  },
};
