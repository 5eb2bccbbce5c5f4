/**
 * What keeps a primary from coming up, or would starve it of traffic, on the real API server: each is said on the Canary
 * in the API's own words, the target serves on as it did, and the adoption ends by itself when it is mended.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { service } from '../simulator/world/manifests.ts';
import { type RunningEngine, startEngine } from './harness/engine.ts';
import { type Rig, startRig } from './harness/rig.ts';

let rig: Rig;
let engine: RunningEngine;

beforeAll(async () => {
  rig = await startRig();
  engine = await startEngine(rig, 'http://127.0.0.1:1');
});
afterAll(async () => {
  await engine?.stop();
  await rig?.stop();
});

interface Trouble {
  what: string;
  namespace: string;
  reason: string;
  sentence: RegExp;
  make(namespace: string): Promise<unknown>;
  mend(namespace: string): Promise<unknown>;
}

const primaryOf = (namespace: string) => ({ namespace, labels: { app: 'web-primary' } });
const played = (behaviour: object) => async (namespace: string) =>
  rig.kubelet.setBehaviour(primaryOf(namespace), behaviour);

/** The harness runs no controller of quotas: what is used is written as that would. */
function quota(resource: string, most: string): Pick<Trouble, 'make' | 'mend'> {
  const path = (namespace: string) => `/api/v1/namespaces/${namespace}/resourcequotas`;
  return {
    async make(namespace) {
      const hard = { [resource]: most };
      await rig.api.request('POST', path(namespace), { metadata: { name: 'small' }, spec: { hard } });
      const status = { hard, used: hard };
      const { status: code } = await rig.api.request('PATCH', `${path(namespace)}/small/status`, { status });
      expect(code).toBe(200);
    },
    mend: namespace => rig.api.request('DELETE', `${path(namespace)}/small`),
  };
}

/** Edits the container of the target's template. */
const edited = (edit: (container: any) => void) => async (namespace: string) => {
  const path = `/apis/apps/v1/namespaces/${namespace}/deployments/web`;
  const { containers } = (await rig.api.request('GET', path)).body.spec.template.spec;
  edit(containers[0]);
  const { status } = await rig.api.request('PATCH', path, { spec: { template: { spec: { containers } } } });
  expect(status).toBe(200);
};

const policies = (namespace: string) => `/apis/networking.k8s.io/v1/namespaces/${namespace}/networkpolicies`;

const troubles: Trouble[] = [
  {
    what: 'an image that cannot be pulled',
    namespace: 'noimage',
    reason: 'ImagePullFailed',
    sentence:
      /Pod web-primary-\S+ cannot get image example\.com\/web:v1 of container app: (ErrImagePull|ImagePullBackOff): ./,
    make: played({ imagePullFail: true }),
    mend: played({ imagePullFail: false }),
  },
  {
    what: 'a pod that no node takes',
    namespace: 'nonode',
    reason: 'PodsUnschedulable',
    sentence: /Pod web-primary-\S+ cannot be scheduled: .*nodes are available/,
    make: played({ unschedulable: true }),
    mend: played({ unschedulable: false }),
  },
  {
    what: 'a quota without room for its pods',
    namespace: 'fewpods',
    reason: 'QuotaExceeded',
    sentence: /Pods of Deployment web-primary cannot be created: .*exceeded quota: small/,
    ...quota('pods', '2'),
  },
  {
    what: 'a quota without room for itself',
    namespace: 'fewdeployments',
    reason: 'QuotaExceeded',
    sentence: /Deployment web-primary would be refused: .*exceeded quota: small/,
    ...quota('count/deployments.apps', '1'),
  },
  {
    what: 'a port that its template names twice, which may be created and not applied',
    namespace: 'twice',
    reason: 'PrimaryDryRunRefused',
    sentence:
      /Deployment web-primary would be refused: .*\.ports: duplicate entries for key \[containerPort=8080,protocol="TCP"\]/,
    make: edited(container => container.ports.push({ name: 'again', containerPort: 8080 })),
    mend: edited(container => container.ports.pop()),
  },
  {
    what: 'a NetworkPolicy that would not let its users in',
    namespace: 'companion',
    reason: 'CompanionExcludesPrimary',
    sentence:
      /NetworkPolicy users selects the pods of Deployment web but would not select those of web-primary/,
    make: namespace =>
      rig.api.request('POST', policies(namespace), {
        metadata: { name: 'users' },
        spec: { podSelector: { matchLabels: { app: 'web' } }, ingress: [{}] },
      }),
    mend: namespace =>
      rig.api.request('PATCH', `/apis/serin.dev/v1beta1/namespaces/${namespace}/canaries/web`, {
        metadata: { annotations: { 'serin.dev/allow-companions': 'true' } },
      }),
  },
];

test.concurrent.each(troubles)(
  '$what: said with reason $reason, nobody is harmed, and mended it goes on',
  async trouble => {
    const { namespace, reason, sentence } = trouble;
    await rig.shop(namespace);
    await rig.api.request(
      'POST',
      `/api/v1/namespaces/${namespace}/services`,
      service({ namespace, name: 'web' }),
    );
    await rig.until('the Service serves', async () => {
      const slices = `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`;
      const { body } = await rig.api.request('GET', slices);
      return body.items.some((slice: any) => slice.endpoints?.length === 2);
    });
    const traffic = rig.traffic(namespace, 10);
    await trouble.make(namespace);
    await rig.declare(namespace, { analysis: { stepWeight: 10 } });
    const accepted = await rig.until(`${reason} is said`, async () => {
      const conditions: any[] = (await rig.canary(namespace)).status?.conditions ?? [];
      return conditions.find(one => one.type === 'Accepted' && one.reason === reason);
    });
    expect(accepted).toMatchObject({ status: 'False', message: expect.stringMatching(sentence) });
    // Events follow in the background.
    await rig.until('an event on the Canary says it too', async () => {
      const { body } = await rig.api.request('GET', `/api/v1/namespaces/${namespace}/events`);
      const about = body.items.filter((event: any) => event.involvedObject.kind === 'Canary');
      return about.some((event: any) => event.reason === reason);
    });
    const target = `/apis/apps/v1/namespaces/${namespace}/deployments/web`;
    expect((await rig.api.request('GET', target)).body.spec.replicas).toBe(2);
    const apex = `/api/v1/namespaces/${namespace}/services/web`;
    expect((await rig.api.request('GET', apex)).body.spec.selector).toEqual({ app: 'web' });
    await trouble.mend(namespace);
    const done = await rig.phase(namespace, 'Initialized', 120_000);
    expect(done.status.conditions).toContainEqual(
      expect.objectContaining({ type: 'Accepted', status: 'True' }),
    );
    await rig.until('the target is at zero', async () => {
      return (await rig.api.request('GET', target)).body.spec.replicas === 0;
    });
    const counts = await traffic.stop();
    expect({ failed: counts.failed, failures: traffic.failures.slice(0, 3) }).toEqual({
      failed: 0,
      failures: [],
    });
  },
);
