/**
 * One played rollout as the `status.judge` that the engine would leave behind: the engine's own words for what the judge
 * knew at each tick. For pictures and for tests of reports; it measures nothing.
 */
import type { JudgeState, Step, Verdict } from '../../analyzers/judge/judge.ts';
import { JUDGE_DEFAULTS, type JudgeSettings } from '../../analyzers/judge/settings.ts';
import type { JudgeStatus } from '../../engine/api/status.ts';
import { judgeFound } from '../../engine/controller/judgeStatus.ts';
import { createRandom } from '../api/random.ts';
import { playJudge } from './play.ts';
import { primaryHistory, type World } from './streams.ts';

export interface StoryPlan {
  weightsPercent: readonly number[];
  tickMs: number;
  seed: number;
  settings?: JudgeSettings;
}

/** What is told of a tick whose verdict nobody looks at any more. */
const ON_THE_WAY: Verdict = { kind: 'hold', reason: 'NotShown' };

export function storyOf(
  world: World,
  { weightsPercent, tickMs, seed, settings = JUDGE_DEFAULTS }: StoryPlan,
): JudgeStatus {
  const random = createRandom(seed);
  let status: JudgeStatus | undefined;
  let last: JudgeState | undefined;
  const told = (state: JudgeState, verdict: Verdict, before: JudgeStatus | undefined) =>
    judgeFound(state, settings, verdict, stepOf(state, weightsPercent), before).status;
  const { outcome } = playJudge(world, {
    weightsPercent,
    tickMs,
    random,
    settings,
    history: primaryHistory(world, random),
    each(state) {
      last = state;
      status = told(state, ON_THE_WAY, status);
      return state;
    },
  });
  const ended = last && told(last, verdictOf(outcome), status);
  if (!ended) throw new Error('a rollout without a tick');
  return ended;
}

function stepOf({ progress }: JudgeState, weightsPercent: readonly number[]): Step {
  const index = progress?.step ?? 0;
  return { index, weightPercent: weightsPercent[index] ?? 0, nextWeightPercent: weightsPercent[index + 1] };
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
