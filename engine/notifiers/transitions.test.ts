/** From transitions to notifications: which are told, what they carry, and that a bound holds. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Reason, reasons } from '../api/reasons.ts';
import type { CanaryStatus, Transition } from '../api/status.ts';
import { isTold, toldReasons } from './told.ts';
import { notificationOf } from './transitions.ts';

const at = '2026-01-01T00:00:10.000Z';
const transition = (over: Partial<Transition> = {}): Transition => ({
  number: 9,
  at,
  severity: 'error',
  reason: 'RolledBack',
  message: 'Rolled back.',
  ...over,
});
const run = {
  id: 'r2.3',
  revision: 'r2',
  generation: 3,
  startedAt: '2026-01-01T00:00:01.000Z',
  checkedAt: at,
};
const canary = { uid: 'u', namespace: 'shop', name: 'web', target: 'web-app' };
const of = (
  status: CanaryStatus,
  over: Partial<Transition> = {},
  queryOf = (_metric: string): string | undefined => undefined,
) => notificationOf({ canary, status, transition: transition(over), queryOf });

describe('which are told', () => {
  test('every reason stands in the table', () => {
    expect(Object.keys(toldReasons).sort()).toEqual(Object.keys(reasons).sort());
  });

  test('the documentation says of each reason whether it is told', () => {
    const guide = readFileSync(join(import.meta.dirname, '../../docs/notifications.md'), 'utf8');
    const [, told = '', untold = ''] =
      /## What is told([^]*?)Only the event webhook hears of(.*?)\n/.exec(guide) ?? [];
    const named = (text: string) =>
      new Set([...text.matchAll(/`([A-Z][A-Za-z]+)`/g)].map(([, name]) => name));
    const those = (isWanted: (telling: string) => boolean) =>
      new Set(Object.keys(toldReasons).filter(reason => isWanted(toldReasons[reason as Reason])));
    expect(named(told)).toEqual(those(telling => telling !== 'untold'));
    expect(named(untold)).toEqual(those(telling => telling === 'untold'));
  });

  test.each([
    ['Started', 'told'],
    ['WeightRaised', 'told'],
    ['CheckFailed', 'told'],
    ['NoData', 'told'],
    ['Stalled', 'told'],
    ['Paused', 'told'],
    ['Promoting', 'told'],
    ['Succeeded', 'told'],
    ['RolledBack', 'told'],
    ['Adopting', 'untold'],
    ['Baking', 'untold'],
    ['CommandRefused', 'untold'],
    ['toString', 'told'],
  ])('%s is %s', (reason, telling) => {
    expect(isTold(transition({ reason }), { phase: 'Progressing' })).toBe(telling === 'told');
  });

  test('a primary that is not ready is news, but not while it is adopted, nor when that is told again later', () => {
    const unready = transition({ reason: 'PrimaryNotReady', number: 2 });
    expect(isTold(unready, { phase: 'Initializing' })).toBe(false);
    expect(isTold(unready, { phase: 'Promoting' })).toBe(true);
    const transitions = [unready, transition({ reason: 'Adopted', number: 3 })];
    expect(isTold(unready, { phase: 'Initialized', transitions })).toBe(false);
    expect(isTold({ ...unready, number: 4 }, { phase: 'Promoting', transitions })).toBe(true);
  });
});

describe('what they carry', () => {
  test('the checks of their own judgement, failed ones first, those with their query', () => {
    const checks: CanaryStatus['checks'] = [
      { metric: 'request-duration', outcome: 'pass', value: 12.3456, max: 500 },
      { metric: 'errors', outcome: 'fail', value: 7, min: 0, max: 5 },
      { metric: 'saturation', outcome: 'noData', min: 1, message: 'the query answered no series' },
    ];
    const told = of({ phase: 'Failed', run, checks }, {}, metric => `query of ${metric} `.repeat(200));
    expect(told.fields.map(({ title, value }) => `${title}: ${value.slice(0, 60)}`)).toEqual([
      'errors: 7, must be at least 0 and at most 5',
      `Query of errors: ${'query of errors '.repeat(4).slice(0, 60)}`,
      'saturation: the query answered no series, must be at least 1',
      `Query of saturation: ${'query of saturation '.repeat(3)}`,
      'request-duration: 12.346, must be at most 500',
    ]);
    expect(told.checks.map(check => check.query?.length)).toEqual([1_000, 1_000, undefined]);
    const { phase, revision, canaryWeight, time } = told;
    expect({ phase, revision, canaryWeight, time }).toEqual({
      phase: 'Failed',
      revision: 'r2',
      canaryWeight: 0,
      time: at,
    });
  });

  test('not the checks of another time', () => {
    const checks: CanaryStatus['checks'] = [{ metric: 'errors', outcome: 'fail', value: 7, max: 5 }];
    expect(of({ run, checks }, { at: '2026-01-01T00:00:11.000Z' }).checks).toEqual([]);
    expect(of({ checks }).checks).toEqual([]);
  });

  test('the cause of a rollback that came by the way back, of this run only', () => {
    const back = transition({ number: 8, reason: 'GoingBack', message: 'errors is 7, above 5' });
    const later = { run: { ...run, checkedAt: back.at }, transitions: [back] };
    const end = '2026-01-01T00:01:00.000Z';
    expect(of(later, { at: end }).fields).toEqual([{ title: 'Cause', value: 'errors is 7, above 5' }]);
    const before = { ...later, transitions: [{ ...back, at: '2026-01-01T00:00:00.000Z' }] };
    expect(of(before, { at: end }).fields).toEqual([]);
    expect(of(later, { at: end, reason: 'Succeeded' }).fields).toEqual([]);
  });

  test('of an empty status there is still a message', () => {
    expect(of({})).toMatchObject({
      id: 'u/9',
      phase: 'Initializing',
      revision: '',
      canaryWeight: 0,
      fields: [],
    });
  });
});
