/** Which notifiers there are, and who is told what. */
import { expect, test } from 'vitest';
import { notifierOf, notifiers, wants } from './registry.ts';
import type { Severity } from './notifier.ts';

test('each type is there once, and no other is', () => {
  expect(new Set(notifiers.map(notifier => notifier.type)).size).toBe(notifiers.length);
  expect(notifierOf('pigeon')).toBeUndefined();
});

test.each<[Severity | undefined, Severity[]]>([
  [undefined, ['info', 'warn', 'error']],
  ['info', ['info', 'warn', 'error']],
  ['warn', ['warn', 'error']],
  ['error', ['error']],
])('a receiver with severity %s is told of %j', (least, told) => {
  const all: Severity[] = ['info', 'warn', 'error'];
  expect(all.filter(severity => wants(least, severity))).toEqual(told);
});
