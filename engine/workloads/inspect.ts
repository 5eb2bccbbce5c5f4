/**
 * What keeps a target from being adopted and no watch cache shows: autoscalers, companions that would not select the
 * primary's pods, managers that apply fields which the engine has to write, and why a primary does not come up. It only
 * reads, asks at most six lists, and never decides what follows from a problem.
 */
import type { Sighting } from '../controller/observe.ts';
import type { Problem } from '../core/observation.ts';
import type { Reason } from '../api/reasons.ts';
import type { PrioritisedClient } from '../kubernetes/client.ts';
import * as resources from '../kubernetes/resources.ts';
import {
  FIELD_MANAGER,
  ApiError,
  type KubernetesObject,
  type ManagedFieldsEntry,
  type ResourceType,
} from '../kubernetes/types.ts';
import { secretProblems } from './referencedSecrets.ts';
import { primarySelector, targetSelector } from './service.ts';

/** On a Canary: adopt although companions of the target would not select the primary's pods. */
export const ALLOW_COMPANIONS_ANNOTATION = 'serin.dev/allow-companions';

/**
 * On a Canary: names of managers, separated by commas, that own a field only by applying what they find there. Argo CD
 * does with RespectIgnoreDifferences: it copies the live value into what it applies, and so stays an owner.
 */
export const ALLOW_OWNERS_ANNOTATION = 'serin.dev/allow-field-owners';

/** Sentences of the API come from elsewhere; a condition must stay readable and small. */
const QUOTED_CHARACTERS_MAX = 300;
/** A broken namespace may hold hundreds of companions; a person mends them one by one anyway. */
const PROBLEMS_MAX = 8;

/** The kubelet's reasons for a container that waits for its image. */
const IMAGE_REASONS: readonly string[] = [
  'ErrImagePull',
  'ImagePullBackOff',
  'InvalidImageName',
  'ErrImageNeverPull',
  'ImageInspectError',
  'RegistryUnavailable',
  'SignatureValidationFailed',
];

export interface LabelSelector {
  matchLabels?: Record<string, string>;
  matchExpressions?: { key: string; operator: string; values?: string[] }[];
}

/**
 * Whether a Kubernetes label selector selects these labels, as the API defines it: an empty selector selects
 * everything, an absent one nothing, and NotIn also selects what lacks the key.
 */
export function matchesSelector(
  selector: LabelSelector | null | undefined,
  labels: Readonly<Record<string, string>>,
): boolean {
  if (!selector) return false;
  const hasLabels = Object.entries(selector.matchLabels ?? {}).every(([key, value]) => labels[key] === value);
  return hasLabels && (selector.matchExpressions ?? []).every(one => matchesExpression(one, labels));
}

function matchesExpression(
  { key, operator, values = [] }: { key: string; operator: string; values?: string[] },
  labels: Readonly<Record<string, string>>,
): boolean {
  const value = labels[key];
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    default:
      // The API server admits no other; what is not understood selects nothing.
      return false;
  }
}

/**
 * The problems of adopting this target now, most fundamental first, at most eight; none when the target is unknown.
 * Throws ApiError when a list fails for another reason than a missing permission or a resource that is not served.
 */
export async function inspectTarget(client: PrioritisedClient, sighting: Sighting): Promise<Problem[]> {
  if (!sighting.target) return [];
  const [autoscalers, companions, primary, secrets] = await Promise.all([
    autoscalerProblems(client, sighting),
    companionProblems(client, sighting),
    primaryProblems(client, sighting),
    secretProblems(client, sighting),
  ]);
  const problems = [...autoscalers, ...ownershipProblems(sighting), ...secrets, ...companions, ...primary];
  return problems.slice(0, PROBLEMS_MAX);
}

type Listed = { items: KubernetesObject[]; problems: Problem[] };

/** `optional`: comes with software that need not be there, and with rights that need not be granted. */
async function listed(
  client: PrioritisedClient,
  type: ResourceType,
  namespace: string,
  how: { optional: boolean; labelSelector?: string },
): Promise<Listed> {
  const { optional, labelSelector } = how;
  try {
    const { items } = await client.list(type, namespace, labelSelector ? { labelSelector } : {});
    return { items, problems: [] };
  } catch (error) {
    if (!(error instanceof ApiError) || (error.kind !== 'forbidden' && error.kind !== 'notFound'))
      throw error;
    if (optional || error.kind === 'notFound') return { items: [], problems: [] };
    const message = `The engine may not list ${type.plural} in ${namespace}: ${quoted(error.message)}`;
    return { items: [], problems: [problem('Forbidden', message)] };
  }
}

