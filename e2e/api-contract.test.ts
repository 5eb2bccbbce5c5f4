/** Runs the API contract on a real API server with its controllers: what the in-memory API is measured against. */
import { Agent, request as send } from 'undici';
import type { HttpResponse, Transport } from '../engine/kubernetes/types.ts';
import { describeApiContract } from '../simulator/api/contract.ts';
import { startControlPlane } from './harness/controlplane.ts';

const NAMESPACE = 'contract';

function transportOf(server: string, token: string, agent: Agent): Transport {
  return async ({ method, path, headers, body, signal, stream }) => {
    const answer = await send(server + path, {
      method,
      headers: { ...headers, authorization: `Bearer ${token}` },
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

describeApiContract('real API server', async () => {
  const plane = await startControlPlane();
  const agent = new Agent({ connect: { ca: plane.ca }, bodyTimeout: 0 });
  const created = await plane.call('admin', 'POST', '/api/v1/namespaces', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: NAMESPACE },
  });
  if (created.status !== 201) throw new Error(`no namespace: ${JSON.stringify(created.body)}`);
  return {
    transport: transportOf(plane.server, plane.tokens.admin ?? '', agent),
    namespace: NAMESPACE,
    capabilities: {
      server: 'real',
      controllers: true,
      bookmarkedWatchSeconds: 12,
      token: { value: plane.tokens.user ?? '', user: 'user' },
      stranger: 'stranger',
    },
    async close() {
      await agent.destroy();
      await plane.stop();
    },
  };
});
