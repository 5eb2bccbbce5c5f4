/**
 * Liveness: when faults stop, every canary settles in the phase that its world calls for. From a quiescent state one
 * worker with fresh caches ticks only when the engine asked for a tick or something changed, pods become ready, and
 * time passes only when nothing else can happen. Followed three times: every check passes, every check fails, and no pod
 * ever becomes ready again, where nothing but the availability of what is ready is asked for.
 */
import type { createSuccessors } from './search.ts';
import type { Model } from './model.ts';
import { BEHIND, BUDGET, type Held, OLD, OWNED, type Pending, WORKER } from './parts.ts';
import { readyPods } from './cluster.ts';
import { isAnalysing } from './properties.ts';
import { describeState } from './describe.ts';

/** In contest.ts. */
const CONTEST_TIMES = 3;

/** Steps of one fault-free future. A whole rollout has about forty. */
const STEPS_MAX = 400;

type Parts = ReturnType<typeof createSuccessors>;

export interface Next {
  state: number[];
  label: string;
  violation: string | undefined;
}

/** What the scheduler knows. */
export interface Mind {
  /** A tick is due: the first, a wake, or an armed one. */
  isDue: boolean;
  isArmed: boolean;
  /** When the pending actions are done the tick goes on with another pass. */
  goesOn: boolean;
}

/** What the rest of the world does. */
type Future = 'pass' | 'fail' | 'dead';

