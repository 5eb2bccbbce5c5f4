/** Runs the API contract on the in-memory API: by direct calls, and over HTTP. */
import { Agent, request as send } from 'undici';
import { systemClock } from '../../engine/clock.ts';
import type { HttpResponse, Transport } from '../../engine/kubernetes/types.ts';
import { startControllers } from '../controllers/start.ts';
import type { Controllers } from '../controllers/start.ts';
import { describeApiContract } from './contract.ts';
import type { ContractConnection } from './contract.ts';
import { createMemoryApi } from './memory.ts';
import type { MemoryApi } from './memory.ts';

const NAMESPACE = 'contract';

function startApi(): { api: MemoryApi; controllers: Controllers } {
  const api = createMemoryApi({ clock: systemClock, seed: 7 });
  api.store.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } }, 'test');
  api.access.tokens.set('token-of-user', 'user');
  api.access.rules.set('stranger', []);
  return { api, controllers: startControllers({ store: api.store, clock: systemClock }) };
}

function connection(api: MemoryApi, transport: Transport, close: () => Promise<void>): ContractConnection {
  return {
    transport,
    namespace: NAMESPACE,
    capabilities: {
      server: 'memory',
      controllers: true,
      bookmarkedWatchSeconds: 3,
      forgetHistory: () => api.compact(),
      token: { value: 'token-of-user', user: 'user' },
      stranger: 'stranger',
    },
    close,
  };
}

/** The plainest transport there is: one HTTP request, the answer's headers as they come. */
function httpTransport(url: string, agent: Agent): Transport {
  return async ({ method, path, headers, body, signal, stream }) => {
    const answer = await send(url + path, {
      method,
      headers,
      body: body ?? null,
      signal: signal ?? null,
      dispatcher: agent,
    });
    const response: HttpResponse = { status: answer.statusCode, headers: {}, text: '' };
    for (const [name, value] of Object.entries(answer.headers))
      response.headers[name] = Array.isArray(value) ? value.join(', ') : (value ?? '');
    if (!stream || answer.statusCode !== 200) return { ...response, text: await answer.body.text() };
    answer.body.setEncoding('utf8');
    return { ...response, chunks: answer.body as AsyncIterable<string> };
  };
}

describeApiContract('memory, direct', async () => {
  const { api, controllers } = startApi();
  return connection(api, api.transport(), async () => controllers.stop());
});

describeApiContract('memory, over HTTP', async () => {
  const { api, controllers } = startApi();
  const server = await api.serve();
  const agent = new Agent();
  return connection(api, httpTransport(server.url, agent), async () => {
    controllers.stop();
    await agent.destroy();
    await server.close();
  });
});
