import { expect, test } from 'vitest';
import { createVirtualClock, type VirtualClock } from '../../simulator/clock.ts';
import { createApiClient } from './client.ts';
import { createLease, type LeaseElection } from './lease.ts';
import {
  connectionReset,
  createScriptedTransport,
  failure,
  json,
  type ScriptedAnswer,
} from './scriptedTransport.ts';
import type { HttpRequest, KubernetesObject } from './types.ts';

/** One Lease with the API's rules: create once, merge patch under a resourceVersion. */
function createLeaseServer() {
  let stored: KubernetesObject | undefined;
  let version = 0;
  const store = (object: KubernetesObject) => {
    version++;
    stored = { ...object, metadata: { ...object.metadata, resourceVersion: String(version) } };
    return json(200, stored);
  };
  return {
    stored: () => stored,
    answer(request: HttpRequest): ScriptedAnswer {
      if (request.method === 'GET') return stored ? json(200, stored) : failure(404, 'NotFound');
      const body = JSON.parse(request.body!);
      if (request.method === 'POST') return stored ? failure(409, 'AlreadyExists') : store(body);
      if (!stored) return failure(404, 'NotFound');
      if (body.metadata.resourceVersion !== String(version)) return failure(409, 'Conflict');
      const spec = { ...stored.spec, ...body.spec };
      for (const key of Object.keys(spec)) if (spec[key] === null) delete spec[key];
      return store({ ...stored, spec });
    },
  };
}

function contender(
  clock: VirtualClock,
  server: ReturnType<typeof createLeaseServer>,
  identity: string,
  nonce: string,
) {
  let isCut = false;
  let requests = 0;
  const { transport } = createScriptedTransport(request => {
    requests++;
    return isCut ? connectionReset() : server.answer(request);
  });
  const client = createApiClient(transport, { clock });
  const random = () => 0.5;
  const lease = createLease(client, { namespace: 'serin', name: 'serin', identity, nonce, clock, random });
  const changes: boolean[] = [];
  lease.onChange(isLeader => changes.push(isLeader));
  const stop = new AbortController();
  const done = lease.run(stop.signal);
  return {
    lease,
    changes,
    requests: () => requests,
    cut: (value: boolean) => {
      isCut = value;
    },
    async stop() {
      stop.abort();
      await done;
    },
  };
}

/** Advances in small steps and asserts after each that at most one leads. */
async function advance(clock: VirtualClock, ms: number, leases: LeaseElection[]): Promise<void> {
  for (let passed = 0; passed < ms; passed += 100) {
    await clock.advance(100);
    expect(leases.filter(lease => lease.isLeader()).length).toBeLessThanOrEqual(1);
  }
}

test('the first takes the lease and keeps it with one request a renewal; the second waits', async () => {
  const clock = createVirtualClock(1_700_000_000_000);
  const server = createLeaseServer();
  const a = contender(clock, server, 'pod-a', '1');
  await clock.advance(0);
  const b = contender(clock, server, 'pod-b', '2');
  await advance(clock, 10_000, [a.lease, b.lease]);
  const before = a.requests();
  await advance(clock, 60_000, [a.lease, b.lease]);
  expect(a.requests() - before).toBe(15);
  expect([a.changes, b.changes]).toEqual([[true], []]);
  expect(server.stored()!.spec).toMatchObject({
    holderIdentity: 'pod-a_1',
    leaseDurationSeconds: 12,
    leaseTransitions: 0,
    renewTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/),
  });
  await Promise.all([a.stop(), b.stop()]);
});

test('a leader that cannot renew stops leading by its own clock before another takes over', async () => {
  const clock = createVirtualClock(1_700_000_000_000);
  const server = createLeaseServer();
  const a = contender(clock, server, 'pod-a', '1');
  await clock.advance(0);
  const b = contender(clock, server, 'pod-b', '2');
  await advance(clock, 12_000, [a.lease, b.lease]);
  a.cut(true);
  await advance(clock, 60_000, [a.lease, b.lease]);
  expect([a.changes, b.changes]).toEqual([[true, false], [true]]);
  expect(server.stored()!.spec).toMatchObject({ holderIdentity: 'pod-b_2', leaseTransitions: 1 });
  a.cut(false);
  await advance(clock, 60_000, [a.lease, b.lease]);
  expect(a.lease.isLeader()).toBe(false);
  expect(b.lease.isLeader()).toBe(true);
  await Promise.all([a.stop(), b.stop()]);
});

test('a short fault between two renewals changes nothing', async () => {
  const clock = createVirtualClock(0);
  const server = createLeaseServer();
  const a = contender(clock, server, 'pod-a', '1');
  await clock.advance(4_000);
  a.cut(true);
  await clock.advance(5_000);
  a.cut(false);
  await clock.advance(30_000);
  expect(a.changes).toEqual([true]);
  expect(a.lease.isLeader()).toBe(true);
  await a.stop();
});

test('a process that was frozen beyond the term does not lead when it wakes, before any timer has run', async () => {
  const server = createLeaseServer();
  const inner = createVirtualClock(0);
  let frozenMs = 0;
  const clock = { ...inner, now: () => inner.now() + frozenMs };
  const a = contender(clock, server, 'pod-a', '1');
  await inner.advance(0);
  expect(a.lease.isLeader()).toBe(true);
  frozenMs = 13_000;
  expect(a.lease.isLeader()).toBe(false);
  await a.stop();
});

test('a wall clock that is set back does not prolong a term', async () => {
  const server = createLeaseServer();
  const inner = createVirtualClock(100_000_000);
  let stepMs = 0;
  const clock = { ...inner, now: () => inner.now() + stepMs };
  const a = contender(clock, server, 'pod-a', '1');
  await inner.advance(0);
  a.cut(true);
  stepMs = -3_600_000;
  await inner.advance(13_000);
  expect(a.lease.isLeader()).toBe(false);
  await a.stop();
});

