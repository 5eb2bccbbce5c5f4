/**
 * The one form of a refusal: a status code and a JSON sentence for people. Errors of the API server become sentences
 * here; their own texts go to the log only, because they may speak of what the user must not see.
 */
import type { Context } from 'hono';
import { HTTPException } from 'hono/http-exception';
import type { Log } from '../engine.ts';
import { ApiError } from '../kubernetes/types.ts';

type Code = 400 | 401 | 403 | 404 | 409 | 413 | 415 | 422 | 429 | 500 | 502 | 503 | 504;

export function sentence(c: Context, code: Code, error: string): Response {
  return c.json({ error }, code);
}

/** For `onError` of the app. */
export function answerError(error: Error, c: Context, log: Log): Response {
  if (error instanceof HTTPException) {
    const isMalformed = error.status === 400;
    return sentence(
      c,
      isMalformed ? 400 : 500,
      isMalformed ? 'The body is not valid JSON.' : 'The engine failed.',
    );
  }
  if (!(error instanceof ApiError)) {
    log.error({ error, path: c.req.path }, 'a request failed');
    return sentence(c, 500, 'The engine failed; its log says why.');
  }
  log.warn({ kind: error.kind, reason: error.message, path: c.req.path }, 'the API server failed a request');
  switch (error.kind) {
    case 'badRequest':
      return sentence(c, 400, 'The API server does not understand the request.');
    case 'invalid':
      return sentence(c, 422, 'The API server says that the command is invalid.');
    case 'tooManyRequests':
      return sentence(c, 429, 'The API server has too much to do; try again in a moment.');
    case 'timeout':
      return sentence(
        c,
        504,
        'The API server did not answer in time; it is unknown whether anything was written.',
      );
    case 'network':
      return sentence(
        c,
        502,
        'The API server cannot be reached; it is unknown whether anything was written.',
      );
    case 'unauthorized':
    case 'forbidden':
      return sentence(c, 502, "The API server refused the engine's own request; its log says which.");
    case 'aborted':
    case 'alreadyExists':
    case 'conflict':
    case 'gone':
    case 'notFound':
    case 'server':
      return sentence(c, 502, 'The API server failed the request.');
    default:
      return error.kind satisfies never;
  }
}
