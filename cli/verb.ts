/** What a verb of the command line is: it adds itself to the program, and answers with an exit code. One file for each. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { durationMs } from '../engine/api/duration.ts';
import type { Console } from './console.ts';

/** 0: done, with warnings perhaps. 2: what was given cannot be used, and standard error says why. */
export type ExitCode = 0 | 2;

/** @param end takes the exit code of a verb that was called */
export type AddVerb = (program: Command, console: Console, end: (code: ExitCode) => void) => void;

/** Reads a number of a flag; commander adds the name of the flag to what is expected. */
export function numberFrom(least: number, most: number): (text: string) => number {
  return text => {
    const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(`Expected a number from ${least} to ${most}.`);
  };
}

export function wholeFrom(least: number, most: number): (text: string) => number {
  return text => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(`Expected a whole number from ${least} to ${most}.`);
  };
}

/** Reads a duration as manifests have them, e.g. `1m30s`, as seconds; the bounds are written the same way. */
export function secondsFrom(least: string, most: string): (text: string) => number {
  const ms = (text: string) => durationMs(text) ?? Number.NaN;
  return text => {
    if (ms(text) >= ms(least) && ms(text) <= ms(most)) return ms(text) / 1_000;
    throw new InvalidArgumentError(`Expected a duration from ${least} to ${most}, such as 15s.`);
  };
}

/** The argument of verbs that read manifests. */
export const FILE = [
  '<file>',
  'manifests with at least one Canary, YAML or JSON; - is standard input',
] as const;

export function scrapeOption(): Option {
  return new Option('--scrape <duration>', 'how often your metrics have new data')
    .argParser(secondsFrom('1s', '1h'))
    .default(5, '5s');
}
