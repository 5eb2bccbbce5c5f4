/**
 * `serin rehearse FILE`: plays rollouts of each Canary of a file under the traffic and the failure that are described, with
 * the engine itself on a virtual clock, and prints how they ended. It asks no cluster and changes nothing.
 */
import { availableParallelism } from 'node:os';
import { InvalidArgumentError, Option } from 'commander';
import { systemClock } from '../engine/clock.ts';
import type { Incident, Latency, Traffic } from '../simulator/rehearsal/scenario.ts';
import type { Console } from './console.ts';
import { readManifests } from './manifests.ts';
import { type Rehearsal, rehearsalOf } from './rehearsal.ts';
import { rehearsalText } from './rehearsalText.ts';
import { durationText, grouped } from './text.ts';
import {
  type AddVerb,
  type ExitCode,
  FILE,
  numberFrom,
  scrapeOption,
  secondsFrom,
  wholeFrom,
} from './verb.ts';

interface Flags {
  rps: number;
  failing: number;
  canaryFailing?: number;
  latency: LatencyFlag;
  canaryLatency?: LatencyFlag;
  from?: number;
  incident?: Incident;
  pods: number;
  scrape: number;
  runs: number;
  seed: number;
  json?: true;
}

interface LatencyFlag {
  medianMs: number;
  /** Absent: that of the primary. */
  spread: number | undefined;
}

/** More requests in one interval would be no different: counts are drawn as numbers, not one by one. */
const RPS_MAX = 1e7;
/** Each is an object in memory, in every rehearsal. */
const PODS_MAX = 50;
const RUNS_MAX = 10_000;
const SEED_MAX = 2 ** 31;
const SPREAD = 3;
const LATENCY_MS_MAX = 60_000;
const LATER_MAX = '24h';

export const addRehearse: AddVerb = (program, console, end) => {
  const share = numberFrom(0, 100);
  program
    .command('rehearse')
    .description(
      'Plays rollouts under your traffic, with the engine itself and without a cluster: how often this release is rolled back, promoted or held, how soon, and what it costs, beside a fixed threshold.',
    )
    .argument(...FILE)
    .requiredOption('--rps <n>', 'requests a second of old and new together', numberFrom(0, RPS_MAX))
    .option('--failing <percent>', "share of the primary's requests that fail", share, 0.1)
    .option(
      '--canary-failing <percent>',
      "share of the canary's requests that fail (default: as the primary)",
      share,
    )
    .addOption(
      new Option(
        '--latency <ms[,spread]>',
        'median of the answers in milliseconds, and how many times as long the slowest 1 % take at least',
      )
        .argParser(latencyOf)
        .default({ medianMs: 50, spread: SPREAD }, `50,${SPREAD}`),
    )
    .option(
      '--canary-latency <ms[,spread]>',
      "the same of the canary's answers (default: as the primary)",
      latencyOf,
    )
    .option(
      '--from <duration>',
      'the canary is like the primary for so long after its first traffic',
      secondsFrom('1s', LATER_MAX),
    )
    .option(
      '--incident <from/for/percent>',
      'so long after that, for so long, this share of all requests fails, to both',
      incidentOf,
    )
    .option('--pods <n>', 'pods of each side', wholeFrom(1, PODS_MAX), 2)
    .addOption(scrapeOption())
    .option('--runs <n>', 'rollouts that are played under each rule', wholeFrom(1, RUNS_MAX), 100)
    .option('--seed <n>', 'equal seeds play equal rollouts', wholeFrom(0, SEED_MAX), 1)
    .option('--json', 'prints {"canaries": [...], "pace": {...}} for programs')
    .action(async (file: string, flags: Flags) => end(await rehearseFile(file, flags, console)));
};

