/** Quantiles: the answers of a real Prometheus (2.42), and what must hold for every histogram. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { histogramQuantile } from './quantile.ts';

const buckets = (pairs: [number, number][]) => pairs.map(([upper, count]) => ({ upper, count }));
const inf = Number.POSITIVE_INFINITY;

test.each<[string, number, [number, number][], number]>([
  [
    'interpolates within a bucket',
    0.5,
    [
      [100, 0],
      [200, 10],
      [inf, 10],
    ],
    150,
  ],
  [
    'starts at zero',
    0.5,
    [
      [100, 10],
      [inf, 10],
    ],
    50,
  ],
  [
    'knows nothing above the highest bound',
    0.99,
    [
      [100, 1],
      [200, 2],
      [inf, 100],
    ],
    200,
  ],
  [
    'at a bound',
    0.5,
    [
      [1, 5],
      [2, 10],
      [inf, 10],
    ],
    1,
  ],
  [
    'bounds at or below zero',
    0.1,
    [
      [-1, 10],
      [0, 10],
      [inf, 10],
    ],
    -1,
  ],
  [
    'a bucket that lags takes the count of the one below',
    0.9,
    [
      [1, 10],
      [2, 5],
      [inf, 10],
    ],
    0.9,
  ],
  [
    'no observation',
    0.99,
    [
      [1, 0],
      [inf, 0],
    ],
    Number.NaN,
  ],
  [
    'no bucket for everything',
    0.99,
    [
      [1, 5],
      [2, 10],
    ],
    Number.NaN,
  ],
  ['only the bucket for everything', 0.99, [[inf, 10]], Number.NaN],
  ['nothing', 0.99, [], Number.NaN],
])('%s', (_name, quantile, pairs, expected) => {
  expect(histogramQuantile(quantile, buckets(pairs))).toBe(expected);
  expect(histogramQuantile(quantile, buckets([...pairs].reverse()))).toBe(expected);
});

test('lies in the bucket of the observation of that rank, and rises with the quantile', () => {
  const observations = fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 1, maxLength: 200 });
  const uppers = [1, 5, 10, 50, 100, 500];
  fc.assert(
    fc.property(observations, fc.double({ min: 0.01, max: 1, noNaN: true }), (values, quantile) => {
      const histogram = buckets([
        ...uppers.map((upper): [number, number] => [upper, values.filter(value => value <= upper).length]),
        [inf, values.length],
      ]);
      const answer = histogramQuantile(quantile, histogram);
      const ranked = [...values].sort((a, b) => a - b)[Math.ceil(quantile * values.length) - 1]!;
      const upper = uppers.find(bound => ranked <= bound)!;
      expect(answer).toBeLessThanOrEqual(upper);
      expect(answer).toBeGreaterThanOrEqual(uppers[uppers.indexOf(upper) - 1] ?? 0);
      expect(histogramQuantile(Math.min(1, quantile + 0.1), histogram)).toBeGreaterThanOrEqual(answer);
    }),
  );
});
