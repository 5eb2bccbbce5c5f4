/**
 * The defaults that the API server writes into built-in kinds when it decodes them. They work in place on an object
 * that is about to be stored, and only add fields.
 */
import type { Json } from './json.ts';

function fill(target: Json, defaults: Record<string, Json>): void {
  for (const [field, value] of Object.entries(defaults))
    if (target[field] === undefined) target[field] = value;
}

function defaultProbe(probe: Json): void {
  if (!probe) return;
  fill(probe, { timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3 });
  if (probe.httpGet) fill(probe.httpGet, { path: '/', scheme: 'HTTP' });
  if (probe.grpc) fill(probe.grpc, { service: '' });
}

/** `Always` for a moving tag, as the server decides it. */
function pullPolicy(image: Json): string {
  if (typeof image !== 'string' || image.includes('@')) return 'IfNotPresent';
  const tag = /:([^/:]+)$/.exec(image)?.[1];
  return tag === undefined || tag === 'latest' ? 'Always' : 'IfNotPresent';
}

function defaultContainer(container: Json): void {
  fill(container, {
    resources: {},
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
    imagePullPolicy: pullPolicy(container.image),
  });
  for (const port of container.ports ?? []) fill(port, { protocol: 'TCP' });
  for (const variable of container.env ?? [])
    if (variable.valueFrom?.fieldRef) fill(variable.valueFrom.fieldRef, { apiVersion: 'v1' });
  for (const probe of ['livenessProbe', 'readinessProbe', 'startupProbe']) defaultProbe(container[probe]);
  for (const hook of [container.lifecycle?.preStop, container.lifecycle?.postStart])
    if (hook?.httpGet) fill(hook.httpGet, { path: '/', scheme: 'HTTP' });
  for (const list of [container.resources.limits]) {
    if (!list) continue;
    container.resources.requests ??= {};
    fill(container.resources.requests, list);
  }
}

const fileModes = ['configMap', 'secret', 'downwardAPI', 'projected'];

function defaultPodSpec(spec: Json): void {
  if (!spec || typeof spec !== 'object') return;
  fill(spec, {
    restartPolicy: 'Always',
    terminationGracePeriodSeconds: 30,
    dnsPolicy: 'ClusterFirst',
    securityContext: {},
    schedulerName: 'default-scheduler',
  });
  if (spec.serviceAccountName !== undefined) fill(spec, { serviceAccount: spec.serviceAccountName });
  for (const container of [...(spec.containers ?? []), ...(spec.initContainers ?? [])])
    defaultContainer(container);
  for (const volume of spec.volumes ?? []) {
    for (const source of fileModes) if (volume[source]) fill(volume[source], { defaultMode: 420 });
    if (volume.hostPath) fill(volume.hostPath, { type: '' });
    if (!Object.keys(volume).some(key => key !== 'name')) volume.emptyDir = {};
  }
}

function defaultTemplate(template: Json): void {
  if (!template) return;
  template.metadata ??= {};
  defaultPodSpec(template.spec);
}

function defaultDeployment(object: Json): void {
  const spec = object.spec;
  if (!spec) return;
  fill(spec, {
    replicas: 1,
    strategy: {},
    revisionHistoryLimit: 10,
    progressDeadlineSeconds: 600,
  });
  fill(spec.strategy, { type: 'RollingUpdate' });
  if (spec.strategy.type === 'RollingUpdate') {
    spec.strategy.rollingUpdate ??= {};
    fill(spec.strategy.rollingUpdate, { maxUnavailable: '25%', maxSurge: '25%' });
  }
  defaultTemplate(spec.template);
}

function defaultReplicaSet(object: Json): void {
  if (!object.spec) return;
  fill(object.spec, { replicas: 1 });
  defaultTemplate(object.spec.template);
}

/** Troubles of nodes that admission lets every pod outlast for five minutes. */
const nodeTrouble = ['not-ready', 'unreachable'];

function defaultPod(object: Json): void {
  defaultPodSpec(object.spec);
  if (!object.spec) return;
  object.spec.tolerations ??= nodeTrouble.map(key => ({
    key: `node.kubernetes.io/${key}`,
    operator: 'Exists',
    effect: 'NoExecute',
    tolerationSeconds: 300,
  }));
  fill(object.spec, { enableServiceLinks: true, preemptionPolicy: 'PreemptLowerPriority', priority: 0 });
}

function defaultService(object: Json): void {
  const spec = (object.spec ??= {});
  fill(spec, { type: 'ClusterIP', sessionAffinity: 'None' });
  if (spec.type !== 'ExternalName')
    fill(spec, { internalTrafficPolicy: 'Cluster', ipFamilyPolicy: 'SingleStack', ipFamilies: ['IPv4'] });
  for (const port of spec.ports ?? []) fill(port, { protocol: 'TCP', targetPort: port.port });
  if (spec.sessionAffinity === 'ClientIP')
    fill(spec, { sessionAffinityConfig: { clientIP: { timeoutSeconds: 10_800 } } });
  if (spec.type === 'LoadBalancer' || spec.type === 'NodePort')
    fill(spec, { externalTrafficPolicy: 'Cluster' });
  if (spec.type === 'LoadBalancer') fill(spec, { allocateLoadBalancerNodePorts: true });
}

function defaultNetworkPolicy(object: Json): void {
  const spec = object.spec;
  if (!spec) return;
  for (const rule of [...(spec.ingress ?? []), ...(spec.egress ?? [])])
    for (const port of rule.ports ?? []) fill(port, { protocol: 'TCP' });
  if (spec.policyTypes === undefined) spec.policyTypes = spec.egress ? ['Ingress', 'Egress'] : ['Ingress'];
}

function defaultSlice(object: Json): void {
  for (const port of object.ports ?? []) fill(port, { name: '', protocol: 'TCP' });
  for (const endpoint of object.endpoints ?? []) endpoint.conditions ??= {};
}

function defaultSecret(object: Json): void {
  fill(object, { type: 'Opaque' });
  if (!object.stringData) return;
  object.data ??= {};
  for (const [key, text] of Object.entries(object.stringData as Record<string, string>))
    object.data[key] = Buffer.from(text).toString('base64');
  delete object.stringData;
}

function defaultNamespace(object: Json): void {
  if (!object.metadata?.name) return;
  object.metadata.labels = { ...object.metadata.labels, 'kubernetes.io/metadata.name': object.metadata.name };
}

function defaultAutoscaler(object: Json): void {
  if (!object.spec) return;
  const target = { type: 'Utilization', averageUtilization: 80 };
  fill(object.spec, { minReplicas: 1, metrics: [{ type: 'Resource', resource: { name: 'cpu', target } }] });
}

function defaultCrd(object: Json): void {
  const spec = object.spec;
  if (!spec?.names?.kind) return;
  fill(spec, { conversion: { strategy: 'None' } });
  fill(spec.names, {
    singular: String(spec.names.kind).toLowerCase(),
    listKind: `${spec.names.kind}List`,
  });
}

/** By kind. */
export const builtinDefaults: Record<string, (object: Json) => void> = {
  Deployment: defaultDeployment,
  ReplicaSet: defaultReplicaSet,
  Pod: defaultPod,
  Service: defaultService,
  NetworkPolicy: defaultNetworkPolicy,
  EndpointSlice: defaultSlice,
  Secret: defaultSecret,
  Namespace: defaultNamespace,
  HorizontalPodAutoscaler: defaultAutoscaler,
  CustomResourceDefinition: defaultCrd,
};
