/** What keeps a target from being adopted: each reason from the objects that cause it, over a scripted API server. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../clock.ts';
import type { Sighting } from '../controller/observe.ts';
import { createApiClient } from '../kubernetes/client.ts';
import { createScriptedTransport, failure, json } from '../kubernetes/scriptedTransport.ts';
import type { HttpResponse, KubernetesObject } from '../kubernetes/types.ts';
import { inspectPods, inspectTarget, matchesSelector } from './inspect.ts';

function deployment(name: string, extra: Partial<KubernetesObject> = {}): KubernetesObject {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: 'shop', generation: 1 },
    spec: { replicas: 2, template: { metadata: { labels: { app: 'cart', tier: 'web' } } } },
    status: { observedGeneration: 1, availableReplicas: 2, updatedReplicas: 2 },
    ...extra,
  };
}

/** Only what an inspection looks at. */
function sightingOf(parts: Partial<Sighting> & { annotations?: Record<string, string> } = {}): Sighting {
  const { annotations = {}, ...rest } = parts;
  return {
    names: {
      namespace: 'shop',
      apex: 'cart',
      primary: 'cart-primary',
      canary: 'cart-canary',
      target: 'cart',
      primaryWorkload: 'cart-primary',
    },
    label: { key: 'app', value: 'cart' },
    target: deployment('cart'),
    primary: undefined,
    apex: undefined,
    canary: { annotations, spec: {} },
    observation: { problems: [] },
    object: { apiVersion: 'serin.dev/v1beta1' },
    ...rest,
  } as Sighting;
}

/** Answers each list by its plural: items, or a whole answer. What is not named is empty, or not served. */
function serverWith(lists: Record<string, object[] | HttpResponse>) {
  const scripted = createScriptedTransport(request => {
    const plural = new URL(request.path, 'http://api').pathname.split('/').at(-1) ?? '';
    const given = lists[plural];
    if (given && !Array.isArray(given)) return given;
    const isServed = plural !== 'scaledobjects' && plural !== 'podmonitors';
    if (!given && !isServed)
      return failure(404, 'NotFound', 'the server could not find the requested resource');
    return json(200, { metadata: { resourceVersion: '1' }, items: given ?? [] });
  });
  return { ...scripted, client: createApiClient(scripted.transport, { clock: systemClock }) };
}

const named = (name: string, spec: object) => ({ metadata: { name, namespace: 'shop' }, spec });
const inspected = (lists: Record<string, object[] | HttpResponse>, sighting = sightingOf()) =>
  inspectTarget(serverWith(lists).client, sighting);

describe('label selectors', () => {
  const labels = { app: 'cart', tier: 'web' };
  test.each([
    [{}, true],
    [{ matchLabels: { app: 'cart' } }, true],
    [{ matchLabels: { app: 'cart', zone: 'a' } }, false],
    [{ matchExpressions: [{ key: 'app', operator: 'In', values: ['cart', 'x'] }] }, true],
    [{ matchExpressions: [{ key: 'zone', operator: 'In', values: ['a'] }] }, false],
    [{ matchExpressions: [{ key: 'app', operator: 'NotIn', values: ['cart'] }] }, false],
    [{ matchExpressions: [{ key: 'zone', operator: 'NotIn', values: ['a'] }] }, true],
    [{ matchExpressions: [{ key: 'app', operator: 'Exists' }] }, true],
    [{ matchExpressions: [{ key: 'zone', operator: 'Exists' }] }, false],
    [{ matchExpressions: [{ key: 'app', operator: 'DoesNotExist' }] }, false],
    [{ matchExpressions: [{ key: 'zone', operator: 'DoesNotExist' }] }, true],
    [{ matchLabels: { app: 'cart' }, matchExpressions: [{ key: 'tier', operator: 'DoesNotExist' }] }, false],
    [{ matchExpressions: [{ key: 'app', operator: 'Like', values: ['c'] }] }, false],
  ])('%j selects %s', (selector, expected) => {
    expect(matchesSelector(selector, labels)).toBe(expected);
  });

  test('an absent selector selects nothing', () => {
    expect(matchesSelector(undefined, labels)).toBe(false);
    expect(matchesSelector(null, labels)).toBe(false);
  });

  test('NotIn is the contrary of In, and DoesNotExist of Exists', () => {
    const word = fc.constantFrom('a', 'b', 'c');
    fc.assert(
      fc.property(fc.dictionary(word, word), word, fc.array(word), (given, key, values) => {
        const says = (operator: string) =>
          matchesSelector({ matchExpressions: [{ key, operator, values }] }, given);
        expect(says('NotIn')).toBe(!says('In'));
        expect(says('DoesNotExist')).toBe(!says('Exists'));
      }),
    );
  });
});

