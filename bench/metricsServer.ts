/**
 * Stands in for a Prometheus: answers every instant query with one number that the benchmark chooses, or with counters that
 * agree with it, and counts. It understands no query, because what is measured is the engine, not the metrics.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createPlayedCounters, type Values } from './playedCounters.ts';

export interface MetricsServer {
  url: string;
  /** Queries that were answered since the start. */
  count(): number;
  /** When checks about this text were answered, milliseconds since the epoch. Readings of raw counters are none. */
  answersAbout(text: string): { atMs: number; value: number }[];
  /** What queries about this text (a name in them) are answered with, or all others when the text is empty. */
  answer(about: string, values: Values): void;
  stop(): Promise<void>;
}

const GOOD: Values = { successPercent: 100, latencyMs: 12 };
const BODY_BYTES_MAX = 64 * 1024;

/** @param now milliseconds since the epoch, by which raw counters rise */
export async function startMetricsServer(now: () => number = Date.now): Promise<MetricsServer> {
  const given: { query: string; atMs: number; value: number }[] = [];
  let readings = 0;
  const answers = new Map<string, Values>([['', GOOD]]);

  function valuesOf(query: string): Values {
    const about = [...answers.keys()].find(text => text !== '' && query.includes(text)) ?? '';
    return answers.get(about) ?? GOOD;
  }

  function answerTo(query: string): number {
    const { successPercent, latencyMs } = valuesOf(query);
    return query.includes('histogram_quantile') ? latencyMs : successPercent;
  }

  const counters = createPlayedCounters(valuesOf, now);

  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8');
    request.on('data', (chunk: string) => {
      body += chunk;
      if (body.length > BODY_BYTES_MAX) request.destroy();
    });
    request.on('end', () => {
      const url = new URL(request.url ?? '/', 'http://metrics');
      const query = new URLSearchParams(body).get('query') ?? url.searchParams.get('query') ?? '';
      response.setHeader('content-type', 'application/json');
      const kind = counters.kindOf(query);
      if (kind) {
        readings += 1;
        response.end(JSON.stringify({ status: 'success', data: counters.answer(query, kind) }));
        return;
      }
      const value = answerTo(query);
      const sample = [Date.now() / 1_000, String(value)];
      const data = { resultType: 'vector', result: [{ metric: {}, value: sample }] };
      // Noted before it is sent: the caller may act before this process gets to know that it has the answer.
      given.push({ query, atMs: performance.timeOrigin + performance.now(), value });
      response.end(JSON.stringify({ status: 'success', data }));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    count: () => given.length + readings,
    answersAbout: text => given.filter(one => one.query.includes(text)),
    answer(about, values) {
      counters.settle();
      answers.set(about, values);
    },
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
