/**
 * `npm run demo`: ships a good release, which is promoted, and a bad one, which is rolled back, and shows it as it
 * happens. Exits with 0 only if both ended so and no request failed but those that the bad release itself answered.
 * `--json` prints one object a line; the last is the summary.
 */
import { systemClock } from '../../engine/clock.ts';
import { type DemoWorld, startDemoWorld } from './world.ts';

const isJson = process.argv.includes('--json');
const RELEASE_DEADLINE_MS = 40_000;
const BAD_PERCENT = 40;
const LOOK_MS = 250;

interface Ended {
  phase: string;
  seconds: number;
  failedRequests: number;
}

function print(fields: Record<string, unknown>, text: string): void {
  process.stdout.write(`${isJson ? JSON.stringify(fields) : text}\n`);
}

function bar(weight: number): string {
  const filled = Math.round(weight / 5);
  return '█'.repeat(filled) + '░'.repeat(20 - filled);
}

/** Shows a release until it has ended in one of its last phases; the answer is how. */
async function follow(world: DemoWorld, name: string, version: string, errorPercent: number): Promise<Ended> {
  const startedAt = systemClock.now();
  const failedBefore = world.traffic.counts().failed;
  let told = (await world.canary()).status?.transitions?.at(-1)?.number ?? 0;
  print(
    { release: name, version, errorPercent },
    `\n── releasing ${version} (${name}: ${errorPercent} % of its answers are errors)`,
  );
  await world.release(version, errorPercent);
  let line = '';
  for (;;) {
    const { status } = await world.canary();
    for (const transition of status?.transitions ?? []) {
      if (transition.number <= told) continue;
      told = transition.number;
      print(
        { event: transition.reason, message: transition.message },
        `   ${transition.severity === 'error' ? '✖' : '•'} ${transition.message}`,
      );
    }
    const seconds = (systemClock.now() - startedAt) / 1_000;
    const failedRequests = world.traffic.counts().failed - failedBefore;
    const recent = world.traffic.recent(2_000);
    const next = `${status?.phase} ${status?.canaryWeight ?? 0}`;
    if (next !== line) {
      line = next;
      const rate = recent.requests === 0 ? 100 : (100 * (recent.requests - recent.failed)) / recent.requests;
      const fields = {
        phase: status?.phase,
        canaryWeight: status?.canaryWeight ?? 0,
        successRate: rate,
        p99Ms: recent.p99Ms,
        failedRequests,
      };
      const weight = String(status?.canaryWeight ?? 0).padStart(3);
      print(
        fields,
        `   ${bar(status?.canaryWeight ?? 0)} ${weight} %  ${String(status?.phase).padEnd(12)} success ${rate.toFixed(1)} %  p99 ${(recent.p99Ms ?? 0).toFixed(0)} ms  failed ${failedRequests}`,
      );
    }
    const isOver =
      (status?.phase === 'Succeeded' || status?.phase === 'Failed') &&
      status?.lastAppliedSpec === status?.run?.revision &&
      isOf(status, startedAt);
    if (isOver) return { phase: status.phase, seconds: Number(seconds.toFixed(1)), failedRequests };
    if (systemClock.now() - startedAt > RELEASE_DEADLINE_MS)
      return { phase: status?.phase ?? 'unknown', seconds, failedRequests };
    await systemClock.sleep(LOOK_MS);
  }
}

/** The run that the status speaks of began after this release, not before it. */
function isOf(status: any, startedAt: number): boolean {
  return Date.parse(status.run?.startedAt ?? '') >= startedAt;
}

const world = await startDemoWorld(() => {});
let exitCode = 1;
try {
  print({ step: 'adopting' }, '── adopting Deployment web: primary copy, Services, TrafficSplit at 100/0');
  const deadline = systemClock.now() + RELEASE_DEADLINE_MS;
  while ((await world.canary()).status?.phase !== 'Initialized') {
    if (systemClock.now() > deadline)
      throw new Error(`adoption did not end: ${JSON.stringify((await world.canary()).status)}`);
    await systemClock.sleep(LOOK_MS);
  }
  const good = await follow(world, 'good', 'v2', 0);
  const bad = await follow(world, 'bad', 'v3', BAD_PERCENT);
  const counts = await world.traffic.stop();
  const foreign = counts.failed - (counts.failedBy.release['v3'] ?? 0);
  const isRight = good.phase === 'Succeeded' && bad.phase === 'Failed' && foreign === 0;
  exitCode = isRight ? 0 : 1;
  const summary = { good, bad, totalRequests: counts.total };
  print(
    { summary },
    `\n   good: ${good.phase} after ${good.seconds} s, ${good.failedRequests} failed requests\n   bad:  ${bad.phase} after ${bad.seconds} s, ${bad.failedRequests} failed requests, all answered by v3 itself\n   ${counts.total} requests in all, ${foreign} failed for any other reason`,
  );
} finally {
  await world.stop();
}
process.exit(exitCode);
