/** Times, numbers and tables as text, for every verb. */

export type Row = readonly string[];

/** `45 s`, `1 min 35 s`, `2 h 5 min`; two units at most, because more would claim a precision that no mean has. */
export function durationText(seconds: number): string {
  if (!Number.isFinite(seconds)) return 'for ever';
  if (seconds < 10) return `${Number(seconds.toPrecision(2))} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3_600) return joined(Math.floor(whole / 60), 'min', whole % 60, 's');
  const minutes = Math.round(whole / 60);
  return joined(Math.floor(minutes / 60), 'h', minutes % 60, 'min');
}

function joined(greater: number, unit: string, rest: number, restUnit: string): string {
  return rest === 0 ? `${greater} ${unit}` : `${greater} ${unit} ${rest} ${restUnit}`;
}

/** Lines of which each column begins at the same place; the first row is the head, and underlined. */
export function tableText(rows: readonly Row[]): string[] {
  const columns = Math.max(0, ...rows.map(row => row.length));
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(...rows.map(row => (row[column] ?? '').length)),
  );
  const line = (row: Row) =>
    `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('   ')}`.trimEnd();
  const [head = [], ...body] = rows;
  return [line(head), line(widths.map(width => '-'.repeat(width))), ...body.map(line)];
}

/** A list under its title, with an empty line before it; nothing at all without lines. */
export function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ['', title, ...lines.map(line => `  - ${line}`)];
}

export function percent(share: number): string {
  const value = share * 100;
  if (value === 0) return '0 %';
  return value < 0.01 ? 'less than 0.01 %' : `${Number(value.toPrecision(2))} %`;
}

/** With commas between thousands. */
export function grouped(value: number): string {
  const [whole = '', part] = String(Number(value.toPrecision(6))).split('.');
  return `${whole.replace(/\B(?=(\d{3})+$)/g, ',')}${part === undefined ? '' : `.${part}`}`;
}

/** What the rules are called that plans and rehearsals put beside each other. */
export const RULE_TITLES = {
  judge: "Serin's judge",
  thresholdWithGuard: 'Serin, with guard',
  threshold: 'Serin, checks only',
  flagger: "Flagger's rule",
  fixedThreshold: 'Fixed threshold',
} as const;
