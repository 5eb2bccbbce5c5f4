/** What is made of raw counters: by the judge, by the guard of thresholds, and by whoever remembers for them. */
import { core, type Edit, type Mutation, shell } from './mutation.ts';

const judge = (file: string, find: string, replace: string): Edit => ({
  file: `analyzers/judge/${file}`,
  find,
  replace,
});

export const evidence: readonly Mutation[] = [
  {
    name: 'evidence-reset-on-restart',
    says: 'begins to judge anew after a start, whatever the status remembers',
    edits: [
      shell(
        'controller/judging.ts',
        `const decoded = decodeCheckpoint(checkpoint, runId);`,
        `const decoded = decodeCheckpoint(checkpoint, 'another run');`,
      ),
    ],
  },
  {
    name: 'arms-from-different-times',
    says: 'compares the canary with what the primary had counted at the look before',
    edits: [
      shell(
        'controller/judging.ts',
        `const reading = withEarlier(raw, observation);`,
        `const last = memory as { primary?: Reading['primary'] };
    const primary = last.primary ?? raw.primary;
    last.primary = raw.primary;
    const reading = withEarlier({ ...raw, primary }, observation);`,
      ),
    ],
  },
  {
    name: 'dwell-ignored',
    says: 'takes a step as soon as enough is shown, however short the one before was',
    edits: [
      judge(
        'judge.ts',
        `const isOldEnough = progress.atMs - progress.stepSinceMs >= settings.minDwellMs;`,
        `const isOldEnough = progress.atMs >= progress.stepSinceMs;`,
      ),
    ],
  },
  {
    name: 'shown-once-for-all-steps',
    says: 'takes what was shown at one step as shown at the next',
    edits: [
      judge(
        'comparison.ts',
        `return { ...evidence, logShown: [0, 0], logShownMost: 0 };`,
        `return evidence;`,
      ),
    ],
  },
  {
    name: 'promotes-at-every-deadline',
    says: 'promotes at the deadline, whatever its user wants then',
    edits: [
      shell(
        'controller/judgeStatus.ts',
        `return { kind: 'stalled', action: verdict.action };`,
        `return { kind: 'stalled', action: 'promote' };`,
      ),
    ],
  },
  {
    name: 'deadline-too-early',
    says: 'takes half of the time for all of it',
    edits: [
      judge(
        'judge.ts',
        `if (progress.atMs - progress.startedAtMs >= settings.deadlineMs)`,
        `if (progress.atMs - progress.startedAtMs >= settings.deadlineMs / 2)`,
      ),
    ],
  },
  {
    name: 'deadline-forgotten',
    says: 'holds for ever what should be rolled back or promoted at its deadline',
    edits: [
      shell(
        'controller/judgeStatus.ts',
        `return { kind: 'stalled', action: verdict.action };`,
        `return { kind: 'stalled' };`,
      ),
    ],
  },
  {
    name: 'checkpoint-at-every-look',
    says: 'writes a status for each look of the judge',
    edits: [core('judged.ts', `const CHECKPOINT_MS_MIN = 10_000;`, `const CHECKPOINT_MS_MIN = 1_000;`)],
  },
  {
    name: 'looks-all-the-time',
    says: 'reads counters again before there can be anything new',
    edits: [
      shell(
        'controller/judging.ts',
        `memory.nextMs = answer ? untilSample(memory, answer) : LOOK_MS;`,
        `memory.nextMs = 0.1 * (answer ? untilSample(memory, answer) : LOOK_MS);`,
      ),
    ],
  },
  {
    name: 'guard-too-quick',
    says: 'rolls back at a tenth of the evidence that it is asked for',
    edits: [
      judge(
        'guard.ts',
        `if (!(logE >= Math.log(1 / alpha))) {`,
        `if (!(logE >= Math.log(1 / alpha) / 10)) {`,
      ),
    ],
  },
  {
    name: 'judge-too-quick',
    says: 'rolls back at a tenth of the evidence that it is asked for',
    edits: [
      judge(
        'judge.ts',
        `if (logMergedOf(state, progress) >= Math.log(1 / settings.alpha))`,
        `if (logMergedOf(state, progress) >= Math.log(1 / settings.alpha) / 10)`,
      ),
    ],
  },
  {
    name: 'guard-never',
    says: 'holds whatever the guard has found',
    edits: [
      shell(
        'controller/judgeStatus.ts',
        `kind: verdict.kind === 'rollback' ? 'rollback' : 'hold', message`,
        `kind: 'hold', message`,
      ),
    ],
  },
  {
    name: 'judge-never',
    says: 'holds whatever evidence there is of harm',
    edits: [shell('controller/judgeStatus.ts', `return { kind: 'rollback' };`, `return { kind: 'hold' };`)],
  },
  {
    name: 'guard-promotes',
    says: 'takes it for a passed check that the guard has found nothing',
    edits: [
      core(
        'progress.ts',
        `if (settings.guard && f.routeWeight > 0 && !guard) return askEvidence(f);`,
        `if (settings.guard && f.routeWeight > 0 && !guard) return askEvidence(f);
    if (guard?.given?.kind === 'hold') return passed(f, { ...run, passedEpoch: f.routeEpoch }, {});`,
      ),
    ],
  },
  {
    name: 'ready-without-a-primary',
    says: "advances on the canary's counts alone while the primary cannot be read",
    edits: [
      shell(
        'controller/judging.ts',
        `const reading = withEarlier(raw, observation);`,
        `const reading = withEarlier({ ...raw, primary: raw.primary ?? new Map() }, observation);`,
      ),
    ],
  },
];
