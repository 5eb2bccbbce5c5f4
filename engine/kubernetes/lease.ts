/**
 * Leader election on one Lease. A holder counts as alive for as long as its record keeps changing by our own clock, never
 * by the times written in it. Leading only says who should work; that two never write is the business of the fences.
 */
import assert from 'node:assert/strict';
import type { Clock, Timer } from '../clock.ts';
import { leases } from './resources.ts';
import { type ApiClient, ApiError, type KubernetesObject } from './types.ts';

export interface LeaseOptions {
  namespace: string;
  name: string;
  /** Of the pod or the machine: the same after a restart in place. */
  identity: string;
  /** Of the process: another one after each start. Without `_`. */
  nonce: string;
  /** After this long without a change another may take the lease. */
  durationMs?: number;
  renewMs?: number;
  clock: Clock;
  /** Uniform in [0, 1). */
  random: () => number;
}

export interface LeaseElection {
  /** Competes until `signal` aborts or the lease is released. Never throws for what the API server says. Call it once. */
  run(signal: AbortSignal): Promise<void>;
  /** False at the latest when another may have taken the lease, even if this process was frozen meanwhile. */
  isLeader(): boolean;
  onChange(handler: (isLeader: boolean) => void): void;
  /** Stops competing and gives the lease back, so that another takes it within a retry. Errors are ignored: it then expires. */
  release(): Promise<void>;
}

/** With the time until a last renewal is seen, a standby takes over within 15 s of a holder's sudden end. */
const DEFAULT_DURATION_MS = 12_000;
const DEFAULT_RENEW_MS = 4_000;
/**
 * Between two looks at a lease that another holds, and after a renewal that failed. One that is given back is taken after
 * as much at most, and two seconds are promised, a slow stop and a slow API server included.
 */
const RETRY_MS = 1_000;
/** A lease that has run out and could not be taken is not looked at without a pause. */
const EXPIRY_MS_MIN = 100;
/** The share of the duration for which a renewal counts, from before it was sent: the rest is a margin for clocks of unequal speed. */
const VALID_SHARE = 0.8;
const SEPARATOR = '_';

