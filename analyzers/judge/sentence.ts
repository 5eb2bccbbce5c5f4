/**
 * A verdict in one sentence: what was compared, the numbers, how strong they are, and what would change it. For people;
 * nothing compares these words.
 */
import type { GuardVerdict } from './guard.ts';
import type { Verdict } from './judge.ts';
import { growthOf } from './growth.ts';
import type { ComparisonRecord, EvidenceRecord, GuardRecord } from './record.ts';
import type { Counts } from './twoArm.ts';

/** Beyond this, more zeros say nothing more. */
const ODDS_MAX = 1_000_000;

export function sentenceOf(verdict: Verdict, record: EvidenceRecord): string {
  const worst = most(record.comparisons, comparison => comparison.logEvidence);
  const least = most(
    record.comparisons.filter(({ mustBeShown }) => mustBeShown),
    comparison => -comparison.logShown,
  );
  if (!worst || !least)
    return 'Nothing is compared: there is neither a metric nor a primary to compare with.';
  const history = record.hasHistory ? '' : ' There is no history: a dispersion of 1.25 is assumed.';
  const needed = oddsOf(record.logNeeded);
  const shownNeeded = oddsOf(record.logShownNeeded);
  if (verdict.kind === 'rollback') {
    const merged = record.comparisons.length > 1 ? ` (${oddsOf(record.logEvidence)} over all metrics)` : '';
    return `${harmOf(worst)}; ${countsOf(worst)}. ${needed} rolls back${merged}; only a new revision or a retry changes this.${history}`;
  }
  if (verdict.kind === 'advance' || verdict.kind === 'promote') {
    return `${withinOf(least)}; ${countsOf(least)}. ${shownNeeded} is enough to ${verdict.kind}; evidence of harm of ${needed} would still roll back.${history}`;
  }
  const state = `${withinOf(least)} (${shownNeeded} lets traffic rise), ${harmOf(worst)} (${needed} rolls back); ${countsOf(least)}.`;
  return `${reasonOf(verdict, record)} ${state}${missingOf(least, record)}${history}`;
}

function reasonOf(
  verdict: Exclude<Verdict, { kind: 'rollback' | 'advance' | 'promote' }>,
  record: EvidenceRecord,
): string {
  switch (verdict.reason) {
    case 'Deadline':
      return verdict.action === 'hold'
        ? 'The deadline has passed without enough evidence either way: traffic stays where it is.'
        : `The deadline has passed without enough evidence either way: ${verdict.action}, as the analysis asks for.`;
    case 'NoTraffic':
      return 'No requests reach the canary, so that nothing can be judged; traffic would change this.';
    case 'Beginning':
      return 'This is the first reading: counting begins here.';
    case 'Stale':
      return 'One side could not be read, so that nothing is compared; the next reading covers the gap.';
    case 'NoNewData':
      return 'The provider has no newer data than at the last check.';
    case 'Dwell':
      return 'Enough has been shown; the step lasts until its least duration has passed.';
    case 'NotShown':
      return `Step ${record.step + 1} holds until enough is shown.`;
  }
}

/** How many requests are missing, if the canary goes on as the primary does. */
function missingOf(comparison: ComparisonRecord, { logShownNeeded }: EvidenceRecord): string {
  const missing = logShownNeeded - comparison.logShown;
  const { canary, primary } = comparison;
  const total = canary.total + primary.total;
  if (missing <= 0 || canary.total <= 0 || primary.total <= 0 || comparison.bound !== undefined) return '';
  const growth = growthOf(
    { rate: primary.failures / primary.total, excess: 0 },
    comparison.stepMargin,
    canary.total / total,
  );
  const requests = (missing * comparison.dispersion.canary) / growth;
  if (!(growth > 0) || !Number.isFinite(requests)) return '';
  return ` About ${grouped(Math.ceil(requests))} more canary requests as good as the primary's would show it.`;
}

/** `312:1 that the canary fails more often than primary + 0.1 pp`. */
function harmOf(comparison: ComparisonRecord): string {
  const than =
    comparison.bound === undefined
      ? `primary + ${points(comparison.margin)}`
      : `${percent(comparison.bound)} of requests`;
  return `${oddsOf(comparison.logEvidence)} that the canary ${verbOf(comparison)} more often than ${than}`;
}

function withinOf(comparison: ComparisonRecord): string {
  const than =
    comparison.bound === undefined
      ? `primary + ${points(comparison.stepMargin)}`
      : `${percent(comparison.bound + comparison.stepMargin)} of requests`;
  return `${oddsOf(comparison.logShown)} that the canary ${verbOf(comparison)} less often than ${than}`;
}

function verbOf({ upperMs }: { upperMs?: number }): string {
  return upperMs === undefined ? 'fails' : `takes over ${upperMs} ms`;
}

function countsOf({ canary, primary }: { canary: Counts; primary: Counts }): string {
  return `${shareOf(canary)} against ${shareOf(primary)}`;
}

function shareOf({ failures, total }: Counts): string {
  return `${grouped(failures)} of ${grouped(total)}`;
}

export function guardSentenceOf(verdict: GuardVerdict, record: GuardRecord): string {
  if (verdict.kind === 'quiet')
    return 'There is no overwhelming evidence that the canary is beyond a threshold.';
  const guarded = record.guarded[verdict.index];
  if (!guarded) return 'The evidence is of no threshold that is guarded.';
  const { streak } = guarded;
  const what = guarded.upperMs === undefined ? 'fails' : `takes over ${guarded.upperMs} ms`;
  const evidence = `${oddsOf(verdict.logE)} that the canary ${what} more often than ${percent(guarded.bound)} of requests, the analysis' own bound of ${guarded.metric}; since it was first seen beyond, ${countsOf(streak)} of the primary`;
  if (verdict.kind === 'rollback')
    return `${evidence}. ${oddsOf(record.logNeeded)} rolls back without waiting for more failed checks; judge.guard.enabled: false would wait.`;
  switch (verdict.reason) {
    case 'SharedIncident':
      return streak.canary.total === 0
        ? `Held: in the last reading the primary is beyond the threshold of ${percent(guarded.bound)} of requests too; what happens to both is no evidence against the canary.`
        : `Held: ${evidence}, which is beyond the threshold too; once the primary is within it again, this rolls back.`;
    case 'TooFresh':
      return `Held: ${evidence}; one more reading of that kind rolls back.`;
    case 'Recovered':
      return `Held: ${evidence}; in the last reading it was within the threshold.`;
  }
}

/** `312:1`; below 10 with one digit after the point. */
export function oddsOf(log: number): string {
  if (log > Math.log(ODDS_MAX)) return `more than ${grouped(ODDS_MAX)}:1`;
  const odds = Math.exp(log);
  if (odds >= 9.95) return `${grouped(Math.floor(odds + 1e-6))}:1`;
  return odds >= 0.05 ? `${Number(odds.toFixed(1))}:1` : 'less than 0.1:1';
}

function most<T>(values: readonly T[], of: (value: T) => number): T | undefined {
  return values.reduce<T | undefined>(
    (best, value) => (best === undefined || of(value) > of(best) ? value : best),
    undefined,
  );
}

function grouped(value: number): string {
  return value.toFixed(0).replace(/\B(?=(\d{3})+$)/g, ',');
}

function points(share: number): string {
  return `${Number((share * 100).toFixed(2))} pp`;
}

function percent(share: number): string {
  return `${Number((share * 100).toFixed(3))} %`;
}
