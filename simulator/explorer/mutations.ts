/** Every weakened engine; each must be caught, or say why it is harmless. */
import type { Mutation } from './engine.ts';
import { fenceMutations } from './mutationsOfFence.ts';
import { lifeMutations } from './mutationsOfLife.ts';

export const MUTATIONS: readonly Mutation[] = [...fenceMutations, ...lifeMutations];
