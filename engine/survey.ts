/**
 * What the engine needs of an API server, and what of it is not there: kinds, whole schemas, the objects of the provider,
 * rights, a Lease. It only asks. Each thing that is missing is one sentence that says what to do about it.
 */
import { FLAGGER_GROUP } from './api/crd.ts';
import type { Reason } from './api/reasons.ts';
import { type Kind, schemaOf } from './api/schemaOf.ts';
import { type Access, accessTable } from './kubernetes/access.ts';
import {
  createDiscovery,
  type Discovery,
  missingSchemaFields,
  servedSchema,
} from './kubernetes/discovery.ts';
import * as resources from './kubernetes/resources.ts';
import { describeRight, type MissingRight, missingRights } from './kubernetes/rights.ts';
import { type ApiClient, ApiError, type ResourceType } from './kubernetes/types.ts';
import { chooseStepper, type ServedVersions } from '../steppers/registry.ts';
import { SMI_GROUP } from '../steppers/smi.ts';
import type { Stepper } from '../steppers/stepper.ts';

/** One thing that is missing. */
export interface Lack {
  reason: Extract<
    Reason,
    | 'ApiServerUnreachable'
    | 'ApiVersionNotServed'
    | 'CrdsMissing'
    | 'CrdsOutdated'
    | 'ProviderNotServed'
    | 'Forbidden'
    | 'LeaseUnavailable'
  >;
  /** A whole sentence, of at most 1,024 characters. */
  message: string;
  /** The one namespace that cannot be served without it; undefined: none can. */
  namespace?: string;
  /** The engine works without it, but for what the sentence says. */
  isOptional?: true;
  /** True of every API server for a moment after its CRDs were created: worth a word only when it stays. */
  mayPass?: true;
}

export interface Wanted {
  apiGroup: string;
  /** Empty: the whole cluster. */
  namespaces: readonly string[];
  provider: string;
  lease: { namespace: string; name: string };
}

export interface Survey {
  lacks: readonly Lack[];
  served: ServedVersions;
  /** Undefined when the provider has none here. */
  stepper: Stepper | undefined;
}

const MESSAGE_MAX = 1_024;
/** The first ones show what kind of schema it is; all of them would fill a screen. */
const FIELDS_NAMED_MAX = 5;

/** Never throws for what the API server says. */
export async function survey(client: ApiClient, wanted: Wanted): Promise<Survey> {
  const nothing: ServedVersions = { trafficSplit: [] };
  try {
    const discovery = createDiscovery(client);
    const served = { trafficSplit: await discovery.servedVersions(SMI_GROUP) };
    const choice = chooseStepper(wanted.provider, served);
    const stepper = choice.ok ? choice.stepper : undefined;
    const routeType = stepper?.routeType ?? trafficSplits(served);
    const table = accessTable(wanted.apiGroup, routeType);
    const lacks: Lack[] = [
      ...(await versionLacks(discovery, table, wanted.apiGroup, routeType)),
      ...(await crdLacks(client, discovery, wanted.apiGroup)),
      ...(choice.ok ? [] : [{ reason: 'ProviderNotServed' as const, message: choice.message }]),
      ...(await rightLacks(client, table, wanted)),
      ...(await leaseLacks(client, wanted.lease)),
    ];
    return { lacks: lacks.map(bounded), served, stepper };
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return { lacks: [bounded(unreachable(error))], served: nothing, stepper: undefined };
  }
}

function bounded(lack: Lack): Lack {
  return { ...lack, message: lack.message.slice(0, MESSAGE_MAX) };
}

function unreachable(error: ApiError): Lack {
  const reason = 'ApiServerUnreachable';
  if (error.kind === 'unauthorized')
    return {
      reason,
      message: `The API server does not accept the engine's credentials: ${error.message}.`,
    };
  return { reason, message: `The API server does not answer as it should: ${error.message}.` };
}

/** For the rights of a route that is not served yet. */
function trafficSplits({ trafficSplit: [version = ''] }: ServedVersions): ResourceType {
  return { group: SMI_GROUP, version, plural: 'trafficsplits', kind: 'TrafficSplit', namespaced: true };
}

async function versionLacks(
  discovery: Discovery,
  table: readonly Access[],
  apiGroup: string,
  routeType: ResourceType,
): Promise<Lack[]> {
  const own = [apiGroup, routeType.group];
  const builtIn = table.filter(({ type, optional }) => !optional && !own.includes(type.group));
  const lacks: Lack[] = [];
  for (const { type } of builtIn) {
    if (await discovery.isServed(type)) continue;
    const what = `${type.plural} in ${type.group || 'core'}/${type.version}`;
    const message = `The API server, ${await discovery.serverVersion()}, does not serve ${what}, which the engine needs.`;
    lacks.push({ reason: 'ApiVersionNotServed', message });
  }
  return lacks;
}

/** What brings the CRDs in, or up to date. */
function remedyOf(apiGroup: string): string {
  return apiGroup === FLAGGER_GROUP
    ? `npm run -s crds -- --api-group ${FLAGGER_GROUP} | kubectl apply --server-side --force-conflicts -f -`
    : 'kubectl apply --server-side --force-conflicts -f charts/serin/crds/';
}

