/**
 * The part of undici that sends requests, and no other: its index also loads fetch, caches, WebSockets and mocks, which
 * hold 10 MB for nothing. The files are those of the exact version in the lockfile.
 */
import methods from 'undici/lib/api/index.js';
import Agent from 'undici/lib/dispatcher/agent.js';
import Dispatcher from 'undici/lib/dispatcher/dispatcher.js';
import ProxyAgent from 'undici/lib/dispatcher/proxy-agent.js';

// As the index does: a ProxyAgent needs them too.
Object.assign(Dispatcher.prototype, methods);

export { Agent, type Dispatcher, ProxyAgent };

/** As undici's own `request`: rejects with its errors, and gives the body as a stream that somebody must read. */
export function request(
  url: string | URL,
  { dispatcher, ...options }: Omit<Dispatcher.RequestOptions, 'origin' | 'path'> & { dispatcher: Dispatcher },
): Promise<Dispatcher.ResponseData> {
  const { origin, pathname, search } = new URL(url);
  return dispatcher.request({ ...options, origin, path: pathname + search });
}
