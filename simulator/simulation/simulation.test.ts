/** The simulation itself: that it replays to the byte, that it draws everything, and the histories that it has found. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { decodeCanary } from '../../engine/api/decode.ts';
import { JUDGE_MODES, judgeSchema } from '../../engine/api/judge.ts';
import { structuralSchema } from '../../engine/api/schemaOf.ts';
import { canarySpecSchema } from '../../engine/api/canary.ts';
import { RULES } from './checkers/registry.ts';
import { generatePlan } from './generate.ts';
import { unsupportedInCanary } from '../../engine/api/unsupported.ts';
import { regressions } from './regressions.ts';
import { simulate } from './simulate.ts';
import { FAULTS } from './troubles.ts';

const plans = Array.from({ length: 150 }, (_unused, index) => generatePlan(index + 1));

test.each([2, 14])('seed %i replays to the byte', async seed => {
  const [first, second] = [await simulate(generatePlan(seed)), await simulate(generatePlan(seed))];
  expect(second.lines).toEqual(first.lines);
  expect(second.hash).toBe(first.hash);
  expect(first.rollouts).toBeGreaterThan(0);
});

test('another seed is another history', async () => {
  const [first, second] = [await simulate(generatePlan(8)), await simulate(generatePlan(11))];
  expect(second.hash).not.toBe(first.hash);
});

test('nothing below draws real chance, tells real time or waits', () => {
  const outside = new Set(['main.ts', 'pool.ts', 'worker.ts']);
  for (const file of readdirSync(import.meta.dirname, { recursive: true }).map(String)) {
    if (
      !file.endsWith('.ts') ||
      file.endsWith('.test.ts') ||
      outside.has(file) ||
      file.startsWith('mutations/')
    )
      continue;
    const source = readFileSync(join(import.meta.dirname, file), 'utf8');
    expect(
      source.match(/Date\.now|Math\.random|randomUUID|setTimeout|setInterval|performance\./g),
      file,
    ).toBeNull();
  }
});

describe('what is drawn', () => {
  test('every kind of fault and deed', () => {
    const drawn = new Set(plans.flatMap(plan => plan.items.map(item => item.kind)));
    for (const kind of FAULTS) expect(drawn, kind).toContain(kind);
    expect(drawn.size).toBeGreaterThan(FAULTS.size + 10);
  });
  test('only specs that the engine accepts', () => {
    for (const { canaries } of plans)
      for (const { namespace, name, spec } of canaries)
        expect(decodeCanary({ metadata: { namespace, name }, spec }).ok).toBe(true);
  });
  test('every field of the analysis that the engine does not refuse', () => {
    const analysis = structuralSchema(canarySpecSchema, 'spec').properties?.['analysis']?.properties ?? {};
    const drawn = new Set(
      plans.flatMap(plan => plan.canaries.flatMap(one => Object.keys(one.spec.analysis))),
    );
    // Whoever deletes a line of `unsupported.ts` gets the field drawn.
    const refused = new Set(unsupportedInCanary.map(entry => entry.path));
    const missing = Object.keys(analysis).filter(
      field => !drawn.has(field) && !refused.has(`spec.analysis.${field}`),
    );
    expect(missing).toEqual([]);
    expect(drawn.size).toBeGreaterThan(10);
  });
  test('every way of judging, with every field of it', () => {
    const judges = plans.flatMap(plan => plan.canaries.map(one => one.spec.analysis.judge ?? {}));
    expect(new Set(judges.map(judge => judge.mode))).toEqual(new Set([...JUDGE_MODES, undefined]));
    for (const [schema, drawn] of [
      [judgeSchema, judges],
      [judgeSchema.shape.guard.unwrap(), judges.map(judge => judge.guard ?? {})],
    ] as const) {
      const fields = Object.keys(structuralSchema(schema, 'judge').properties ?? {});
      expect(new Set(drawn.flatMap(one => Object.keys(one)))).toEqual(new Set(fields));
    }
  });
});

test('each rule has a name and says what it means', () => {
  expect(new Set(RULES.map(rule => rule.name)).size).toBe(RULES.length);
  for (const rule of RULES) expect(rule.says.length).toBeGreaterThan(20);
});

describe('histories that once broke a rule', () => {
  for (const { name, plan } of regressions()) {
    test(name, async () => {
      const { violation } = await simulate(plan);
      expect(violation).toBeUndefined();
    });
  }
});
