/**
 * One process of the engine as the operating system sees it: a clock of its own that may be wrong, and the power to
 * stop it for minutes or for ever between any two things that it does. It knows nothing of what runs inside.
 */
import type { Clock, Timer } from '../../engine/clock.ts';

export interface Process {
  readonly name: string;
  /** The time as this process believes it to be. */
  readonly clock: Clock;
  isAlive(): boolean;
  isFrozen(): boolean;
  /** Runs `work` inside the process: at once, when it thaws, or never. */
  deliver(work: () => void): void;
  freeze(forMs: number): void;
  kill(): void;
  onDeath(listener: () => void): void;
  /** Its clock steps, as after a correction by NTP. */
  step(byMs: number): void;
}

export interface ProcessOptions {
  name: string;
  /** The true time. */
  clock: Clock;
  offsetMs: number;
  driftPpm: number;
}

export function createProcess(options: ProcessOptions): Process {
  const { clock: world } = options;
  const startedAtMs = world.now();
  const pace = 1 + options.driftPpm / 1e6;
  let offsetMs = options.offsetMs;
  let isAlive = true;
  let frozenUntilMs = 0;
  let held: (() => void)[] = [];
  const mourners: (() => void)[] = [];
  const isFrozen = () => isAlive && frozenUntilMs > world.now();

  function deliver(work: () => void): void {
    if (!isAlive) return;
    if (isFrozen() || held.length > 0) held.push(work);
    else work();
  }

  /** What was held comes one by one, as from an event loop: promises settle in between. */
  function thaw(): void {
    if (!isAlive || isFrozen()) return;
    held.shift()?.();
    if (held.length > 0) world.setTimer(thaw, 0);
  }

  function setTimer(callback: () => void, delayMs: number): Timer {
    let isCancelled = false;
    const fire = () => {
      if (!isCancelled) callback();
    };
    const timer = world.setTimer(() => deliver(fire), Math.ceil(Math.max(0, delayMs) / pace));
    return {
      cancel() {
        isCancelled = true;
        timer.cancel();
      },
    };
  }

  const clock: Clock = {
    now: () => Math.floor(startedAtMs + (world.now() - startedAtMs) * pace + offsetMs),
    setTimer,
    sleep(delayMs, signal) {
      return new Promise(resolve => {
        if (signal?.aborted) return resolve();
        const done = () => {
          timer.cancel();
          signal?.removeEventListener('abort', done);
          resolve();
        };
        const timer = setTimer(done, delayMs);
        signal?.addEventListener('abort', done);
      });
    },
  };

  return {
    name: options.name,
    clock,
    isAlive: () => isAlive,
    isFrozen,
    deliver,
    freeze(forMs) {
      if (!isAlive) return;
      frozenUntilMs = Math.max(frozenUntilMs, world.now() + forMs);
      world.setTimer(thaw, forMs);
    },
    kill() {
      if (!isAlive) return;
      isAlive = false;
      held = [];
      for (const mourn of mourners) mourn();
    },
    onDeath: listener => mourners.push(listener),
    step(byMs) {
      offsetMs += byMs;
    },
  };
}
