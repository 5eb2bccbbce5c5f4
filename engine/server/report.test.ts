/** Reports from what a status may hold: a played rollout, half of one, none, and junk. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { storyOf } from '../../simulator/judging/story.ts';
import { constantWorld } from '../../simulator/judging/streams.ts';
import type { KubernetesObject } from '../kubernetes/types.ts';
import { dispersionBehind, rateOf, reportOf, reportSchema } from './report.ts';
import { reportPage } from './reportPage.ts';

const RUN = { id: 'played', revision: 'a1-new', startedAt: '2026-01-01T00:00:00Z' };
const PLAN = { weightsPercent: [10, 20, 30, 40, 50], tickMs: 5_000, seed: 4 };

function canary(status: object, spec: object = {}): KubernetesObject {
  return {
    apiVersion: 'serin.dev/v1beta1',
    kind: 'Canary',
    metadata: { name: 'checkout', namespace: 'shop' },
    spec: { targetRef: { kind: 'Deployment', name: 'checkout' }, ...spec },
    status,
  };
}

function played(excess: number) {
  const judge = storyOf(constantWorld(50, 0.005, excess), PLAN);
  return { judge, report: reportOf(canary({ phase: 'Progressing', canaryWeight: 10, run: RUN, judge })) };
}

const ended = (outcome: 'Succeeded' | 'Failed' | 'Superseded', reason: string = outcome) => ({
  revision: RUN.revision,
  startedAt: RUN.startedAt,
  endedAt: '2026-01-01T00:05:05Z',
  outcome,
  reason,
});

/** Every tag that is opened is closed, in order; good enough for a page that is made of strings. */
function isBalanced(html: string): boolean {
  const open: string[] = [];
  const empty = new Set(['meta', 'path', 'circle', 'br']);
  for (const [, close, name = '', self] of html.matchAll(/<(\/?)([a-z][a-z0-9]*)(?:\s[^<>]*?)?(\/?)>/g)) {
    if (close) {
      if (open.pop() !== name) return false;
    } else if (!self && !empty.has(name)) open.push(name);
  }
  return open.length === 0;
}

describe('a report', () => {
  test('says of a canary that has done nothing that it has done nothing', () => {
    const report = reportOf(canary({}));
    expect(report).toEqual({
      namespace: 'shop',
      name: 'checkout',
      target: { kind: 'Deployment', name: 'checkout' },
      isPaused: false,
      checks: [],
      transitions: [],
      history: [],
    });
    const page = reportPage(report);
    expect(page).toContain('No rollout yet');
    expect(page).not.toContain('<svg');
    expect(isBalanced(page)).toBe(true);
  });

  test('has the evidence of a played rollout, and the rates with their confidence sequences', () => {
    const { judge, report } = played(0.05);
    expect(reportSchema.parse(report)).toEqual(report);
    expect(report.judge).toMatchObject({
      mode: 'compare',
      verdict: 'rollback',
      sentence: judge.sentence,
      oddsNeeded: '100:1',
      logShownNeeded: Math.log(20),
    });
    expect(report.judge?.logEvidence).toBeGreaterThan(Math.log(100));
    expect(report.judge?.timeline).toHaveLength(judge.timeline.length);
    const last = report.judge!.timeline.at(-1)!;
    expect(last.canary.failures).toBe(judge.timeline.at(-1)?.[3]);
    // What was played is inside, and the arms are told apart in the end.
    expect(last.canary.low).toBeLessThan(0.055);
    expect(last.canary.high).toBeGreaterThan(0.055);
    expect(last.primary.high).toBeLessThan(last.canary.failures / last.canary.total);
  });

  test('has bands as wide as the status says that the counts allow', () => {
    const { judge } = played(0.05);
    const [failures, ...others] = judge.comparisons;
    const { total, failures: failed } = failures!.canary;
    const clumped = { ...failures!, canary: rateOf(total, failed, 4) };
    const { judge: report } = reportOf(
      canary({ run: RUN, judge: { ...judge, comparisons: [clumped, ...others] } }),
    );
    const { canary: last, primary } = report!.timeline.at(-1)!;
    expect(last.low).toBeCloseTo(clumped.canary.low, 6);
    expect(last.high).toBeCloseTo(clumped.canary.high, 6);
    // What is told of each side is its own. The status has four digits.
    expect(primary.high).toBeCloseTo(failures!.primary.high, 4);
    expect(dispersionBehind(rateOf(5_000, 40, 1))).toBe(1);
    expect(dispersionBehind(rateOf(5_000, 40, 2.5))).toBeCloseTo(2.5, 6);
    expect(dispersionBehind(rateOf(0, 0, 3))).toBe(1);
    expect(dispersionBehind(undefined)).toBe(1);
  });

  test('tells nothing of what was judged in another run', () => {
    const { judge } = played(0.05);
    expect(reportOf(canary({ run: RUN, judge: { ...judge, run: 'older' } })).judge).toBeUndefined();
    expect(reportOf(canary({ run: RUN, judge })).judge).toBeDefined();
  });

  test('takes beta from the spec, and asks for nothing to be shown in threshold mode', () => {
    const { judge } = played(0);
    const strict = { analysis: { judge: { beta: 0.01 } } };
    expect(reportOf(canary({ run: RUN, judge }, strict)).judge?.logShownNeeded).toBeCloseTo(
      Math.log(100),
      12,
    );
    const threshold = { ...judge, mode: 'threshold' };
    expect(reportOf(canary({ run: RUN, judge: threshold })).judge?.logShownNeeded).toBeUndefined();
  });

  test('knows how a run ended from the history', () => {
    const history = [ended('Failed', 'Aborted'), { ...ended('Succeeded'), revision: 'a1-old' }];
    const { rollout } = reportOf(canary({ phase: 'Failed', run: RUN, history }));
    expect(rollout).toEqual(ended('Failed', 'Aborted'));
    // The same revision, started again.
    const again = { ...RUN, startedAt: '2026-01-02T00:00:00Z' };
    expect(reportOf(canary({ run: again, history })).rollout).toEqual({
      revision: RUN.revision,
      startedAt: again.startedAt,
    });
  });
});

