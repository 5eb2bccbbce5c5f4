/**
 * What people command: carried out, or refused with a sentence, once. Aborts that apply are take-aways and come before
 * (takeAway.ts); `promote` and `retry` that apply are left to the phase that they concern.
 */
import type { Run } from '../api/status.ts';
import { refusal } from './commands.ts';
import { type Facts, formatTime, isNewerThan, parseTime } from './facts.ts';
import { primaryHasEndpoint } from './readiness.ts';
import { restamp, say, stage, type StatusPatch, type Unnamed, write } from './write.ts';

/** What a `skip` command needs to know. */
function queuedRevision(f: Facts): string | undefined {
  const isGoingBack = f.status.phase === 'Promoting' && f.status.stage === 'back';
  if (!isGoingBack || !f.run || primaryHasEndpoint(f.o) || f.o.primary?.revision !== f.goodRevision)
    return undefined;
  return isNewerThan(f.o, f.run) && f.o.target?.revision !== f.goodRevision
    ? f.o.target?.revision
    : undefined;
}

/** Answers a command that does not apply, once. */
export function refused(f: Facts, id: string, why: string): Unnamed {
  return write(f, { handledCommand: id }, [say('CommandRefused', 'warn', why)]);
}

/** What the run has waited for its pods so far is kept; the pause is not part of it. */
function resumed(f: Facts, run: Run): Run {
  const pausedAt = f.status.paused?.at;
  if (pausedAt === undefined) return run;
  const since = parseTime(run.waitingSince ?? run.startedAt) + f.o.now - parseTime(pausedAt);
  return { ...run, waitingSince: formatTime(since) };
}

/** Carries out what a person commanded, or says why it does not apply. Aborts are take-aways and come before. */
export function obey(f: Facts): Unnamed | undefined {
  const { command, unreadCommand } = f.o;
  if (unreadCommand) return refused(f, unreadCommand.id, unreadCommand.message);
  if (!command) return undefined;
  const handled: StatusPatch = { handledCommand: command.id };
  const why = refusal(command.verb, command.revision, {
    phase: f.status.phase,
    isSuspended: f.o.settings.suspend,
    runRevision: f.run?.revision,
    isPaused: f.status.paused !== undefined,
    isWatched: f.status.stage === 'bake',
    queuedRevision: queuedRevision(f),
  });
  if (why) return refused(f, command.id, why);
  const reason = command.reason ? `: ${command.reason}` : '';
  switch (command.verb) {
    case 'pause':
      return restamp(
        f,
        { ...handled, paused: { revision: command.revision, by: command.by, at: formatTime(f.o.now) } },
        [say('Paused', 'info', `${command.by} paused the run${reason}.`)],
      );
    case 'resume':
      return write(
        f,
        {
          ...handled,
          paused: undefined,
          ...(f.run ? { run: resumed(f, f.run) } : {}),
          ...(f.status.phase === 'WaitingPromotion' ? { phase: 'Progressing' } : {}),
        },
        [say('Resumed', 'info', `${command.by} resumed the run${reason}.`)],
      );
    case 'promote':
      return undefined;
    case 'retry':
      return undefined;
    case 'skip':
      return write(f, { ...handled, ...stage(f, 'skip'), lastAppliedSpec: command.revision }, [
        say(
          'Promoting',
          'warn',
          `${command.by} put revision ${command.revision} on the primary without judging it${reason}.`,
        ),
      ]);
    case 'abort':
      return write(f, handled, [say('CommandRefused', 'warn', 'The run is on its way back already.')]);
    default:
      return command.verb satisfies never;
  }
}
