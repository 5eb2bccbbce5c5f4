/** Stored templates are out of reach of an engine that had decided to forget them; statuses are bounded. */
import { describe, expect, test } from 'vitest';
import { type CanaryStatus, type JudgeStatus, STATUS_BYTES_MAX } from '../api/status.ts';
import { ApiError, type KubernetesObject } from '../kubernetes/types.ts';
import { revisionName } from '../workloads/revisions.ts';
import { act } from './act.ts';
import type { Sighting } from './observe.ts';
import type { World } from './world.ts';

const name = revisionName('web', 'r2');

/** A server that keeps one ControllerRevision and its version. */
function setUp() {
  let kept: KubernetesObject | undefined;
  let version = 0;
  const conflict = () => new ApiError('conflict', 'the object has been modified');
  const client = {
    async create(_type: unknown, object: KubernetesObject) {
      if (kept) throw new ApiError('alreadyExists', 'it exists');
      kept = { ...object, metadata: { ...object.metadata, uid: 'u1', resourceVersion: String(++version) } };
      return kept;
    },
    async mergePatch(_type: unknown, _namespace: string, _name: string, patch: any) {
      if (!kept) throw new ApiError('notFound', 'it is gone');
      const annotations = { ...kept.metadata.annotations, ...patch.metadata.annotations };
      kept = { ...kept, metadata: { ...kept.metadata, annotations, resourceVersion: String(++version) } };
      return kept;
    },
    async delete(_type: unknown, _namespace: string, _name: string, given: Record<string, string>) {
      if (!kept) return false;
      if (given['uid'] !== kept.metadata.uid || given['resourceVersion'] !== kept.metadata.resourceVersion)
        throw conflict();
      kept = undefined;
      return true;
    },
  };
  const world = {
    client,
    stores: { controllerRevisions: { absorb: () => {}, forget: () => {} } },
  } as unknown as World;
  const look = (): Sighting =>
    ({
      canary: { namespace: 'shop', name: 'web', uid: 'c1' },
      names: { namespace: 'shop' },
      object: { apiVersion: 'serin.dev/v1beta1', kind: 'Canary', metadata: { name: 'web', uid: 'c1' } },
      target: { metadata: { name: 'web' }, spec: { replicas: 2, template: { metadata: {}, spec: {} } } },
      observation: { now: 1_000, target: { revision: 'r2' } },
      revisions: kept ? [kept] : [],
    }) as unknown as Sighting;
  return { world, look, kept: () => kept };
}

test('a forgetting that was decided before the template was stored again does not land', async () => {
  const { world, look, kept } = setUp();
  expect(await act(world, look(), [{ kind: 'storeRevision', revision: 'r2' }])).toEqual({ kind: 'done' });
  expect(kept()?.metadata.name).toBe(name);
  const frozen = look();
  expect(await act(world, look(), [{ kind: 'storeRevision', revision: 'r2' }])).toEqual({ kind: 'done' });
  const late = await act(world, frozen, [{ kind: 'forgetRevision', revision: 'r2' }]);
  expect(late).toMatchObject({ kind: 'conflict' });
  expect(kept()).toBeDefined();
  expect(await act(world, look(), [{ kind: 'forgetRevision', revision: 'r2' }])).toEqual({ kind: 'done' });
  expect(kept()).toBeUndefined();
});

describe('a status that is too large', () => {
  const transition = {
    number: 1,
    at: '',
    severity: 'info' as const,
    reason: 'Waiting',
    message: 'm'.repeat(500),
  };
  const judgeOf = (points: number, checkpoint: number): JudgeStatus => ({
    run: 'r2.2',
    mode: 'compare',
    at: '',
    verdict: 'hold',
    sentence: 's',
    logEvidence: 0,
    logNeeded: 5,
    comparisons: [],
    timeline: Array.from({ length: points }, () => [1, 2, 3, 4, 5, 6, 7, 8]),
    checkpoint: 'c'.repeat(checkpoint),
  });
  async function written(status: CanaryStatus): Promise<CanaryStatus> {
    let sent: CanaryStatus = {};
    const client = {
      async replaceStatus(_type: unknown, object: KubernetesObject) {
        sent = object.status;
        return object;
      },
    };
    const world = { client, types: {}, stores: { canaries: { absorb: () => {} } } } as unknown as World;
    await act(world, { object: { metadata: {} }, canary: {}, names: {} } as unknown as Sighting, [
      { kind: 'status', status },
    ]);
    expect(Buffer.byteLength(JSON.stringify(sent))).toBeLessThanOrEqual(STATUS_BYTES_MAX);
    return sent;
  }

  test('loses its chart, then its checkpoint, then the evidence, and nothing else', async () => {
    const transitions = (count: number) => Array.from({ length: count }, () => transition);
    const small = { transitions: transitions(10), judge: judgeOf(10, 100) };
    expect(await written(small)).toEqual(small);
    const chart = await written({ transitions: transitions(28), judge: judgeOf(60, 16_000) });
    expect(chart.judge).toMatchObject({ timeline: [], checkpoint: expect.stringMatching(/^c{16000}$/) });
    const checkpoint = await written({ transitions: transitions(40), judge: judgeOf(60, 16_000) });
    expect(checkpoint.judge).toMatchObject({ sentence: 's', timeline: [] });
    expect(checkpoint.judge?.checkpoint).toBeUndefined();
    expect(checkpoint.transitions).toHaveLength(40);
  });

  test('that is too large without a judge is a fault of the engine', async () => {
    const status = { transitions: Array.from({ length: 80 }, () => transition) };
    await expect(written(status)).rejects.toThrow('larger than 32768');
  });
});
