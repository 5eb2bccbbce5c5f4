/**
 * `serin plan FILE`: what each Canary of a file would do with good and bad releases under given traffic, before there is
 * one. It asks no cluster and changes nothing; formulas only, so that it answers at once.
 */
import { InvalidArgumentError, Option } from 'commander';
import { durationMs } from '../engine/api/duration.ts';
import { canaryPlanOf } from './canaryPlan.ts';
import { manifestsIn } from './manifests.ts';
import { planText } from './planText.ts';
import { type AddVerb, numberFrom } from './verb.ts';

interface Flags {
  rps: number;
  failing: number;
  dispersion: number;
  scrape: number;
  json?: true;
}

const SCRAPE_SECONDS_MIN = 1;
const SCRAPE_SECONDS_MAX = 3_600;

export const addPlan: AddVerb = (program, console, end) => {
  program
    .command('plan')
    .description(
      'How long a good release takes under your traffic, how soon a bad one is caught and what that costs, and which settings cannot work.',
    )
    .argument('<file>', 'manifests with at least one Canary, YAML or JSON; - is standard input')
    .requiredOption('--rps <n>', 'requests a second of old and new together', numberFrom(0, 1e7))
    .option('--failing <percent>', "share of today's requests that fail", numberFrom(0, 100), 0.1)
    .option(
      '--dispersion <n>',
      'how much more failures vary between pods and minutes than chance would have it; 1 is none, 1.25 is what Serin assumes without a history',
      numberFrom(1, 1_000),
      1,
    )
    .addOption(
      new Option('--scrape <duration>', 'how often your metrics have new data')
        .argParser(secondsOf)
        .default(5, '5s'),
    )
    .option('--json', 'prints {"canaries": [...]} for programs')
    .action(async (file: string, flags: Flags) => {
      const source = file === '-' ? 'standard input' : file;
      let text: string;
      try {
        text = await console.read(file);
      } catch (error) {
        console.err(`serin: ${(error as Error).message}\n`);
        return end(2);
      }
      const { canaries, problems } = manifestsIn(text, source);
      const traffic = {
        rps: flags.rps,
        failingPercent: flags.failing,
        dispersion: flags.dispersion,
        scrapeSeconds: flags.scrape,
      };
      const plans = canaries.map(canary => canaryPlanOf(canary, traffic));
      if (flags.json) console.out(`${JSON.stringify({ canaries: plans }, undefined, 2)}\n`);
      else console.out(plans.map(planText).join('\n'));
      for (const problem of problems) console.err(`serin: ${problem}\n`);
      end(problems.length > 0 ? 2 : 0);
    });
};

function secondsOf(text: string): number {
  const seconds = (durationMs(text) ?? Number.NaN) / 1_000;
  if (seconds >= SCRAPE_SECONDS_MIN && seconds <= SCRAPE_SECONDS_MAX) return seconds;
  throw new InvalidArgumentError('Expected a duration from 1s to 1h, such as 15s.');
}
