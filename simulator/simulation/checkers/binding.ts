/** Invariant 8: commands are bound to one revision, and nothing happens in the name of a command that nobody gave. */
import type { Json } from '../../api/json.ts';
import type { CanaryView } from '../witness.ts';
import type { Rule } from './checker.ts';
import { runOf, statusWrite } from './reading.ts';

export const binding: Rule = {
  name: 'binding',
  says: 'a pause, retry or skip in the status was commanded for exactly that revision',
  create: (_scene, report) => ({
    onChange(change, views, hand) {
      const status = statusWrite(change, views, hand);
      if (!status) return;
      const { view, before, after } = status;
      const given = (verb: string, revision: string | undefined, id?: string) =>
        view.commands.some(
          one => one.verb === verb && one.revision === revision && (id === undefined || one.id === id),
        );
      if (after.paused && !before.paused && !given('pause', after.paused.revision))
        report(view, `paused for ${after.paused.revision}, which nobody commanded`);
      if (after.paused && after.paused.revision !== after.run?.revision)
        report(view, `the pause of ${after.paused.revision} holds run ${after.run?.id}`);
      if (after.stage === 'skip' && before.stage !== 'skip' && !given('skip', after.lastAppliedSpec))
        report(view, `${after.lastAppliedSpec} skips, which nobody commanded`);
      checkRetry(view, before, after, given, message => report(view, message));
    },
  }),
};

function checkRetry(
  _view: CanaryView,
  before: Json,
  after: Json,
  given: (verb: string, revision: string | undefined, id?: string) => boolean,
  say: (message: string) => void,
): void {
  const run = runOf(after.run?.id);
  if (!run || after.run?.id === before.run?.id) return;
  if (run.commandId && !given('retry', run.revision, run.commandId))
    say(`run ${after.run.id} is a retry that nobody commanded`);
  const isSame = run.revision === before.run?.revision && run.generation === before.run?.generation;
  if (isSame && !run.commandId) say(`run ${after.run.id} follows ${before.run.id} without a retry`);
  if (before.phase === 'Failed' && run.revision === before.lastAppliedSpec && !run.commandId && isSame)
    say(`the rejected revision ${run.revision} was started again`);
}
