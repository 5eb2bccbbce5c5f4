/** Promotion, the way back, and stored templates. */
import { core, shell, type Mutation } from './mutation.ts';

export const promoting: readonly Mutation[] = [
  {
    name: 'target-read-again',
    says: 'promotes what the target has now, not what was judged',
    edits: [
      shell(
        'controller/act.ts',
        `  const desired = primaryOf({`,
        `  if (primary && target) stored.data = { ...stored.data, template: target.spec.template };
  const desired = primaryOf({`,
      ),
    ],
  },
  {
    name: 'undo-without-stored-template',
    says: 'goes back to what the target has, because it has not kept the last good template',
    edits: [
      core(
        'wayBack.ts',
        `    return fenced(f, { kind: 'primary', revision: good, surge: true, epoch: f.nextEpoch });
  if (isAllReady`,
        `    return fenced(f, { kind: 'primary', revision: f.o.target?.revision ?? good, surge: true, epoch: f.nextEpoch });
  if (isAllReady`,
      ),
    ],
  },
  {
    name: 'no-surge',
    says: "rolls the primary by the target's own strategy, which may take the only pod away",
    edits: [
      shell(
        'workloads/deployment.ts',
        `  if (input.surge && strategy.type !== 'Recreate') {`,
        `  if (input.surge && strategy.type === 'Recreate') {`,
      ),
    ],
  },
  {
    name: 'promoted-before-it-is-ready',
    says: 'returns traffic to a primary that is still rolling',
    edits: [
      core(
        'promote.ts',
        `  if (isAllReady(primary, run.revision) && primaryHasEndpoint(f.o)) {
    // The move`,
        `  if (primary.revision === run.revision) {
    // The move`,
      ),
      core(
        'promote.ts',
        `  if (!isAllReady(f.o.primary, run.revision) || !primaryHasEndpoint(f.o)) {
    const lack`,
        `  if (f.o.primary?.revision !== run.revision) {
    const lack`,
      ),
      core(
        'watch.ts',
        `  if (!isAllReady(f.o.primary, good.hash) || !primaryHasEndpoint(f.o)) {`,
        `  if (f.o.primary?.revision !== good.hash) {`,
      ),
    ],
  },
  {
    name: 'last-good-too-early',
    says: 'forgets the last good revision before the new primary has been watched',
    edits: [core('watch.ts', `  if (now < dueAt) return waits(act([], until(f, dueAt)));\n`, ``)],
  },
  {
    name: 'last-good-forgotten',
    says: 'deletes the stored template of the last good revision',
    edits: [
      core('cleanUp.ts', `    status.lastGood?.hash,\n`, ``),
      core('cleanUp.ts', `    status.promoted?.hash,\n`, ``),
      core('cleanUp.ts', `    f.o.primary?.revision,\n`, ``),
      core('cleanUp.ts', `    ...promotedBefore.map(one => one.revision),\n`, ``),
    ],
  },
  {
    name: 'rejected-starts-again',
    says: 'starts a revision that was rolled back without being asked',
    edits: [
      core(
        'idle.ts',
        `  if (!isRetry && (isPromoted || isSeen)) return undefined;
  if (f.run && !isRetry && !isNewerThan(f.o, f.run)) return undefined;`,
        `  if (!isRetry && isPromoted) return undefined;`,
      ),
    ],
  },
];
