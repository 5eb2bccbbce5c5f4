/** Invariant 1: weights are integers, sum to 100, and at least one backend is above 0. */
import type { Rule } from './checker.ts';

export const weights: Rule = {
  name: 'weights',
  says: 'every route that an engine writes has two whole weights that sum to 100',
  create: (_scene, report) => ({
    onChange({ object, type }, views, hand) {
      if (object.kind !== 'TrafficSplit' || type === 'DELETED' || hand.who !== 'engine') return;
      const given: unknown[] = (object.spec?.backends ?? []).map((one: { weight?: unknown }) => one.weight);
      const isWhole = given.every(weight => Number.isInteger(Number(weight)) && Number(weight) >= 0);
      const sum = given.reduce<number>((total, weight) => total + Number(weight), 0);
      if (given.length !== 2 || !isWhole || sum !== 100)
        report(views[0], `the route was written with the weights ${given.join(' and ')}`);
    },
  }),
};