describe('autoscalers', () => {
  test('an HPA of the target is named', async () => {
    const ref = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'cart' };
    const problems = await inspected({
      horizontalpodautoscalers: [named('cart-hpa', { scaleTargetRef: ref })],
    });
    expect(problems).toMatchObject([{ reason: 'TargetHasAutoscaler', field: 'spec.targetRef' }]);
    expect(problems[0]?.message).toContain('HorizontalPodAutoscaler cart-hpa scales Deployment cart');
  });

  test('an HPA of the primary is named with the Deployment that it scales', async () => {
    const ref = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'cart-primary' };
    const problems = await inspected({
      horizontalpodautoscalers: [named('cart-hpa', { scaleTargetRef: ref })],
    });
    expect(problems[0]?.message).toContain('HorizontalPodAutoscaler cart-hpa scales Deployment cart-primary');
  });

  test('a ScaledObject without a kind scales a Deployment', async () => {
    const problems = await inspected({
      scaledobjects: [named('keda', { scaleTargetRef: { name: 'cart' } })],
    });
    expect(problems).toMatchObject([{ reason: 'TargetHasAutoscaler' }]);
    expect(problems[0]?.message).toContain('ScaledObject keda');
  });

  test('those of other workloads are nobody’s business', async () => {
    const others = [
      { apiVersion: 'apps/v1', kind: 'Deployment', name: 'other' },
      { apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'cart' },
      { apiVersion: 'example.org/v1', kind: 'Deployment', name: 'cart' },
    ].map((scaleTargetRef, index) => named(`h${index}`, { scaleTargetRef }));
    expect(await inspected({ horizontalpodautoscalers: others, scaledobjects: others })).toEqual([]);
  });
});

describe('companions', () => {
  const selects = { matchLabels: { app: 'cart' } };
  test.each([
    ['networkpolicies', 'NetworkPolicy', { podSelector: selects }],
    ['poddisruptionbudgets', 'PodDisruptionBudget', { selector: selects }],
    ['podmonitors', 'PodMonitor', { selector: selects }],
  ])('of %s, one that excludes the primary is named with the way out', async (plural, kind, spec) => {
    const problems = await inspected({ [plural]: [named('one', spec)] });
    expect(problems).toMatchObject([{ reason: 'CompanionExcludesPrimary' }]);
    expect(problems[0]?.message).toContain(`${kind} one selects the pods of Deployment cart`);
    expect(problems[0]?.message).toContain('app=cart-primary');
    const allowing = sightingOf({ annotations: { 'serin.dev/allow-companions': 'true' } });
    expect(await inspected({ [plural]: [named('one', spec)] }, allowing)).toEqual([]);
  });

  test('one that selects both, neither, or the pods of another namespace is fine', async () => {
    const problems = await inspected({
      networkpolicies: [named('all', { podSelector: {} }), named('implied', {})],
      poddisruptionbudgets: [
        named('tier', { selector: { matchLabels: { tier: 'web' } } }),
        named('none', {}),
        named('other', { selector: { matchLabels: { app: 'other' } } }),
      ],
      podmonitors: [named('away', { selector: selects, namespaceSelector: { matchNames: ['elsewhere'] } })],
    });
    expect(problems).toEqual([]);
  });

  test('a missing right is said for what must be looked at, and passed over for what need not be there', async () => {
    const denied = failure(403, 'Forbidden', 'networkpolicies is forbidden');
    const problems = await inspected({ networkpolicies: denied, scaledobjects: denied, podmonitors: denied });
    expect(problems).toEqual([
      {
        reason: 'Forbidden',
        message: 'The engine may not list networkpolicies in shop: networkpolicies is forbidden.',
      },
    ]);
  });

  test('any other failure is thrown: it must not read as "no companion"', async () => {
    const broken = failure(500, 'InternalError', 'etcd is gone');
    await expect(inspected({ poddisruptionbudgets: broken })).rejects.toMatchObject({ kind: 'server' });
  });
});