function problem(reason: Reason, message: string, field?: string): Problem {
  return { reason, message, ...(field ? { field } : {}) };
}

/** A foreign sentence without its end mark, so that it can stand inside one of ours. */
function quoted(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  const short = line.length > QUOTED_CHARACTERS_MAX ? `${line.slice(0, QUOTED_CHARACTERS_MAX - 1)}…` : line;
  return short.endsWith('.') ? short : `${short}.`;
}

/** HorizontalPodAutoscalers and ScaledObjects of the target and of the primary: two lists. Throws ApiError as above. */
export async function autoscalerProblems(client: PrioritisedClient, sighting: Sighting): Promise<Problem[]> {
  const { namespace, target, primaryWorkload } = sighting.names;
  const [horizontal, scaled] = await Promise.all([
    listed(client, resources.horizontalPodAutoscalers, namespace, { optional: false }),
    listed(client, resources.scaledObjects, namespace, { optional: true }),
  ]);
  const problems = [...horizontal.problems, ...scaled.problems];
  for (const scaler of [...horizontal.items, ...scaled.items]) {
    const scaled = [target, primaryWorkload].find(name => scales(scaler, name));
    if (scaled === undefined) continue;
    const what = `${scaler.kind} ${scaler.metadata.name}`;
    const message = `${what} scales Deployment ${scaled}, which is not supported yet: remove it, and set replicas on Deployment ${target}.`;
    problems.push(problem('TargetHasAutoscaler', message, 'spec.targetRef'));
  }
  return problems;
}

/** KEDA leaves out kind and apiVersion when they are those of a Deployment. */
function scales(scaler: KubernetesObject, deployment: string): boolean {
  const ref: { apiVersion?: string; kind?: string; name?: string } = scaler.spec?.scaleTargetRef ?? {};
  const group = (ref.apiVersion ?? 'apps/v1').split('/')[0];
  return group === 'apps' && (ref.kind ?? 'Deployment') === 'Deployment' && ref.name === deployment;
}

async function companionProblems(client: PrioritisedClient, sighting: Sighting): Promise<Problem[]> {
  const { label, target, names, canary } = sighting;
  if (!label || canary.annotations[ALLOW_COMPANIONS_ANNOTATION] === 'true') return [];
  const lists = await Promise.all([
    listed(client, resources.networkPolicies, names.namespace, { optional: false }),
    listed(client, resources.podDisruptionBudgets, names.namespace, { optional: false }),
    listed(client, resources.podMonitors, names.namespace, { optional: true }),
  ]);
  const targetLabels: Record<string, string> = target?.spec?.template?.metadata?.labels ?? {};
  const primaryLabels = { ...targetLabels, ...primarySelector(label) };
  const problems = lists.flatMap(list => list.problems);
  for (const companion of lists.flatMap(list => list.items)) {
    const selector = podSelectorOf(companion, names.namespace);
    if (!matchesSelector(selector, targetLabels) || matchesSelector(selector, primaryLabels)) continue;
    const what = `${companion.kind} ${companion.metadata.name}`;
    const [[key, value] = ['', '']] = Object.entries(primarySelector(label));
    const message =
      `${what} selects the pods of Deployment ${names.target} but would not select those of ` +
      `${names.primaryWorkload}: let it select the label ${key}=${value} too, ` +
      `or set the annotation ${ALLOW_COMPANIONS_ANNOTATION}: "true" on the Canary.`;
    problems.push(problem('CompanionExcludesPrimary', message));
  }
  return problems;
}

function podSelectorOf(companion: KubernetesObject, namespace: string): LabelSelector | undefined {
  switch (companion.kind) {
    case resources.networkPolicies.kind:
      // Absent means every pod of the namespace, unlike elsewhere.
      return companion.spec?.podSelector ?? {};
    case resources.podMonitors.kind: {
      const among: { any?: boolean; matchNames?: string[] } = companion.spec?.namespaceSelector ?? {};
      const isElsewhere = !among.any && among.matchNames?.length && !among.matchNames.includes(namespace);
      return isElsewhere ? undefined : companion.spec?.selector;
    }
    default:
      return companion.spec?.selector;
  }
}

