/** Decoding: the whole table of rules, problems said by field, everything unsupported by name, and never a throw. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PROVIDERS } from './canary.ts';
import {
  decodeAlertProvider,
  decodeCanary,
  decodeMetricTemplate,
  formatProblem,
  PROBLEMS_MAX,
} from './decode.ts';
import { METRIC_PROVIDERS } from './metricTemplate.ts';
import { reasons } from './reasons.ts';
import { baseSpecs, type RuleCase, ruleCases, specOf } from './ruleCases.ts';
import { unsupportedInCanary } from './unsupported.ts';

const metadata = { namespace: 'shop', name: 'web', uid: 'u1', generation: 3, resourceVersion: '7' };

function decodeCase(ruleCase: RuleCase) {
  const object = { metadata, spec: specOf(ruleCase) };
  switch (ruleCase.kind) {
    case 'Canary':
      return decodeCanary(object);
    case 'MetricTemplate':
      return decodeMetricTemplate(object);
    case 'AlertProvider':
      return decodeAlertProvider(object);
  }
}

function problemsOf(spec: unknown) {
  const decoded = decodeCanary({ metadata, spec });
  return decoded.ok ? [] : decoded.problems;
}

function withField(path: string, value: unknown): unknown {
  const spec = structuredClone(baseSpecs.Canary);
  const steps = path.split('.').slice(1);
  const last = steps.pop() as string;
  let at: Record<string, any> = spec;
  for (const step of steps) at = at[step] as Record<string, any>;
  at[last] = value;
  return spec;
}

describe('the rules', () => {
  test.each(ruleCases.map(ruleCase => [ruleCase.name, ruleCase] as const))('%s', (_, ruleCase) => {
    const decoded = decodeCase(ruleCase);
    if (!ruleCase.refused) {
      expect(decoded).toMatchObject({ ok: true });
      return;
    }
    const { field, engine } = ruleCase.refused;
    expect(decoded).toMatchObject({ ok: false });
    if (decoded.ok) return;
    const problem = decoded.problems.find(found => found.field === field);
    expect(problem?.expected).toContain(engine);
  });

  test('no two cases have one name', () => {
    expect(new Set(ruleCases.map(ruleCase => ruleCase.name)).size).toBe(ruleCases.length);
  });
});

describe('a valid Canary', () => {
  test('has its identity, its spec and the defaults that are Serin’s own', () => {
    const decoded = decodeCanary({ metadata: { ...metadata, finalizers: ['f'] }, spec: baseSpecs.Canary });
    expect(decoded).toEqual({
      ok: true,
      canary: {
        ...metadata,
        creationTimestamp: '',
        annotations: {},
        labels: {},
        finalizers: ['f'],
        spec: {
          ...baseSpecs.Canary,
          analysis: {
            ...(baseSpecs.Canary['analysis'] as object),
            onNoData: 'hold',
            noDataBudget: 10,
            onError: 'hold',
            errorBudget: 10,
            onStalled: 'hold',
          },
        },
      },
    });
  });

  test('is not changed by decoding', () => {
    const object = Object.freeze({ metadata, spec: Object.freeze(structuredClone(baseSpecs.Canary)) });
    const before = JSON.stringify(object);
    decodeCanary(object);
    expect(JSON.stringify(object)).toBe(before);
  });

  test('may leave out everything that has a meaning when absent', () => {
    const spec = { ...baseSpecs.Canary, analysis: { iterations: 1 } };
    expect(decodeCanary({ metadata, spec })).toMatchObject({ ok: true });
  });
});

describe('what is not supported', () => {
  const samples: Record<string, unknown> = {
    'spec.targetRef.kind': 'DaemonSet',
    'spec.service.hosts': ['a.test'],
    'spec.service.meshName': 'm',
    'spec.service.backends': ['b'],
    'spec.service.timeout': '5s',
    'spec.service.backendTimeout': '5s',
    'spec.service.retries': { attempts: 3 },
    'spec.service.rewrite': { uri: '/' },
    'spec.service.gateways': ['g'],
    'spec.service.gatewayRefs': [{ name: 'g' }],
    'spec.service.match': [{ uri: { prefix: '/' } }],
    'spec.service.headers': { request: {} },
    'spec.service.mirror': [{ backendRef: { name: 'b' } }],
    'spec.service.corsPolicy': { maxAge: '1h' },
    'spec.service.trafficPolicy': { tls: { mode: 'ISTIO_MUTUAL' } },
    'spec.service.headless': true,
    'spec.service.delegation': true,
    'spec.analysis.match': [{ headers: {} }],
    'spec.analysis.mirror': true,
    'spec.analysis.mirrorWeight': 50,
    'spec.analysis.sessionAffinity': { cookieName: 'c' },
    'spec.analysis.webhooks': [{ name: 'h', url: 'http://h.test' }],
    'spec.autoscalerRef': { apiVersion: 'autoscaling/v2', kind: 'HorizontalPodAutoscaler', name: 'web' },
    'spec.ingressRef': { apiVersion: 'networking.k8s.io/v1', kind: 'Ingress', name: 'web' },
    'spec.routeRef': { apiVersion: 'apisix.apache.org/v2', kind: 'ApisixRoute', name: 'web' },
    'spec.upstreamRef': { apiVersion: 'gloo.solo.io/v1', kind: 'Upstream', name: 'web' },
  };
  const fields = unsupportedInCanary.filter(entry => entry.path !== 'spec.provider');

  test.each(fields.map(entry => [entry.path, entry] as const))(
    '%s is refused by name, alone',
    (path, entry) => {
      expect(samples).toHaveProperty([path]);
      expect(problemsOf(withField(path, samples[path]))).toEqual([
        { reason: entry.reason, field: path, expected: entry.sentence },
      ]);
    },
  );

  test('what asks for nothing is accepted', () => {
    for (const [path, nothing] of [
      ['spec.analysis.mirror', false],
      ['spec.analysis.mirrorWeight', 0],
      ['spec.analysis.webhooks', []],
      ['spec.service.hosts', []],
      ['spec.service.headless', false],
      ['spec.revertOnDeletion', false],
    ] as const)
      expect(problemsOf(withField(path, nothing))).toEqual([]);
  });

  test('every provider is either supported, not yet, or retired', () => {
    const byReason = (reason: string) =>
      PROVIDERS.filter(provider => problemsOf(withField('spec.provider', provider))[0]?.reason === reason);
    const supported = PROVIDERS.filter(
      provider => problemsOf(withField('spec.provider', provider)).length === 0,
    );
    expect(supported).toEqual(['linkerd', 'smi:v1alpha1', 'smi:v1alpha2', 'smi:v1alpha3', 'smi:v1alpha4']);
    expect(byReason('Retired')).toEqual(['appmesh', 'appmesh:v1beta2', 'osm']);
    expect(byReason('NotSupportedYet').length).toBe(PROVIDERS.length - 8);
  });

  test('weights have a reason of their own, whatever is wrong with them', () => {
    const reasonAt = (way: object, field: string) =>
      problemsOf({ ...baseSpecs.Canary, analysis: way }).map(({ reason, field: at }) =>
        at === `spec.analysis.${field}` ? reason : at,
      );
    for (const [way, field] of [
      [{ stepWeight: 0 }, 'stepWeight'],
      [{ stepWeight: 101 }, 'stepWeight'],
      [{ stepWeight: 'ten' }, 'stepWeight'],
      [{ stepWeights: [10, 10] }, 'stepWeights'],
      [{ stepWeights: [20, 10] }, 'stepWeights'],
      [{ stepWeights: [] }, 'stepWeights'],
      [{ stepWeights: [0, 10] }, 'stepWeights[0]'],
      [{ stepWeights: [10, 101] }, 'stepWeights[1]'],
      [{ stepWeight: 10, maxWeight: 101 }, 'maxWeight'],
      [{ iterations: 3, maxWeight: 50 }, 'maxWeight'],
      [{ stepWeight: 10, stepWeightPromotion: -1 }, 'stepWeightPromotion'],
    ] as const)
      expect(reasonAt(way, field), JSON.stringify(way)).toEqual(['InvalidWeights']);
    expect(reasonAt({ stepWeight: 10, threshold: -1 }, 'threshold')).toEqual(['InvalidSpec']);
  });

  test('an unknown provider has a reason of its own', () => {
    expect(problemsOf(withField('spec.provider', 'nonesuch'))[0]?.reason).toBe('UnknownProvider');
  });

  test('of the metric providers only prometheus is supported', () => {
    const decoded = METRIC_PROVIDERS.map(type =>
      decodeMetricTemplate({
        metadata,
        spec: { provider: { type, address: 'http://metrics.test' }, query: 'q' },
      }),
    );
    expect(decoded.filter(result => result.ok)).toHaveLength(1);
    for (const result of decoded)
      if (!result.ok)
        expect(result.problems[0]).toMatchObject({ reason: 'NotSupportedYet', field: 'spec.provider.type' });
  });

  test('of the receivers slack and webhook are supported', () => {
    const accepts = (type: string) =>
      decodeAlertProvider({ metadata, spec: { type, address: 'https://a.test' } }).ok;
    expect(['slack', 'webhook', 'msteams', 'discord', 'rocket', 'gchat'].filter(accepts)).toEqual([
      'slack',
      'webhook',
    ]);
  });
});

describe('problems', () => {
  test('name the missing field', () => {
    expect(problemsOf({ ...baseSpecs.Canary, service: {} })).toEqual([
      { reason: 'InvalidSpec', field: 'spec.service.port', expected: 'is required: must be a number' },
    ]);
  });

  test('never repeat what the user wrote', () => {
    const secret = 's3cret-token';
    const spec = {
      ...baseSpecs.Canary,
      provider: secret,
      metricsServer: { secret },
      analysis: { interval: secret },
    };
    expect(JSON.stringify(problemsOf(spec))).not.toContain(secret);
  });

  test('are bounded', () => {
    const stepWeights = Array.from({ length: 90 }, () => 0);
    expect(problemsOf(withField('spec.analysis', { stepWeights }))).toHaveLength(PROBLEMS_MAX);
  });

  test('are one line each', () => {
    const [problem] = problemsOf(withField('spec.analysis.stepWeight', 0));
    expect(problem && formatProblem(problem)).toBe('spec.analysis.stepWeight must be at least 1');
  });

  test('have reasons of the one table, whatever the object is; decoding never throws', () => {
    const object = fc.oneof(fc.anything(), fc.record({ metadata: fc.anything(), spec: fc.anything() }));
    fc.assert(
      fc.property(object, given => {
        for (const decode of [decodeCanary, decodeMetricTemplate, decodeAlertProvider]) {
          const decoded = decode(given);
          if (decoded.ok) continue;
          expect(decoded.problems.length).toBeGreaterThan(0);
          for (const problem of decoded.problems) expect(reasons).toHaveProperty(problem.reason);
        }
      }),
      { numRuns: 300 },
    );
  });
});
