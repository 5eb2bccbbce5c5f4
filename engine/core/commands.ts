/**
 * What people may command, and when. One table of verb and phase: REST, CLI and docs are drawn from it. A command is
 * one annotation, `<verb> <revision> <id> [reason]`, and a second one that names who wrote it.
 */
import type { Phase } from '../api/status.ts';

export const COMMAND_ANNOTATION = 'serin.dev/command';
export const COMMAND_BY_ANNOTATION = 'serin.dev/command-by';

export const VERBS = ['promote', 'pause', 'resume', 'abort', 'retry', 'skip'] as const;
export type Verb = (typeof VERBS)[number];

export interface Command {
  verb: Verb;
  /** Hash of the revision that the command is bound to. */
  revision: string;
  id: string;
  reason: string;
  /** Who wrote it; `unverified` where no admission policy has checked the name. */
  by: string;
}

const ID_PATTERN = /^[A-Za-z0-9-]{1,64}$/;

export type ParsedCommand = { ok: true; command: Command } | { ok: false; message: string };

/** Reads the annotations. Undefined when there is no command. */
export function parseCommand(annotations: Readonly<Record<string, string>>): ParsedCommand | undefined {
  const text = annotations[COMMAND_ANNOTATION];
  if (text === undefined || text.trim() === '') return undefined;
  const [verbText = '', revision = '', id = '', ...rest] = text.trim().split(/ +/);
  const verb = VERBS.find(known => known === verbText);
  if (!verb)
    return { ok: false, message: `${COMMAND_ANNOTATION}: "${verbText}" is not one of ${VERBS.join(', ')}` };
  if (!revision || !ID_PATTERN.test(id)) {
    return {
      ok: false,
      message: `${COMMAND_ANNOTATION}: expected "<verb> <revision> <id> [reason]", the id of letters, digits and dashes`,
    };
  }
  const by = annotations[COMMAND_BY_ANNOTATION] || 'unverified';
  return {
    ok: true,
    command: { verb, revision, id, reason: rest.join(' ').slice(0, 256), by: by.slice(0, 253) },
  };
}

export function formatCommand(command: Omit<Command, 'by'>): string {
  return [command.verb, command.revision, command.id, command.reason].filter(part => part !== '').join(' ');
}

const inRun: readonly Phase[] = ['Waiting', 'Progressing', 'WaitingPromotion'];

/** In which phases each verb applies. What is not listed is refused. */
export const COMMAND_TABLE: Readonly<Record<Verb, readonly Phase[]>> = {
  promote: [...inRun, 'Promoting'],
  pause: inRun,
  resume: inRun,
  abort: [...inRun, 'Promoting'],
  retry: ['Failed'],
  skip: ['Promoting', 'Failed'],
};

/** What the rules look at besides the phase. */
export interface CommandFacts {
  phase: Phase | undefined;
  /** spec.suspend is set: nothing but an abort acts. */
  isSuspended: boolean;
  runRevision: string | undefined;
  isPaused: boolean;
  /** While promoting: the primary has all the traffic and is watched. */
  isWatched: boolean;
  /** While going back: the revision that waits, when the primary has no ready endpoint. */
  queuedRevision: string | undefined;
}

/** Undefined when the command applies, otherwise a sentence that says why not. */
export function refusal(verb: Verb, revision: string, facts: CommandFacts): string | undefined {
  const { phase } = facts;
  if (!phase || !COMMAND_TABLE[verb].includes(phase)) {
    return `${verb} does not apply while the canary is ${phase ?? 'new'}; it applies in ${COMMAND_TABLE[verb].join(', ')}.`;
  }
  if (facts.isSuspended && verb !== 'abort')
    return `${verb} does not apply while spec.suspend is set; only abort does.`;
  const bound = verb === 'skip' ? facts.queuedRevision : facts.runRevision;
  if (verb === 'skip' && !bound) {
    return 'skip applies only while a newer revision is queued, the last good one is coming back, and the primary has no ready endpoint.';
  }
  if (revision !== bound)
    return `${verb} names revision ${revision}, but the revision it could apply to is ${bound ?? 'none'}.`;
  if (verb === 'promote' && phase === 'Promoting' && !facts.isWatched)
    return 'promote applies while promoting only to end the watch over the new primary, which has not begun.';
  if (verb === 'pause' && facts.isPaused) return 'The run is paused already.';
  if (verb === 'resume' && !facts.isPaused) return 'The run is not paused.';
  return undefined;
}
