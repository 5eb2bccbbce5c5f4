/** What a verb of the command line is: it adds itself to the program, and answers with an exit code. One file for each. */
import { type Command, InvalidArgumentError } from 'commander';
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
