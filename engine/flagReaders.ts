/**
 * How a flag is described and its text read: each reader says in words what it expects, for the one line that a user gets
 * about a wrong value. Pure; what flags there are is not its matter.
 */
import { z } from 'zod';

export interface Flag<T> {
  /** What the value is called in the help; absent for a switch. */
  argument?: string;
  help: string;
  /** The default, as the user would write it. */
  fallback?: string;
  /** Environment variable that stands for the flag when it is not given. */
  env?: string;
  /** True when the value must never be repeated. */
  isSecret?: boolean;
  read: z.ZodType<T, string>;
}

type Details = Omit<Flag<never>, 'read' | 'help'>;

export function flag<T>(
  read: z.ZodType<T, string>,
  help: string,
  details: Details & { fallback: string },
): Flag<T> {
  return { read, help, ...details };
}

/** A flag that may stay away; an empty value is as none, because charts write those. */
export function optional<T>(read: z.ZodType<T, string>, help: string, details: Details): Flag<T | undefined> {
  return { read, help, ...details };
}

/** `parse` answers undefined for what is not as expected. */
export function expecting<T>(expected: string, parse: (text: string) => T | undefined): z.ZodType<T, string> {
  return z.string().transform((text, context) => {
    const value = parse(text);
    if (value !== undefined) return value;
    context.addIssue({ code: 'custom', message: `expected ${expected}` });
    return z.NEVER;
  });
}

export const text = (what: string) => expecting(what, given => given.trim() || undefined);
export const file = text('the path of a file');
export const toggle = expecting('true or false', given =>
  given === 'true' ? true : given === 'false' ? false : undefined,
);

export function whole(least: number, most: number): z.ZodType<number, string> {
  return expecting(`a whole number from ${least} to ${most}`, given => {
    const value = /^\d{1,9}$/.test(given) ? Number(given) : -1;
    return value >= least && value <= most ? value : undefined;
  });
}

export function oneOf<const T extends string>(...allowed: T[]): z.ZodType<T, string> {
  return expecting(`one of ${allowed.join(', ')}`, given => allowed.find(value => value === given));
}

export function url(what: string, protocols: readonly string[], mayHoldCredentials: boolean) {
  return expecting(what, given => {
    if (!URL.canParse(given)) return undefined;
    const { protocol, hostname, username, password } = new URL(given);
    if (!protocols.includes(protocol) || hostname === '') return undefined;
    return mayHoldCredentials || (username === '' && password === '') ? given : undefined;
  });
}

export function listOf(
  pattern: { test(part: string): boolean },
  what: string,
  least: number,
): z.ZodType<string[], string> {
  return expecting(what, given => {
    const parts = given
      .split(',')
      .map(part => part.trim())
      .filter(part => part !== '');
    return parts.length >= least && parts.every(part => pattern.test(part)) ? [...new Set(parts)] : undefined;
  });
}
