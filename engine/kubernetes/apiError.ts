/** Turns what an API server answers when it refuses into a typed ApiError. Pure; never puts a whole body or a header into a message. */
import { ApiError, type ApiErrorKind, type HttpResponse } from './types.ts';

/** Enough for the server's sentence; the rest of a longer one does not help a reader. */
const LONGEST_MESSAGE = 1_024;

/** The fields of `meta/v1 Status` that are read. */
export interface Status {
  message?: string;
  reason?: string;
  code?: number;
  details?: { retryAfterSeconds?: number; causes?: unknown[]; kind?: string };
}

const kindByCode: Record<number, ApiErrorKind> = {
  400: 'badRequest',
  401: 'unauthorized',
  403: 'forbidden',
  404: 'notFound',
  409: 'conflict',
  410: 'gone',
  422: 'invalid',
  429: 'tooManyRequests',
  // The API server gave up waiting for its own backend: the write may have landed.
  504: 'timeout',
};

function kindOf(code: number, reason: string): ApiErrorKind {
  if (code === 409 && reason === 'AlreadyExists') return 'alreadyExists';
  return kindByCode[code] ?? (code >= 400 && code < 500 ? 'badRequest' : 'server');
}

export function errorFromStatus(status: Status, code: number, retryAfterHeader?: string): ApiError {
  const reason = status.reason ?? '';
  const message = (status.message || `the API server answered ${code} ${reason}`.trim()).slice(
    0,
    LONGEST_MESSAGE,
  );
  const retryAfterMs = retryAfter(status, retryAfterHeader);
  return new ApiError(kindOf(code, reason), message, {
    code,
    reason,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

/** The header in seconds (the API server never sends a date), else `details.retryAfterSeconds`. */
function retryAfter(status: Status, header: string | undefined): number | undefined {
  const seconds = header !== undefined && /^\d+$/.test(header) ? Number(header) : undefined;
  const chosen = seconds ?? status.details?.retryAfterSeconds;
  return typeof chosen === 'number' && chosen > 0 ? chosen * 1000 : undefined;
}

export function parseStatus(text: string): Status | undefined {
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === 'object' && parsed !== null && (parsed as { kind?: unknown }).kind === 'Status') {
      return parsed as Status;
    }
  } catch {
    // A proxy on the way answers in HTML or plain text; the caller falls back to the code.
  }
  return undefined;
}

export function errorFromResponse(response: HttpResponse): ApiError {
  const status = parseStatus(response.text) ?? {
    message: `HTTP ${response.status}: ${response.text.replace(/\s+/g, ' ').trim().slice(0, 200)}`,
  };
  return errorFromStatus(status, response.status, response.headers['retry-after']);
}

/**
 * The API server answers a JSON patch that does not apply with 422, reason Invalid and a fixed sentence without
 * details (the cause is dropped on its way out); a patch that applies but gives an invalid object has details.
 * Source: NewGenericServerResponse in k8s.io/apimachinery/pkg/api/errors and the patch handler of k8s.io/apiserver.
 */
export function isFailedPatchTest(response: HttpResponse, operations: object[]): boolean {
  if (response.status !== 422) return false;
  if (!operations.some(operation => (operation as { op?: unknown }).op === 'test')) return false;
  const status = parseStatus(response.text);
  const message = status?.message ?? response.text;
  if (/^testing (path|value) .* failed/i.test(message)) return true;
  return (
    message.startsWith('the server rejected our request due to an error in our request') &&
    !status?.details?.kind
  );
}
