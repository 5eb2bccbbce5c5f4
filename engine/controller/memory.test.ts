/** When the status of a canary counts as having lost its memory. */
import { expect, test } from 'vitest';
import { createStatusMemory } from './memory.ts';

const canary = (status: object | undefined, uid = 'u') => ({
  apiVersion: 'flagger.app/v1beta1',
  kind: 'Canary',
  metadata: { name: 'web', namespace: 'shop', uid },
  ...(status ? { status } : {}),
});

test('an epoch that was there and is gone: told once, and the canary is left alone until it is forgiven', () => {
  let told = 0;
  const memory = createStatusMemory(() => void told++);
  expect(memory.isLost(canary({ phase: 'Succeeded', epoch: 3 }))).toBe(false);
  for (let look = 0; look < 3; look++) expect(memory.isLost(canary({ phase: 'Succeeded' }))).toBe(true);
  expect(told).toBe(1);
  expect(memory.isLost(canary({ phase: 'Succeeded', epoch: 4 }))).toBe(false);
  expect(memory.isLost(canary(undefined))).toBe(true);
  memory.forgive();
  expect(memory.isLost(canary(undefined))).toBe(false);
  expect(told).toBe(1);
});

test('what never had one has lost nothing: a new Canary, or one that Flagger has written', () => {
  const memory = createStatusMemory(() => expect.unreachable());
  expect(memory.isLost(canary(undefined))).toBe(false);
  expect(memory.isLost(canary({ phase: 'Progressing', canaryWeight: 10 }))).toBe(false);
});

test('a Canary that is made again under its name is a new one', () => {
  const memory = createStatusMemory(() => expect.unreachable());
  memory.isLost(canary({ epoch: 1 }));
  expect(memory.isLost(canary(undefined, 'other'))).toBe(false);
  memory.forget(canary(undefined));
  expect(memory.isLost(canary(undefined))).toBe(false);
});
