/** `serin plan` as it is called: manifests in, a table or JSON out, exit codes, and sentences about what cannot be used. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { decodeCanary } from '../engine/api/decode.ts';
import { judgeSchema } from '../engine/api/judge.ts';
import { settingsOf } from '../engine/core/settings.ts';
import type { CanaryPlan } from './canaryPlan.ts';
import { systemConsole } from './console.ts';
import { runCli } from './main.ts';

const folder = mkdtempSync(join(tmpdir(), 'serin-cli-'));
afterAll(() => rmSync(folder, { recursive: true }));

function canary(analysis: object, more: object = {}): object {
  return {
    apiVersion: 'serin.dev/v1beta1',
    kind: 'Canary',
    metadata: { name: 'web', namespace: 'shop' },
    spec: {
      targetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' },
      service: { port: 80 },
      analysis: { stepWeights: [10, 20, 30, 40, 50], ...analysis },
      ...more,
    },
  };
}

const success = (min: number) => ({ name: 'request-success-rate', interval: '1m', thresholdRange: { min } });

async function run(text: string, ...flags: string[]) {
  const [out, err]: [string[], string[]] = [[], []];
  const code = await runCli(['plan', '-', ...flags], {
    read: async () => text,
    out: written => void out.push(written),
    err: written => void err.push(written),
  });
  return { code, out: out.join(''), err: err.join('') };
}

async function planned(object: object, ...flags: string[]): Promise<CanaryPlan> {
  const { code, out, err } = await run(JSON.stringify(object), '--rps', '50', '--json', ...flags);
  expect([code, err]).toEqual([0, '']);
  const { canaries } = JSON.parse(out) as { canaries: CanaryPlan[] };
  expect(canaries).toHaveLength(1);
  return canaries[0]!;
}

const ruleOf = (plan: CanaryPlan, name: string) => plan.rules.find(({ rule }) => rule === name);

describe('compare', () => {
  test('is the mode of a manifest that names no threshold; the judge stands beside a threshold that is assumed', async () => {
    const plan = await planned(canary({}), '--failing', '0.5');
    expect(plan).toMatchObject({ namespace: 'shop', name: 'web', mode: 'compare' });
    expect(plan.rules.map(({ rule }) => rule)).toEqual(['judge', 'flagger']);
    const judge = ruleOf(plan, 'judge');
    expect(judge?.good).toMatchObject({ rolledBackShare: 0.01, isPromised: true });
    // judge.md 7.1 and 7.2: promoted after 367 s, +2 pp after 82 s, an outage after 5 s and 25 failed requests.
    expect(judge?.good.seconds).toBeGreaterThan(300);
    expect(judge?.good.seconds).toBeLessThan(470);
    const [small, outage] = judge?.bad ?? [];
    expect(small?.excessPercentPoints).toBe(2);
    expect(small?.seconds).toBeGreaterThan(60);
    expect(small?.seconds).toBeLessThan(125);
    expect(outage).toMatchObject({ caughtShare: 1, seconds: 5, by: 'judge' });
    expect(outage?.failedRequests).toBeCloseTo(25, 0);
    expect(ruleOf(plan, 'flagger')).toMatchObject({
      checks: { intervalSeconds: 60, threshold: 5, successMinPercent: 99, isAssumed: true },
      bad: [{}, { seconds: 360, failedRequests: 1791 }],
    });
    expect(plan.steps.map(({ weightPercent }) => weightPercent)).toEqual([10, 20, 30, 40, 50]);
    expect(plan.steps.map(step => step.excludedPercentPoints)).toEqual([5, 3.33333, 2.5, 2, 0.5]);
  });

  test('settings of the judge move the plan', async () => {
    const judge = { minDwell: '15s', promotionMargin: 1, alpha: 0.001, budget: 0.5 };
    const slow = await planned(canary({}));
    const fast = await planned(canary({ judge }));
    expect(ruleOf(fast, 'judge')?.good.seconds).toBeLessThan(ruleOf(slow, 'judge')?.good.seconds ?? 0);
    expect(ruleOf(fast, 'judge')?.good.rolledBackShare).toBe(0.001);
    expect(fast.steps.map(step => step.excludedPercentPoints)).toEqual([2.5, 1.66667, 1.25, 1, 1]);
    expect(ruleOf(fast, 'judge')?.bad[0]?.seconds).toBeGreaterThan(
      ruleOf(slow, 'judge')?.bad[0]?.seconds ?? 0,
    );
  });

  test('what cannot work is a warning, with exit code 0', async () => {
    const full = await planned(canary({ stepWeights: [10, 100] }));
    expect(full.problems.join()).toContain('The step of 100 % is left out');
    expect(full.steps.map(({ weightPercent }) => weightPercent)).toEqual([10]);
    const thin = await planned(canary({ stepWeights: [1, 50] }), '--rps', '0.5');
    expect(thin.problems.join()).toContain('longer than the deadline of 3600 s');
    const short = { deadline: '2m', onDeadline: 'rollback', minDwell: '10s' };
    const hurried = await planned(canary({ judge: short }), '--rps', '2');
    expect(ruleOf(hurried, 'judge')?.bad[0]).toMatchObject({ seconds: 120, by: 'deadline' });
    const trusting = await planned(canary({ judge: { ...short, onDeadline: 'promote' } }), '--rps', '2');
    expect(ruleOf(trusting, 'judge')?.bad[0]).toMatchObject({ caughtShare: 0, by: null });
    expect((await planned(canary({}), '--rps', '0')).problems.join()).toContain('There is no traffic');
    expect((await planned(canary({}, { skipAnalysis: true }))).problems.join()).toContain('skipAnalysis');
  });
});

describe('metrics beside compare', () => {
  const vetoed = { interval: '10s', threshold: 2, metrics: [success(99)], judge: { mode: 'compare' } };

  test('are vetoes, outside of what the judge promises', async () => {
    const plan = await planned(canary(vetoed), '--failing', '0.5');
    const judge = ruleOf(plan, 'judge');
    expect(judge?.good.isPromised).toBe(false);
    expect(judge?.good.rolledBackShare).toBeGreaterThan(0.3);
    expect(plan.problems.join()).toContain('Beside the judge, metrics are vetoes. By chance alone');
    expect(judge?.bad[0]).toMatchObject({ caughtShare: 1, by: 'checks' });
    expect(judge?.bad[1]).toMatchObject({ seconds: 5, by: 'judge' });
    const loose = await planned(canary({ ...vetoed, metrics: [success(90)] }), '--failing', '0.5');
    expect(ruleOf(loose, 'judge')?.good).toMatchObject({ rolledBackShare: 0.01, isPromised: true });
    expect(loose.problems.join()).not.toContain('vetoes');
  });

  test('are waited for in each step', async () => {
    const slow = await planned(canary({ ...vetoed, interval: '5m', metrics: [success(90)] }));
    for (const { seconds } of slow.steps) expect(seconds).toBeGreaterThanOrEqual(300);
    const custom = { name: 'lag', templateRef: { name: 'lag' }, thresholdRange: { max: 3 } };
    const alone = await planned(canary({ ...vetoed, metrics: [custom] }));
    expect(alone.metrics.at(-1)).toMatchObject({ metric: 'lag', isCounted: false });
    expect(alone.metrics.at(-1)?.says).toContain('It is a veto');
    expect(ruleOf(alone, 'judge')?.good.isPromised).toBe(true);
  });
});

describe('threshold', () => {
  const flagger = { interval: '10s', threshold: 2, metrics: [success(99)] };

  test("a manifest of Flagger's: with guard, with checks alone, and in Flagger", async () => {
    const plan = await planned(canary(flagger), '--failing', '0.5', '--scrape', '2s');
    expect(plan.mode).toBe('threshold');
    expect(plan.rules.map(({ rule }) => rule)).toEqual(['thresholdWithGuard', 'threshold', 'flagger']);
    expect(ruleOf(plan, 'flagger')?.bad[1]).toMatchObject({ seconds: 30, by: 'checks' });
    expect(ruleOf(plan, 'flagger')?.bad[1]?.failedRequests).toBeCloseTo(149, 0);
    expect(ruleOf(plan, 'threshold')?.bad[1]?.seconds).toBe(20);
    const guarded = ruleOf(plan, 'thresholdWithGuard')?.bad[1];
    expect(guarded).toMatchObject({ seconds: 4, by: 'guard' });
    expect(guarded?.failedRequests).toBeLessThan(150 / 4);
    expect(plan.problems.join()).toMatch(/By chance alone about \d+ % of good releases are rolled back/);
    expect(plan.problems.join()).toContain('With judge.mode: compare');
  });

  test('the guard covers built-in metrics, and no template', async () => {
    const metrics = [
      success(99),
      { name: 'request-duration', thresholdRange: { max: 500 } },
      { name: 'lag', templateRef: { name: 'lag' }, thresholdRange: { max: 3 } },
    ];
    const says = async (judge: object) => {
      const plan = await planned(canary({ ...flagger, metrics, judge }));
      return plan.metrics.map(({ metric, isCounted, says }) => [metric, isCounted, says]);
    };
    expect(await says({})).toEqual([
      ['request-success-rate', true, 'is guarded: at most 1 % of requests may fail'],
      [
        'request-duration',
        true,
        expect.stringContaining('longer than 500 ms, rounded up to the next bucket'),
      ],
      ['lag', false, expect.stringContaining('has no guard')],
    ]);
    expect((await says({ guard: { enabled: false } }))[0]).toEqual([
      'request-success-rate',
      false,
      expect.stringContaining('the guard is off'),
    ]);
    const off = await planned(canary({ ...flagger, judge: { guard: { enabled: false } } }));
    expect(off.rules.map(({ rule }) => rule)).toEqual(['threshold', 'flagger']);
  });

  test('what a threshold cannot see, or sees by luck', async () => {
    const problemsOf = async (analysis: object, ...flags: string[]) =>
      (await planned(canary({ ...flagger, ...analysis }), ...flags)).problems.join('\n');
    expect(await problemsOf({ metrics: [] })).toContain('There is no metric');
    expect(
      await problemsOf({ metrics: [{ name: 'request-duration', thresholdRange: { max: 500 } }] }),
    ).toContain('No metric has a bound on failed requests');
    expect(await problemsOf({}, '--failing', '2')).toContain(
      'The primary itself fails 2 % of its requests, more than the 1 % that request-success-rate allows',
    );
    expect(await problemsOf({}, '--rps', '0.1')).toContain('see no request at all');
    expect(await problemsOf({}, '--rps', '1')).toContain(
      'The guard waits for 10 canary requests, which take 100 s',
    );
    expect(await problemsOf({ stepWeights: undefined, iterations: 4 })).toContain(
      'its 4 checks see only what you send',
    );
    expect(await problemsOf({ interval: '60s', threshold: 5 })).toBe('');
  });

  test('blue/green passes its checks before there is traffic', async () => {
    const plan = await planned(canary({ ...flagger, stepWeights: undefined, iterations: 4 }));
    expect(plan.steps).toEqual([
      { weightPercent: 0, seconds: 40 },
      { weightPercent: 100, seconds: 10 },
    ]);
    expect(ruleOf(plan, 'threshold')?.good.seconds).toBeCloseTo(50, 0);
  });
});

describe('slo', () => {
  test('plans against the bound of the manifest', async () => {
    const analysis = { metrics: [success(99)], judge: { mode: 'slo', promotionMargin: 1 } };
    const plan = await planned(canary(analysis), '--failing', '0.2');
    expect(plan.mode).toBe('slo');
    expect(ruleOf(plan, 'judge')?.bad[1]).toMatchObject({ caughtShare: 1, by: 'judge' });
    expect(ruleOf(plan, 'flagger')?.checks?.isAssumed).toBe(false);
    const beyond = await planned(canary(analysis), '--failing', '2');
    expect(beyond.problems.join()).toContain('more than the bound of 1 %');
  });

  test('needs one, and of latency alone nothing can be planned', async () => {
    const { code, err } = await run(stringify(canary({ judge: { mode: 'slo' } })), '--rps', '50');
    expect([code, err]).toEqual([
      2,
      expect.stringContaining('spec.analysis.metrics must have a built-in metric'),
    ]);
    const metrics = [{ name: 'request-duration', thresholdRange: { max: 500 } }];
    const plan = await planned(canary({ metrics, judge: { mode: 'slo' } }));
    expect(plan.problems.join()).toContain('slo has no bound on failed requests');
    expect(ruleOf(plan, 'judge')?.good.seconds).toBeNull();
  });
});

describe('files', () => {
  test('YAML with other objects, several Canaries, Lists and a missing namespace', async () => {
    const { metadata: _metadata, ...rest } = canary({ threshold: 3 }) as { metadata: object };
    const list = { apiVersion: 'v1', kind: 'List', items: [canary({}), { kind: 'Service' }] };
    const other = { ...rest, apiVersion: 'flagger.app/v1beta1', metadata: { name: 'api' } };
    const text = [
      '# nothing',
      stringify({ apiVersion: 'v1', kind: 'Service' }),
      stringify(list),
      stringify(other),
    ];
    const { code, out, err } = await run(text.join('---\n'), '--rps', '50', '--json');
    expect([code, err]).toEqual([0, '']);
    const { canaries } = JSON.parse(out) as { canaries: CanaryPlan[] };
    expect(canaries.map(({ namespace, name, mode }) => [namespace, name, mode])).toEqual([
      ['shop', 'web', 'compare'],
      ['default', 'api', 'threshold'],
    ]);
  });

  test.each([
    ['a: [', 'document 1 is neither YAML nor JSON'],
    ['just words', 'document 1 is not an object with apiVersion and kind'],
    ['', 'there is no Canary in it'],
    [stringify({ apiVersion: 'v1', kind: 'Service' }), 'there is no Canary in it'],
    [
      stringify({ ...canary({}), apiVersion: 'example.org/v1' }),
      'Canary web: apiVersion must be of the group serin.dev',
    ],
    [stringify(canary({ interval: '5 minutes' })), 'Canary web: spec.analysis.interval must be a duration'],
    [
      stringify(canary({ judge: { guard: { requests: 0 } } })),
      'Canary web: spec.analysis.judge.guard.requests',
    ],
    [stringify({ ...canary({}), metadata: {} }), 'a Canary without a name: metadata.name is required'],
  ])('case %# is refused with its field', async (text, sentence) => {
    const { code, out, err } = await run(text, '--rps', '50');
    expect([code, out]).toEqual([2, '']);
    expect(err).toContain(`serin: standard input: ${sentence}`);
  });

  test('mean what they mean to kubectl: a bare off is false', async () => {
    const manifest = (off: string) =>
      stringify(canary({ judge: { guard: { enabled: 'OFF' } } }))
        .replace('"OFF"', off)
        .replace('OFF', off);
    const { code, err } = await run(manifest('"off"'), '--rps', '50');
    expect([code, err]).toEqual([2, expect.stringContaining('spec.analysis.judge.guard.enabled')]);
    expect((await run(manifest('off'), '--rps', '50')).code).toBe(0);
  });

  test('one that cannot be used does not hide the others', async () => {
    const bad = canary({ interval: 'x' });
    const { code, out, err } = await run(
      [canary({}), bad].map(one => stringify(one)).join('---\n'),
      '--rps',
      '1',
    );
    expect(code).toBe(2);
    expect(out).toContain('shop/web: compare');
    expect(err).toContain('spec.analysis.interval');
  });

  test('are read from disk, or said to be missing', async () => {
    const path = join(folder, 'web.json');
    writeFileSync(path, JSON.stringify(canary({})));
    expect(JSON.parse(await systemConsole.read(path))).toEqual(canary({}));
    await expect(systemConsole.read(join(folder, 'none'))).rejects.toThrow('there is no such file');
    await expect(systemConsole.read(folder)).rejects.toThrow('it is a folder');
    writeFileSync(path, ' '.repeat(5 * 1024 * 1024));
    await expect(systemConsole.read(path)).rejects.toThrow('more than 4194304 bytes');
  });
});

describe('flags', () => {
  test.each([
    [[], "required option '--rps <n>'"],
    [['--rps', 'many'], 'Expected a number from 0'],
    [['--rps', '1', '--failing', '101'], 'Expected a number from 0 to 100'],
    [['--rps', '1', '--scrape', '15'], 'Expected a duration from 1s to 1h'],
    [['--rps', '1', '--nothing'], "unknown option '--nothing'"],
  ])('%j is refused', async (flags, sentence) => {
    const { code, err } = await run(stringify(canary({})), ...flags);
    expect(code).toBe(2);
    expect(err).toContain(sentence);
  });

  test('help is no error, and an unknown verb is one', async () => {
    expect(await run('', '--help')).toMatchObject({ code: 0, out: expect.stringContaining('--failing') });
    const said: string[] = [];
    const console = { read: async () => '', out: () => {}, err: (text: string) => void said.push(text) };
    expect(await runCli(['explode'], console)).toBe(2);
    expect(said.join('')).toContain("unknown command 'explode'");
  });
});

describe('the table', () => {
  test('has a column for each rule, and every line of it as much as the head', async () => {
    const text = stringify(canary({ interval: '10s', threshold: 2, metrics: [success(99)] }));
    const { out } = await run(text, '--rps', '50', '--failing', '0.5');
    const lines = out.split('\n');
    const head = lines.findIndex(line => line.includes('A release that'));
    expect(lines[head]).toMatch(/Serin, with guard +Serin, checks only +Flagger's rule/);
    const column = lines[head]?.indexOf("Flagger's rule") ?? 0;
    for (const line of lines.slice(head + 2, head + 8)) expect(line.slice(column - 3, column)).toBe('   ');
    expect(out).toContain('Checks: every 10 s, 2 failed checks, success of at least 99 %.');
    expect(out).toContain('At the worst that is 20 s of a total outage, and one interval more in Flagger.');
    expect(out).not.toMatch(/NaN|Infinity|undefined|null/);
  });
});

describe('the guide', () => {
  const guide = readFileSync(join(import.meta.dirname, '../docs/judging.md'), 'utf8');

  test('shows what the plan of its manifest prints', async () => {
    const [, flags = '', manifest = '', printed = ''] =
      /serin plan web\.yaml (.*)\n[\s\S]*?<!-- plan: web\.yaml -->\n```yaml\n([\s\S]*?)```\n\n```\n([\s\S]*?)```/.exec(
        guide,
      ) ?? [];
    const { code, out } = await run(manifest, ...flags.split(' '));
    expect([code, out.trimEnd()]).toEqual([0, printed.trimEnd()]);
  });

  test('has every setting, with its default', () => {
    const [, table = ''] = /## Settings([\s\S]*?)\n## /.exec(guide) ?? [];
    const rows = [...table.matchAll(/^\| `([\w.]+)` \| ([^|]+) \|/gm)];
    const given = rows.map(([, field = '', text = '']) => {
      const value = text.trim().replaceAll('`', '').replace(' pp', '');
      if (value === 'true') return { field, value: true };
      return { field, value: Number.isNaN(Number(value)) ? value : Number(value) };
    });
    const settings = (analysis: object) => {
      const decoded = decodeCanary(canary(analysis));
      if (!decoded.ok) throw new Error(JSON.stringify(decoded.problems));
      return settingsOf(decoded.canary, { drainMs: 0 });
    };
    for (const { field, value } of given) {
      // What they are by default depends on the manifest and on the traffic.
      if (field === 'mode' || field === 'promotionMargin') continue;
      const [outer = '', inner] = field.split('.');
      const analysis = inner === undefined ? {} : { metrics: [success(99)] };
      const judge = { [outer]: inner === undefined ? value : { [inner]: value } };
      expect(settings({ ...analysis, judge }), field).toEqual(settings(analysis));
    }
    const { guard, ...others } = judgeSchema.shape;
    const fields = [
      ...Object.keys(others),
      ...Object.keys(guard.unwrap().shape).map(inner => `guard.${inner}`),
    ];
    expect(new Set(given.map(({ field }) => field))).toEqual(new Set(fields));
  });
});

describe('the program', () => {
  const program = join(import.meta.dirname, 'serin.js');
  const path = join(folder, 'program.yaml');

  test('runs as one, and its exit code is that of the verb', () => {
    writeFileSync(path, stringify(canary({})));
    const out = execFileSync(process.execPath, [program, 'plan', path, '--rps', '50'], { encoding: 'utf8' });
    expect(out).toContain('shop/web: compare');
    expect(spawnSync(process.execPath, [program, 'plan', path]).status).toBe(2);
  });

  test('says which Node it needs where types are not stripped', () => {
    const { status, stderr } = spawnSync(process.execPath, ['--no-strip-types', program, 'plan', path], {
      encoding: 'utf8',
    });
    expect(status).toBe(1);
    expect(stderr).toMatch(/^serin: needs Node 24 or newer, and this is Node \d+\.\d+\.\d+\..*\n$/);
  });
});
