/**
 * The contract of a Kubernetes API server, as far as the engine relies on it: one suite of tests on a raw transport,
 * run on the in-memory API (direct and over HTTP) and on a real API server, so that the one cannot drift from the
 * other. What is known to differ is data (`declaredDifferences`) and is tested on both sides too.
 */
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Transport } from '../../engine/kubernetes/types.ts';
import { describeAccessAndDiscovery } from './contractAccess.ts';
import { describeApply } from './contractApply.ts';
import { createCalls, CRDS, WIDGETS_VERSION } from './contractCalls.ts';
import type { Calls } from './contractCalls.ts';
import { describeControllers } from './contractControllers.ts';
import { describeCreates } from './contractCreates.ts';
import { describeCustomResources } from './contractCustom.ts';
import { declaredDifferences } from './contractDifferences.ts';
import { describeLifecycle } from './contractLifecycle.ts';
import { describeReads } from './contractReads.ts';
import { describeUpdates } from './contractUpdates.ts';
import { describeWatches } from './contractWatches.ts';
import { gadgetCrd, widgetCrd } from './contractWidgets.ts';

export interface ContractConnection {
  transport: Transport;
  /** Exists, is empty, and belongs to this run of the suite. */
  namespace: string;
  capabilities: {
    /** Which column of the declared differences holds. */
    server: 'memory' | 'real';
    /** Deployment, ReplicaSet, EndpointSlice, garbage and namespace controllers run beside it. */
    controllers: boolean;
    /** A watch of this length gets a bookmark before it ends. */
    bookmarkedWatchSeconds: number;
    /** Makes the server forget its history, where it does not do so by itself. */
    forgetHistory?: () => void;
    /** A bearer token that the server knows, and its user. */
    token: { value: string; user: string };
    /** A user name without any permission. */
    stranger: string;
  };
  close(): Promise<void>;
}

export function describeApiContract(name: string, connect: () => Promise<ContractConnection>): void {
  describe(`API contract: ${name}`, () => {
    let connection: ContractConnection;
    let calls: Calls;

    beforeAll(async () => {
      connection = await connect();
      calls = createCalls(connection.transport, connection.namespace);
      for (const crd of [widgetCrd, gadgetCrd]) await establish(calls, crd);
    });
    afterAll(async () => {
      await connection?.close();
    });

    const use = () => ({ calls, capabilities: connection.capabilities });
    describeCreates(use);
    describeUpdates(use);
    describeApply(use);
    describeCustomResources(use);
    describeLifecycle(use);
    describeReads(use);
    describeWatches(use);
    describeAccessAndDiscovery(use);
    describeControllers(use);

    describe('declared differences', () => {
      for (const difference of declaredDifferences)
        test(`${difference.feature}: memory ${difference.memory}, real ${difference.real}`, async () => {
          const answer = await difference.probe(calls);
          expect(difference.observe(answer)).toBe(difference[connection.capabilities.server]);
        });
    });
  });
}

export interface Used {
  calls: Calls;
  capabilities: ContractConnection['capabilities'];
}

async function establish(calls: Calls, crd: typeof widgetCrd | typeof gadgetCrd): Promise<void> {
  const created = await calls.post(CRDS, crd);
  expect([201, 409]).toContain(created.status);
  await vi.waitFor(
    async () => {
      const { body } = await calls.get(`${CRDS}/${crd.metadata.name}`);
      const conditions: { type: string; status: string }[] = body.status?.conditions ?? [];
      expect(conditions.some(entry => entry.type === 'Established' && entry.status === 'True')).toBe(true);
      const listed = await calls.get(calls.path(WIDGETS_VERSION, crd.spec.names.plural));
      expect(listed.status).toBe(200);
    },
    { timeout: 20_000, interval: 50 },
  );
}
