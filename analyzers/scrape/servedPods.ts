/**
 * Pods for tests: real HTTP servers, each on a loopback address of its own and all on one port, as pods are. They count
 * what is asked of them, and answer as the test says.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createPodMetrics, type PodMetrics } from '../../simulator/world/podmetrics.ts';
import type { PodAddress } from '../analyzer.ts';

export type Respond = (request: IncomingMessage, response: ServerResponse) => void;

export interface ServedPod extends PodAddress {
  respond: Respond;
  asked: number;
}

export interface ServedPods {
  port: number;
  pods: ServedPod[];
  close(): Promise<void>;
}

export const answering =
  (text: () => string, status = 200): Respond =>
  (_request, response) => {
    response.writeHead(status, { 'content-type': 'text/plain; version=0.0.4' });
    response.end(text());
  };

/** From now on each of them answers what it has counted: nothing yet. */
export function metered(pods: readonly ServedPod[]): PodMetrics[] {
  return pods.map(pod => {
    const metrics = createPodMetrics({ address: pod.ip, port: 8080 });
    pod.asked = 0;
    pod.respond = answering(() => metrics.linkerdText());
    return metrics;
  });
}

/** Ports that are free on the first address may be taken on another. */
const TRIES_MAX = 20;

export async function servePods(count: number): Promise<ServedPods> {
  for (let tries = 1; ; tries++) {
    try {
      return await tryToServe(count);
    } catch (error) {
      if (tries >= TRIES_MAX) throw error;
    }
  }
}

async function tryToServe(count: number): Promise<ServedPods> {
  const servers: Server[] = [];
  const pods: ServedPod[] = [];
  let port = 0;
  const close = async () => {
    for (const server of servers) server.closeAllConnections();
    await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))));
  };
  try {
    for (let index = 0; index < count; index++) {
      const pod: ServedPod = {
        name: `pod-${index}`,
        ip: `127.7.${index >> 8}.${(index & 255) + 1}`,
        asked: 0,
        respond: answering(() => ''),
      };
      const server = createServer((request, response) => {
        pod.asked++;
        pod.respond(request, response);
      });
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject).listen(port, pod.ip, resolve);
      });
      servers.push(server);
      port = (server.address() as { port: number }).port;
      pods.push(pod);
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { port, pods, close };
}
