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
  type KubernetesObject,
  type Transport,
} from '../../engine/kubernetes/types.ts';
import { respondError } from '../api/answers.ts';
import { StatusError } from '../api/status.ts';
import { type Call, callOf } from './calls.ts';
import { createChains, type Link } from './chains.ts';
import type { Hand, Hands } from './hands.ts';
import type { CanaryPlan } from './plan.ts';
import type { Process } from './process.ts';
import type { Streams } from './streams.ts';
import type { CallFault, DeedOnCall, Strikes } from './strikes.ts';

export interface NetworkOptions {
  clock: Clock;
  engine: number;
  process: Process;
  canaries: readonly CanaryPlan[];
  /** Tells this life of the process from its others. */
  life: string;
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
  /** Somebody acts just then. */
  perform(deed: DeedOnCall): void;
}

/** A request on its way. */
interface Sent {
  request: HttpRequest;
  call: Call;
  hand: Hand;
  link: Link;
  fault: CallFault | undefined;
  /** What is done right after it was carried out. */
  deed?: DeedOnCall | undefined;
  resolve(response: HttpResponse): void;
  reject(error: unknown): void;
}

/** The longest that the tries of one take-away may take: five, and a look between two, each up to its deadline. */
const CHAIN_MS = 100_000;

/** What an engine must have live caches of before it gives a canary more traffic. */
const RAISE_RESTS_ON = new Set(['canaries', 'trafficsplits', 'deployments', 'replicasets', 'endpointslices']);
/** Answers to status writes of one canary that are remembered: more than are ever under way at once. */
const ANSWERS_MAX = 16;

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

function versionIn(body: string | undefined): number {
  return Number((JSON.parse(body ?? '{}') as KubernetesObject).metadata?.resourceVersion);
}

export function createNetwork(options: NetworkOptions): Transport {
  const { clock, engine, process, server, strikes, streams, hands, lagMs } = options;

  const chains = createChains(options.life, options.canaries, clock.now);
  const tries = new Map<string, { atMs: number; knewAtMs: number; isWrite: boolean }[]>();

  /** A take-away that meets a newer route reads it and writes again: it still rests on what was known at first. */
  function knewAt({ resource, namespace, name, isWrite }: Call): number {
    const atMs = clock.now();
    const knewAtMs = streams.knownUpTo();
    if (resource !== 'trafficsplits' || name === '') return knewAtMs;
    const before = (tries.get(`${namespace}/${name}`) ?? []).filter(one => one.atMs >= atMs - CHAIN_MS);
    // Whoever writes without having read again has decided anew.
    const isAgain = !isWrite || before.at(-1)?.isWrite === false;
    const chain = [...(isAgain ? before : []), { atMs, knewAtMs, isWrite }];
    tries.set(`${namespace}/${name}`, chain);
    return Math.min(...chain.map(one => one.knewAtMs));
  }

  const statuses = new Map<string, { version: number; chain: string; atMs: number }[]>();

  /** The version that a status is written over, and the newest that its writer had been answered with when it decided. */
  function overOf(request: HttpRequest, call: Call, link: Link): NonNullable<Hand['over']> {
    const known = (statuses.get(`${call.namespace}/${call.name}`) ?? []).filter(
      one => one.chain === link.chain || one.atMs < link.sinceMs,
    );
    return { version: versionIn(request.body), answered: Math.max(0, ...known.map(one => one.version)) };
  }

  function keepAnswer({ request, call, link }: Sent, { status, text }: HttpResponse): void {
    // Whoever has given up waiting does not hear it.
    if (call.kind !== 'status' || status !== 200 || request.signal?.aborted) return;
    const key = `${call.namespace}/${call.name}`;
    const answer = { version: versionIn(text), chain: link.chain, atMs: clock.now() };
    statuses.set(key, [...(statuses.get(key) ?? []).slice(1 - ANSWERS_MAX), answer]);
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
      // What a dead process still had on its mind strikes nobody and reaches nobody.
      if (!process.isAlive()) return;
      const call = callOf(request);
      const link = chains.ask(call, knewAt(call));
      const { chain, after } = link;
      const isStatus = call.kind === 'status';
      const hand: Hand = {
        who: 'engine',
        engine,
        askedAtMs: clock.now(),
        knewAtMs: link.knewAtMs,
        ...(call.kind === 'route' || isStatus ? { sawAtMs: streams.knownUpTo(RAISE_RESTS_ON) } : {}),
        chain,
        // The status of a take-away comes after however many tries.
        ...(isStatus && after !== 'route' && after !== 'get' ? { over: overOf(request, call, link) } : {}),
      };
      const fault = call.kind === 'event' ? undefined : strikes.onCall(engine, call, after);
      const deed = call.kind === 'event' ? undefined : strikes.deedOn(engine, call, after);
      const isBefore = deed?.on.moment === 'before' || (fault?.kind === 'crash' && fault.moment === 'before');
      if (deed && isBefore) options.perform(deed);
      if (fault?.kind === 'crash' && fault.moment === 'before') return options.crash(fault.downMs);
      if (fault?.kind === 'freeze' && fault.moment === 'before') process.freeze(fault.forMs);
      const sent: Sent = { request, call, hand, link, fault, resolve, reject, ...(isBefore ? {} : { deed }) };
      const underwayMs = fault?.kind === 'late' ? fault.forMs : 0;
      process.deliver(() => later(lagMs() + underwayMs, () => arrive(sent)));
    });

  function arrive(sent: Sent): void {
    const { request, call, hand, fault, reject } = sent;
    const resolve = (response: HttpResponse) => {
      keepAnswer(sent, response);
      sent.resolve(response);
    };
    const settle = (work: () => void, delayMs = lagMs()) =>
      later(delayMs, () =>
        process.deliver(() => {
          chains.answer(call, sent.link);
          work();
        }),
      );
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
    const { deed } = sent;
    if (deed) void answered.then(() => options.perform(deed));
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
          const carried = streams.carry(call.resource, chunks, cut, request.signal);
          settle(() => resolve({ ...response, chunks: carried }));
        } else settle(() => resolve(response), lagMs() + (fault?.kind === 'slow' ? fault.forMs : 0));
      },
      (error: unknown) => settle(() => reject(error)),
    );
  }
}
