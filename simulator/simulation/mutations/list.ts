/** All deliberately broken engines: one file for each part of the engine that is broken. */
import { evidence } from './evidence.ts';
import { fences } from './fences.ts';
import { judging } from './judging.ts';
import type { Mutation } from './mutation.ts';
import { people } from './people.ts';
import { promoting } from './promoting.ts';
import { readinessMutations } from './readiness.ts';
import { shellMutations } from './shell.ts';

export const MUTATIONS: readonly Mutation[] = [
  ...fences,
  ...judging,
  ...evidence,
  ...readinessMutations,
  ...promoting,
  ...people,
  ...shellMutations,
];

export function mutationOf(name: string): Mutation {
  const found = MUTATIONS.find(one => one.name === name);
  if (!found) throw new Error(`no mutation is called ${name}`);
  return found;
}
