/**
 * The engine that is explored: the real one, or one that a mutation has weakened. A mutation never copies a rule. It
 * changes what the rules see, what they answered, which of them there are, or how a write is carried out.
 */
import { decide, decideUrgent, RULES } from '../../engine/core/decide.ts';
import type { Decision } from '../../engine/core/decision.ts';
import { retakeAway } from '../../engine/core/fence.ts';
import type { Observation } from '../../engine/core/observation.ts';
import { decideInSilence } from '../../engine/core/silence.ts';
import type { Engine, Slip } from './model.ts';

export type Rule = (typeof RULES)[number];

export interface Mutation {
  name: string;
  /** What the engine does wrong, for people. */
  says: string;
  /** Scenarios in which it is looked for, in turn. */
  scenarios: readonly string[];
  /** The rules see this instead. It is a copy of their own. */
  see?(o: Observation): void;
  /** What is done instead of the answer. It is a copy. */
  answer?(o: Observation, decision: Decision): Decision;
  rules?(rules: readonly Rule[]): Rule[];
  retake?: typeof retakeAway;
  slips?: readonly Slip[];
  /** The starts are reached by the weakened engine too. */
  isFromStart?: boolean;
  /** Why nothing has to be found: the weaker engine breaks no property. */
  isHarmless?: string;
}

export function realEngine(): Engine {
  return { decide, decideUrgent, decideInSilence, retakeAway, slips: new Set() };
}

function weakened(mutation: Mutation): Engine {
  const seen = (o: Observation): Observation => {
    if (!mutation.see) return o;
    const copy = structuredClone(o);
    mutation.see(copy);
    return copy;
  };
  const answered = (o: Observation, decision: Decision): Decision =>
    mutation.answer ? mutation.answer(o, structuredClone(decision)) : decision;
  return {
    decide: o => answered(o, decide(seen(o))),
    decideUrgent: o => {
      const decision = decideUrgent(seen(o));
      return decision && answered(o, decision);
    },
    decideInSilence: o => answered(o, decideInSilence(seen(o))),
    retakeAway: mutation.retake ?? retakeAway,
    slips: new Set(mutation.slips),
  };
}

/** Runs with the weakened engine. Rules are swapped in place, in this process, and put back. */
export function withMutation<T>(mutation: Mutation | undefined, run: (engine: Engine) => T): T {
  if (!mutation) return run(realEngine());
  const rules = RULES as Rule[];
  const real = [...rules];
  if (mutation.rules) rules.splice(0, rules.length, ...mutation.rules(real));
  try {
    return run(weakened(mutation));
  } finally {
    rules.splice(0, rules.length, ...real);
  }
}