async function rehearseFile(file: string, flags: Flags, console: Console): Promise<ExitCode> {
  if (flags.from !== undefined && flags.canaryFailing === undefined && flags.canaryLatency === undefined) {
    console.err(
      "serin: option '--from <duration>': expected --canary-failing or --canary-latency beside it, for what begins then.\n",
    );
    return 2;
  }
  const { canaries, problems } = await readManifests(file, console);
  const { runs, seed } = flags;
  const traffic = trafficOf(flags);
  const startedAt = systemClock.now();
  const rehearsals: Rehearsal[] = [];
  for (const canary of canaries) {
    const rehearsal = await rehearsalOf(canary, traffic, { runs, seed });
    if (typeof rehearsal === 'string') {
      problems.push(rehearsal);
      continue;
    }
    rehearsals.push(rehearsal);
    if (!flags.json) console.out(`${rehearsalText(rehearsal)}\n`);
  }
  const pace = paceOf(rehearsals, systemClock.now() - startedAt);
  if (flags.json) console.out(`${JSON.stringify({ canaries: rehearsals, pace }, undefined, 2)}\n`);
  else if (rehearsals.length > 0) console.out(paceText(pace));
  for (const problem of problems) console.err(`serin: ${problem}\n`);
  return problems.length > 0 ? 2 : 0;
}

function trafficOf(flags: Flags): Traffic {
  const { failing, latency, canaryFailing = failing, canaryLatency = latency } = flags;
  const spread = latency.spread ?? SPREAD;
  const latencyWith = (flag: LatencyFlag): Latency => ({ ...flag, spread: flag.spread ?? spread });
  return {
    rps: flags.rps,
    pods: flags.pods,
    scrapeMs: flags.scrape * 1_000,
    primary: { failing: failing / 100, latency: latencyWith(latency) },
    canary: { failing: canaryFailing / 100, latency: latencyWith(canaryLatency) },
    breaksAfterMs: (flags.from ?? 0) * 1_000,
    incident: flags.incident,
  };
}

function latencyOf(text: string): LatencyFlag {
  const [median = '', spread, ...more] = text.split(',');
  const sentence = `Expected milliseconds from 0.1 to ${LATENCY_MS_MAX}, and if you like a comma and a spread from 1.01 to 1000, such as 50,3.`;
  try {
    if (more.length > 0) throw new InvalidArgumentError(sentence);
    return {
      medianMs: numberFrom(0.1, LATENCY_MS_MAX)(median),
      spread: spread === undefined ? undefined : numberFrom(1.01, 1_000)(spread),
    };
  } catch {
    throw new InvalidArgumentError(sentence);
  }
}

function incidentOf(text: string): Incident {
  const [from = '', length = '', share = '', ...more] = text.split('/');
  const sentence = `Expected two durations up to ${LATER_MAX} and a percentage, such as 2m/30s/20.`;
  try {
    if (more.length > 0) throw new InvalidArgumentError(sentence);
    return {
      fromMs: secondsFrom('0s', LATER_MAX)(from) * 1_000,
      forMs: secondsFrom('1s', LATER_MAX)(length) * 1_000,
      failing: numberFrom(0, 100)(share) / 100,
    };
  } catch {
    throw new InvalidArgumentError(sentence);
  }
}

interface Pace {
  rehearsals: number;
  seconds: number;
  perMinute: number;
  processes: number;
}

function paceOf(rehearsals: readonly Rehearsal[], ms: number): Pace {
  const count = rehearsals.reduce((sum, { rules, runs }) => sum + rules.length * runs, 0);
  return {
    rehearsals: count,
    seconds: Number((ms / 1_000).toFixed(1)),
    perMinute: Math.round((count * 60_000) / Math.max(1, ms)),
    processes: availableParallelism(),
  };
}

function paceText({ rehearsals, seconds, perMinute, processes }: Pace): string {
  const where = processes === 1 ? 'one process' : `${processes} processes`;
  return `${grouped(rehearsals)} rehearsals in ${durationText(seconds)}: ${grouped(perMinute)} a minute in ${where}.\n`;
}
