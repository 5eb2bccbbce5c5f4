/** `serin rehearse` as it is called: what its flags mean, what it prints, and what it refuses with which words. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { runCli } from './main.ts';
import type { Rehearsal, RuleRehearsal } from './rehearsal.ts';
import { rehearsalText } from './rehearsalText.ts';

const folder = mkdtempSync(join(tmpdir(), 'serin-rehearse-'));
afterAll(() => rmSync(folder, { recursive: true }));

const SPEC = {
  targetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' },
  service: { port: 80 },
  analysis: { stepWeights: [10, 50] },
};

function manifest(name: string, more: object = {}): string {
  const metadata = { name, namespace: 'shop' };
  return JSON.stringify({
    apiVersion: 'serin.dev/v1beta1',
    kind: 'Canary',
    metadata,
    spec: { ...SPEC, ...more },
  });
}

async function run(text: string, ...flags: string[]) {
  const [out, err]: [string[], string[]] = [[], []];
  const code = await runCli(['rehearse', '-', ...flags], {
    read: async () => text,
    out: written => void out.push(written),
    err: written => void err.push(written),
  });
  return { code, out: out.join(''), err: err.join('') };
}

async function rehearsed(text: string, ...flags: string[]): Promise<Rehearsal[]> {
  const { code, out, err } = await run(text, '--rps', '50', '--json', ...flags);
  expect([code, err]).toEqual([0, '']);
  const { canaries, pace } = JSON.parse(out) as { canaries: Rehearsal[]; pace: { rehearsals: number } };
  expect(pace.rehearsals).toBe(canaries.flatMap(({ rules, runs }) => rules.map(() => runs)).reduce(sum, 0));
  return canaries;
}

const sum = (a: number, b: number) => a + b;
const only = ([rehearsal]: Rehearsal[]): Rehearsal => rehearsal!;

describe('the distribution', () => {
  test('of an outage under the judge, beside a threshold that is assumed', async () => {
    const outage = only(await rehearsed(manifest('web'), '--canary-failing', '100', '--runs', '6'));
    expect(outage).toMatchObject({ namespace: 'shop', name: 'web', mode: 'compare', runs: 6, seed: 1 });
    const [judge, fixed] = outage.rules;
    expect(judge).toMatchObject({
      rule: 'judge',
      rolledBack: { share: 1, by: { judge: 1 } },
      promoted: { share: 0, seconds: null },
      held: { share: 0, reasons: [] },
    });
    expect(judge).not.toHaveProperty('checks');
    expect(fixed).toMatchObject({
      rule: 'fixedThreshold',
      checks: { intervalSeconds: 60, threshold: 5, isAssumed: true },
      rolledBack: { share: 1, by: { checks: 1 } },
    });
    expect(judge!.rehearsals).toHaveLength(6);
    const seconds = judge!.rehearsals.map(one => one.seconds).sort((a, b) => a - b);
    expect(judge!.rolledBack.seconds).toEqual({ median: seconds[2], p95: seconds[5] });
    const failed = judge!.rehearsals.map(one => one.failedRequests);
    expect(judge!.failedRequests.p95).toBe(Math.max(...failed));
    const requests = judge!.rehearsals.map(one => one.requests).reduce(sum);
    expect(judge!.failedRequests.shareOfAll).toBeCloseTo(failed.reduce(sum) / requests, 3);
    expect(fixed!.failedRequests.median).toBeGreaterThan(10 * judge!.failedRequests.p95);
  });

  test('is the same for the same seed', async () => {
    const flags = ['--canary-failing', '3', '--runs', '2', '--seed', '5'];
    const first = await rehearsed(manifest('web'), ...flags);
    expect(await rehearsed(manifest('web'), ...flags)).toEqual(first);
    expect(await rehearsed(manifest('web'), ...flags, '--seed', '6')).not.toEqual(first);
  });

  test('of several Canaries, one without a rule beside it', async () => {
    const metrics = [{ name: 'request-success-rate', thresholdRange: { min: 99 } }];
    const judge = { guard: { enabled: false } };
    const bare = manifest('bare', { analysis: { ...SPEC.analysis, interval: '10s', metrics, judge } });
    const skipped = manifest('skipped', { skipAnalysis: true });
    const canaries = await rehearsed(`${bare}\n---\n${skipped}`, '--runs', '1');
    expect(canaries.map(({ name, rules }) => [name, rules.map(({ rule }) => rule)])).toEqual([
      ['bare', ['threshold']],
      ['skipped', ['judge', 'fixedThreshold']],
    ]);
    expect(canaries[1]?.notes.join()).toContain('skipAnalysis');
    expect(canaries[1]?.rules[0]?.promoted.share).toBe(1);
  });
});

describe('flags', () => {
  const trafficOf = async (...flags: string[]) =>
    only(await rehearsed(manifest('web', { suspend: true }), '--runs', '1', ...flags)).traffic;

  test('have defaults: a good release', async () => {
    const release = { failing: 0.001, latency: { medianMs: 50, spread: 3 } };
    expect(await trafficOf()).toEqual({
      rps: 50,
      pods: 2,
      scrapeMs: 5_000,
      primary: release,
      canary: release,
      breaksAfterMs: 0,
    });
  });

  test('describe traffic and failure; what is not said of the canary is as the primary has it', async () => {
    const first = ['--failing', '0.5', '--latency', '20,4', '--canary-latency', '30', '--pods', '3'];
    const second = ['--from', '2m30s', '--incident', '1m/30s/20', '--scrape', '15s'];
    expect(await trafficOf(...first, ...second)).toEqual({
      rps: 50,
      pods: 3,
      scrapeMs: 15_000,
      primary: { failing: 0.005, latency: { medianMs: 20, spread: 4 } },
      canary: { failing: 0.005, latency: { medianMs: 30, spread: 4 } },
      breaksAfterMs: 150_000,
      incident: { fromMs: 60_000, forMs: 30_000, failing: 0.2 },
    });
  });

  test.each([
    [[], "required option '--rps <n>'"],
    [['--rps', 'many'], "'--rps <n>' argument 'many' is invalid. Expected a number from 0"],
    [['--rps', '1', '--canary-failing', '101'], 'Expected a number from 0 to 100'],
    [['--rps', '1', '--latency', '50,'], 'Expected milliseconds from 0.1 to 60000'],
    [['--rps', '1', '--latency', '50,1'], 'a spread from 1.01 to 1000, such as 50,3'],
    [['--rps', '1', '--canary-latency', '1,2,3'], "'--canary-latency <ms[,spread]>' argument '1,2,3'"],
    [['--rps', '1', '--from', '10'], 'Expected a duration from 1s to 24h'],
    [['--rps', '1', '--from', '10s'], "'--from <duration>': expected --canary-failing or --canary-latency"],
    [['--rps', '1', '--incident', '1m/30s'], 'Expected two durations up to 24h and a percentage'],
    [['--rps', '1', '--incident', '1m/30s/101'], 'such as 2m/30s/20'],
    [['--rps', '1', '--pods', '0'], 'Expected a whole number from 1 to 50'],
    [['--rps', '1', '--runs', '1.5'], 'Expected a whole number from 1 to 10000'],
    [['--rps', '1', '--seed', '-1'], 'Expected a whole number from 0'],
  ])('%j is refused', async (flags, sentence) => {
    const { code, out, err } = await run(manifest('web'), ...flags);
    expect([code, out]).toEqual([2, '']);
    expect(err).toContain(sentence);
  });

  test('and so is a manifest, with its field; the others are played', async () => {
    const bad = manifest('bad', { analysis: { interval: 'x', stepWeights: [10] } });
    const odd = manifest('odd').replace('"shop"', '"Not_A_Name"');
    const good = manifest('web', { skipAnalysis: true });
    const flags = ['--rps', '1', '--runs', '1'];
    const { code, out, err } = await run([bad, odd, good].join('\n---\n'), ...flags);
    expect(code).toBe(2);
    expect(err).toContain('standard input: Canary bad: spec.analysis.interval must be a duration');
    expect(err).toContain('serin: Canary odd: Namespace "Not_A_Name" is invalid');
    expect(out).toContain('shop/web: compare');
  });
});

describe('the text', () => {
  const rule = (more: Partial<RuleRehearsal>): RuleRehearsal => ({
    rule: 'judge',
    rolledBack: { share: 0, seconds: null, by: {} },
    promoted: { share: 0, seconds: null },
    held: { share: 0, reasons: [] },
    failedRequests: { median: 0, p95: 0, shareOfAll: 0, shareAnywhere: 0 },
    rehearsals: [],
    ...more,
  });
  const rehearsal: Rehearsal = {
    namespace: 'shop',
    name: 'web',
    mode: 'threshold',
    because: 'metrics are given',
    traffic: {
      rps: 1_500,
      pods: 1,
      scrapeMs: 15_000,
      primary: { failing: 0.001, latency: { medianMs: 50, spread: 3 } },
      canary: { failing: 0.2, latency: { medianMs: 80, spread: 3 } },
      breaksAfterMs: 90_000,
      incident: { fromMs: 30_000, forMs: 60_000, failing: 0.3 },
    },
    runs: 200,
    seed: 7,
    rules: [
      rule({
        rule: 'thresholdWithGuard',
        rolledBack: { share: 0.955, seconds: { median: 95.2, p95: 110 }, by: { guard: 0.9, checks: 0.055 } },
        held: { share: 0.045, reasons: [{ reason: 'Stalled', message: 'No requests.', share: 0.045 }] },
        failedRequests: { median: 1_200, p95: 2_400, shareOfAll: 0.0123, shareAnywhere: 0.2 },
      }),
      rule({
        rule: 'fixedThreshold',
        checks: {
          intervalSeconds: 60,
          threshold: 1,
          metrics: [{ name: 'request-success-rate', min: 99, max: undefined }],
          isAssumed: true,
        },
        promoted: { share: 1, seconds: { median: 300, p95: 361 } },
      }),
    ],
    notes: ['Something beside the numbers.'],
  };

  test('says traffic, shares, times, costs and reasons', () => {
    const text = rehearsalText(rehearsal);
    // Whatever the columns are as wide as.
    const lines = text.split('\n').map(line => line.replace(/^ +/, '  ').replace(/(\S) +/g, '$1 '));
    for (const line of [
      'shop/web: threshold, because metrics are given',
      '1,500 requests a second, 1 pod on each side, new data every 15 s',
      '  primary fails 0.1 %, answers in 50 ms, the slowest 1 % in 150 ms or more',
      '  canary fails 20 %, answers in 80 ms, the slowest 1 % in 240 ms or more from 1 min 30 s on, before as the primary',
      '  incident both fail 30 % from 30 s on for 1 min',
      '  rolled back 95.5 % (90 % by the guard) 0 %',
      '  after 1 min 35 s (1 min 50 s) -',
      '  after - 5 min (6 min 1 s)',
      '  its failed requests 1,200 (2,400) 0 (0)',
      '  of all requests 1.2 % 0 %',
      '  - 4.5 % Stalled: No requests.',
      '  - Something beside the numbers.',
    ])
      expect(lines).toContain(line);
    expect(text).toContain('200 runs of each rule, seed 7. Medians');
    expect(text).toContain(
      "Fixed threshold: checks every 1 min, 1 failed check rolls back, request-success-rate at least 99. The bounds are Flagger's usual ones",
    );
  });
});

test('runs from a shell, in all processes, and says how quick it was', () => {
  const path = join(folder, 'web.json');
  writeFileSync(path, manifest('web'));
  const shell = (flags: string) =>
    spawnSync('sh', ['-c', `npx --no-install serin rehearse ${path} ${flags}`], {
      cwd: join(import.meta.dirname, '..'),
      encoding: 'utf8',
    });
  const { status, stdout, stderr } = shell('--rps 50 --canary-failing 100 --runs 4');
  expect([status, stderr]).toEqual([0, '']);
  expect(stdout).toMatch(/rolled back +100 % +100 %/);
  expect(stdout).toMatch(/8 rehearsals in \d.*: [\d,]+ a minute in (one process|\d+ processes)\.\n$/);
  expect(shell('--rps 50 --runs none').status).toBe(2);
});