describe('fields that another manager applies', () => {
  const managed = (manager: string, operation: 'Apply' | 'Update', spec: object) => ({
    managedFields: [{ manager, operation, fieldsV1: { 'f:spec': spec } }],
  });
  const target = (manager: string, operation: 'Apply' | 'Update' = 'Apply') =>
    deployment('cart', { metadata: { name: 'cart', ...managed(manager, operation, { 'f:replicas': {} }) } });

  test('Argo CD gets its ignoreDifferences', async () => {
    const [problem] = await inspected({}, sightingOf({ target: target('argocd-controller') }));
    expect(problem?.reason).toBe('FieldOwnedByOther');
    expect(problem?.message).toContain('Manager argocd-controller applies spec.replicas of Deployment cart');
    expect(problem?.message).toContain(
      'ignoreDifferences: [{group: apps, kind: Deployment, name: cart, jsonPointers: [/spec/replicas]}]',
    );
  });

  test('Argo CD stays an owner of what it ignores: an annotation says that it is harmless, for it and nobody else', async () => {
    const [problem] = await inspected({}, sightingOf({ target: target('argocd-controller') }));
    const [, key = '', value = ''] =
      /the annotation (\S+): (\S+) to the Canary/.exec(problem?.message ?? '') ?? [];
    const both = target('argocd-controller');
    both.metadata.managedFields?.push(...(target('helm').metadata.managedFields ?? []));
    const asked = (annotation: string) =>
      inspected({}, sightingOf({ target: both, annotations: { [key]: annotation } }));
    expect((await asked(value)).map(one => one.message)).toEqual([expect.stringMatching(/^Manager helm /)]);
    expect(await asked(`${value}, helm`)).toEqual([]);
    expect(await asked('argocd')).toHaveLength(2);
  });

  test('whoever is to leave a field out is warned of what becomes of it', async () => {
    for (const manager of ['kustomize-controller', 'helm', 'kubectl']) {
      const [problem] = await inspected({}, sightingOf({ target: target(manager) }));
      expect(problem?.message).toContain('after a hand-over (docs/gitops.md');
      // A transition keeps 512 characters.
      expect(problem?.message.length).toBeLessThan(400);
    }
  });

  test.each([
    ['kustomize-controller', 'that Flux applies'],
    ['helm', 'omit replicas of Deployment cart from the chart'],
    ['helm-controller', 'HelmRelease'],
    ['kubectl', 'from what kubectl applies'],
  ])('%s gets its fix', async (manager, fix) => {
    const [problem] = await inspected({}, sightingOf({ target: target(manager) }));
    expect(problem?.message).toContain(fix);
  });

  test('the selector of an existing apex Service', async () => {
    const apex = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'cart', ...managed('argocd-controller', 'Apply', { 'f:selector': {} }) },
    };
    const [problem] = await inspected({}, sightingOf({ apex }));
    expect(problem?.message).toContain('Manager argocd-controller applies spec.selector of Service cart');
    expect(problem?.message).toContain(
      'group: "", kind: Service, name: cart, jsonPointers: [/spec/selector]',
    );
  });

  test('the engine itself, updates, and other fields are fine', async () => {
    const other = { name: 'cart', ...managed('argocd-controller', 'Apply', { 'f:template': {} }) };
    const fine = [target('serin'), target('kubectl', 'Update'), deployment('cart', { metadata: other })];
    for (const one of fine) expect(await inspected({}, sightingOf({ target: one }))).toEqual([]);
  });
});

describe('a primary that does not come up', () => {
  const status = { observedGeneration: 1, availableReplicas: 0, updatedReplicas: 2 };
  const primary = deployment('cart-primary', { status });
  const pod = (name: string, podStatus: object) => ({
    metadata: { name, namespace: 'shop' },
    status: podStatus,
  });

  test('its pods are asked for by its own label, and only while it is not ready', async () => {
    const server = serverWith({});
    await inspectTarget(server.client, sightingOf({ primary }));
    const asked = server.requests.filter(request => request.path.includes('/pods?'));
    expect(asked).toHaveLength(1);
    expect(decodeURIComponent(asked[0]?.path ?? '')).toContain('labelSelector=app=cart-primary');
    const ready = serverWith({});
    await inspectTarget(ready.client, sightingOf({ primary: deployment('cart-primary') }));
    expect(ready.requests.some(request => request.path.includes('/pods?'))).toBe(false);
  });

  test('an image that cannot be pulled and a pod that no node takes, in the words of the API', async () => {
    const waiting = { reason: 'ImagePullBackOff', message: 'Back-off pulling image "cart:9"' };
    const pods = [
      pod('p2', { containerStatuses: [{ name: 'web', image: 'cart:9', state: { waiting } }] }),
      pod('p1', {
        conditions: [
          {
            type: 'PodScheduled',
            status: 'False',
            reason: 'Unschedulable',
            message: '0/3 nodes are available.',
          },
        ],
      }),
    ];
    expect(await inspected({ pods }, sightingOf({ primary }))).toEqual([
      {
        reason: 'ImagePullFailed',
        message:
          'Pod p2 cannot get image cart:9 of container web: ImagePullBackOff: Back-off pulling image "cart:9".',
      },
      { reason: 'PodsUnschedulable', message: 'Pod p1 cannot be scheduled: 0/3 nodes are available.' },
    ]);
  });

  test('a pod that only starts, or that is going, is no trouble', async () => {
    const waiting = { reason: 'ErrImagePull' };
    const going = pod('p2', { containerStatuses: [{ name: 'web', state: { waiting } }] });
    Object.assign(going.metadata, { deletionTimestamp: '2030-01-01T00:00:00Z' });
    const starting = pod('p1', {
      containerStatuses: [{ state: { waiting: { reason: 'ContainerCreating' } } }],
    });
    expect(await inspected({ pods: [starting, going] }, sightingOf({ primary }))).toEqual([]);
  });

  test.each([
    ['pods "x" is forbidden: exceeded quota: small, requested: pods=1', 'QuotaExceeded'],
    ['pods "x" is forbidden: violates PodSecurity "restricted"', 'PrimaryNotReady'],
  ])('%s: %s', async (message, reason) => {
    const conditions = [{ type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message }];
    const failing = deployment('cart-primary', { status: { ...status, conditions } });
    const problems = await inspected({}, sightingOf({ primary: failing }));
    expect(problems).toEqual([
      { reason, message: `Pods of Deployment cart-primary cannot be created: ${message}.` },
    ]);
  });
});

