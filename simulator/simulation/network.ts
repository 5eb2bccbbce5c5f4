/**
 * The way between one engine and the API server: requests take time, get lost before or after they were carried out,
 * are refused, and meet a process that dies or freezes before or after any of them. What was sent arrives, even when
 * its sender is gone.
 */
import type { Clock } from '../../engine/clock.ts';
import {
  ApiError,
  type HttpRequest,
  type HttpResponse,
  type Transport,
} from '../../engine/kubernetes/types.ts';
import { respondError } from '../api/answers.ts';
import { StatusError } from '../api/status.ts';
import { type Call, callOf } from './calls.ts';
import type { Hand, Hands } from './hands.ts';
import type { Process } from './process.ts';
import type { Streams } from './streams.ts';
import type { CallFault, Strikes } from './strikes.ts';

export interface NetworkOptions {
  clock: Clock;
  engine: number;
  process: Process;
  server: Transport;
  strikes: Strikes;
  streams: Streams;
  hands: Hands;
  lagMs: () => number;
  /** Ends this process; somebody starts another one later. */
  crash(downMs: number): void;
  /** Told of every request that arrives. */
  onArrival(call: Call, hand: Hand): void;
  /** Refuses by the state of the world, e.g. rights that are missing for a while. */
  refusal(call: Call): StatusError | undefined;
}

/** The longest that the tries of one take-away may take. */
const CHAIN_MS = 60_000;

const REASONS: Record<number, [reason: string, message: string]> = {
  403: ['Forbidden', 'is forbidden: User "serin" cannot do this'],
  409: ['Conflict', 'Operation cannot be fulfilled: the object has been modified'],
  410: ['Expired', 'The provided resource version is too old'],
  422: ['Invalid', 'is invalid: the schema refuses it'],
  429: ['TooManyRequests', 'the server has received too many requests'],
  500: ['InternalError', 'Internal error occurred'],
  503: ['ServiceUnavailable', 'the server is currently unable to handle the request'],
};

export function refusalOf(code: number, retryAfterSeconds = 0): StatusError {
  const [reason, message] = REASONS[code] ?? ['InternalError', 'Internal error occurred'];
  return new StatusError(code, reason, message, retryAfterSeconds > 0 ? { retryAfterSeconds } : undefined);
}

export function createNetwork(options: NetworkOptions): Transport {
  const { clock, engine, process, server, strikes, streams, hands, lagMs } = options;

  const asks: { name: string; atMs: number; knewAtMs: number }[] = [];

  /** A take-away that meets a newer route reads it and writes again: it still rests on what was known at first. */
  function knewAt(call: Call): number {
    const atMs = clock.now();
    const knewAtMs = streams.knownUpTo();
    if (call.resource !== 'trafficsplits' || call.name === '') return knewAtMs;
    while (asks.length > 0 && asks[0]!.atMs < atMs - CHAIN_MS) asks.shift();
    asks.push({ name: `${call.namespace}/${call.name}`, atMs, knewAtMs });
    const chain = asks.filter(one => one.name === `${call.namespace}/${call.name}`);
    return Math.min(...chain.map(one => one.knewAtMs));
  }

  function later(delayMs: number, work: () => void): void {
    clock.setTimer(work, delayMs);
  }

  /** The request as the server gets it: nobody can call back what is on its way, but streams end with their reader. */
  function onTheWire(request: HttpRequest, end: AbortSignal): HttpRequest {
    const { signal: _signal, ...sent } = request;
    return request.stream ? { ...sent, signal: end } : sent;
  }

  return request =>
    new Promise<HttpResponse>((resolve, reject) => {
      const call = callOf(request);
      const hand: Hand = {
        who: 'engine',
        engine,
        askedAtMs: clock.now(),
        knewAtMs: knewAt(call),
      };
      const fault = call.kind === 'event' ? undefined : strikes.onCall(engine, call);
      if (fault?.kind === 'crash' && fault.moment === 'before') return options.crash(fault.downMs);
      if (fault?.kind === 'freeze' && fault.moment === 'before') process.freeze(fault.forMs);
      process.deliver(() => later(lagMs(), () => arrive(request, call, hand, fault, resolve, reject)));
    });

  function arrive(
    request: HttpRequest,
    call: Call,
    hand: Hand,
    fault: CallFault | undefined,
    resolve: (response: HttpResponse) => void,
    reject: (error: unknown) => void,
  ): void {
    const settle = (work: () => void, delayMs = lagMs()) => later(delayMs, () => process.deliver(work));
    const reset = () => settle(() => reject(new ApiError('network', 'ECONNRESET')));
    if (fault?.kind === 'lost' && fault.moment === 'before') {
      if (fault.how === 'reset') reset();
      return;
    }
    options.onArrival(call, hand);
    const refusal =
      fault?.kind === 'refuse' ? refusalOf(fault.code, fault.retryAfterSeconds) : options.refusal(call);
    if (refusal) return settle(() => resolve(respondError(refusal)));
    const end = new AbortController();
    const cut = () => end.abort();
    if (request.stream) process.onDeath(cut);
    const answered = hands.as(hand, () => server(onTheWire(request, end.signal)));
    if (fault?.kind === 'crash') options.crash(fault.downMs);
    if (fault?.kind === 'freeze') process.freeze(fault.moment === 'after' ? fault.forMs : 0);
    void answered.then(
      response => {
        if (fault?.kind === 'lost') {
          if (fault.how === 'reset') reset();
          return;
        }
        const { chunks } = response;
        if (chunks) {
          const carried = streams.carry(call.resource, chunks, cut);
          request.signal?.addEventListener('abort', cut);
          if (request.signal?.aborted) cut();
          settle(() => resolve({ ...response, chunks: carried }));
        } else settle(() => resolve(response), lagMs() + (fault?.kind === 'slow' ? fault.forMs : 0));
      },
      (error: unknown) => settle(() => reject(error)),
    );
  }
}
