/**
 * Looks at all ready pods of one arm at once and keeps what they counted. One look is shared by everybody who asks while
 * it is under way or has just ended. Memory is a cache: bounded, and dropped when its run is.
 */
import type { Clock } from '../../engine/clock.ts';
import type { Arm, ArmPods, PodAddress } from '../analyzer.ts';
import { type ArmHistory, createArmHistory, type PodLook } from './history.ts';
import type { PodReader } from './pods.ts';

/** How one look at an arm went. */
export interface Look {
  /** When it ended, milliseconds since the epoch. */
  at: number;
  /** Pods that it meant to ask: all ready ones, or PODS_ASKED_MAX of them. */
  pods: number;
  answered: number;
  /** Answers that make it a value; fewer are stale. */
  needed: number;
  /** Pods left out because the needed answers could not come together any more. */
  skipped: number;
  /** The first failure, with the pod's name. */
  problem: string | undefined;
  history: ArmHistory;
}

export interface Arms {
  /** Never rejects. The answer may be that of a look which somebody else began. */
  look(pods: ArmPods, arm: Arm, windowsMs: readonly number[]): Promise<Look>;
  /** The last look that has ended; undefined when there was none. Makes none. */
  last(history: string, arm: Arm): Look | undefined;
  /** Whether some of the pods that a look would ask have never been looked at. */
  hasNew(pods: ArmPods, arm: Arm): boolean;
  drop(history: string): void;
  /** Drops what nobody has looked at for `idleMs`. */
  dropIdle(idleMs: number): void;
  size(): number;
}

/** Enough to judge by; more would cost more than it tells. */
export const PODS_ASKED_MAX = 64;
/** Of the engine's slots, so that one arm whose pods do not answer cannot hold all of them. */
const ASKED_AT_ONCE_MAX = 8;
/** Asked whatever the first ones answer, so that the message about a usual arm counts all of it. */
const ASKED_ANYWAY = 16;
/** Metrics of one check, and checks beside a look between them, are asked within this time. */
const SHARED_MS = 200;

/** For a canary that is measured but not followed, e.g. because this replica has just ceased to be the active one. */
export const IDLE_MS_MAX = 10 * 60_000;

interface State {
  history: ArmHistory;
  running: Promise<Look> | undefined;
  last: Look | undefined;
  usedAt: number;
}

export function createArms(options: { clock: Clock; read: PodReader }): Arms {
  const { clock, read } = options;
  /** By history, then by arm. */
  const states = new Map<string, Map<Arm, State>>();

  function stateOf(history: string, arm: Arm): State {
    const arms = states.get(history) ?? new Map<Arm, State>();
    states.set(history, arms);
    const state = arms.get(arm) ?? {
      history: createArmHistory(),
      running: undefined,
      last: undefined,
      usedAt: 0,
    };
    arms.set(arm, state);
    return state;
  }

  async function lookAt(state: State, pods: readonly PodAddress[]): Promise<Look> {
    const asked = chosen(pods, state.history);
    // Nine in ten: a pod that is just being replaced must not stop a rollout of many.
    const needed = Math.ceil((asked.length * 9) / 10);
    const looks: PodLook[] = [];
    const problems: string[] = [];
    let next = 0;
    async function askOn(): Promise<void> {
      while (next < asked.length && (next < ASKED_ANYWAY || problems.length <= asked.length - needed)) {
        const pod = asked[next++]!;
        const answer = await read(pod);
        if (answer.ok) looks.push({ pod: identityOf(pod), counters: answer.counters });
        else problems.push(`${pod.name}: ${answer.problem}`);
      }
    }
    await Promise.all(Array.from({ length: Math.min(ASKED_AT_ONCE_MAX, asked.length) }, askOn));
    const at = clock.now();
    const answered = looks.length;
    const isFresh = answered > 0 && answered >= needed;
    state.history.add(at, looks, isFresh);
    const skipped = asked.length - answered - problems.length;
    const [problem] = problems;
    return { at, pods: asked.length, answered, needed, skipped, problem, history: state.history };
  }

  return {
    look(pods, arm, windowsMs) {
      const state = stateOf(pods.history, arm);
      const now = clock.now();
      state.usedAt = now;
      state.history.keepFor(windowsMs);
      if (state.running) return state.running;
      if (state.last && now >= state.last.at && now - state.last.at < SHARED_MS)
        return Promise.resolve(state.last);
      const running = lookAt(state, pods[arm]).then(look => {
        state.running = undefined;
        state.last = look;
        return look;
      });
      state.running = running;
      return running;
    },
    last: (history, arm) => states.get(history)?.get(arm)?.last,
    hasNew(pods, arm) {
      const { history } = stateOf(pods.history, arm);
      return chosen(pods[arm], history).some(pod => !history.pods().has(identityOf(pod)));
    },
    drop: history => void states.delete(history),
    dropIdle(idleMs) {
      const oldest = clock.now() - idleMs;
      for (const [history, arms] of states) {
        if ([...arms.values()].every(state => state.usedAt < oldest)) states.delete(history);
      }
    },
    size: () => states.size,
  };
}

/** Why the look is no value, for people; undefined: it is one. The pods that are silent may be the ones that fail. */
export function shortfallOf(look: Look, port: number): string | undefined {
  if (look.answered > 0 && look.answered >= look.needed) return undefined;
  const counts = `${look.answered} of ${look.pods} ready pods answered on port ${port}, ${look.needed} are needed`;
  const skipped = look.skipped > 0 ? ` (${look.skipped} were not asked any more)` : '';
  const advice =
    look.answered === 0 ? '; does a policy block the port, or is --scrape-port another one?' : '';
  return `scrape: ${counts}${skipped}; ${look.problem ?? ''}${advice}`;
}

/** Addresses are used again by other pods; a name with its address is not, as long as anybody remembers it. */
export function identityOf({ name, ip }: PodAddress): string {
  return `${name}/${ip}`;
}

/** Of many pods always the same ones, so that there is something to compare with. */
function chosen(pods: readonly PodAddress[], history: ArmHistory): readonly PodAddress[] {
  if (pods.length <= PODS_ASKED_MAX) return pods;
  const known = history.pods();
  const rank = (pod: PodAddress) => `${known.has(identityOf(pod)) ? 0 : 1}${pod.name}`;
  return [...pods].sort((a, b) => (rank(a) < rank(b) ? -1 : 1)).slice(0, PODS_ASKED_MAX);
}
