/**
 * For tests: a Transport that answers from a script and remembers what it was asked, and streams that a test feeds line
 * by line. It knows nothing of the API's meaning.
 */
import {
  ApiError,
  type HttpRequest,
  type HttpResponse,
  type KubernetesObject,
  type Transport,
} from './types.ts';

/** What one request is answered with. An error is thrown; `hang` never answers (the signal is ignored on purpose). */
export type ScriptedAnswer = HttpResponse | Error | 'hang';

export interface ScriptedTransport {
  transport: Transport;
  requests: HttpRequest[];
  /** Requests whose signal was not aborted and whose stream has not ended. */
  openStreams: () => number;
}

export function createScriptedTransport(
  answer: (request: HttpRequest, index: number) => ScriptedAnswer | Promise<ScriptedAnswer>,
): ScriptedTransport {
  const requests: HttpRequest[] = [];
  let open = 0;
  return {
    requests,
    openStreams: () => open,
    async transport(request) {
      requests.push(request);
      const answered = await answer(request, requests.length - 1);
      if (answered === 'hang') return new Promise<never>(() => {});
      if (answered instanceof Error) throw answered;
      if (answered.chunks) {
        open++;
        request.signal?.addEventListener('abort', () => open--, { once: true });
      }
      return answered;
    },
  };
}

export function json(status: number, body: unknown, headers: Record<string, string> = {}): HttpResponse {
  return { status, headers, text: JSON.stringify(body) };
}

export function failure(
  code: number,
  reason: string,
  message = reason,
  headers: Record<string, string> = {},
): HttpResponse {
  return json(code, { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message }, headers);
}

export function connectionReset(): ApiError {
  return new ApiError('network', 'ECONNRESET');
}

export interface ScriptedStream {
  response: HttpResponse;
  send(type: string, object: unknown): void;
  raw(chunk: string): void;
  /** Closes gracefully. */
  end(): void;
  fail(error: Error): void;
}

export function createStream(): ScriptedStream {
  const pending: string[] = [];
  let ended = false;
  let failed: Error | undefined;
  let wake: (() => void) | undefined;
  async function* chunks(): AsyncGenerator<string, void, void> {
    for (;;) {
      while (pending.length > 0) yield pending.shift()!;
      if (failed) throw failed;
      if (ended) return;
      await new Promise<void>(resolve => {
        wake = resolve;
      });
    }
  }
  const raw = (chunk: string) => {
    pending.push(chunk);
    wake?.();
  };
  return {
    response: { status: 200, headers: {}, text: '', chunks: chunks() },
    raw,
    send: (type, object) => raw(`${JSON.stringify({ type, object })}\n`),
    end() {
      ended = true;
      wake?.();
    },
    fail(error) {
      failed = error;
      wake?.();
    },
  };
}

export function deployment(
  name: string,
  resourceVersion: number,
  extra: { uid?: string; namespace?: string; spec?: unknown; status?: unknown; generation?: number } = {},
): KubernetesObject {
  const { uid = `uid-${name}`, namespace = 'shop', generation = 1, ...rest } = extra;
  const metadata = { name, namespace, uid, generation, resourceVersion: String(resourceVersion) };
  return { apiVersion: 'apps/v1', kind: 'Deployment', metadata, ...rest };
}

export function listOf(resourceVersion: number, items: KubernetesObject[], next?: string): HttpResponse {
  const metadata = { resourceVersion: String(resourceVersion), ...(next ? { continue: next } : {}) };
  return json(200, { kind: 'DeploymentList', apiVersion: 'apps/v1', metadata, items });
}
