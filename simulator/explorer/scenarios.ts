/**
 * What is explored: settings, where the lives begin, and which faults may happen how often. All interleavings within
 * these budgets are looked at, as far as `statesMax` reaches; the report says which were finished.
 */
import { testSettings } from '../../engine/core/abstractWorld.ts';
import type { Settings } from '../../engine/core/settings.ts';
import type { Scenario } from './model.ts';
import { UNIT_MS } from './parts.ts';

export const settings: Settings = {
  ...testSettings,
  intervalMs: UNIT_MS,
  drainMs: UNIT_MS,
  bakeMs: UNIT_MS,
  progressDeadlineMs: 2 * UNIT_MS,
  threshold: 2,
  noDataBudget: 1,
  errorBudget: 1,
  steps: [20, 50],
};

const base = {
  settings,
  budgets: {},
  stale: [],
  releases: ['r3'],
  verbs: [],
  workers: 2,
  statesMax: 150_000,
} satisfies Partial<Scenario>;

const EVERYTHING = ['canary', 'route', 'target', 'targetPods', 'primary', 'primaryPods'] as const;

/** One run: its start, its steps, and what takes its traffic away. */
const runs: readonly Scenario[] = [
  { ...base, name: 'plain', from: ['released'], budgets: { fail: 2 } },
  { ...base, name: 'crash', from: ['first'], budgets: { crash: 2, fail: 2 } },
  { ...base, name: 'lost', from: ['first'], budgets: { lost: 2, fail: 2 } },
  { ...base, name: 'noData', from: ['first'], budgets: { noData: 2, crash: 1 } },
  { ...base, name: 'flap', from: ['first'], budgets: { flap: 1, crash: 1 } },
  { ...base, name: 'fence', from: ['first'], budgets: { flap: 1, lost: 1, crash: 1, release: 1 } },
  { ...base, name: 'beginning', from: ['ready'], budgets: { release: 1, revert: 1, crash: 1 } },
  { ...base, name: 'release', from: ['first'], budgets: { release: 1, crash: 1 } },
  { ...base, name: 'restart', from: ['first'], budgets: { release: 1, lost: 1, flap: 1 } },
  { ...base, name: 'revert', from: ['first'], budgets: { revert: 1, crash: 1 } },
  { ...base, name: 'retry', from: ['first'], budgets: { command: 2, lost: 1 }, verbs: ['abort', 'retry'] },
  {
    ...base,
    name: 'commands',
    from: ['first'],
    budgets: { command: 2, crash: 1 },
    verbs: ['pause', 'resume', 'promote'],
  },
  {
    ...base,
    name: 'blueGreen',
    from: ['released'],
    budgets: { fail: 1, crash: 1 },
    settings: { ...settings, iterations: 2, steps: [100] },
  },
];

/** Caches one version behind, one object at a time and all together. */
const caches: readonly Scenario[] = [
  {
    ...base,
    name: 'staleFence',
    from: ['first'],
    budgets: { stale: 2, crash: 1, flap: 1 },
    stale: ['canary', 'route'],
  },
  {
    ...base,
    name: 'staleTarget',
    from: ['ready', 'first'],
    budgets: { stale: 2, release: 1 },
    stale: ['target', 'targetPods'],
  },
  {
    ...base,
    name: 'stalePrimary',
    from: ['promoting'],
    budgets: { stale: 2, flap: 1 },
    stale: ['canary', 'primary', 'primaryPods'],
  },
  { ...base, name: 'staleAll', from: ['released'], budgets: { stale: 2, release: 1 }, stale: EVERYTHING },
  { ...base, name: 'skew', from: ['first'], budgets: { fail: 1, release: 1 }, skew: 1 },
  { ...base, name: 'silence', from: ['first'], budgets: { fail: 2, flap: 1 }, isSecondSilent: true },
];

/** From the last step to the end, and every way back. */
const promotions: readonly Scenario[] = [
  { ...base, name: 'lastStep', from: ['last'], budgets: { revert: 1, release: 1, crash: 1 } },
  { ...base, name: 'promotion', from: ['promoting'], budgets: { flap: 2, fail: 2 } },
  {
    ...base,
    name: 'promotionCrash',
    from: ['promoting', 'shifting'],
    budgets: { crash: 2, lost: 1, flap: 1 },
  },
  { ...base, name: 'promotionRelease', from: ['promoting'], budgets: { release: 1, flap: 1 } },
  { ...base, name: 'promotionRevert', from: ['promoting', 'baking'], budgets: { revert: 1, flap: 1 } },
  {
    ...base,
    name: 'promotionAbort',
    from: ['promoting'],
    budgets: { command: 1, flap: 1, crash: 1 },
    verbs: ['abort'],
  },
  {
    ...base,
    name: 'partial',
    from: ['promoting', 'shifting'],
    budgets: { flap: 1, lost: 1 },
    settings: { ...settings, stepWeightPromotion: 20 },
  },
  {
    ...base,
    name: 'skip',
    from: ['promoting'],
    budgets: { flap: 2, release: 1, command: 1, revert: 1 },
    verbs: ['skip'],
    workers: 1,
  },
];

/** Worlds in which one thing is about to go wrong: small, so that rare interleavings are reached. */
const ends: readonly Scenario[] = [
  { ...base, name: 'late', from: ['lateTakeAway', 'lateAbort'], budgets: { crash: 1, lost: 1 } },
  { ...base, name: 'ending', from: ['baking', 'finalising', 'failed'], budgets: { flap: 2, crash: 1 } },
  {
    ...base,
    name: 'endingStale',
    from: ['finalising', 'failed'],
    budgets: { stale: 1, release: 1 },
    stale: ['canary', 'target', 'primary'],
  },
  {
    ...base,
    name: 'staleBack',
    from: ['promoting'],
    budgets: { stale: 1, revert: 1 },
    stale: ['canary'],
    releases: [],
  },
  {
    ...base,
    name: 'staleBegin',
    from: ['released'],
    budgets: { stale: 1 },
    stale: ['canary', 'targetPods'],
    releases: [],
  },
  { ...base, name: 'deleteFailed', from: ['failed'], budgets: { delete: 1, crash: 1 } },
  { ...base, name: 'deleteRelease', from: ['first'], budgets: { delete: 1, release: 1 } },
];

/** What people do beside the engine. */
const people: readonly Scenario[] = [
  { ...base, name: 'delete', from: ['idle', 'first', 'promoting'], budgets: { delete: 1, flap: 1 } },
  {
    ...base,
    name: 'deleteLate',
    from: ['deleting', 'baking'],
    budgets: { delete: 1, crash: 1, lost: 1, limit: 1 },
  },
  { ...base, name: 'userPause', from: ['released'], budgets: { userPause: 2, release: 1 }, workers: 1 },
  { ...base, name: 'edit', from: ['first'], budgets: { edit: 1, crash: 1 } },
  { ...base, name: 'scale', from: ['idle', 'first'], budgets: { scale: 2, crash: 1 }, workers: 1 },
  { ...base, name: 'reports', from: ['first', 'idle'], budgets: { flap: 1, release: 1 }, reports: true },
];

export const SCENARIOS: readonly Scenario[] = [...runs, ...caches, ...promotions, ...ends, ...people];
