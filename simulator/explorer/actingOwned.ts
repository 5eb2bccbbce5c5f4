/**
 * The writes of `engine/controller/act.ts` that no fence is about: objects of the engine's own, marks, the finalizer. Each
 * lands whole, and none is split by a lost reply: what they would leave behind is written again by the next tick.
 */
import type { Model } from './model.ts';
import { OWNED, type Pending, type Step, TARGET, thingBit } from './parts.ts';

export type OwnedStep = Exclude<Step, { kind: 'status' | 'route' | 'target' | 'primary' }>;

/** Changes the state; undefined where a precondition fails. The answer says what was done. */
export function writeOwned(
  model: Model,
  next: number[],
  index: number,
  { asSeen }: Pending,
  step: OwnedStep,
): string | undefined {
  const { pools } = model;
  const before = model.owned(next);
  switch (step.kind) {
    case 'store': {
      // What is there already is touched, and gets another version.
      if (before.stored.includes(step.revision)) model.renew(next, 'stored', index);
      const stored = [...new Set([...before.stored, step.revision])].sort();
      next[OWNED] = pools.owned.intern({ ...before, stored });
      return `stores ${step.revision}`;
    }
    case 'forget': {
      // Only what was seen, under its version.
      if (!(asSeen & thingBit('stored'))) return undefined;
      const stored = before.stored.filter(revision => revision !== step.revision);
      next[OWNED] = pools.owned.intern({ ...before, stored });
      return `forgets ${step.revision}`;
    }
    case 'unmark': {
      // unmarkPatch: the annotations of the engine, under the version of `sighting.target`.
      if (!(asSeen & thingBit('target'))) return undefined;
      const unmarked = { ...model.target(next), written: null };
      model.renew(next, 'target', index);
      next[TARGET] = pools.spec.intern(unmarked);
      return 'target unmarked';
    }
    case 'apex':
      next[OWNED] = pools.owned.intern({ ...before, apex: step.at });
      return `apex := ${step.at}`;
    case 'deleteRoute':
      // deleteRoute: only the very object that is cached.
      model.renew(next, 'route', index);
      next[OWNED] = pools.owned.intern({ ...before, hasRoute: false });
      return 'route deleted';
    case 'release':
      // The finalizer's patch has the version of `sighting.object` as its precondition.
      if (!(asSeen & thingBit('canary'))) return undefined;
      next[OWNED] = pools.owned.intern({ ...before, hasFinalizer: false });
      return 'finalizer removed';
    default:
      return step satisfies never;
  }
}