function ownKinds(apiGroup: string): [Kind, ResourceType][] {
  const { canaries, metricTemplates, alertProviders } = resources.canaryTypes(apiGroup);
  return [
    ['Canary', canaries],
    ['MetricTemplate', metricTemplates],
    ['AlertProvider', alertProviders],
  ];
}

async function crdLacks(client: ApiClient, discovery: Discovery, apiGroup: string): Promise<Lack[]> {
  const missing: string[] = [];
  for (const [, type] of ownKinds(apiGroup)) if (!(await discovery.isServed(type))) missing.push(type.plural);
  if (missing.length === 0) return await schemaLacks(client, apiGroup);
  const versions = await discovery.servedVersions(apiGroup);
  const instead = versions.length === 0 ? '' : ` (it serves that group in ${versions.join(', ')})`;
  const message = `The API server does not serve ${missing.join(', ')} in ${apiGroup}/v1beta1${instead}: ${remedyOf(apiGroup)}`;
  return [{ reason: 'CrdsMissing', message }];
}

/** Fields that the server would drop from our writes without a word. Throws ApiError. */
export async function schemaLacks(client: ApiClient, apiGroup: string): Promise<Lack[]> {
  const lacks: Lack[] = [];
  for (const [kind, type] of ownKinds(apiGroup)) {
    const served = await servedSchema(client, type);
    const name = `${type.plural}.${type.group}`;
    const missing = served ? missingSchemaFields(served, schemaOf(kind)) : undefined;
    if (missing?.length === 0) continue;
    const what = missing ? `lacks ${namedFields(missing)}` : 'has no schema that the API server publishes';
    const message = `The CRD ${name} ${what}: ${remedyOf(apiGroup)}`;
    lacks.push({ reason: 'CrdsOutdated', message, ...(missing ? {} : { mayPass: true }) });
  }
  return lacks;
}

function namedFields(fields: readonly string[]): string {
  // The engine's memory first: without it nothing works.
  const sorted = [...fields].sort((a, b) => Number(b.startsWith('status')) - Number(a.startsWith('status')));
  const named = sorted.slice(0, FIELDS_NAMED_MAX).join(', ');
  const more = sorted.length - FIELDS_NAMED_MAX;
  return more > 0 ? `${named} and ${more} more fields` : named;
}

async function rightLacks(client: ApiClient, table: readonly Access[], wanted: Wanted): Promise<Lack[]> {
  const { namespaces, lease } = wanted;
  const scope = { namespaces, leaseNamespace: lease.namespace };
  const missing = await missingRights(client, table, scope).catch((error: unknown) => {
    if (error instanceof ApiError && error.kind === 'forbidden') return undefined;
    throw error;
  });
  if (missing === undefined) {
    const message =
      'The engine may not ask for its own rights (create selfsubjectaccessreviews): what is missing will show when it is used.';
    return [{ reason: 'Forbidden', isOptional: true, message }];
  }
  const needed = missing.filter(({ access }) => access.optional === undefined);
  const places = [...new Set(needed.map(placeOf))];
  return [
    ...places.map(place => forbidden(needed.filter(right => placeOf(right) === place))),
    ...missing.filter(({ access }) => access.optional !== undefined).map(withheld),
  ];
}

/** A right on the Lease is needed whichever namespaces are served. */
function placeOf({ access, namespace }: MissingRight): string {
  return `${access.where}/${namespace ?? ''}`;
}

function forbidden(rights: readonly MissingRight[]): Lack {
  const [{ access, namespace } = {}] = rights;
  const where = namespace === undefined ? 'in the whole cluster' : `in namespace ${namespace}`;
  const message = `The engine lacks rights of charts/serin/files/clusterrole.yaml ${where}; it may not: ${rights.map(describeRight).join('; ')}.`;
  const isOfNamespace = namespace !== undefined && access?.where === 'served';
  return { reason: 'Forbidden', message, ...(isOfNamespace ? { namespace } : {}) };
}

function withheld(right: MissingRight): Lack {
  const { access, namespace } = right;
  const where = namespace === undefined ? '' : ` in namespace ${namespace}`;
  const message = `The engine may not ${describeRight(right)}${where}: ${access.optional}.`;
  return {
    reason: 'Forbidden',
    isOptional: true,
    message,
    ...(namespace === undefined ? {} : { namespace }),
  };
}

/** Tries whether a Lease could be written there: rights alone do not say that the namespace exists. */
async function leaseLacks(client: ApiClient, lease: { namespace: string; name: string }): Promise<Lack[]> {
  const object = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: lease, spec: {} };
  try {
    await client.create(resources.leases, object, { dryRun: true });
    return [];
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    // That it may not create one is said among the rights.
    if (error.kind === 'alreadyExists' || error.kind === 'forbidden') return [];
    if (error.kind !== 'notFound' && error.kind !== 'invalid' && error.kind !== 'badRequest') throw error;
    const message = `The Lease ${lease.namespace}/${lease.name}, by which one replica becomes active, cannot be kept: ${error.message}; create the namespace, or name another by --leader-election-namespace.`;
    return [{ reason: 'LeaseUnavailable', message }];
  }
}
