/**
 * What every reader of raw counters must keep, whatever it asks. Called by the test file of each, which plays the provider
 * in each of the situations of `contract.ts`; what only one provider does is tested beside it.
 */
import { describe, expect, test } from 'vitest';
import { BROKEN, expectSentence, LONG_MS, SHORT_MS, type Situation } from './contract.ts';
import type { CounterAnswer, CounterQuery, CounterReader, HistoryAnswer } from './counterReader.ts';
import { countedBetween, countersAt } from './judge/counters.ts';

export interface PlayedCounters {
  reader: CounterReader;
  query: CounterQuery;
  /** So many more requests of both arms, so many of them failed, each of them within 150 ms. */
  serve(requests: number, failures: number): Promise<void>;
  stop(): Promise<void>;
}

/** `traffic`: both arms have already counted as much. */
export type PlayCounters = (situation: Situation, timeoutMs: number) => Promise<PlayedCounters>;

const BOUNDS_MS = [100, 200];

export function describeCounterContract(name: string, play: PlayCounters): void {
  const never = new AbortController().signal;

  async function ask<T extends CounterAnswer | HistoryAnswer>(
    situation: Situation,
    how: (played: PlayedCounters) => Promise<T>,
    timeoutMs = LONG_MS,
  ): Promise<T> {
    const played = await play(situation, timeoutMs);
    const before = structuredClone(played.query);
    try {
      const answer = await how(played);
      expect(played.query).toEqual(before);
      if (answer.kind === 'providerError') expectSentence(answer.message);
      return answer;
    } finally {
      await played.stop();
    }
  }

  async function readingOf({ reader, query }: PlayedCounters) {
    const answer = await reader.read(query, never);
    if (answer.kind !== 'reading') throw new Error(answer.message);
    const { atMs, canary, primary } = answer.reading;
    if (!canary || !primary) throw new Error('an arm is stale');
    return { ...answer, atMs, arms: { canary, primary } };
  }

  describe(`counter reader contract: ${name}`, () => {
    test('what both arms counted between two readings, to the request', async () => {
      const played = await play({ kind: 'traffic', requests: 1_000, failures: 500 }, LONG_MS);
      const first = await readingOf(played);
      await played.serve(200, 10);
      const second = await readingOf(played);
      await played.stop();
      expect(second.atMs).toBeGreaterThan(first.atMs);
      const before = countedBetween(countersAt(first.arms, BOUNDS_MS), first.arms, BOUNDS_MS, first.atMs);
      // The canary's pods were born at zero; where the primary's counting begins nobody knows.
      expect(before.canary).toMatchObject({ total: 1_000, failures: 500, slow: [1_000, 0] });
      expect(before.primary).toMatchObject({ total: 0, failures: 0, slow: [0, 0] });
      const { canary, primary } = countedBetween(before.counters, second.arms, BOUNDS_MS, first.atMs);
      const counted = { total: 200, failures: 10, slow: [200, 0] };
      expect([canary, primary]).toMatchObject([counted, counted]);
    });

    test('the newest sample is not younger than the reading', async () => {
      const answer = await ask({ kind: 'traffic', requests: 10, failures: 0 }, readingOf);
      expect(answer.sampledAtMs).toBeLessThanOrEqual(answer.atMs + 1_000);
      expect(answer.sampledAtMs).toBeGreaterThan(answer.atMs - 60_000);
    });

    test.each(BROKEN)('a provider that is broken (%s) is an error of the provider, in time', async kind => {
      const timeoutMs = kind === 'silent' ? SHORT_MS : LONG_MS;
      const situation = { kind } as Situation;
      const read = await ask(situation, ({ reader, query }) => reader.read(query, never), timeoutMs);
      expect(read.kind).toBe('providerError');
      const history = await ask(situation, ({ reader, query }) => reader.history(query, never), timeoutMs);
      expect(history.kind).not.toBe('history');
    });

    test.each(['silent', 'down'] as const)("the caller's deadline counts (%s)", async kind => {
      const deadline = new AbortController();
      setTimeout(() => deadline.abort(), 50);
      const read = await ask({ kind }, ({ reader, query }) => reader.read(query, deadline.signal));
      expect(read.kind).toBe('providerError');
    });

    test('a deadline that is over before it begins is an error too', async () => {
      const read = await ask({ kind: 'traffic', requests: 1, failures: 0 }, ({ reader, query }) =>
        reader.read(query, AbortSignal.abort()),
      );
      expect(read.kind).toBe('providerError');
    });
  });
}
