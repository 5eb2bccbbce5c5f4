/**
 * Reads Prometheus's text format as it arrives, in pieces cut anywhere, and hands on the samples that somebody wants. It
 * keeps at most one unfinished line, never the body, and looks at no more of an unwanted line than tells that it is one.
 */

export interface Sample {
  name: string;
  labels: ReadonlyMap<string, string>;
  /** May be NaN or an infinity: the format allows both. */
  value: number;
}

/** The body is not in the format, or not usable. The message holds no text of the body. */
export class ExpositionError extends Error {
  override readonly name = 'ExpositionError';
}

export interface ExpositionReader {
  /** Throws ExpositionError. */
  push(text: string): void;
  /** The body is over: a last line without its end counts too. Throws ExpositionError. */
  end(): void;
}

/** Linkerd's longest lines have about 1,000 characters; a body without any line end is not metrics. */
export const LINE_CHARACTERS_MAX = 64 * 1024;

const METRIC_NAME = /[a-zA-Z_:][a-zA-Z0-9_:]*/y;
const LABEL_NAME = /[a-zA-Z_][a-zA-Z0-9_]*/y;
const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;
const SPECIAL = /^([+-]?)(?:(inf|infinity)|nan)$/i;
/** What a value may begin with: digits, signs, NaN and Inf. */
const VALUE_START = /[0-9+\-.ni]/i;

/**
 * @param wants whether samples of this name are to be read at all
 * @param take gets each of them, in the order of the body
 */
export function createExpositionReader(
  wants: (name: string) => boolean,
  take: (sample: Sample) => void,
): ExpositionReader {
  let rest = '';
  let lineNumber = 0;

  function read(line: string): void {
    lineNumber++;
    const start = afterBlanks(line, 0);
    // A comment, an empty line, or a name in quotes, which is sent only to those who ask for it.
    if (start >= line.length || line[start] === '#' || line[start] === '{') return;
    const end = endOf(METRIC_NAME, line, start);
    if (end === start) throw malformed(lineNumber, 'a metric name');
    const name = line.slice(start, end);
    if (!wants(name)) {
      const at = afterBlanks(line, Math.max(end, line.lastIndexOf('}') + 1));
      if (!VALUE_START.test(line[at] ?? '')) throw malformed(lineNumber, 'a value');
      return;
    }
    const labels = new Map<string, string>();
    let at = afterBlanks(line, end);
    if (line[at] === '{') at = readLabels(line, at, labels, lineNumber);
    take({ name, labels, value: readValue(line, at, lineNumber) });
  }

  return {
    push(text) {
      const chunk = rest + text;
      let start = 0;
      for (let end = chunk.indexOf('\n'); end >= 0; end = chunk.indexOf('\n', start)) {
        read(chunk.slice(start, chunk[end - 1] === '\r' ? end - 1 : end));
        start = end + 1;
      }
      rest = chunk.slice(start);
      if (rest.length > LINE_CHARACTERS_MAX)
        throw new ExpositionError(
          `line ${lineNumber + 1} is longer than ${LINE_CHARACTERS_MAX / 1024} Ki characters`,
        );
    },
    end() {
      if (rest !== '') read(rest);
      rest = '';
    },
  };
}

function malformed(line: number, expected: string): ExpositionError {
  return new ExpositionError(`not the text format of Prometheus: line ${line}, expected ${expected}`);
}

function afterBlanks(line: string, from: number): number {
  let at = from;
  while (line[at] === ' ' || line[at] === '\t') at++;
  return at;
}

/** Where the match that begins at `from` ends; `from` when there is none. */
function endOf(pattern: RegExp, line: string, from: number): number {
  pattern.lastIndex = from;
  return pattern.test(line) ? pattern.lastIndex : from;
}

/** @param open index of the brace; the answer is the index after its partner */
function readLabels(line: string, open: number, labels: Map<string, string>, lineNumber: number): number {
  let at = afterBlanks(line, open + 1);
  while (line[at] !== '}') {
    const end = endOf(LABEL_NAME, line, at);
    if (end === at) throw malformed(lineNumber, 'a label name');
    const name = line.slice(at, end);
    at = afterBlanks(line, end);
    if (line[at] !== '=') throw malformed(lineNumber, '=');
    at = afterBlanks(line, at + 1);
    if (line[at] !== '"') throw malformed(lineNumber, 'a label value in quotes');
    const close = closingQuote(line, at + 1);
    if (close < 0) throw malformed(lineNumber, 'the end of a label value');
    labels.set(name, unescape(line.slice(at + 1, close)));
    at = afterBlanks(line, close + 1);
    if (line[at] === ',') at = afterBlanks(line, at + 1);
    else if (line[at] !== '}') throw malformed(lineNumber, ', or }');
  }
  return at + 1;
}

/** The first quote that is not escaped: an even number of backslashes stands before it. */
function closingQuote(line: string, from: number): number {
  for (let at = line.indexOf('"', from); at >= 0; at = line.indexOf('"', at + 1)) {
    let backslashes = 0;
    while (at - backslashes > from && line[at - backslashes - 1] === '\\') backslashes++;
    if (backslashes % 2 === 0) return at;
  }
  return -1;
}

/** Three escapes exist; a backslash before anything else stands for itself. */
function unescape(text: string): string {
  if (!text.includes('\\')) return text;
  return text.replace(/\\([\\"n])/g, (_whole, escaped: string) => (escaped === 'n' ? '\n' : escaped));
}

/** A value, perhaps a timestamp in milliseconds, perhaps an exemplar. Only the value counts: it is read now. */
function readValue(line: string, from: number, lineNumber: number): number {
  const [text = '', timestamp] = line
    .slice(from)
    .trim()
    .split(/[ \t]+/, 2);
  if (timestamp !== undefined && timestamp !== '#' && !NUMBER.test(timestamp))
    throw malformed(lineNumber, 'a timestamp');
  if (NUMBER.test(text)) return Number(text);
  const special = SPECIAL.exec(text);
  if (!special) throw malformed(lineNumber, 'a value');
  if (special[2] === undefined) return Number.NaN;
  return special[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
}
