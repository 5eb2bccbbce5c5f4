/**
 * Objects that use every field that Flagger knows, for tests: whatever Flagger accepts has to be accepted under the
 * generated CRDs with only the group changed. Not an example to copy; no cluster would want all of this.
 */

const metadataOfService = { labels: { team: 'shop' }, annotations: { note: 'kept' } };

const service = {
  name: 'web',
  port: 80,
  portName: 'http',
  targetPort: 'web',
  appProtocol: 'http',
  portDiscovery: true,
  headless: false,
  trafficDistribution: 'PreferClose',
  timeout: '15s',
  backendTimeout: '5s',
  retries: { attempts: 3, perTryTimeout: '1s', retryOn: 'gateway-error' },
  rewrite: { uri: '/', authority: 'web.test', type: 'ReplaceFullPath' },
  headers: { request: { add: { a: 'b' }, remove: ['c'] }, response: { set: { d: 'e' } } },
  corsPolicy: { allowOrigins: [{ exact: 'https://web.test' }], allowMethods: ['GET'], maxAge: '24h' },
  mirror: [{ backendRef: { name: 'copy', port: 80 } }],
  match: [{ uri: { prefix: '/' }, headers: { x: { exact: 'y' } }, ignoreUriCase: true, port: 80 }],
  gateways: ['istio-system/public'],
  hosts: ['web.test'],
  delegation: false,
  trafficPolicy: { tls: { mode: 'ISTIO_MUTUAL' }, connectionPool: { http: { http2MaxRequests: 100 } } },
  gatewayRefs: [{ name: 'gateway', namespace: 'infra', sectionName: 'http', port: 80 }],
  meshName: 'mesh',
  backends: ['db.shop'],
  apex: metadataOfService,
  primary: metadataOfService,
  canary: metadataOfService,
  unmanagedMetadata: { labels: ['a'], annotations: ['b'] },
};

const analysis = {
  interval: '1m',
  threshold: 10,
  maxWeight: 50,
  stepWeight: 5,
  stepWeightPromotion: 25,
  mirror: true,
  mirrorWeight: 50,
  primaryReadyThreshold: 50,
  canaryReadyThreshold: 100,
  match: [{ headers: { cookie: { regex: '^(.*?;)?(canary=always)(;.*)?$' } }, sourceLabels: { app: 'web' } }],
  metrics: [
    { name: 'request-success-rate', thresholdRange: { min: 99 }, interval: '1m' },
    { name: 'request-duration', threshold: 500, interval: '30s' },
    { name: 'queue', query: 'queue_length', thresholdRange: { min: 0, max: 0.5 } },
    {
      name: 'errors',
      templateRef: { name: 'errors', namespace: 'monitoring' },
      templateVariables: { status: '5..' },
      threshold: 1,
    },
  ],
  alerts: [
    { name: 'on call', severity: 'error', providerRef: { name: 'oncall', namespace: 'monitoring' } },
    { name: 'everybody', severity: '', providerRef: { name: 'everybody' } },
  ],
  webhooks: [
    {
      name: 'load',
      type: 'rollout',
      url: 'http://load.test/',
      timeout: '5s',
      retries: 2,
      disableTLS: false,
      muteAlert: true,
      metadata: { type: 'cmd' },
    },
    { name: 'gate', type: 'confirm-promotion', url: 'http://load.test/gate/check' },
    { name: 'default', type: '', url: 'http://load.test/' },
  ],
  sessionAffinity: {
    cookieName: 'canary',
    primaryCookieName: 'primary',
    maxAge: 3600,
    domain: 'web.test',
    httpOnly: true,
    partitioned: false,
    path: '/',
    sameSite: 'Lax',
    secure: true,
  },
};

const canarySpec = {
  provider: 'istio',
  metricsServer: 'http://prometheus.monitoring:9090',
  targetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' },
  autoscalerRef: {
    apiVersion: 'keda.sh/v1alpha1',
    kind: 'ScaledObject',
    name: 'web',
    primaryScalerQueries: { load: 'sum(rate(requests[1m]))' },
    primaryScalerReplicas: { minReplicas: 2, maxReplicas: 5 },
  },
  ingressRef: { apiVersion: 'networking.k8s.io/v1', kind: 'Ingress', name: 'web' },
  routeRef: { apiVersion: 'apisix.apache.org/v2', kind: 'ApisixRoute', name: 'web' },
  upstreamRef: { apiVersion: 'gloo.solo.io/v1', kind: 'Upstream', name: 'web', namespace: 'gloo' },
  progressDeadlineSeconds: 60,
  skipAnalysis: false,
  revertOnDeletion: true,
  suspend: false,
  service,
  analysis,
};

const metricTemplateSpec = {
  provider: {
    type: 'prometheus',
    address: 'http://prometheus.monitoring:9090',
    headers: { 'X-Scope-OrgID': ['shop'] },
    secretRef: { name: 'prometheus' },
    region: 'eu-central-1',
    insecureSkipVerify: true,
  },
  query: 'sum(rate(errors{namespace="{{ namespace }}"}[{{ interval }}]))',
};

const alertProviderSpec = {
  type: 'slack',
  channel: 'general',
  username: 'canary',
  address: 'https://hooks.test/1',
  proxy: 'http://proxy.test:8080',
  secretRef: { name: 'slack' },
};

/** The three objects in a group, each with every field. */
export function flaggerObjects(group: string) {
  const apiVersion = `${group}/v1beta1`;
  return [
    { apiVersion, kind: 'Canary', metadata: { name: 'web', namespace: 'default' }, spec: canarySpec },
    {
      apiVersion,
      kind: 'MetricTemplate',
      metadata: { name: 'errors', namespace: 'default' },
      spec: metricTemplateSpec,
    },
    {
      apiVersion,
      kind: 'AlertProvider',
      metadata: { name: 'oncall', namespace: 'default' },
      spec: alertProviderSpec,
    },
  ] as const;
}