export function createFair(model: Model, parts: Parts) {
  const settled = { pass: new Set<string>(), fail: new Set<string>(), dead: new Set<string>() };
  let followed = 0;

  function withoutFaults(state: readonly number[]): number[] {
    const next = [...state];
    next[BEHIND] = 0;
    next[BUDGET] = 0;
    next[BUDGET + 1] = 0;
    for (let word = OLD; word < OWNED; word++) next[word] = 0;
    model.canonicalise(next);
    return next;
  }

  function only(
    run: (emit: (state: number[], label: () => string, violation?: string) => void) => void,
  ): Next | undefined {
    let answer: Next | undefined;
    run((state, label, violation) => {
      answer ??= { state, label: label(), violation };
    });
    return answer;
  }

  const workers = model.scenario.workers === 2 ? [0, 1] : [0];
  const busyWorker = (state: readonly number[]): number | undefined =>
    workers.find(index => state[WORKER + index] !== model.idle);

  /** A look of the tick that is due, with the judgement that it holds. */
  function pass(
    state: readonly number[],
    index: number,
    held: Held | null,
    future: Future,
    mind: Mind,
  ): Next | undefined {
    const made = parts.deciding.fresh(state, held);
    mind.isDue = false;
    if (made.measure) {
      const next = [...state];
      const run = model.status(state).run?.id ?? '';
      const { epoch } = model.route(state);
      const outcome = future === 'fail' ? 'fail' : 'pass';
      model.setWorker(next, index, { held: { run, epoch, arm: made.measure, outcome }, pending: null });
      return { state: next, label: `queries the ${made.measure}: ${outcome}`, violation: made.violation };
    }
    mind.isArmed = made.nextTickMs !== undefined;
    mind.goesOn = made.steps.length > 0 && made.nextTickMs === 0;
    if (made.steps.length > 0 || made.violation || held)
      return only(emit => parts.deciding.decide(state, index, emit));
    return { state: [...state], label: `waits${made.hold && ` (${made.hold})`}`, violation: undefined };
  }

  /** The next action; when the last one is done another pass follows where the decision says so. */
  function proceed(state: readonly number[], index: number, pending: Pending, mind: Mind): Next | undefined {
    const next = only(emit => parts.acting.act(state, index, emit));
    if (!next) return undefined;
    // Own status writes wake nobody; every other write comes back by a watch.
    if (pending.steps[0]?.kind !== 'status') mind.isDue = true;
    if (busyWorker(next.state) === undefined && mind.goesOn) mind.isDue = true;
    return next;
  }

  /** One fault-free step; undefined when nothing will ever happen again. */
  function step(state: readonly number[], future: Future, mind: Mind): Next | undefined {
    if (parts.cluster.isGone(state)) return undefined;
    const busy = busyWorker(state);
    if (busy !== undefined) {
      const { pending, held } = model.worker(state, busy);
      return pending ? proceed(state, busy, pending, mind) : pass(state, busy, held, future, mind);
    }
    if (mind.isDue) return pass(state, 0, null, future, mind);
    const rolled = only(emit => parts.cluster.workloads(state, emit, future !== 'dead'));
    if (!rolled && !mind.isArmed) {
      const made = parts.deciding.fresh(state);
      // `needsTick`: the resync finds what no tick was armed for.
      if (made.steps.length === 0 && !made.measure) return undefined;
    }
    mind.isDue = true;
    const waited = rolled ?? only(emit => parts.cluster.time(state, emit));
    return waited ?? { state: [...state], label: 'a tick', violation: undefined };
  }

  /** What is wrong with this resting place; undefined when it is one. */
  function restless(state: readonly number[]): string | undefined {
    const { phase, canaryWeight, lastGood, lastAppliedSpec, paused, takenBack = [] } = model.status(state);
    const route = model.route(state);
    const target = model.target(state);
    const primary = model.primary(state);
    const where = `${phase}/${model.status(state).stage ?? ''}`;
    if (parts.cluster.isGone(state)) {
      // After five minutes a deletion is let go, whatever there is.
      if (model.meta(state).deleting === 'long') return undefined;
      if (target.pausedBy === 'engine') return 'P5 gone, and the target is left paused';
      return target.replicas > 0 ? undefined : 'P5 gone, and the target does not serve';
    }
    // Contested: what is safe is kept until the ten minutes are over.
    if (takenBack.length >= CONTEST_TIMES) return undefined;
    if (isAnalysing(phase) && (paused || target.pausedBy === 'user')) return undefined;
    // Under a user's pause nothing starts, rises or is given back; the reason is in the status.
    if ((phase === 'Terminating' || phase === 'Promoting') && target.pausedBy === 'user') return undefined;
    if (route.weight !== canaryWeight)
      return `S3 settled with ${canaryWeight} % in the status and ${route.weight} % on the route`;
    if (phase !== 'Initialized' && phase !== 'Succeeded' && phase !== 'Failed')
      return `S5 settled in ${where}`;
    if (route.weight > 0) return `S2 settled with ${route.weight} % on the canary of a run that is over`;
    if (target.pausedBy === 'engine') return `P5 settled with the engine's pause in ${where}`;
    if (target.replicas > 0) return `P5 settled with the target up in ${where}`;
    if (primary.template !== lastGood?.hash) return `P6 settled with ${primary.template} on the primary`;
    if (
      target.template !== lastGood?.hash &&
      target.template !== lastAppliedSpec &&
      target.pausedBy !== 'user'
    )
      return `P7 settled, and ${target.template} was never started`;
    return primary.isSurging ? 'P5 settled with the temporary strategy on the primary' : undefined;
  }

  /** Traffic that waits for an arm without a ready pod while the other could have it. */
  function unserved(state: readonly number[]): string | undefined {
    // Without a route it is the apex Service that decides, and it points at the target for good.
    if (!model.owned(state).hasRoute) return undefined;
    const { phase, run: current } = model.status(state);
    const { weight } = model.route(state);
    const target = model.target(state);
    const { pods } = model.targetPods(state);
    const canary = readyPods(model.targetPods(state));
    const primary = readyPods(model.primaryPods(state));
    if (weight > 0 && canary === 0 && primary > 0) return 'P1 settled with traffic on a dead canary';
    const isOwn = target.pausedBy === 'engine' && pods.every(pod => pod.revision === current?.revision);
    const mayServe = phase === 'Promoting' && current?.passedAll === true && isOwn && canary > 0;
    return mayServe && weight < 100 && primary === 0
      ? 'P1 settled with a share on a dead primary'
      : undefined;
  }

  function run(from: readonly number[], future: Future): { violation: string; trace: string[] } | undefined {
    const known = settled[future];
    const lines: string[] = [];
    const path = new Set<string>();
    const stop = (violation: string) => ({ violation, trace: lines });
    let state = withoutFaults(from);
    const mind: Mind = { isDue: true, isArmed: false, goesOn: false };
    for (let count = 0; count < STEPS_MAX; count++) {
      const key = `${state.join()} ${mind.isDue} ${mind.isArmed} ${mind.goesOn}`;
      if (known.has(key)) break;
      if (path.has(key)) {
        const problem = future === 'dead' ? unserved(state) : restless(state);
        if (problem) return stop(`S5 a cycle without an end: ${problem}`);
        break;
      }
      path.add(key);
      const next = step(state, future, mind);
      if (!next) {
        const problem = future === 'dead' ? unserved(state) : restless(state);
        if (problem) return stop(problem);
        break;
      }
      model.canonicalise(next.state);
      lines.push(`     then, without faults: ${next.label.padEnd(60)} ${describeState(model, next.state)}`);
      if (next.violation) return stop(next.violation);
      state = next.state;
      if (count === STEPS_MAX - 1) return stop(`S5 not settled after ${STEPS_MAX} steps`);
    }
    for (const key of path) known.add(key);
    followed++;
    return undefined;
  }

  return {
    step,
    withoutFaults,
    follow: (state: readonly number[]) => run(state, 'pass') ?? run(state, 'fail') ?? run(state, 'dead'),
    count: () => followed,
  };
}
