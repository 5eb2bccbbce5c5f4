/** Whatever an API server could hand over: objects are decoded one by one, and no object makes that throw or hang. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { settingsOf } from '../core/settings.ts';
import { decodeAlertProvider, decodeCanary, decodeMetricTemplate, PROBLEMS_MAX } from './decode.ts';
import { flaggerObjects } from './flaggerSample.ts';

/** Values that code trips over, beside any JSON. */
const nasty = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    '',
    0,
    -1,
    0.5,
    1e308,
    [],
    {},
    [null],
    true,
    '__proto__',
    '9'.repeat(400),
    '1h1h1h',
  ),
  fc.jsonValue({ maxDepth: 3 }),
);

type Path = (string | number)[];

function pathsOf(value: unknown, path: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return [path];
  return [path, ...Object.entries(value).flatMap(([key, inner]) => pathsOf(inner, [...path, key]))];
}

function replaced(object: unknown, path: Path, value: unknown): unknown {
  const [step, ...rest] = path;
  if (step === undefined) return value;
  const copy: any = Array.isArray(object) ? [...object] : { ...(object as object) };
  copy[step] = replaced(copy[step], rest, value);
  return copy;
}

const everything = flaggerObjects('serin.dev')[0];
const supported = {
  metadata: { name: 'web', namespace: 'shop' },
  spec: {
    targetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' },
    progressDeadlineSeconds: 60,
    service: { port: 80, targetPort: 'web', primary: { labels: { a: 'b' } } },
    analysis: {
      interval: '1m',
      threshold: 2,
      stepWeights: [10, 50],
      maxWeight: 50,
      stepWeightPromotion: 25,
      bake: '10s',
      metrics: [{ name: 'request-success-rate', thresholdRange: { min: 99 }, interval: '1m' }],
    },
  },
};

function edited(sample: object) {
  const edits = fc.array(fc.tuple(fc.constantFrom(...pathsOf(sample)), nasty), { maxLength: 3 });
  return edits.map(list =>
    list.reduce<unknown>((object, [path, value]) => {
      try {
        return replaced(object, path, value);
      } catch {
        // A former edit has put something else in the way of this one.
        return object;
      }
    }, sample),
  );
}

const objects = fc.oneof(
  { weight: 4, arbitrary: edited(supported) },
  { weight: 4, arbitrary: edited(everything) },
  { weight: 1, arbitrary: fc.jsonValue() },
);

test('100,000 objects: decoded, or refused with a field and a sentence', { timeout: 120_000 }, () => {
  let accepted = 0;
  const decoders = [decodeCanary, decodeMetricTemplate, decodeAlertProvider];
  fc.assert(
    fc.property(objects, object => {
      for (const decode of decoders) {
        const decoded = decode(object);
        if (decoded.ok) continue;
        expect(decoded.problems.length).toBeGreaterThan(0);
        expect(decoded.problems.length).toBeLessThanOrEqual(PROBLEMS_MAX);
        for (const { expected } of decoded.problems) expect(expected.length).toBeGreaterThan(0);
      }
      const canary = decodeCanary(object);
      if (canary.ok) {
        accepted++;
        const settings = settingsOf(canary.canary, { drainMs: 1_000 });
        expect(settings.steps.length).toBeGreaterThan(0);
        for (const ms of [settings.intervalMs, settings.bakeMs, settings.progressDeadlineMs])
          expect(Number.isFinite(ms)).toBe(true);
      }
    }),
    { numRuns: 34_000 },
  );
  expect(accepted).toBeGreaterThan(1_000);
});
