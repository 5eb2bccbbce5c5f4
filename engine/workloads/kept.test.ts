import { expect, test } from 'vitest';
import type { KubernetesObject } from '../kubernetes/types.ts';
import { workloadOf } from './deployment.ts';
import { withoutTemplate, withSmallMetadata } from './kept.ts';
import { revisionOf } from './revisions.ts';

const template = {
  metadata: { labels: { app: 'cart' } },
  spec: { containers: [{ name: 'app', image: 'a:1' }] },
};

test('a ReplicaSet keeps its owner, its pods and its revision, and loses its template', () => {
  const received: KubernetesObject = {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: {
      name: 'cart-1',
      namespace: 'shop',
      uid: 'r',
      ownerReferences: [
        { apiVersion: 'apps/v1', kind: 'Deployment', name: 'cart', uid: 'd', controller: true },
      ],
      managedFields: [{ manager: 'kube-controller-manager' }],
    },
    spec: {
      replicas: 2,
      template: { ...template, metadata: { labels: { app: 'cart', 'pod-template-hash': '1' } } },
    },
    status: { replicas: 2, availableReplicas: 1 },
  };
  const kept = withoutTemplate(received);
  expect(kept.spec).toEqual({ replicas: 2 });
  expect(kept.metadata.managedFields).toBeUndefined();
  const target: KubernetesObject = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'cart', namespace: 'shop', uid: 'd' },
    spec: { template },
  };
  const revision = revisionOf(target);
  expect(workloadOf(target, [kept]).pods).toEqual([{ revision, total: 2, available: 1 }]);
  expect(received.spec.template).toBeDefined();
});

test("of managedFields it stays known who holds which field of the spec; kubectl's copy of the object goes", () => {
  const applied = { manager: 'argocd', operation: 'Apply' as const };
  const kept = withSmallMetadata({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: {
      name: 'cart',
      annotations: { mine: 'yes', 'kubectl.kubernetes.io/last-applied-configuration': '{}' },
      managedFields: [
        {
          ...applied,
          fieldsV1: { 'f:metadata': {}, 'f:spec': { 'f:replicas': {}, 'f:template': { 'f:spec': {} } } },
        },
        { manager: 'status-writer', operation: 'Update', fieldsV1: { 'f:status': {} } },
      ],
    },
    spec: { template },
  });
  expect(kept.metadata.annotations).toEqual({ mine: 'yes' });
  expect(kept.metadata.managedFields).toEqual([
    { ...applied, fieldsV1: { 'f:spec': { 'f:replicas': {}, 'f:template': {} } } },
  ]);
  expect(kept.spec).toEqual({ template });
});