describe('the page', () => {
  test.each([
    [{ phase: 'Progressing', canaryWeight: 20, run: RUN }, 'Under way at 20 % of the traffic'],
    [
      { phase: 'Progressing', canaryWeight: 20, run: RUN, paused: { by: 'a' } },
      'Paused at 20 % of the traffic',
    ],
    [{ phase: 'WaitingPromotion', run: RUN }, 'Waits to be promoted'],
    [{ phase: 'Promoting', run: RUN }, 'Being promoted'],
    [{ phase: 'Terminating', run: RUN }, 'Being given back'],
    [{ phase: 'Initialized' }, 'No rollout yet'],
    [{ phase: 'Succeeded', run: RUN, history: [ended('Succeeded')] }, 'Promoted'],
    [{ phase: 'Failed', run: RUN, history: [ended('Failed', 'RolledBack')] }, 'Rolled back'],
    [{ phase: 'Failed', run: RUN, history: [ended('Failed', 'Aborted')] }, 'Aborted'],
    [{ phase: 'Failed', run: RUN }, 'Rolled back'],
    [
      { phase: 'Progressing', run: RUN, history: [ended('Superseded', 'Restarted')] },
      'Replaced by a newer revision',
    ],
  ])('of %j is headed %s', (status, headline) => {
    const page = reportPage(reportOf(canary(status)));
    expect(page).toContain(`</span>${headline}</h1>`);
    expect(page).toContain(`<title>${headline}: checkout in shop</title>`);
    expect(isBalanced(page)).toBe(true);
  });

  test('shows each number of the picture as text, and the picture is named and described', () => {
    const { judge, report } = played(0.02);
    const page = reportPage({ ...report, rollout: { ...ended('Failed', 'RolledBack') } });
    expect(isBalanced(page)).toBe(true);
    const [table = ''] = /<table><caption>Sums since judging began[\s\S]*?<\/table>/.exec(page) ?? [];
    const rows = [...table.matchAll(/<tr><th scope="row"[^>]*>([^<]*)<\/th>(.*?)<\/tr>/g)];
    expect(rows).toHaveLength(judge.timeline.length);
    const grouped = (value: number) => value.toLocaleString('en-US');
    for (const [index, [, , cells = '']] of rows.entries()) {
      const [, weight, total = 0, failed = 0, others = 0, othersFailed = 0] = judge.timeline[index]!;
      expect(cells).toContain(`${weight} %`);
      expect(cells).toContain(`${grouped(failed)} of ${grouped(total)}`);
      expect(cells).toContain(`${grouped(othersFailed)} of ${grouped(others)}`);
    }
    expect(page).toMatch(/<svg [^>]*role="img" aria-labelledby="rollout-title rollout-desc"/);
    expect(page).toMatch(/<title id="rollout-title">Rollout of a1-new[^<]+<\/title>/);
    expect(page).toMatch(/<desc id="rollout-desc">In \d+:\d\d the canary got up to \d+ % of the traffic\./);
    expect(page).toContain('100:1 rolls back');
    expect(page).toContain('20:1 lets traffic rise');
    expect(page).toContain('traffic taken away');
    // Nothing of the sentence is lost but what had to be escaped.
    expect(page).toContain(judge.sentence);
  });

  test('draws inside of its picture, all of it on one time axis', () => {
    for (const excess of [0, 0.02, 0.995]) {
      const page = reportPage(played(excess).report);
      const [, width = 0, height = 0] = (/viewBox="0 0 (\d+) (\d+)"/.exec(page) ?? []).map(Number);
      const paths = [...page.matchAll(/<path class="([a-z ]+)" d="([^"]*)"/g)];
      const numbersOf = (d: string) =>
        [...d.matchAll(/[ML](-?[\d.]+) (-?[\d.]+)/g)].map(([, x, y]) => [Number(x), Number(y)]);
      for (const [, , d = ''] of paths)
        for (const [x = -1, y = -1] of numbersOf(d)) {
          expect(x >= 0 && x <= width).toBe(true);
          expect(y >= 0 && y <= height).toBe(true);
        }
      const lasts = (name: string) => {
        const [, , d = ''] = paths.find(([, classes]) => classes === name) ?? [];
        return Math.max(...numbersOf(d).map(([x = 0]) => x));
      };
      const ends = ['weight', 'canary band', 'primary line', 'harm line', 'shown line'].map(lasts);
      expect(new Set(ends).size).toBe(1);
    }
  });

  test("marks the user's bound where there is one, and only harm in threshold mode", () => {
    const { judge } = played(0);
    const comparisons = judge.comparisons.map(comparison => ({ ...comparison, bound: 0.01 }));
    const page = reportPage(
      reportOf(canary({ run: RUN, judge: { ...judge, mode: 'threshold', comparisons } })),
    );
    expect(page).toContain('at least 99 %');
    expect(page).toContain('failed; at most 1 % may');
    expect(page).not.toMatch(/shown line|lets traffic rise/);
    expect(reportPage(played(0).report)).not.toContain('at least 99 %');
  });

  test('loads and runs nothing', () => {
    const page = reportPage(played(0.02).report);
    expect(page).not.toMatch(/<script|<link|<img|<iframe|\son[a-z]+=|\sstyle=|javascript:|url\(|@import/i);
    expect([...page.matchAll(/https?:[^"'\s<]*/g)].map(([address]) => address)).toEqual([
      'http://www.w3.org/2000/svg',
    ]);
    expect(page).toContain('http-equiv="Content-Security-Policy"');
  });

  const nasty = '"><script>alert(1)</script><img src=x onerror=alert(1)>&amp;\u2028\'';

  test('cannot be broken out of by any text of a status', () => {
    const { judge } = played(0.02);
    const transition = {
      number: 1,
      at: nasty.slice(0, 40),
      severity: 'error',
      reason: nasty.slice(0, 60),
      message: nasty,
    };
    const status = {
      phase: nasty,
      run: { id: nasty, revision: nasty.slice(0, 60), startedAt: nasty.slice(0, 40) },
      judge: { ...judge, run: nasty, sentence: nasty, verdict: nasty },
      checks: [{ metric: nasty, outcome: 'noData', message: nasty }],
      transitions: [transition],
      history: [{ ...ended('Failed', nasty.slice(0, 60)), message: nasty, by: nasty }],
    };
    const object = canary(status, { targetRef: { kind: nasty, name: nasty } });
    object.metadata.name = nasty;
    const page = reportPage(reportOf(object));
    expect(page).not.toMatch(/<script|<img|onerror=alert\(1\)>/);
    expect(isBalanced(page)).toBe(true);
  });

  const rows = fc.array(fc.array(fc.oneof(fc.double(), fc.integer(), fc.jsonValue()), { maxLength: 10 }), {
    maxLength: 80,
  });
  const judges = fc.record(
    {
      run: fc.oneof(fc.constant('played'), fc.jsonValue()),
      mode: fc.oneof(fc.constantFrom('threshold', 'compare', 'slo'), fc.jsonValue()),
      sentence: fc.jsonValue(),
      logEvidence: fc.oneof(fc.double(), fc.jsonValue()),
      logNeeded: fc.oneof(fc.double(), fc.jsonValue()),
      comparisons: fc.oneof(fc.constant(played(0).judge.comparisons), fc.jsonValue()),
      timeline: fc.oneof(rows, fc.jsonValue()),
    },
    { requiredKeys: [] },
  );
  const statuses = fc.oneof(
    fc.jsonValue(),
    fc.record({ run: fc.constant(RUN), judge: judges, phase: fc.jsonValue(), history: fc.jsonValue() }),
  );

  test('never fails and never shows a number that is none, whatever the status holds', () => {
    fc.assert(
      fc.property(statuses, status => {
        const report = reportOf(canary(status as object));
        expect(reportSchema.safeParse(report).success).toBe(true);
        const page = reportPage(report);
        expect(page.replaceAll(/<(p|td|th|title)[ >][\s\S]*?<\/\1>/g, '')).not.toMatch(
          /NaN|Infinity|undefined/,
        );
        expect(isBalanced(page)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});
