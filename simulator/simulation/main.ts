/**
 * `npm run simulate`: plays seeds, prints what was found, and exits with 1 if any rule was broken. A failure is shrunk
 * and told as a timeline that a person can read.
 */
import { randomInt } from 'node:crypto';
import { type Options, parseCommandLine } from './commandLine.ts';
import { describe } from './deeds.ts';
import { generatePlan } from './generate.ts';
import { printTable } from './mutations/table.ts';
import type { Plan } from './plan.ts';
import { playSeeds } from './pool.ts';
import { keepRegression } from './regressions.ts';
import { shrink } from './shrink.ts';
import { type Outcome, simulate } from './simulate.ts';
import { formatClock } from './timeline.ts';
import type { Answered } from './worker.ts';

/** Rollouts a minute that the simulation is meant to play, and on how many cores. */
const ROLLOUTS_ASKED = 1_000;
const CORES_ASKED = 2;
const CI_FIXED = { first: 1, count: 60 };
/** Both sets together; the fresh one takes what the fixed one leaves. */
const CI_MINUTES = 2;
/** On a machine that the fixed set has kept busy for longer than that. */
const CI_FRESH_MIN_MS = 15_000;
/** More than any machine plays in that time. */
const CI_FRESH_MAX = 1_000;
const SHRINK_RUNS_MAX = 300;
const SHRINK_MS = 120_000;
const LINES_TOLD = 120;
const SEEDS = 2 ** 31;

const say = (text: string) => process.stdout.write(`${text}\n`);

interface Tally {
  seeds: number;
  rollouts: number;
  requests: number;
  strikes: number;
  simulatedMs: number;
  cpuMs: number;
  failed: Answered[];
}

function count(tally: Tally, answered: Answered): void {
  tally.seeds += 1;
  tally.rollouts += answered.rollouts;
  tally.requests += answered.requests;
  tally.strikes += answered.strikes;
  tally.simulatedMs += answered.simulatedMs;
  tally.cpuMs += answered.cpuMs;
  if (answered.violation) tally.failed.push(answered);
}

/** Plays seeds until there are none, the time is over, or one has failed. */
async function playAll(seeds: Iterator<number>, endsAtMs: number, isThorough = false): Promise<Tally> {
  const tally: Tally = {
    seeds: 0,
    rollouts: 0,
    requests: 0,
    strikes: 0,
    simulatedMs: 0,
    cpuMs: 0,
    failed: [],
  };
  const startedAtMs = Date.now();
  await playSeeds({
    next() {
      if ((tally.failed.length > 0 && !isThorough) || Date.now() >= endsAtMs) return undefined;
      const { value, done } = seeds.next();
      return done ? undefined : value;
    },
    onAnswer(answered) {
      count(tally, answered);
      // A long run tells at once what it has found.
      if (isThorough && answered.violation) say(tellShortly(answered));
    },
  });
  const minutes = (Date.now() - startedAtMs) / 60_000;
  const perMinute = Math.round(tally.rollouts / minutes);
  // What the processor was given is what it would take on cores that nobody else uses.
  const onFreeCores = Math.round((tally.rollouts * CORES_ASKED) / (tally.cpuMs / 60_000));
  say(
    `${tally.seeds} seeds, ${tally.rollouts} rollouts with ${tally.strikes} faults and ${tally.requests} requests ` +
      `in ${Math.round(tally.simulatedMs / 3_600_000)} simulated hours`,
  );
  say(
    `  ${perMinute} rollouts a minute here, ${onFreeCores} by the time of the processor on ${CORES_ASKED} cores ` +
      `(asked: ${ROLLOUTS_ASKED})`,
  );
  return tally;
}

function* following(first: number, many: number): Generator<number> {
  for (let seed = first; seed < first + many; seed++) yield seed;
}

function* fresh(): Generator<number> {
  for (;;) yield randomInt(SEEDS);
}

