/**
 * What every analyzer must keep, whatever it asks. Called by the test file of each, which plays the provider in each of a
 * few situations; what only one provider does is tested beside it.
 */
import { describe, expect, test } from 'vitest';
import type { Analyzer, ArmPods, Measurement, MetricQuery } from './analyzer.ts';

/** Stands in credentials, and in everything that a provider answers besides numbers. No message may hold it. */
export const SECRET = 'hunter2';

export type Situation =
  /** So many requests in the window, so many of them failed, 99 % of them within 199 ms. */
  | { kind: 'traffic'; requests: number; failures: number }
  /** The provider answers, and has nothing to say. */
  | { kind: 'noTraffic' }
  /** A page that is not an answer, with the secret in it, as a proxy or a login page would send it. */
  | { kind: 'page' }
  /** 403, with the secret in the body. */
  | { kind: 'forbidden' }
  /** A redirect to where a good answer is: only the address that was given is asked. */
  | { kind: 'redirect' }
  /** Takes the request and never answers. */
  | { kind: 'silent' }
  /** Nobody listens. */
  | { kind: 'down' };

export interface PlayedProvider {
  analyzer: Analyzer;
  pods: ArmPods;
  /** A query for the success rate in percent, or the 99th percentile in milliseconds. */
  queryOf(asked: 'successRate' | 'durationMs'): MetricQuery;
  stop(): Promise<void>;
}

/**
 * Plays the provider for an analyzer with this deadline of its own, milliseconds; what it needs to have seen before (a
 * first look) has been seen when this resolves.
 */
export type PlayProvider = (situation: Situation, timeoutMs: number) => Promise<PlayedProvider>;

export const BROKEN: Situation['kind'][] = ['page', 'forbidden', 'redirect', 'silent', 'down'];
/** For what never answers. */
export const SHORT_MS = 200;
/** Longer than a test may take: where it is given, something else has to end the wait. */
export const LONG_MS = 60_000;
const MESSAGE_CHARACTERS_MAX = 512;

export function describeAnalyzerContract(name: string, play: PlayProvider): void {
  async function ask(
    situation: Situation,
    asked: readonly ('successRate' | 'durationMs')[],
    how: { signal?: AbortSignal; timeoutMs?: number } = {},
  ): Promise<Measurement[]> {
    const { signal = new AbortController().signal, timeoutMs = LONG_MS } = how;
    const provider = await play(situation, timeoutMs);
    const queries = asked.map(one => provider.queryOf(one));
    const before = structuredClone(queries);
    try {
      const answers = await provider.analyzer.measure(queries, provider.pods, signal);
      expect(queries).toEqual(before);
      expect(answers).toHaveLength(queries.length);
      for (const answer of answers) if (answer.kind !== 'value') expectSentence(answer.message);
      return answers;
    } finally {
      await provider.stop();
    }
  }

  describe(`analyzer contract: ${name}`, () => {
    test('a value', async () => {
      const [rate] = await ask({ kind: 'traffic', requests: 200, failures: 10 }, ['successRate']);
      expect(rate).toMatchObject({ kind: 'value' });
      expect(rate?.kind === 'value' && rate.value).toBeCloseTo(95, 6);
    });

    test('no success among some requests is 0 %, and a value', async () => {
      const [rate] = await ask({ kind: 'traffic', requests: 20, failures: 20 }, ['successRate']);
      expect(rate).toMatchObject({ kind: 'value', value: 0 });
    });

    test('no request is no data', async () => {
      const answers = await ask({ kind: 'noTraffic' }, ['successRate', 'durationMs']);
      expect(answers.map(answer => answer.kind)).toEqual(['noData', 'noData']);
    });

    test('answers come in the order of the queries', async () => {
      const asked = ['durationMs', 'successRate', 'successRate', 'durationMs'] as const;
      const answers = await ask({ kind: 'traffic', requests: 100, failures: 25 }, asked);
      const values = answers.map(answer =>
        answer.kind === 'value' ? Number(answer.value.toFixed(6)) : answer,
      );
      expect(values).toEqual([199, 75, 75, 199]);
    });

    test('no query, no answer', async () => {
      expect(await ask({ kind: 'noTraffic' }, [])).toEqual([]);
    });

    test.each(BROKEN)('a provider that is broken (%s) is an error of the provider, in time', async kind => {
      const how = kind === 'silent' ? { timeoutMs: SHORT_MS } : {};
      const answers = await ask({ kind } as Situation, ['successRate', 'durationMs'], how);
      expect(answers.map(answer => answer.kind)).toEqual(['providerError', 'providerError']);
    });

    test.each(['silent', 'down'] as const)("the caller's deadline counts (%s)", async kind => {
      const deadline = new AbortController();
      const answering = ask({ kind }, ['successRate', 'durationMs'], {
        signal: deadline.signal,
      });
      setTimeout(() => deadline.abort(), 50);
      expect((await answering).map(answer => answer.kind)).toEqual(['providerError', 'providerError']);
    });

    test('a deadline that is over before it begins is an error too', async () => {
      const answers = await ask({ kind: 'traffic', requests: 1, failures: 0 }, ['successRate'], {
        signal: AbortSignal.abort(),
      });
      expect(answers.map(answer => answer.kind)).toEqual(['providerError']);
    });
  });
}

/** One line for people, short enough for a condition, and without anything that must not be seen. */
export function expectSentence(message: string): void {
  expect(message).not.toBe('');
  expect(message).not.toMatch(/[\n\r]/);
  expect(message).not.toContain(SECRET);
  expect(message).not.toContain(Buffer.from(`ann:${SECRET}`).toString('base64'));
  expect(message.length).toBeLessThanOrEqual(MESSAGE_CHARACTERS_MAX);
}
