/**
 * `serin plan FILE`: what each Canary of a file would do with good and bad releases under given traffic, before there is
 * one. It asks no cluster and changes nothing; formulas only, so that it answers at once.
 */
import { canaryPlanOf } from './canaryPlan.ts';
import { readManifests } from './manifests.ts';
import { planText } from './planText.ts';
import { type AddVerb, FILE, numberFrom, scrapeOption } from './verb.ts';

interface Flags {
  rps: number;
  failing: number;
  dispersion: number;
  scrape: number;
  json?: true;
}

export const addPlan: AddVerb = (program, console, end) => {
  program
    .command('plan')
    .description(
      'How long a good release takes under your traffic, how soon a bad one is caught and what that costs, and which settings cannot work.',
    )
    .argument(...FILE)
    .requiredOption('--rps <n>', 'requests a second of old and new together', numberFrom(0, 1e7))
    .option('--failing <percent>', "share of today's requests that fail", numberFrom(0, 100), 0.1)
    .option(
      '--dispersion <n>',
      'how much more failures vary between pods and minutes than chance would have it; 1 is none, 1.25 is what Serin assumes without a history',
      numberFrom(1, 1_000),
      1,
    )
    .addOption(scrapeOption())
    .option('--json', 'prints {"canaries": [...]} for programs')
    .action(async (file: string, flags: Flags) => {
      const { canaries, problems } = await readManifests(file, console);
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