function ownershipProblems(sighting: Sighting): Problem[] {
  const { target, apex, canary } = sighting;
  const named = (canary.annotations[ALLOW_OWNERS_ANNOTATION] ?? '').split(',').map(name => name.trim());
  const harmless = [FIELD_MANAGER, ...named];
  return [
    ...(target ? ownersOf(target, 'Deployment', 'replicas', harmless) : []),
    ...(apex ? ownersOf(apex, 'Service', 'selector', harmless) : []),
  ];
}

function ownersOf(
  object: KubernetesObject,
  kind: string,
  field: 'replicas' | 'selector',
  harmless: readonly string[],
): Problem[] {
  const managers = (object.metadata.managedFields ?? [])
    .filter(entry => entry.operation === 'Apply' && owns(entry, field))
    .map(entry => entry.manager ?? 'unknown')
    .filter(manager => !harmless.includes(manager));
  return [...new Set(managers)].map(manager => {
    const what = `${kind} ${object.metadata.name}`;
    const group = kind === 'Deployment' ? 'apps' : '""';
    const fix = fixFor(manager, { what, kind, group, name: object.metadata.name, field });
    const message = `Manager ${manager} applies spec.${field} of ${what}, which the engine has to write: ${fix}.`;
    return problem('FieldOwnedByOther', message);
  });
}

function owns(entry: ManagedFieldsEntry, field: string): boolean {
  const spec = entry.fieldsV1?.['f:spec'];
  return typeof spec === 'object' && spec !== null && `f:${field}` in spec;
}

/** A field whose only owner leaves it out is removed: replicas fall to 1, and a Service selects nobody. */
const HAND_OVER = 'docs/gitops.md says how: a field without any owner is reset';

/** What to do, exactly, in the terms of whoever applies the field. */
function fixFor(
  manager: string,
  object: { what: string; kind: string; group: string; name: string; field: string },
): string {
  const { what, kind, group, name, field } = object;
  if (/argo/i.test(manager)) {
    return (
      `add to spec of the Argo CD Application ` +
      `ignoreDifferences: [{group: ${group}, kind: ${kind}, name: ${name}, jsonPointers: [/spec/${field}]}] ` +
      `and syncPolicy.syncOptions: [RespectIgnoreDifferences=true], ` +
      `and then the annotation ${ALLOW_OWNERS_ANNOTATION}: ${manager} to the Canary`
    );
  }
  if (/kustomize-controller|flux/i.test(manager))
    return `remove spec.${field} from the manifest of ${what} that Flux applies, after a hand-over (${HAND_OVER})`;
  if (/helm/i.test(manager))
    return `omit ${field} of ${what} from the chart (with helm-controller, in the chart that the HelmRelease installs), after a hand-over (${HAND_OVER})`;
  return `omit spec.${field} from what ${manager} applies, or from the chart that it renders, after a hand-over (${HAND_OVER})`;
}

async function primaryProblems(client: PrioritisedClient, sighting: Sighting): Promise<Problem[]> {
  const { primary, label } = sighting;
  return label ? await workloadProblems(client, primary, primarySelector(label)) : [];
}

/**
 * Why pods of the target or the primary do not become ready during a rollout, in the API's own words; none while both
 * are ready. One or two lists of pods, asked only when something has been waited for already.
 */
export async function inspectPods(client: PrioritisedClient, sighting: Sighting): Promise<Problem[]> {
  const { primary, target, label } = sighting;
  if (!label) return [];
  const [ofTarget, ofPrimary] = await Promise.all([
    workloadProblems(client, target, targetSelector(label)),
    workloadProblems(client, primary, primarySelector(label)),
  ]);
  return [...ofTarget, ...ofPrimary].slice(0, PROBLEMS_MAX);
}

async function workloadProblems(
  client: PrioritisedClient,
  deployment: KubernetesObject | undefined,
  selector: Record<string, string>,
): Promise<Problem[]> {
  if (!deployment || isReady(deployment)) return [];
  const labelSelector = Object.entries(selector)
    .map(([key, value]) => `${key}=${value}`)
    .join(',');
  const namespace = deployment.metadata.namespace ?? '';
  const pods = await listed(client, resources.pods, namespace, { optional: false, labelSelector });
  return [...refusedPods(deployment), ...pods.problems, ...podProblems(pods.items)];
}

function isReady(deployment: KubernetesObject): boolean {
  const { metadata, spec, status } = deployment;
  if ((status?.observedGeneration ?? 0) < (metadata.generation ?? 0)) return false;
  const wanted = spec?.replicas ?? 1;
  return (status?.availableReplicas ?? 0) >= wanted && (status?.updatedReplicas ?? 0) >= wanted;
}

