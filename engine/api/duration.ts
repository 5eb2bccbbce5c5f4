/**
 * Durations as users type them: Go's notation, which Kubernetes, Prometheus and CEL read alike (`90s`, `1m30s`, `1.5h`).
 * Negative durations and units above the hour do not exist here.
 */

/** RE2-safe; the same text stands in the rules of the CRDs. */
export const DURATION_PATTERN = '^([0-9]+(\\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$';

/** Longest text that is read as a duration; keeps the cost of the CEL rules bounded. */
export const DURATION_CHARACTERS_MAX = 32;

const whole = new RegExp(DURATION_PATTERN);
const part = /([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|s|m|h)/g;

const MS_PER_UNIT: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
};

/** Milliseconds, possibly fractional; undefined when the text is not a duration. */
export function durationMs(text: string): number | undefined {
  if (text.length > DURATION_CHARACTERS_MAX || !whole.test(text)) return undefined;
  let totalMs = 0;
  for (const [, amount, unit] of text.matchAll(part))
    totalMs += Number(amount) * (MS_PER_UNIT[unit ?? ''] ?? 0);
  return totalMs;
}
