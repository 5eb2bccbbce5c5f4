/** What the core makes of evidence: of the guard between two checks, and of a judge instead of them. */
import { describe, expect, test } from 'vitest';
import { GUARD_DEFAULTS } from '../../analyzers/judge/guard.ts';
import { JUDGE_DEFAULTS } from '../../analyzers/judge/settings.ts';
import type { JudgeStatus } from '../api/status.ts';
import { adopted, phaseIs, runUntil } from './abstractLife.ts';
import { type AbstractWorld, testSettings } from './abstractWorld.ts';
import { decide, decideUrgent } from './decide.ts';
import type { Decision } from './decision.ts';
import type { Evidence, Observation } from './observation.ts';
import type { Settings } from './settings.ts';

const guarded: Settings = { ...testSettings, guard: GUARD_DEFAULTS };
const compared: Settings = { ...testSettings, metrics: [], judge: JUDGE_DEFAULTS };

function running(settings: Settings, isUntil = (world: AbstractWorld) => world.route?.canaryWeight === 20) {
  const world = adopted(settings);
  world.release('r2');
  step(world, { kind: 'ready' }, () => isUntil(world));
  return world;
}

/** Evidence of the canary at this moment, for whoever asks. */
function answer(seen: Observation, evidence: Partial<Evidence> & Pick<Evidence, 'kind'>): Observation {
  const judgement = {
    runId: seen.status.run?.id ?? '',
    epoch: seen.route?.stamp.epoch ?? 0,
    arm: 'canary' as const,
    checks: [],
    isEvidenceOnly: true,
    evidence: { message: 'so it is', nextMs: 2_000, ...evidence },
    at: seen.now,
  };
  return { ...seen, judgement };
}

/** Decides and acts until it is so; whoever asks for evidence gets this. */
function step(
  world: AbstractWorld,
  evidence: Partial<Evidence> & Pick<Evidence, 'kind'>,
  isSo: () => boolean,
  steps = 40,
): Decision[] {
  const made: Decision[] = [];
  // Whoever is asked judges it good, or its user wants it all the same.
  if (evidence.kind === 'pass' || evidence.action === 'promote') world.allowUnjudged('r2');
  for (let count = 0; count < steps && !isSo(); count++) {
    const seen = world.observe();
    const first = decide(seen);
    const decision = first.measure ? decide(answer(seen, evidence)) : first;
    world.execute(decision, seen);
    made.push(decision);
    world.settleWorkloads();
    world.advance(1_000);
  }
  return made;
}

describe('the guard of the thresholds', () => {
  test('is asked between two checks, and only while the canary has traffic', () => {
    const world = running(guarded);
    expect(decide(world.observe())).toMatchObject({ measure: 'canary', isEvidenceOnly: true, actions: [] });
    const atZero = adopted(guarded);
    atZero.release('r2');
    for (let count = 0; count < 6; count++) {
      const seen = atZero.observe();
      const decision = decide(seen);
      if (seen.route?.canaryWeight === 0) expect(decision.measure).toBeUndefined();
      atZero.execute(decision, seen);
      atZero.settleWorkloads();
    }
  });

  test('takes the traffic away at once, route first', () => {
    const world = running(guarded);
    const seen = world.observe();
    const decision = decide(answer(seen, { kind: 'rollback', message: '1,000:1 against it.' }));
    expect(decision.actions.map(action => action.kind)).toEqual(['route', 'status']);
    world.execute(decision, seen);
    expect([world.route?.canaryWeight, world.status.phase]).toEqual([0, 'Failed']);
    expect(world.status.transitions?.at(-1)).toMatchObject({
      reason: 'RolledBack',
      severity: 'error',
      message: 'Revision r2 is rolled back: 1,000:1 against it.',
    });
  });

  test('looks again when there can be something new, and never later than the next check', () => {
    const world = running(guarded);
    world.advance(3_000);
    const seen = world.observe();
    expect(decide(answer(seen, { kind: 'hold' }))).toMatchObject({ actions: [], nextTickMs: 2_000 });
    const { nextTickMs } = decide(answer(seen, { kind: 'hold', nextMs: 60_000 }));
    expect(nextTickMs).toBeLessThan(10_000);
  });

  test('never promotes: what it finds good is no check', () => {
    const world = running(guarded);
    world.advance(60_000);
    const seen = world.observe();
    const decision = decide(answer(seen, { kind: 'pass' }));
    expect(decision).toMatchObject({ measure: 'canary', actions: [] });
    expect(decision.isEvidenceOnly).toBeUndefined();
  });

  test('says nothing of a route that has moved since', () => {
    const world = running(guarded);
    const seen = world.observe();
    const old = answer(seen, { kind: 'rollback' });
    const moved = { ...old, judgement: old.judgement && { ...old.judgement, epoch: 1 } };
    expect(decide(moved).actions).toEqual([]);
  });

  test('is no urgent decision: it needs a query', () => {
    const world = running(guarded);
    expect(decideUrgent(answer(world.observe(), { kind: 'rollback' }))).toBeUndefined();
  });

  test('a run under it is promoted by its checks', () => {
    const world = adopted(guarded);
    world.release('r2');
    runUntil(world, phaseIs(world, 'Succeeded'));
  });
});

