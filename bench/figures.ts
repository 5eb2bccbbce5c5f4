/** What a benchmark reports: figures beside what was asked for, as rows of one table. It asserts nothing; a figure that falls short is printed as it is. */

export interface Figure {
  benchmark: string;
  /** What was measured, from which moment to which. */
  what: string;
  /** The bound as a person reads it; empty when none was asked for. */
  asked: string;
  reached: string;
  /** Undefined where nothing was asked for. */
  isMet: boolean | undefined;
}

/** A figure with an upper bound, in one unit. */
export function atMost(
  benchmark: string,
  what: string,
  reached: number,
  bound: number | undefined,
  unit = '',
): Figure {
  const written = (value: number) => `${round(value)}${unit ? ` ${unit}` : ''}`;
  return {
    benchmark,
    what,
    asked: bound === undefined ? '' : bound === 0 ? written(0) : `<= ${written(bound)}`,
    reached: written(reached),
    isMet: bound === undefined ? undefined : reached <= bound,
  };
}

export function noted(benchmark: string, what: string, reached: string): Figure {
  return { benchmark, what, asked: '', reached, isMet: undefined };
}

/** Three digits after the point below 10, none above 100: more would claim a precision that no run repeats. */
function round(value: number): string {
  const digits = Number.isInteger(value) ? 0 : value < 10 ? 3 : value < 100 ? 1 : 0;
  return value.toFixed(digits);
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}

export function greatest(values: readonly number[]): number {
  return values.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
}

/** A Markdown table, so that it can be pasted. */
export function tableOf(figures: readonly Figure[]): string {
  const rows = figures.map(figure => [
    figure.benchmark,
    figure.what,
    figure.asked,
    figure.reached,
    figure.isMet === undefined ? '' : figure.isMet ? 'yes' : 'NO',
  ]);
  const all = [['benchmark', 'figure', 'asked', 'reached', 'met'], ...rows];
  const widths = [0, 1, 2, 3, 4].map(column => greatest(all.map(row => (row[column] ?? '').length)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  const rule = `|${widths.map(width => '-'.repeat(width + 2)).join('|')}|`;
  return [line(all[0] ?? []), rule, ...rows.map(line)].join('\n');
}