async function tellFailure(plan: Plan, outcome: Outcome, save?: string): Promise<void> {
  const { violation } = outcome;
  if (!violation) return;
  say(
    `\nseed ${plan.seed} breaks a rule: ${violation.checker}, ${violation.canary} at ${formatClock(violation.atMs)}`,
  );
  say(`  ${violation.message}`);
  const endsAtMs = Date.now() + SHRINK_MS;
  const small = await shrink(plan, outcome, {
    runsMax: SHRINK_RUNS_MAX,
    isOver: () => Date.now() > endsAtMs,
  });
  const { items } = small.plan;
  say(`  shrunk from ${plan.items.length} to ${items.length} items in ${small.runs} runs`);
  for (const item of items)
    say(
      `    ${formatClock(item.atMs)} ${describe(item, 'canary' in item ? plan.canaries[item.canary] : undefined)}`,
    );
  say(`  timeline ${small.outcome.hash}, its last lines:`);
  for (const line of small.outcome.lines.slice(-LINES_TOLD)) say(`    ${line.slice(0, 400)}`);
  if (save) {
    keepRegression(save, small.plan);
    say(`  kept as regressions/${save}.json`);
  }
  say(`  replay: npm run simulate -- --seed ${plan.seed} --only ${items.map(item => item.id).join(',')}`);
}

/** One seed in this process, so that a debugger can be attached. */
async function playOne(options: Options, seed: number): Promise<number> {
  const whole = generatePlan(seed);
  const plan = options.only
    ? { ...whole, items: whole.items.filter(item => options.only?.includes(item.id)) }
    : whole;
  const outcome = await simulate(plan);
  if (options.isTold) for (const line of outcome.lines) say(line);
  say(
    `seed ${seed}: timeline ${outcome.hash}, ${outcome.rollouts} rollouts, ${plan.items.length} items, ` +
      `${Math.round(outcome.simulatedMs / 60_000)} simulated minutes`,
  );
  for (const [cause, requests] of outcome.failedRequests)
    say(`  failed requests, ${cause}: ${Math.round(requests)}`);
  if (!outcome.violation) return 0;
  await tellFailure(plan, outcome, options.save);
  return 1;
}

function tellShortly({ seed, violation }: Answered): string {
  return `${seed}: ${violation?.checker} ${violation?.canary} ${violation?.message}`;
}

async function tellFirst(tally: Tally): Promise<number> {
  const [first] = tally.failed;
  if (!first) return 0;
  say(`seeds that break a rule: ${tally.failed.map(one => one.seed).join(', ')}`);
  for (const failed of tally.failed) say(`  ${tellShortly(failed)}`);
  const plan = generatePlan(first.seed);
  await tellFailure(plan, await simulate(plan));
  return 1;
}

async function runCi(): Promise<number> {
  const endsAtMs = Date.now() + CI_MINUTES * 60_000;
  say(`fixed seeds ${CI_FIXED.first} to ${CI_FIXED.first + CI_FIXED.count - 1}:`);
  const fixed = await playAll(following(CI_FIXED.first, CI_FIXED.count), Number.POSITIVE_INFINITY);
  if (fixed.failed.length > 0) return await tellFirst(fixed);
  const first = randomInt(SEEDS);
  // Said before they are played: whatever happens to this process, they can be played again.
  say(`fresh seeds from ${first} on (again: npm run simulate -- --seed ${first} --count ${CI_FRESH_MAX}):`);
  const freshEndsAtMs = Math.max(endsAtMs, Date.now() + CI_FRESH_MIN_MS);
  return await tellFirst(await playAll(following(first, CI_FRESH_MAX), freshEndsAtMs));
}

async function run(options: Options): Promise<number> {
  if (options.isMutations) {
    const { mutations: names, isQuick } = options;
    return (await printTable({ names, isQuick, say })) > 0 ? 1 : 0;
  }
  if (options.isCi) return await runCi();
  if (options.minutes !== undefined)
    return await tellFirst(await playAll(fresh(), Date.now() + options.minutes * 60_000, options.isThorough));
  if (options.seed !== undefined && options.count === 1) return await playOne(options, options.seed);
  const seeds = options.seed === undefined ? fresh() : following(options.seed, options.count);
  return await tellFirst(
    await playAll(take(seeds, options.count), Number.POSITIVE_INFINITY, options.isThorough),
  );
}

function* take(seeds: Iterator<number>, many: number): Generator<number> {
  for (let taken = 0; taken < many; taken++) {
    const { value, done } = seeds.next();
    if (done) return;
    yield value;
  }
}

const parsed = parseCommandLine(process.argv.slice(2));
if (parsed.ok) process.exitCode = await run(parsed.options);
else {
  process.stderr.write(`simulate: ${parsed.message}\n`);
  process.exitCode = 2;
}