describe('a judge', () => {
  test('has to have something to compare with before the first step', () => {
    const world = adopted(compared);
    world.release('r2');
    step(world, { kind: 'preparing', message: '12 s so far' }, () => false, 30);
    expect(world.route?.canaryWeight).toBe(0);
    step(world, { kind: 'ready' }, () => world.route?.canaryWeight === 20);
    expect(world.route?.canaryWeight).toBe(20);
  });

  test('raises step by step when enough is shown, however young the interval is', () => {
    const world = running(compared);
    step(
      world,
      { kind: 'pass', message: '21:1 that it is as good' },
      () => world.route?.canaryWeight === 50,
      3,
    );
    expect(world.route?.canaryWeight).toBe(50);
    expect(world.status.transitions?.at(-1)?.message).toContain('21:1 that it is as good');
    step(world, { kind: 'pass' }, phaseIs(world, 'Promoting'), 3);
    expect(world.status.phase).toBe('Promoting');
  });

  test('holds while nothing is shown, and writes at most once in ten seconds', () => {
    const world = running({ ...compared, intervalMs: 1_000 });
    const made = step(world, { kind: 'hold' }, () => false, 60);
    const writes = made.filter(decision => decision.actions.length > 0).length;
    expect(world.route?.canaryWeight).toBe(20);
    expect([writes, made.length]).toEqual([6, 60]);
  });

  test('rolls back on evidence, in whatever step', () => {
    for (const weight of [20, 50]) {
      const world = running(compared);
      step(world, { kind: 'pass' }, () => world.route?.canaryWeight === weight);
      step(world, { kind: 'rollback' }, phaseIs(world, 'Failed'), 2);
      expect([world.route?.canaryWeight, world.status.phase]).toEqual([0, 'Failed']);
    }
  });

  test('while paused it may roll back and never raises', () => {
    const world = running(compared);
    world.command('pause', 'r2', 'one');
    step(world, { kind: 'pass' }, () => false, 40);
    expect(world.route?.canaryWeight).toBe(20);
    step(world, { kind: 'rollback' }, phaseIs(world, 'Failed'), 3);
    expect(world.status.phase).toBe('Failed');
  });

  test.each([
    ['hold', 'Progressing', 20],
    ['rollback', 'Failed', 0],
    ['promote', 'Promoting', 20],
  ] as const)('at the deadline: %s', (action, phase, weight) => {
    const world = running(compared);
    const message = 'The deadline has passed.';
    step(world, { kind: 'stalled', action, message }, () => world.status.phase !== 'Progressing', 30);
    expect([world.status.phase, world.route?.canaryWeight]).toEqual([phase, weight]);
    const stalled = world.status.conditions?.find(one => one.type === 'Stalled');
    if (action === 'hold') expect(stalled).toMatchObject({ status: 'True', message });
    const said = world.status.transitions?.filter(one => one.message.includes(message));
    expect(said?.length).toBe(1);
  });

  test('goes on after it was stalled', () => {
    const world = running(compared);
    step(world, { kind: 'stalled', action: 'hold' }, () => false, 30);
    step(world, { kind: 'hold' }, () => false, 30);
    expect(world.status.conditions?.find(one => one.type === 'Stalled')?.status).toBe('False');
    step(world, { kind: 'pass' }, () => world.route?.canaryWeight === 50);
    expect(world.route?.canaryWeight).toBe(50);
  });

  test.each(['silent', 'error'] as const)(
    'counters that cannot be had (%s) spend a budget, then it stalls',
    kind => {
      const world = running({ ...compared, noDataBudget: 3, errorBudget: 3 });
      step(world, { kind, message: 'nobody answers' }, () => false, 60);
      expect([world.route?.canaryWeight, world.status.phase]).toEqual([20, 'Progressing']);
      expect(world.status.conditions?.find(one => one.type === 'Stalled')?.message).toContain(
        'nobody answers',
      );
    },
  );

  test('counters that cannot be had before the first step hold it', () => {
    const world = adopted(compared);
    world.release('r2');
    step(world, { kind: 'error', message: 'nobody answers' }, () => false, 60);
    expect(world.route?.canaryWeight).toBe(0);
    expect(world.status.conditions?.find(one => one.type === 'Progressing')?.message).toContain(
      'nobody answers',
    );
  });

  test.each([
    ['before the first step', 'silent', 0],
    ['before the first step', 'error', 0],
    ['at a step', 'silent', 20],
    ['at a step', 'error', 20],
  ] as const)('%s they hold it also where a missing value counts as passed (%s)', (_when, kind, weight) => {
    const settings = { ...compared, onNoData: 'pass', onError: 'pass' } as const;
    const world = weight === 0 ? adopted(settings) : running(settings);
    if (weight === 0) world.release('r2');
    step(world, { kind, message: 'nobody answers' }, () => false, 60);
    expect([world.route?.canaryWeight, world.status.phase]).toEqual([weight, 'Progressing']);
    const said = world.status.conditions?.find(one => one.type === 'Progressing');
    expect(said).toMatchObject({ reason: kind === 'error' ? 'ProviderError' : 'NoData' });
    expect(said?.message).toContain('nobody answers');
    step(world, { kind: 'pass' }, () => world.route?.canaryWeight === 50);
    expect(world.route?.canaryWeight).toBe(50);
  });

  test('metrics that are named beside it have to pass too', () => {
    const world = running({ ...testSettings, judge: JUDGE_DEFAULTS });
    const seen = world.observe();
    expect(decide(answer(seen, { kind: 'pass' })).actions).toEqual([]);
    world.advance(20_000);
    const due = world.observe();
    expect(decide(answer(due, { kind: 'pass' }))).toMatchObject({ measure: 'canary', actions: [] });
    const judgement = answer(due, { kind: 'pass' }).judgement;
    const check = (outcome: 'pass' | 'fail') => ({
      ...due,
      judgement: judgement && {
        ...judgement,
        isEvidenceOnly: false,
        checks: [{ metric: 'request-success-rate', outcome, value: outcome === 'pass' ? 100 : 5, min: 99 }],
      },
    });
    const [status] = decide(check('fail')).actions;
    expect(status).toMatchObject({ kind: 'status', status: { failedChecks: 1, canaryWeight: 20 } });
    expect(decide(check('pass')).actions.map(action => action.kind)).toContain('route');
  });

  test('with this traffic it cannot be had: said once, with the first step', () => {
    const world = adopted(compared);
    world.release('r2');
    step(world, { kind: 'ready', warning: 'too thin' }, () => world.route?.canaryWeight === 20);
    expect(world.status.transitions?.filter(one => one.reason === 'TrafficTooThin')).toHaveLength(1);
  });
});

