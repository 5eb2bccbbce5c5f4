/** The values that were judged, in the sentences that tell of a pass: with their bounds, and within 512 characters. */
import { expect, test } from 'vitest';
import type { CheckResult } from '../api/status.ts';
import { adopted, runUntil } from './abstractLife.ts';
import { testSettings } from './abstractWorld.ts';
import { decide } from './decide.ts';
import { describeChecks } from './verdict.ts';

const rate: CheckResult = { metric: 'request-success-rate', outcome: 'pass', value: 99.91234, min: 99 };
const time: CheckResult = { metric: 'request-duration', outcome: 'pass', value: 48, min: 1, max: 500 };

test('each value stands beside its bounds', () => {
  expect(describeChecks([rate, time])).toBe(
    ': request-success-rate is 99.912, at least 99; request-duration is 48, at least 1 and at most 500',
  );
  expect(describeChecks([])).toBe('');
});

/** What is told when a check of these results is due at this weight. */
function toldAt(weight: number, checks: CheckResult[], settings = testSettings): string[] {
  const world = adopted(settings);
  world.release('r2');
  runUntil(world, () => world.route?.canaryWeight === weight && world.target.pausedBy === 'engine');
  world.advance(11_000);
  const seen = world.observe();
  const runId = seen.status.run!.id;
  seen.judgement = { runId, epoch: seen.route!.stamp.epoch, arm: 'canary', at: seen.now, checks };
  return decide(seen).transitions.map(({ reason, message }) => `${reason} ${message}`);
}

test.each([
  ['a step', 20, testSettings, 'WeightRaised Revision r2 passed at 20 % and gets 50 %: '],
  ['the last step', 50, testSettings, 'Promoting Revision r2 is promoted: every step passed: '],
  [
    'a blue/green check',
    0,
    { ...testSettings, iterations: 2, steps: [100] },
    'Waiting Check 1 of 2 passed: ',
  ],
])('%s that passed is told with what was judged', (_what, weight, settings, beginning) => {
  expect(toldAt(weight, [rate, time], settings)).toEqual([
    `${beginning}request-success-rate is 99.912, at least 99; request-duration is 48, at least 1 and at most 500.`,
  ]);
});

test('sixteen metrics with the longest names are cut', () => {
  const checks = Array.from({ length: 16 }, (_, index) => ({ ...rate, metric: `${index}`.padEnd(253, 'x') }));
  const [message = ''] = toldAt(20, checks);
  expect(message).toMatch(/ and gets 50 %: 0x+ is 99\.912, at least 99; 1x+….$/);
  expect(message.length).toBeLessThanOrEqual('WeightRaised '.length + 512);
});