export function createLease(client: ApiClient, options: LeaseOptions): LeaseElection {
  const { namespace, name, identity, nonce, clock, random } = options;
  const { durationMs = DEFAULT_DURATION_MS, renewMs = DEFAULT_RENEW_MS } = options;
  assert(!nonce.includes(SEPARATOR) && nonce !== '', 'the nonce is not empty and has no underscore');
  assert(renewMs + RETRY_MS < durationMs * VALID_SHARE, 'a failed renewal leaves time for another try');
  const holder = `${identity}${SEPARATOR}${nonce}`;
  const handlers: ((isLeader: boolean) => void)[] = [];
  const stopping = new AbortController();

  let held: KubernetesObject | undefined;
  let hasEverHeld = false;
  let validUntilMs = 0;
  let expiry: Timer | undefined;
  let wasLeader = false;
  /** The record as last seen, and for how long it has not changed while we looked. */
  let observed: { version: string; unchangedMs: number; lookedAtMs: number } | undefined;
  /** How much longer the record has to stay as it is, as of the last look. */
  let theirRestMs = Infinity;

  const isLeader = () => held !== undefined && clock.now() < validUntilMs;

  function announce(): void {
    const now = isLeader();
    if (now === wasLeader) return;
    wasLeader = now;
    for (const handler of handlers) handler(now);
  }

  function hold(lease: KubernetesObject, sentAtMs: number): void {
    held = lease;
    hasEverHeld = true;
    observed = undefined;
    theirRestMs = Infinity;
    validUntilMs = sentAtMs + durationMs * VALID_SHARE;
    expiry?.cancel();
    expiry = clock.setTimer(() => {
      // By the timer too: it does not follow a wall clock that was set back.
      validUntilMs = 0;
      announce();
    }, validUntilMs - clock.now());
    announce();
  }

  function stepDown(): void {
    held = undefined;
    validUntilMs = 0;
    expiry?.cancel();
    announce();
  }

  /** Runs one write with a deadline short enough for another try while the lease is still ours. */
  async function write(call: (signal: AbortSignal) => Promise<KubernetesObject>): Promise<void> {
    const controller = new AbortController();
    const timer = clock.setTimer(() => controller.abort(), renewMs);
    const sentAtMs = clock.now();
    try {
      const lease = await call(controller.signal);
      if (!stopping.signal.aborted) hold(lease, sentAtMs);
    } finally {
      timer.cancel();
    }
  }

  function patchLease(
    lease: KubernetesObject,
    spec: Record<string, unknown>,
    signal?: AbortSignal,
  ): Promise<KubernetesObject> {
    const { resourceVersion } = lease.metadata;
    const patch = { metadata: { resourceVersion }, spec };
    return client.mergePatch(leases, namespace, name, patch, signal ? { signal } : {});
  }

  async function renew(lease: KubernetesObject): Promise<void> {
    await write(signal => patchLease(lease, { renewTime: microTime(clock.now()) }, signal));
  }

  /** The whole record of a new term. */
  function term(transitions: number): Record<string, unknown> {
    const now = microTime(clock.now());
    return {
      holderIdentity: holder,
      leaseDurationSeconds: Math.ceil(durationMs / 1000),
      acquireTime: now,
      renewTime: now,
      leaseTransitions: transitions,
    };
  }

  async function look(): Promise<void> {
    const lease = await readLease();
    if (!lease) {
      const metadata = { namespace, name };
      await write(signal =>
        client.create(
          leases,
          { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec: term(0) },
          { signal },
        ),
      );
      return;
    }
    const current: string = lease.spec?.holderIdentity ?? '';
    if (current === holder) return renew(lease);
    if (held) stepDown();
    if (!mayTake(current, lease)) return;
    const transitions = (lease.spec?.leaseTransitions ?? 0) + 1;
    await write(signal => patchLease(lease, term(transitions), signal));
  }

  async function readLease(): Promise<KubernetesObject | undefined> {
    const controller = new AbortController();
    const timer = clock.setTimer(() => controller.abort(), renewMs);
    try {
      return await client.get(leases, namespace, name, { signal: controller.signal });
    } finally {
      timer.cancel();
    }
  }

  function mayTake(current: string, lease: KubernetesObject): boolean {
    if (current === '') return true;
    // Our predecessor in the same container. One that has held knows that the other is younger, and stays away.
    if (!hasEverHeld && current.slice(0, current.lastIndexOf(SEPARATOR)) === identity) return true;
    const nowMs = clock.now();
    const version = lease.metadata.resourceVersion ?? '';
    if (observed?.version !== version) {
      observed = { version, unchangedMs: 0, lookedAtMs: nowMs };
      theirRestMs = Infinity;
      return false;
    }
    // A step of the wall clock counts as no more than one round can last.
    const sinceMs = Math.min(Math.max(0, nowMs - observed.lookedAtMs), RETRY_MS + renewMs);
    observed = { version, unchangedMs: observed.unchangedMs + sinceMs, lookedAtMs: nowMs };
    const termMs = Math.max((lease.spec?.leaseDurationSeconds ?? 0) * 1000, durationMs);
    theirRestMs = Math.max(0, termMs - observed.unchangedMs);
    return theirRestMs === 0;
  }

  /** One round. True when the lease is ours afterwards. */
  async function round(): Promise<boolean> {
    try {
      if (held && isLeader()) await renew(held);
      else await look();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      // A conflict says that another wrote; anything else leaves open whether we did. Both are settled by looking.
      await look().catch((again: unknown) => {
        if (!(again instanceof ApiError)) throw again;
      });
    }
    announce();
    return isLeader();
  }

  return {
    async run(signal) {
      const ends = AbortSignal.any([signal, stopping.signal]);
      while (!ends.aborted) {
        const before = validUntilMs;
        await round();
        const renewed = isLeader() && validUntilMs > before;
        const retryMs = RETRY_MS * (0.75 + 0.25 * random());
        // The last look comes when the term ends, not up to a retry after it.
        const delayMs = renewed ? renewMs : Math.min(retryMs, Math.max(EXPIRY_MS_MIN, theirRestMs));
        if (!ends.aborted) await clock.sleep(delayMs, ends);
      }
    },
    isLeader,
    onChange(handler) {
      handlers.push(handler);
    },
    async release() {
      stopping.abort();
      const lease = held;
      const wasOurs = isLeader();
      stepDown();
      if (!lease || !wasOurs) return;
      const spec = { holderIdentity: null, leaseDurationSeconds: 1, renewTime: microTime(clock.now()) };
      try {
        await patchLease(lease, spec);
      } catch {
        // A renewal that was still on its way came first: its version is the one to give back.
        const now = await readLease().catch(() => undefined);
        if (now?.spec?.holderIdentity === holder) await patchLease(now, spec).catch(() => undefined);
      }
    },
  };
}

/** `meta/v1 MicroTime`: RFC 3339 with six digits. */
function microTime(epochMs: number): string {
  return new Date(epochMs).toISOString().replace('Z', '000Z');
}