test('a wall clock that jumps ahead does not make a follower take a living lease', async () => {
  const server = createLeaseServer();
  const inner = createVirtualClock(0);
  let stepMs = 0;
  const a = contender(inner, server, 'pod-a', '1');
  await inner.advance(0);
  const b = contender({ ...inner, now: () => inner.now() + stepMs }, server, 'pod-b', '2');
  await inner.advance(2_000);
  stepMs = 3_600_000;
  await advance(inner, 30_000, [a.lease, b.lease]);
  expect([a.changes, b.changes]).toEqual([[true], []]);
  await Promise.all([a.stop(), b.stop()]);
});

test('a restarted container takes its own lease back at once, and the older process steps down and stays away', async () => {
  const clock = createVirtualClock(0);
  const server = createLeaseServer();
  const older = contender(clock, server, 'pod-a', '1');
  await clock.advance(1_000);
  const younger = contender(clock, server, 'pod-a', '2');
  await clock.advance(0);
  expect(younger.lease.isLeader()).toBe(true);
  // By its next renewal, long before its term would end.
  await clock.advance(5_000);
  expect(older.lease.isLeader()).toBe(false);
  await clock.advance(60_000);
  expect([older.changes, younger.changes]).toEqual([[true, false], [true]]);
  expect(server.stored()!.spec.holderIdentity).toBe('pod-a_2');
  await Promise.all([older.stop(), younger.stop()]);
});

test('a released lease is taken within a retry, and the one that gave it does not take it back', async () => {
  const clock = createVirtualClock(0);
  const server = createLeaseServer();
  const a = contender(clock, server, 'pod-a', '1');
  await clock.advance(0);
  const b = contender(clock, server, 'pod-b', '2');
  await clock.advance(7_000);
  await a.lease.release();
  expect(a.lease.isLeader()).toBe(false);
  expect(server.stored()!.spec.holderIdentity).toBeUndefined();
  await clock.advance(2_000);
  expect(b.lease.isLeader()).toBe(true);
  await clock.advance(60_000);
  expect([a.changes, b.changes]).toEqual([[true, false], [true]]);
  await Promise.all([a.stop(), b.stop()]);
  expect(clock.pending()).toBeLessThanOrEqual(1); // At most the end of b's term.
});

test('two that start together: one leads', async () => {
  const clock = createVirtualClock(0);
  const server = createLeaseServer();
  const all = ['a', 'b', 'c'].map(name => contender(clock, server, `pod-${name}`, '1'));
  await advance(
    clock,
    30_000,
    all.map(({ lease }) => lease),
  );
  expect(all.filter(({ lease }) => lease.isLeader())).toHaveLength(1);
  await Promise.all(all.map(one => one.stop()));
});

test('an API server that does not answer at all never makes anybody lead', async () => {
  const clock = createVirtualClock(0);
  const { transport } = createScriptedTransport(() => 'hang');
  const client = createApiClient(transport, { clock });
  const random = () => 0.5;
  const lease = createLease(client, { namespace: 'n', name: 'n', identity: 'a', nonce: '1', clock, random });
  const stop = new AbortController();
  const done = lease.run(stop.signal);
  await clock.advance(60_000);
  expect(lease.isLeader()).toBe(false);
  stop.abort();
  await clock.advance(20_000);
  await done;
});

test('after the sudden end of a holder a standby leads within 15 s, wherever in its term that comes', async () => {
  for (const aliveMs of [0, 1_500, 3_900]) {
    const clock = createVirtualClock(1_700_000_000_000);
    const server = createLeaseServer();
    const a = contender(clock, server, 'pod-a', '1');
    await clock.advance(0);
    const b = contender(clock, server, 'pod-b', '2');
    await advance(clock, 20_000 + aliveMs, [a.lease, b.lease]);
    expect([a.lease.isLeader(), b.lease.isLeader()]).toEqual([true, false]);
    await a.stop();
    await advance(clock, 15_000, [a.lease, b.lease]);
    expect(b.lease.isLeader()).toBe(true);
    await b.stop();
  }
});

/** A holder and a standby that began this much later. */
async function pairApart(phaseMs: number) {
  const clock = createVirtualClock(1_700_000_000_000);
  const server = createLeaseServer();
  const a = contender(clock, server, 'pod-a', '1');
  await clock.advance(phaseMs);
  const b = contender(clock, server, 'pod-b', '2');
  await clock.advance(20_000 - phaseMs);
  return { clock, server, a, b };
}

const PHASES_MS = [0, 250, 500, 750, 999];

test('the worst moment for a standby: the holder dies just after a renewal that was not seen yet', async () => {
  for (const phaseMs of PHASES_MS) {
    const { clock, server, a, b } = await pairApart(phaseMs);
    await a.stop();
    const renewedAt = Date.parse(server.stored()!.spec.renewTime);
    let leadsAt: number | undefined;
    b.lease.onChange(isLeader => (leadsAt ??= isLeader ? clock.now() : undefined));
    await advance(clock, 15_000, [b.lease]);
    // The term from its first sight, which is at most a look later; not a look more at its end.
    expect(leadsAt! - renewedAt).toBeLessThanOrEqual(12_000 + 1_000);
    await b.stop();
  }
});

test('a lease that is given back is taken within a second', async () => {
  for (const phaseMs of PHASES_MS) {
    const { clock, a, b } = await pairApart(phaseMs);
    await a.lease.release();
    await clock.advance(1_000);
    expect(b.lease.isLeader()).toBe(true);
    await Promise.all([a.stop(), b.stop()]);
  }
});
