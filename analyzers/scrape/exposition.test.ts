/** The text format: what is read, whatever pieces it comes in, and what is refused. */
import fc from 'fast-check';
import { Counter, Histogram, Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { createExpositionReader, ExpositionError, LINE_CHARACTERS_MAX } from './exposition.ts';

type Read = [string, Record<string, string>, number];

function read(pieces: readonly string[], wants: (name: string) => boolean = () => true): Read[] {
  const samples: Read[] = [];
  const reader = createExpositionReader(wants, ({ name, labels, value }) =>
    samples.push([name, Object.fromEntries(labels), value]),
  );
  for (const piece of pieces) reader.push(piece);
  reader.end();
  return samples;
}

test.each<[string, string, Read[]]>([
  ['a value', 'up 1\n', [['up', {}, 1]]],
  ['without a last line end', 'up 1', [['up', {}, 1]]],
  ['with a timestamp', 'up{a="b"} 2.5 1700000000000\n', [['up', { a: 'b' }, 2.5]]],
  [
    'comments, empty lines and blanks',
    '# HELP up x\n#\n\n \t\n  up\t{ a = "b" , }  3e2  \n',
    [['up', { a: 'b' }, 300]],
  ],
  ['escapes', 'm{a="\\\\ \\" \\n \\x",b="}{,# "} 1\n', [['m', { a: '\\ " \n \\x', b: '}{,# ' }, 1]]],
  ['no label in braces', 'm{} -4\n', [['m', {}, -4]]],
  [
    'infinities',
    'a +Inf\nb -Inf\nc inf\n',
    [
      ['a', {}, Infinity],
      ['b', {}, -Infinity],
      ['c', {}, Infinity],
    ],
  ],
  ['NaN', 'a NaN\n', [['a', {}, Number.NaN]]],
  [
    'numbers as Go writes them',
    'a 1.5e-07\nb .5\nc 5.\nd +7\n',
    [
      ['a', {}, 1.5e-7],
      ['b', {}, 0.5],
      ['c', {}, 5],
      ['d', {}, 7],
    ],
  ],
  [
    'line ends of Windows',
    'a 1\r\nb 2\r\n',
    [
      ['a', {}, 1],
      ['b', {}, 2],
    ],
  ],
  [
    'an exemplar, and the end of OpenMetrics',
    'a_bucket{le="1"} 3 # {trace_id="x"} 0.5 1.7\n# EOF\n',
    [['a_bucket', { le: '1' }, 3]],
  ],
  ['names in quotes are not ours', '{"my.metric",a="b"} 1\nup 1\n', [['up', {}, 1]]],
  ['colons in names', 'job:up:sum 1\n', [['job:up:sum', {}, 1]]],
  ['nothing at all', '', []],
])('%s', (_name, text, samples) => {
  expect(read([text])).toEqual(samples);
  expect(read(text.split(''))).toEqual(samples);
});

test.each([
  '<html><body>login</body></html>',
  'login please\n',
  'up{a="b} 1\n',
  'up{a=b} 1\n',
  'up{a="b" c="d"} 1\n',
  'up{="b"} 1\n',
  'up{a="b"\n',
  'up one\n',
  'up 0x10\n',
  'up 1 now\n',
  'up\n',
  '1up 1\n',
])('%j is not the format, and is not repeated', text => {
  let problem: unknown;
  try {
    expect(read([text])).toEqual([]);
  } catch (error) {
    problem = error;
  }
  expect(problem).toBeInstanceOf(ExpositionError);
  expect((problem as Error).message).toMatch(/^not the text format of Prometheus: line 1, expected [^<>]+$/);
});

test('what is not wanted is not looked into, but must be a sample', () => {
  const wants = (name: string) => name === 'b';
  expect(read(['a{broken="} 1\nb 2\na{x="}"} NaN\na 3 17\n'], wants)).toEqual([['b', {}, 2]]);
  expect(() => read(['a sentence\n'], wants)).toThrow('line 1, expected a value');
});

test('a body without line ends is given up', () => {
  expect(() => read(['a'.repeat(LINE_CHARACTERS_MAX + 1)])).toThrow('line 1 is longer than 64 Ki characters');
});

const escape = (value: string) =>
  value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
const arbitraryLine = fc
  .record({
    name: fc.stringMatching(/^[a-zA-Z_:][a-zA-Z0-9_:]{0,9}$/),
    labels: fc.dictionary(
      fc.stringMatching(/^[a-zA-Z_][a-zA-Z0-9_]{0,9}$/),
      fc.string({ unit: 'binary', maxLength: 12 }),
      { maxKeys: 4, noNullPrototype: true },
    ),
    value: fc.oneof(fc.double(), fc.constantFrom(Number.NaN, Infinity, -Infinity, 0)),
    timestamp: fc.option(fc.integer({ min: 0, max: 2 ** 41 }), { nil: undefined }),
    before: fc.constantFrom('', '# HELP x y\n', '\n', '  '),
  })
  .map(({ name, labels, value, timestamp, before }) => {
    const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escape(text)}"`);
    const number = Number.isFinite(value)
      ? String(value)
      : Number.isNaN(value)
        ? 'NaN'
        : value > 0
          ? '+Inf'
          : '-Inf';
    const line = `${before}${name}{${pairs.join(',')}} ${number}${timestamp === undefined ? '' : ` ${timestamp}`}\n`;
    return { line, sample: [name, labels, value === 0 ? Number(number) : value] satisfies Read };
  });

test('reads back what was written, wherever it is cut', () => {
  fc.assert(
    fc.property(fc.array(arbitraryLine, { maxLength: 8 }), fc.array(fc.nat(400)), (lines, cuts) => {
      const text = lines.map(one => one.line).join('');
      const bounds = [0, ...cuts.map(cut => Math.min(cut, text.length)).sort((a, b) => a - b), text.length];
      const pieces = bounds.slice(1).map((bound, index) => text.slice(bounds[index], bound));
      expect(read(pieces)).toEqual(lines.map(one => one.sample));
    }),
  );
});

test('never fails but by its own error, whatever comes', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary' })), pieces => {
      try {
        read(pieces);
      } catch (error) {
        expect(error).toBeInstanceOf(ExpositionError);
      }
    }),
  );
});

test('reads what the client library of Node writes', async () => {
  const registry = new Registry();
  const requests = new Counter({
    name: 'http_requests_total',
    help: 'x "y"',
    labelNames: ['code', 'path'],
    registers: [registry],
  });
  const durations = new Histogram({
    name: 'http_request_duration_seconds',
    help: 'x',
    buckets: [0.1, 1],
    registers: [registry],
  });
  requests.inc({ code: '200', path: '/a"\\\n' }, 3);
  durations.observe(0.5);
  const samples = read([await registry.metrics()]);
  expect(samples).toContainEqual(['http_requests_total', { code: '200', path: '/a"\\\n' }, 3]);
  expect(samples).toContainEqual(['http_request_duration_seconds_bucket', { le: '0.1' }, 0]);
  expect(samples).toContainEqual(['http_request_duration_seconds_bucket', { le: '+Inf' }, 1]);
});