describe('what is known of a run', () => {
  const known = (world: AbstractWorld, at: string): JudgeStatus => ({
    run: world.status.run?.id ?? '',
    mode: 'compare',
    at,
    verdict: 'hold',
    sentence: 'so far',
    logEvidence: 0,
    logNeeded: 5,
    comparisons: [],
    timeline: [],
    checkpoint: '{}',
  });
  const statusOf = (decision: Decision) => {
    const action = decision.actions.find(one => one.kind === 'status');
    return action?.kind === 'status' ? action.status : undefined;
  };

  test('rides on the next status write, with its checkpoint', () => {
    const world = running(compared);
    const judge = known(world, '2026-01-01T00:10:00.000Z');
    const decision = decide({ ...answer(world.observe(), { kind: 'pass' }), judge });
    expect(statusOf(decision)?.judge).toEqual(judge);
  });

  test('what is newer in the status stays', () => {
    const world = running(compared);
    const newer = known(world, '2026-01-01T00:20:00.000Z');
    const seen = {
      ...answer(world.observe(), { kind: 'pass' }),
      judge: known(world, '2026-01-01T00:10:00.000Z'),
    };
    const decision = decide({ ...seen, status: { ...seen.status, judge: newer } });
    expect(statusOf(decision)?.judge).toEqual(newer);
  });

  test('of another run it says nothing, and a new run begins without it', () => {
    const world = running(compared);
    const other = { ...known(world, '2026-01-01T00:10:00.000Z'), run: 'r0.1' };
    const decision = decide({ ...answer(world.observe(), { kind: 'pass' }), judge: other });
    expect(statusOf(decision)?.judge).toBeUndefined();
    const seen = world.observe();
    world.execute(
      decide({ ...answer(seen, { kind: 'pass' }), judge: known(world, '2026-01-01T00:10:00.000Z') }),
      seen,
    );
    world.release('r3');
    world.settleWorkloads();
    const superseded = decide(world.observe());
    expect(statusOf(superseded)).toMatchObject({ run: { revision: 'r3' } });
    expect(statusOf(superseded)?.judge).toBeUndefined();
  });

  test('the end of the run keeps the evidence and drops the checkpoint', () => {
    const world = running(compared);
    const judge = known(world, '2026-01-01T00:10:00.000Z');
    const decision = decide({ ...answer(world.observe(), { kind: 'rollback' }), judge });
    const { checkpoint: _checkpoint, ...kept } = judge;
    expect(statusOf(decision)).toMatchObject({ phase: 'Failed', judge: kept });
    expect(statusOf(decision)?.judge?.checkpoint).toBeUndefined();
  });
});