const QUOTA = /exceeded quota|failed quota/i;
/** The sentence of RBAC, which admission never says. */
const WITHOUT_RIGHT = /cannot \w+ resource/;
/** How k8s.io/apimachinery begins when it cannot merge what is applied (structuredmerge.go). */
const UNAPPLICABLE = 'failed to create typed patch object';

/**
 * Why the API server would not have the primary, in its own words; undefined when it said nothing about the primary
 * itself (it did not answer, or somebody was faster), and trying again is all that helps.
 */
export function refusedPrimary(error: ApiError, name: string): Problem | undefined {
  if (!isRefusal(error)) return undefined;
  const { message } = error;
  const reason = QUOTA.test(message) ? 'QuotaExceeded' : 'PrimaryDryRunRefused';
  return problem(
    isWithoutRight(error) ? 'Forbidden' : reason,
    `Deployment ${name} would be refused: ${quoted(message)}`,
  );
}

/** Why the API server would not have a Service, in its own words; undefined when it did not answer or somebody was faster. */
export function refusedService(error: ApiError): Problem | undefined {
  // A webhook that cannot be asked refuses everything, with 500.
  if (!isRefusal(error) && error.code !== 500) return undefined;
  const reason = isWithoutRight(error) ? 'Forbidden' : 'ServiceRefused';
  return problem(reason, `A Service is left as it is: ${quoted(error.message)}`);
}

/** The API server has looked at the object and would not have it. */
function isRefusal({ kind, code, message }: ApiError): boolean {
  // A template that names a port or a variable twice may be created, but never applied.
  if (code === 500 && message.startsWith(UNAPPLICABLE)) return true;
  return kind === 'forbidden' || kind === 'invalid' || kind === 'badRequest';
}

function isWithoutRight({ kind, message }: ApiError): boolean {
  return kind === 'forbidden' && WITHOUT_RIGHT.test(message);
}

/** Pods that the API server did not even let the ReplicaSet create: a quota, or some other admission. */
function refusedPods(deployment: KubernetesObject): Problem[] {
  const conditions: { type: string; status: string; message?: string }[] =
    deployment.status?.conditions ?? [];
  const failure = conditions.find(one => one.type === 'ReplicaFailure' && one.status === 'True');
  if (!failure) return [];
  const sentence = failure.message ?? 'pods cannot be created';
  const reason = QUOTA.test(sentence) ? 'QuotaExceeded' : 'PrimaryNotReady';
  const message = `Pods of Deployment ${deployment.metadata.name} cannot be created: ${quoted(sentence)}`;
  return [problem(reason, message)];
}

/** One problem for each kind of trouble: the first pod speaks for the others. */
function podProblems(pods: readonly KubernetesObject[]): Problem[] {
  const living = pods
    .filter(pod => !pod.metadata.deletionTimestamp)
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  const problems: Problem[] = [];
  const image = living.flatMap(pod => imageTrouble(pod))[0];
  if (image) problems.push(problem('ImagePullFailed', image));
  const unschedulable = living.flatMap(pod => schedulingTrouble(pod))[0];
  if (unschedulable) problems.push(problem('PodsUnschedulable', unschedulable));
  return problems;
}

function imageTrouble(pod: KubernetesObject): string[] {
  const { initContainerStatuses = [], containerStatuses = [] } = pod.status ?? {};
  for (const container of [...initContainerStatuses, ...containerStatuses]) {
    const waiting: { reason?: string; message?: string } | undefined = container.state?.waiting;
    if (!waiting?.reason || !IMAGE_REASONS.includes(waiting.reason)) continue;
    const why = waiting.message ? `${waiting.reason}: ${waiting.message}` : waiting.reason;
    const message = `Pod ${pod.metadata.name} cannot get image ${container.image} of container ${container.name}: ${quoted(why)}`;
    return [message];
  }
  return [];
}

function schedulingTrouble(pod: KubernetesObject): string[] {
  const conditions: { type: string; status: string; reason?: string; message?: string }[] =
    pod.status?.conditions ?? [];
  const refusal = conditions.find(
    one => one.type === 'PodScheduled' && one.status === 'False' && one.reason === 'Unschedulable',
  );
  if (!refusal) return [];
  return [
    `Pod ${pod.metadata.name} cannot be scheduled: ${quoted(refusal.message ?? 'no node can take it')}`,
  ];
}
