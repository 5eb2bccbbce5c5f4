/** Commands, adoption and deletion. */
import { core, type Mutation } from './mutation.ts';

export const people: readonly Mutation[] = [
  {
    name: 'command-of-any-revision',
    says: 'obeys a command that names another revision',
    edits: [
      core('commands.ts', `  if (revision !== bound)`, `  if (revision === 'never')`),
      core(
        'progress.ts',
        `command?.verb === 'promote' && command.revision === run.revision`,
        `command?.verb === 'promote'`,
      ),
    ],
  },
  {
    name: 'pause-ignored',
    says: 'raises a paused run',
    edits: [
      core(
        'progress.ts',
        `  const weight = nextStep(settings.steps, f.routeWeight);
  if (isPaused) {`,
        `  const weight = nextStep(settings.steps, f.routeWeight);
  if (isPaused && weight === undefined) {`,
      ),
    ],
  },
  {
    name: 'abort-ignored',
    says: 'leaves the traffic on an aborted canary',
    edits: [core('decide.ts', `  { name: 'abort', isUrgent: true, apply: abort },\n`, ``)],
  },
  {
    name: 'let-go-before-it-serves',
    says: 'gives the workload back although the target does not serve yet',
    edits: [
      core(
        'adopt.ts',
        `  if ((servesItself(target) && canaryHasEndpoint(f.o)) || onlyTarget) return handOver(f, target);`,
        `  return handOver(f, target);`,
      ),
    ],
  },
  {
    name: 'apex-before-primary',
    says: 'points the apex Service at a primary that is not ready',
    edits: [
      core(
        'adopt.ts',
        `  if (!isAllReady(primary, primary.revision) || !primaryHasEndpoint(f.o)) {
    return`,
        `  if (primary.replicas < 0) {
    return`,
      ),
    ],
  },
];
