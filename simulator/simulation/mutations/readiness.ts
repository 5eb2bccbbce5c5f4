/** Readiness, pinning, draining, and what takes traffic away. */
import { core, type Mutation } from './mutation.ts';

export const readinessMutations: readonly Mutation[] = [
  {
    name: 'weight-to-unready',
    says: 'raises a canary whose pods are not ready',
    edits: [
      core(
        'progress.ts',
        `  if (!mayCarry(f.o, run.revision, weight))`,
        `  if (!mayCarry(f.o, run.revision, weight) && weight > 100)`,
      ),
      core(
        'progress.ts',
        `  if (!isAllReady(target, run.revision) || f.o.endpoints.canary === 0) {`,
        `  if (target.pods.length === 0) {`,
      ),
    ],
  },
  {
    name: 'lower-to-dead-primary',
    says: 'takes traffic from the canary although the primary has no ready endpoint',
    edits: [
      core(
        'write.ts',
        `  if (f.routeWeight > 0 && !primaryHasEndpoint(f.o)) {`,
        `  if (f.routeWeight > 100 && !primaryHasEndpoint(f.o)) {`,
      ),
    ],
  },
  {
    name: 'rollback-gated-by-threshold',
    says: 'rolls back only to a primary that is ready enough to be raised',
    edits: [
      core(
        'write.ts',
        `  if (f.routeWeight > 0 && !primaryHasEndpoint(f.o)) {`,
        `  if (f.routeWeight > 0 && (f.o.primary?.pods.reduce((sum, one) => sum + one.available, 0) ?? 0) <= (f.o.primary?.replicas ?? 1)) {`,
      ),
    ],
  },
  {
    name: 'no-pin',
    says: 'never pauses the target',
    edits: [
      core(
        'progress.ts',
        `  const { replicas } = target;
  return act([`,
        `  const { replicas } = target;
  if (replicas > 0) return undefined;
  return act([`,
      ),
      core('readiness.ts', `o.target.pausedBy === 'engine' && runsOnly`, `runsOnly`),
    ],
  },
  {
    name: 'pin-not-checked',
    says: 'raises a target that somebody else has resumed or edited',
    edits: [
      core(
        'readiness.ts',
        `  if (!target || !canaryHasEndpoint(o) || !isPinned(o, revision)) return false;`,
        `  if (!target || !canaryHasEndpoint(o)) return false;`,
      ),
      core(
        'progress.ts',
        `  if (isPinned(f.o, run.revision)) return undefined;`,
        `  if (isPinned(f.o, run.revision) || f.routeWeight > 0) return undefined;`,
      ),
      core(
        'takeAway.ts',
        `  if (f.routeWeight === 0 || !f.run || !target || !primary || isPinned(f.o, f.run.revision)) return undefined;`,
        `  return undefined;`,
      ),
    ],
  },
  {
    name: 'scale-down-before-drain',
    says: 'lets the canary go as soon as its weight is 0',
    edits: [
      core(
        'facts.ts',
        `isDrained: routeWeight === 0 && o.now >= drainedAt,`,
        `isDrained: routeWeight === 0,`,
      ),
    ],
  },
  {
    name: 'lost-canary-ignored',
    says: 'leaves the traffic on a canary without a ready endpoint',
    edits: [core('decide.ts', `  { name: 'unready', isUrgent: true, apply: unready },\n`, ``)],
  },
  {
    name: 'revert-ignored',
    says: 'goes on with a revision that its user has taken back',
    edits: [
      core('decide.ts', `  { name: 'revert', isUrgent: true, apply: revert },\n`, ``),
      core(
        'decide.ts',
        `  { name: 'supersede', isUrgent: true, apply: supersede },`,
        `  { name: 'supersede', isUrgent: true, apply: f => (f.o.target?.revision === f.goodRevision ? undefined : supersede(f)) },`,
      ),
    ],
  },
  {
    name: 'new-revision-ignored',
    says: 'goes on with the old revision when a newer one comes',
    edits: [core('decide.ts', `  { name: 'supersede', isUrgent: true, apply: supersede },\n`, ``)],
  },
  {
    name: 'new-run-inherits-the-weight',
    says: 'starts a newer revision at the weight of the one before',
    edits: [
      core(
        'takeAway.ts',
        `  return lower(f, 0, 'superseded', patch, [say('Restarted', 'info', message)]);`,
        `  return { actions: [{ kind: 'status', status: { ...f.status, ...patch, canaryWeight: f.routeWeight, epoch: f.nextEpoch } as never }, { kind: 'route', mode: 'raise', split: { canaryWeight: Math.min(100, f.routeWeight + 1), primaryWeight: Math.max(0, 99 - f.routeWeight) }, stamp: { epoch: f.nextEpoch, run: run.id, end: '' } }], transitions: [], nextTickMs: 0 };`,
      ),
    ],
  },
];
