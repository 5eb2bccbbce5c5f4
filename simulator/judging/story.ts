/**
 * One played rollout as the status that the engine would leave behind: what the judge knew at each tick, thinned to what a
 * status keeps. For pictures and for tests of reports; it measures nothing.
 */
import { type JudgeState, type JudgeTick, logMergedOf, type Verdict } from '../../analyzers/judge/judge.ts';
import { evidenceOf } from '../../analyzers/judge/record.ts';
import { sentenceOf } from '../../analyzers/judge/sentence.ts';
import { JUDGE_DEFAULTS, type JudgeSettings } from '../../analyzers/judge/settings.ts';
import { createRandom } from '../api/random.ts';
import { playJudge } from './play.ts';
import { primaryHistory, type World } from './streams.ts';

export interface StoryPlan {
  weightsPercent: readonly number[];
  tickMs: number;
  seed: number;
  settings?: JudgeSettings;
}

/** `status.judge` of a Canary. */
export interface Story {
  run: string;
  mode: 'compare' | 'slo';
  verdict: Verdict['kind'];
  sentence: string;
  logEvidence: number;
  logNeeded: number;
  comparisons: object[];
  timeline: number[][];
}

/** As many as a status keeps. */
const POINTS_MAX = 60;

export function storyOf(
  world: World,
  { weightsPercent, tickMs, seed, settings = JUDGE_DEFAULTS }: StoryPlan,
): Story {
  const random = createRandom(seed);
  const timeline: number[][] = [];
  let last: JudgeState | undefined;
  const played = playJudge(world, {
    weightsPercent,
    tickMs,
    random,
    settings,
    history: primaryHistory(world, random),
    each(state) {
      last = state;
      timeline.push(rowOf(state, weightsPercent));
      return state;
    },
  });
  if (!last?.progress) throw new Error('a rollout without a tick');
  const verdict = verdictOf(played.outcome);
  const record = evidenceOf(last, settings, stepOf(last.progress.step, weightsPercent));
  return {
    run: last.runId,
    mode: settings.mode,
    verdict: verdict.kind,
    sentence: sentenceOf(verdict, record),
    logEvidence: record.logEvidence,
    logNeeded: record.logNeeded,
    comparisons: record.comparisons,
    timeline: thinned(timeline),
  };
}

function rowOf(state: JudgeState, weightsPercent: readonly number[]): number[] {
  const { progress } = state;
  if (!progress) throw new Error('a tick before the beginning');
  const [failures] = progress.evidence;
  const shown = progress.evidence
    .filter((_, index) => state.comparisons[index]?.mustBeShown)
    .map(evidence => evidence.logShownMost);
  return [
    (progress.atMs - progress.startedAtMs) / 1_000,
    weightsPercent[progress.step] ?? 0,
    failures?.canary.total ?? 0,
    failures?.canary.failures ?? 0,
    failures?.primary.total ?? 0,
    failures?.primary.failures ?? 0,
    logMergedOf(state, progress),
    Math.min(...shown),
  ];
}

function stepOf(index: number, weightsPercent: readonly number[]): JudgeTick['step'] {
  return {
    index,
    weightPercent: weightsPercent[index] ?? 0,
    nextWeightPercent: weightsPercent[index + 1],
  };
}

function verdictOf(outcome: 'rollback' | 'promote' | 'inconclusive'): Verdict {
  switch (outcome) {
    case 'rollback':
      return { kind: 'rollback', reason: 'Regression' };
    case 'promote':
      return { kind: 'promote', reason: 'Shown' };
    case 'inconclusive':
      return { kind: 'inconclusive', reason: 'Deadline', action: 'hold' };
  }
}

/** Evenly, with the last one. */
function thinned(rows: readonly number[][]): number[][] {
  const every = Math.ceil(rows.length / POINTS_MAX);
  return rows.filter((_, index) => (rows.length - 1 - index) % every === 0);
}
