/**
 * The watch over a promoted primary, with all the traffic (design, "Promotion", 5): only when it has passed does the last
 * good revision change. Silence is no pass.
 */
import type { CheckResult, RevisionRef, Run } from '../api/status.ts';
import { targetRelease } from './cleanUp.ts';
import { type Facts, formatTime, judgementOf, parseTime } from './facts.ts';
import { isAllReady, lackOf, primaryHasEndpoint } from './readiness.ts';
import { judge } from './verdict.ts';
import { bridge, mayReturn, toBack } from './wayBack.ts';
import { act, type Said, say, type StatusPatch, type Unnamed, until, withoutValue, write } from './write.ts';

/** What the status says of a weight that somebody else took away, or of a raise that never landed. */
function atZero(f: Facts): StatusPatch {
  return f.statusWeight > 0 ? { canaryWeight: 0, zeroSince: formatTime(f.o.now) } : {};
}

/** The new primary serves alone for the watch and nothing speaks against it: it becomes the last good in one status write. */
export function watchPrimary(f: Facts, run: Run, good: RevisionRef, since: number, said: Said): Unnamed {
  const { settings, command } = f.o;
  if (!isAllReady(f.o.primary, good.hash) || !primaryHasEndpoint(f.o)) {
    const lack = lackOf(f.o.primary, good.hash, f.o.endpoints.primary);
    return toBack(f, `The primary lost pods of revision ${good.hash} while it was watched: ${lack}.`);
  }
  // What does not apply here has been refused by `obey`.
  const isHurried = command?.verb === 'promote';
  const answer: Watched = isHurried
    ? { kind: 'over', message: `${command.by} ended the watch over the primary.` }
    : judgePrimary(f, run, since + settings.bakeMs);
  if (answer.kind === 'waits') return answer.decision;
  const { checks, message } = answer;
  // No way leads back to the canary from here on: what has drained is let go in the same decision.
  const releasing = f.statusWeight === 0 ? targetRelease(f) : undefined;
  return write(
    f,
    {
      ...atZero(f),
      ...(isHurried ? { handledCommand: command.id } : {}),
      ...(checks ? { checks } : {}),
      phase: 'Finalising',
      stage: undefined,
      stageSince: undefined,
      promoted: good,
      lastGood: good,
      lastPromotedSpec: good.hash,
    },
    [message === undefined ? said : say(said.reason, 'warn', `${said.message} ${message}`)],
    releasing ? [releasing] : [],
  );
}

/** The watch goes on, or it is over: without a word, or with what could not be known. */
type Watched =
  | { kind: 'waits'; decision: Unnamed }
  | { kind: 'over'; checks?: CheckResult[]; message?: string };

/**
 * Judges the primary when the watch is over, by the built-in metrics: custom queries speak of the target. Where nothing
 * is known, the policies for that hold or end it as they do while the canary is analysed, with budgets of their own;
 * whoever promoted by command has decided without them already.
 */
function judgePrimary(f: Facts, run: Run, bakedAt: number): Watched {
  const { settings, now } = f.o;
  const waits = (decision: Unnamed): Watched => ({ kind: 'waits', decision });
  const hasLooked = parseTime(run.checkedAt) >= bakedAt;
  const dueAt = hasLooked ? parseTime(run.checkedAt) + settings.intervalMs : bakedAt;
  if (now < dueAt) return waits(act([], until(f, dueAt)));
  if (settings.skipAnalysis || settings.metrics.every(metric => metric.kind === 'custom'))
    return { kind: 'over' };
  const judgement = judgementOf(f, run, 'primary');
  if (!judgement)
    return waits({ actions: [], transitions: [], measure: 'primary', nextTickMs: settings.intervalMs });
  const before = hasLooked ? run : { ...run, noData: 0, errors: 0 };
  const { verdict, noData, errors } = judge(judgement.checks, settings, before);
  const checks = watchedChecks(f, judgement.checks);
  if (verdict.kind === 'pass') return { kind: 'over', checks };
  if (verdict.kind === 'fail') return waits(failedWatch(f, run, verdict.message));
  if (run.cause === 'command' || f.status.stage === 'skip')
    return { kind: 'over', checks, message: `It was not judged as primary: ${verdict.message}.` };
  if (verdict.isSpent && settings.onStalled === 'rollback')
    return waits(failedWatch(f, run, `the budget for checks without a value is spent; ${verdict.message}`));
  const said = withoutValue(f, verdict, `The new primary is watched on: ${verdict.message}.`);
  const checked = { ...run, checkedAt: formatTime(now), noData, errors };
  return waits(write(f, { checks, run: checked }, said, [], settings.intervalMs));
}

/** What the primary was found to be, beside what only the canary was judged by. */
function watchedChecks(f: Facts, found: readonly CheckResult[]): CheckResult[] {
  const others = (f.status.checks ?? []).filter(old => !found.some(one => one.metric === old.metric));
  return [...found, ...others];
}

function failedWatch(f: Facts, run: Run, why: string): Unnamed {
  const message = `The promoted primary fails: ${why}.`;
  const peak = run.peakWeight ?? 0;
  return mayReturn(f, run, peak) ? bridge(f, run, peak, message) : toBack(f, message);
}
