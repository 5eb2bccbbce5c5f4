/** A plan as a person reads it in a terminal: plain text, columns that line up, no colours. */
import type { BadRelease, CanaryPlan, RulePlan } from './canaryPlan.ts';
import { durationText, grouped, percent, type Row, RULE_TITLES, section, tableText } from './text.ts';

export function planText(plan: CanaryPlan): string {
  const { traffic } = plan;
  const dispersion = traffic.dispersion === 1 ? '' : `, dispersion ${traffic.dispersion}`;
  return [
    `${plan.namespace}/${plan.name}: ${plan.mode}, because ${plan.because}`,
    `${grouped(traffic.rps)} requests a second, ${traffic.failingPercent} % of the primary's fail, new data every ${durationText(traffic.scrapeSeconds)}${dispersion}; times are means`,
    '',
    ...tableText(ruleRows(plan)),
    ...plan.rules.flatMap(legend),
    '',
    'A good release, step by step',
    ...tableText(stepRows(plan)),
    ...section(
      'Metrics',
      plan.metrics.map(({ metric, says }) => `${metric} ${says}`),
    ),
    ...section('Warnings', plan.problems),
    '',
  ].join('\n');
}

function ruleRows({ rules }: CanaryPlan): Row[] {
  const head = ['A release that', ...rules.map(({ rule }) => RULE_TITLES[rule])];
  const good = [
    'is as good as the primary',
    ...rules.map(({ good: { seconds } }) =>
      seconds === null ? 'is never promoted' : `promoted after ${durationText(seconds)}`,
    ),
  ];
  const harmed = ['  rolled back all the same', ...rules.map(({ good }) => falseText(good))];
  const bad = (rules[0]?.bad ?? []).flatMap((release, index): Row[] => {
    const each = rules.map(rule => rule.bad[index]);
    return [
      [nameOf(release), ...each.map(caughtText)],
      ['  failed requests until then', ...each.map(costText)],
    ];
  });
  return [head, good, harmed, ...bad];
}

function falseText({ rolledBackShare, isPromised }: RulePlan['good']): string {
  if (isPromised) return `at most ${percent(rolledBackShare)}`;
  return rolledBackShare > 0 && rolledBackShare < 1
    ? `about ${percent(rolledBackShare)}`
    : percent(rolledBackShare);
}

/** Said once for a rule that differs from the one before in nothing but the guard. */
function legend({ rule, checks }: RulePlan): string[] {
  if (rule !== 'flagger' || !checks) return [];
  const { intervalSeconds, threshold, successMinPercent, isAssumed } = checks;
  const times = threshold === 1 ? '1 failed check' : `${threshold} failed checks`;
  const assumed = isAssumed ? ', assumed because the manifest has no such threshold' : '';
  return [
    '',
    `Checks: every ${durationText(intervalSeconds)}, ${times}, success of at least ${successMinPercent} %${assumed}.`,
    `At the worst that is ${durationText(threshold * intervalSeconds)} of a total outage, and one interval more in Flagger.`,
  ];
}

function nameOf({ excessPercentPoints }: BadRelease): string {
  return excessPercentPoints >= 50 ? 'fails every request' : `fails ${excessPercentPoints} pp more`;
}

function caughtText(release: BadRelease | undefined): string {
  if (!release || release.caughtShare === 0) return 'not caught';
  const { caughtShare, seconds, by } = release;
  const share = caughtShare < 0.995 ? `${percent(caughtShare)} ` : '';
  const how = by === 'guard' ? ' (guard)' : by === 'deadline' ? ' (deadline)' : '';
  return `${share}rolled back after ${durationText(seconds ?? Infinity)}${how}`;
}

function costText(release: BadRelease | undefined): string {
  if (!release || release.failedRequests === null) return '-';
  return grouped(Math.max(1, Math.round(release.failedRequests)));
}

function stepRows({ steps }: CanaryPlan): Row[] {
  const isShown = steps.some(step => step.excludedPercentPoints !== undefined);
  let since: number | null = 0;
  return [
    ['step', 'weight', 'lasts', 'until', ...(isShown ? ['excluded by then'] : [])],
    ...steps.map(({ weightPercent, seconds, excludedPercentPoints }, index) => {
      since = seconds === null || since === null ? null : since + seconds;
      return [
        String(index + 1),
        `${weightPercent} %`,
        durationText(seconds ?? Infinity),
        durationText(since ?? Infinity),
        ...(excludedPercentPoints === undefined
          ? []
          : [`${Number(excludedPercentPoints.toPrecision(3))} pp more failures`]),
      ];
    }),
  ];
}
