/** Rehearsals as a person reads them in a terminal: plain text, columns that line up, no colours. */
import type { Latency, Release } from '../simulator/rehearsal/scenario.ts';
import type { Ended, Rehearsal, RuleRehearsal } from './rehearsal.ts';
import { durationText, grouped, percent, type Row, RULE_TITLES, section, tableText } from './text.ts';

export function rehearsalText(rehearsal: Rehearsal): string {
  const { rules, runs, seed } = rehearsal;
  const each = rules.length > 1 ? ' of each rule' : '';
  return [
    `${rehearsal.namespace}/${rehearsal.name}: ${rehearsal.mode}, because ${rehearsal.because}`,
    ...trafficText(rehearsal),
    '',
    ...tableText(rowsOf(rules)),
    '',
    `${grouped(runs)} ${runs === 1 ? 'run' : 'runs'}${each}, seed ${seed}. Medians, and in brackets what 95 % do not exceed; counted from the canary's first traffic to its last, or until every step had passed.`,
    ...rules.slice(-1).flatMap(legend),
    ...rules.flatMap(heldText),
    ...section('Notes', rehearsal.notes),
    '',
  ].join('\n');
}

function trafficText({ traffic }: Rehearsal): string[] {
  const { rps, pods, scrapeMs, primary, canary, breaksAfterMs, incident } = traffic;
  const later =
    breaksAfterMs > 0 ? ` from ${durationText(breaksAfterMs / 1_000)} on, before as the primary` : '';
  return [
    `${grouped(rps)} requests a second, ${pods} ${pods === 1 ? 'pod' : 'pods'} on each side, new data every ${durationText(scrapeMs / 1_000)}`,
    `  primary    ${releaseText(primary)}`,
    `  canary     ${releaseText(canary)}${later}`,
    ...(incident
      ? [
          `  incident   both fail ${percent(incident.failing)} from ${durationText(incident.fromMs / 1_000)} on for ${durationText(incident.forMs / 1_000)}`,
        ]
      : []),
  ];
}

function releaseText({ failing, latency }: Release): string {
  return `fails ${percent(failing)}, ${latencyText(latency)}`;
}

function latencyText({ medianMs, spread }: Latency): string {
  return `answers in ${grouped(medianMs)} ms, the slowest 1 % in ${grouped(Number((medianMs * spread).toPrecision(3)))} ms or more`;
}

function rowsOf(rules: readonly RuleRehearsal[]): Row[] {
  const row = (title: string, of: (rule: RuleRehearsal) => string): Row => [title, ...rules.map(of)];
  return [
    row('This release is', ({ rule }) => RULE_TITLES[rule]),
    row('rolled back', ({ rolledBack }) => `${shareText(rolledBack.share)}${byText(rolledBack)}`),
    row('  after', ({ rolledBack }) => secondsText(rolledBack)),
    row('promoted', ({ promoted }) => shareText(promoted.share)),
    row('  after', ({ promoted }) => secondsText(promoted)),
    row('held', ({ held }) => shareText(held.share)),
    row(
      'its failed requests',
      ({ failedRequests: { median, p95 } }) => `${grouped(median)} (${grouped(p95)})`,
    ),
    row('  of all requests', ({ failedRequests: { shareOfAll } }) => percent(shareOfAll)),
  ];
}

/** Who did it, where more than one could have. */
function byText({ by }: RuleRehearsal['rolledBack']): string {
  const others = Object.entries(by).filter(([name]) => name !== 'judge' && name !== 'checks');
  const parts = others.map(([name, part]) => `${shareText(part)} ${BY[name] ?? name}`);
  return parts.length > 0 ? ` (${parts.join(', ')})` : '';
}

const BY: Readonly<Record<string, string>> = {
  guard: 'by the guard',
  deadline: 'at the deadline',
  other: 'for its pods',
};

function secondsText({ seconds }: Ended): string {
  return seconds ? `${durationText(seconds.median)} (${durationText(seconds.p95)})` : '-';
}

/** Shares of some hundred runs have no more digits. */
function shareText(share: number): string {
  return `${Number((share * 100).toPrecision(3))} %`;
}

function legend(rule: RuleRehearsal): string[] {
  if (!rule.checks) return [];
  const { intervalSeconds, threshold, metrics, isAssumed } = rule.checks;
  const times = threshold === 1 ? '1 failed check rolls' : `${threshold} failed checks roll`;
  const bounds = metrics.map(({ name, min, max }) => `${name} ${boundText(min, max)}`);
  const assumed = isAssumed ? " The bounds are Flagger's usual ones, because the manifest has none." : '';
  return [
    `${RULE_TITLES[rule.rule]}: checks every ${durationText(intervalSeconds)}, ${times} back, ${bounds.join(', ')}.${assumed} Flagger does the same one interval later.`,
  ];
}

function boundText(min: number | undefined, max: number | undefined): string {
  const parts = [
    ...(min === undefined ? [] : [`at least ${min}`]),
    ...(max === undefined ? [] : [`at most ${max}`]),
  ];
  return parts.length > 0 ? parts.join(' and ') : 'without a bound';
}

function heldText(rule: RuleRehearsal): string[] {
  const { reasons } = rule.held;
  return section(
    `Why it was held: ${RULE_TITLES[rule.rule]}, with the numbers of one run`,
    reasons.map(({ reason, message, share }) => `${shareText(share)} ${reason}: ${message}`),
  );
}