describe('the Secret of a MetricTemplate', () => {
  const sighting = sightingOf({
    canary: {
      annotations: {},
      spec: {
        analysis: { metrics: [{ name: 'errors', templateRef: { name: 'errors', namespace: 'shared' } }] },
      },
    } as never,
  });
  const template = { spec: { provider: { type: 'prometheus', secretRef: { name: 'token' } }, query: 'x' } };
  const server = (
    secret: HttpResponse,
    shown = json(200, { metadata: { name: 'errors', namespace: 'shared' }, ...template }),
  ) => {
    const asked: string[] = [];
    const scripted = createScriptedTransport(request => {
      const { pathname } = new URL(request.path, 'http://api');
      asked.push(pathname);
      if (pathname.endsWith('/metrictemplates/errors')) return shown;
      if (pathname.endsWith('/secrets/token')) return secret;
      return json(200, { metadata: { resourceVersion: '1' }, items: [] });
    });
    return { asked, client: createApiClient(scripted.transport, { clock: systemClock }) };
  };

  test('missing: the metric is named, and what it needs', async () => {
    const { client } = server(failure(404, 'NotFound', 'secrets "token" not found'));
    expect(await inspectTarget(client, sighting)).toEqual([
      {
        reason: 'SecretNotFound',
        field: 'spec.analysis.metrics[0].templateRef',
        message: 'MetricTemplate errors needs Secret shared/token, which does not exist',
      },
    ]);
  });

  test('of a template that may not be referred to: neither is read', async () => {
    const { client, asked } = server(failure(404, 'NotFound', 'secrets "token" not found'));
    const problems = [{ reason: 'CrossNamespaceRef', message: 'must be shop or absent' }];
    const observation = { ...sighting.observation, problems };
    expect(await inspectTarget(client, { ...sighting, observation } as never)).toEqual([]);
    expect(asked.filter(path => path.includes('/namespaces/shared/'))).toEqual([]);
  });

  test('there, or not to be seen: no problem', async () => {
    const there = server(json(200, { metadata: { name: 'token' }, data: { token: 'c2VjcmV0' } }));
    expect(await inspectTarget(there.client, sighting)).toEqual([]);
    expect(there.asked).toContain('/api/v1/namespaces/shared/secrets/token');
    const denied = server(failure(403, 'Forbidden', 'no'));
    expect(await inspectTarget(denied.client, sighting)).toEqual([]);
    // A namespace that is not served: the template is missing for other reasons, and the adoption must not fail.
    const elsewhere = server(json(200, {}), failure(403, 'Forbidden', 'no'));
    expect(await inspectTarget(elsewhere.client, sighting)).toEqual([]);
    expect(elsewhere.asked).not.toContain('/api/v1/namespaces/shared/secrets/token');
  });
});

describe('pods that do not become ready during a rollout', () => {
  test('are looked at by the labels of the arm that is not ready, and by no other', async () => {
    const waiting = { reason: 'ErrImagePull', message: 'no such image' };
    const pods = [
      {
        metadata: { name: 'p1', namespace: 'shop' },
        status: { containerStatuses: [{ name: 'web', image: 'cart:9', state: { waiting } }] },
      },
    ];
    const status = { observedGeneration: 1, availableReplicas: 0, updatedReplicas: 2 };
    const { client, requests } = serverWith({ pods });
    const sighting = sightingOf({
      target: deployment('cart', { status }),
      primary: deployment('cart-primary'),
    });
    expect(await inspectPods(client, sighting)).toMatchObject([{ reason: 'ImagePullFailed' }]);
    expect(requests).toHaveLength(1);
    expect(decodeURIComponent(requests[0]?.path ?? '')).toContain('labelSelector=app=cart');
  });
});

test('a target that is gone has no problems, and nothing is asked', async () => {
  const server = serverWith({});
  const { target: _target, ...rest } = sightingOf();
  expect(await inspectTarget(server.client, { ...rest, target: undefined })).toEqual([]);
  expect(server.requests).toEqual([]);
});
