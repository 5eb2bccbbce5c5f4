/** Verdicts, budgets and intervals. */
import { core, type Mutation } from './mutation.ts';

export const judging: readonly Mutation[] = [
  {
    name: 'hold-read-as-pass',
    says: 'takes a check without a value as passed',
    edits: [
      core(
        'verdict.ts',
        `  if (!held) return { kind: 'pass' };`,
        `  return { kind: 'pass' };\n  if (!held) return { kind: 'pass' };`,
      ),
    ],
  },
  {
    name: 'bounds-the-wrong-way',
    says: 'lets a value pass that is above the highest',
    edits: [
      core(
        'verdict.ts',
        `(metric.max !== undefined && value > metric.max)`,
        `(metric.max !== undefined && value > metric.max * 20)`,
      ),
    ],
  },
  {
    name: 'no-data-read-as-failure',
    says: 'counts a missing value as a failed check',
    edits: [
      core(
        'verdict.ts',
        `check.outcome === 'fail' || policyOf(check) === 'fail'`,
        `check.outcome === 'fail' || check.outcome === 'noData'`,
      ),
    ],
  },
  {
    name: 'threshold-one-too-many',
    says: 'rolls back one failed check later than asked',
    edits: [core('progress.ts', `  if (failedChecks >= threshold) {`, `  if (failedChecks > threshold) {`)],
  },
  {
    name: 'threshold-one-too-few',
    says: 'rolls back one failed check earlier than asked',
    edits: [
      core('progress.ts', `  if (failedChecks >= threshold) {`, `  if (failedChecks >= threshold - 1) {`),
    ],
  },
  {
    name: 'interval-ignored',
    says: 'judges and steps at every tick',
    edits: [core('progress.ts', `  if (now < dueAt) {`, `  if (now < dueAt - settings.intervalMs) {`)],
  },
  {
    name: 'failures-counted-twice',
    says: 'counts each failed check twice',
    edits: [
      core(
        'progress.ts',
        `  const failedChecks = (f.status.failedChecks ?? 0) + 1;`,
        `  const failedChecks = (f.status.failedChecks ?? 0) + 2;`,
      ),
    ],
  },
  {
    name: 'last-step-skipped',
    says: 'promotes before the last step',
    edits: [
      core(
        'progress.ts',
        `  if (weight === undefined)
    return startPromotion(`,
        `  if (weight === undefined || f.routeWeight > 0)
    return startPromotion(`,
      ),
    ],
  },
];
