/**
 * Health, readiness and metrics, which probes and scrapers ask for every few seconds, on Node's own HTTP alone: REST and what
 * it stands on need not be loaded for them. They need no token and show no object but the numbers of canaries.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AppOptions } from './app.ts';

export type ProbeOptions = Pick<AppOptions, 'isReady' | 'metrics' | 'stores' | 'log'>;

type Answer = { code: number; type: string; text: string };

const JSON_TYPE = 'application/json';

/** False when it is none of these paths, or a method that they do not have: then nothing was answered. */
export function answerProbe(
  options: ProbeOptions,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): boolean {
  const { method = '', url = '' } = incoming;
  const answer = method === 'GET' || method === 'HEAD' ? answers.get(url.split('?', 1)[0] ?? '') : undefined;
  if (!answer) return false;
  const { metrics, log } = options;
  const send = ({ code, type, text }: Answer) => {
    const length = Buffer.byteLength(text);
    outgoing.writeHead(code, { 'content-type': type, 'content-length': length });
    outgoing.end(method === 'HEAD' ? undefined : text);
    metrics.served(method, code);
  };
  answer(options).then(send, (error: unknown) => {
    log.error({ error, path: url }, 'a request failed');
    send({ code: 500, type: JSON_TYPE, text: '{"error":"The engine failed; its log says why."}' });
  });
  return true;
}

const answers = new Map<string, (options: ProbeOptions) => Promise<Answer>>([
  ['/healthz', async () => ({ code: 200, type: 'text/plain; charset=UTF-8', text: 'ok\n' })],
  [
    '/readyz',
    async ({ isReady }) => {
      const { ok, reasons } = isReady();
      return { code: ok ? 200 : 503, type: JSON_TYPE, text: JSON.stringify({ ready: ok, reasons }) };
    },
  ],
  [
    '/metrics',
    async ({ metrics, stores }) => {
      metrics.observe(stores.canaries.all());
      return { code: 200, type: metrics.contentType, text: await metrics.text() };
    },
  ],
]);
