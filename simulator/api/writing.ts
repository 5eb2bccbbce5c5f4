/** POST, PUT, PATCH and DELETE of objects and their subresources: from the request's words to one write. */
import type { HttpResponse, KubernetesObject } from '../../engine/kubernetes/types.ts';
import { respond, respondJson, warningHeader } from './answers.ts';
import { timestamp } from './context.ts';
import { copy, isObject } from './json.ts';
import type { Json } from './json.ts';
import { apiVersionOf } from './kinds.ts';
import type { Kind } from './kinds.ts';
import { repeatedItem } from './fields.ts';
import { applyFields } from './ownership.ts';
import { jsonPatch, mergePatch } from './patch.ts';
import { stored } from './reading.ts';
import type { RequestInfo } from './routes.ts';
import { scaleOf, withScale } from './scale.ts';
import type { Server } from './server.ts';
import { badRequest, conflict, invalid, notImplemented, StatusError, unsupportedMedia } from './status.ts';
import { objectText } from './wire.ts';
import { createObject, decode, deleteObject, replaceObject } from './write.ts';
import type { WriteOptions } from './write.ts';

/** A write as it came in. */
export interface WriteRequest {
  info: RequestInfo;
  query: URLSearchParams;
  contentType: string;
  userAgent: string;
  body: Json;
}

const strict = new Set(['Strict']);

function optionsOf(request: WriteRequest): WriteOptions & { warnings: string[] } {
  const { query, info, userAgent } = request;
  const dryRun = query.get('dryRun');
  if (dryRun !== null && dryRun !== 'All')
    throw invalid({ group: 'meta.k8s.io', plural: '', kind: 'WriteOptions' }, '', [
      { type: 'Unsupported value', field: 'dryRun', value: [dryRun], detail: 'supported values: "All"' },
    ]);
  return {
    manager: query.get('fieldManager') || userAgent.split('/')[0]?.slice(0, 128) || 'unknown',
    ...(info.subresource ? { subresource: info.subresource as 'status' | 'scale' | 'finalize' } : {}),
    ...(dryRun ? { dryRun: true } : {}),
    warnings: [],
  };
}

/** Refuses unknown fields under `fieldValidation=Strict`; otherwise they are a warning. */
function checkStrict(kind: Kind, request: WriteRequest, warnings: string[]): void {
  if (warnings.length === 0 || !strict.has(request.query.get('fieldValidation') ?? '')) return;
  const fields = warnings.map(path => `unknown field ${JSON.stringify(path)}`).join(', ');
  throw badRequest(
    `${kind.kind} in version ${JSON.stringify(kind.version)} cannot be handled as a ${kind.kind}: strict decoding error: ${fields}`,
  );
}

/** Decodes once more only to learn of unknown fields before anything is stored. */
function checkedWarnings(kind: Kind, request: WriteRequest, body: Json): string[] {
  const warnings: string[] = [];
  if (!kind.schema || request.query.get('fieldValidation') === 'Ignore') return warnings;
  decode(kind, body, warnings);
  checkStrict(kind, request, warnings);
  return warnings;
}

function answer(kind: Kind, code: number, object: KubernetesObject, warnings: string[]): HttpResponse {
  return respond(code, objectText(kind, object), warningHeader(warnings));
}

export function create(server: Server, kind: Kind, request: WriteRequest): HttpResponse {
  const { info, body } = request;
  if (!isObject(body)) throw badRequest('the body of the request was in an unknown format');
  if (info.subresource === 'binding') return bind(server, kind, request);
  if (info.name !== '') throw notImplemented(`POST on ${info.resource}/${info.subresource}`);
  const warnings = checkedWarnings(kind, request, body);
  return answer(kind, 201, createObject(server, kind, info.namespace, body, optionsOf(request)), warnings);
}

function bind(server: Server, kind: Kind, request: WriteRequest): HttpResponse {
  const live = stored(server, kind, request.info);
  const { subresource: _, ...options } = optionsOf(request);
  const next = copy(live);
  next.spec.nodeName = request.body?.target?.name;
  const conditions = (next.status?.conditions ?? []).filter((entry: Json) => entry.type !== 'PodScheduled');
  const scheduled = {
    type: 'PodScheduled',
    status: 'True',
    lastProbeTime: null,
    lastTransitionTime: timestamp(server.clock),
  };
  replaceObject(server, kind, live, next, options);
  const bound = stored(server, kind, request.info);
  const status = { ...bound.status, conditions: [...conditions, scheduled] };
  replaceObject(server, kind, bound, { ...bound, status }, { ...options, subresource: 'status' });
  return respondJson(201, {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    code: 201,
  });
}

export function update(server: Server, kind: Kind, request: WriteRequest): HttpResponse {
  const { info, body } = request;
  if (!isObject(body)) throw badRequest('the body of the request was in an unknown format');
  const live = stored(server, kind, info);
  const options = { ...optionsOf(request), isReplace: true };
  if (info.subresource === 'scale') {
    const next = replaceObject(server, kind, live, withScale(kind, live, body), options);
    return respondJson(200, scaleOf(next));
  }
  checkName(request);
  const warnings = checkedWarnings(kind, request, body);
  return answer(kind, 200, replaceObject(server, kind, live, body, options), warnings);
}

function checkName(request: WriteRequest): void {
  const name = request.body?.metadata?.name;
  if (name !== undefined && name !== request.info.name)
    throw badRequest(
      `the name of the object (${name}) does not match the name on the URL (${request.info.name})`,
    );
}

export function patch(server: Server, kind: Kind, request: WriteRequest): HttpResponse {
  switch (request.contentType) {
    case 'application/apply-patch+yaml':
    case 'application/apply-patch+cbor':
      return apply(server, kind, request);
    case 'application/merge-patch+json':
    case 'application/json-patch+json':
      return patchDocument(server, kind, request);
    case 'application/strategic-merge-patch+json':
      if (kind.isBuiltin) throw notImplemented('strategic merge patch');
      throw unsupportedMedia(
        'the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml',
      );
    default:
      throw unsupportedMedia(
        'the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml, application/apply-patch+cbor, application/strategic-merge-patch+json',
      );
  }
}

function patchDocument(server: Server, kind: Kind, request: WriteRequest): HttpResponse {
  const { info, body, contentType } = request;
  const live = stored(server, kind, info);
  const isScale = info.subresource === 'scale';
  const document = isScale ? scaleOf(live) : { ...live, apiVersion: apiVersionOf(kind) };
  if (contentType === 'application/merge-patch+json' && !isObject(body))
    throw badRequest(
      'error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}',
    );
  const patched =
    contentType === 'application/json-patch+json' ? jsonPatch(document, body) : mergePatch(document, body);
  const options = optionsOf(request);
  if (isScale)
    return respondJson(
      200,
      scaleOf(replaceObject(server, kind, live, withScale(kind, live, patched), options)),
    );
  checkName({ ...request, body: patched });
  const warnings = checkedWarnings(kind, request, patched);
  return answer(kind, 200, replaceObject(server, kind, live, patched, options), warnings);
}

function apply(server: Server, kind: Kind, request: WriteRequest): HttpResponse {
  const { info, body, query } = request;
  const manager = query.get('fieldManager');
  if (!manager)
    throw invalid({ group: 'meta.k8s.io', plural: '', kind: 'PatchOptions' }, '', [
      { type: 'Required value', field: 'fieldManager', detail: 'is required for apply patch' },
    ]);
  if (!isObject(body)) throw badRequest('error decoding YAML: the configuration is not an object');
  if (info.subresource === 'scale') throw notImplemented('server-side apply of the scale subresource');
  const config = applyConfig(kind, request);
  checkKeys(kind, body);
  const warnings = checkedWarnings(kind, request, body);
  const live = server.storage.get(kind.table, kind.namespaced ? info.namespace : undefined, info.name);
  if (!live && info.subresource) stored(server, kind, info);
  if (!live) checkMayCreate(kind, config);
  const isStatus = info.subresource === 'status';
  const applied = applyFields(
    live && { ...live, apiVersion: apiVersionOf(kind) },
    config,
    {
      manager,
      operation: 'Apply',
      apiVersion: apiVersionOf(kind),
      ...(info.subresource ? { subresource: info.subresource } : {}),
    },
    kind.shape,
    {
      force: query.get('force') === 'true',
      ignored: isStatus ? kind.ignored.status : kind.ignored.main,
      time: timestamp(server.clock),
    },
  );
  const options = { ...optionsOf(request), managedFields: applied.managedFields };
  if (live) return answer(kind, 200, replaceObject(server, kind, live, applied.object, options), warnings);
  return answer(kind, 201, createObject(server, kind, info.namespace, applied.object, options), warnings);
}

/** Lists by key cannot be merged when a key comes twice; what is created or updated may have such. */
function checkKeys(kind: Kind, body: Json): void {
  const repeated = repeatedItem(body, kind.shape);
  if (repeated === undefined) return;
  const { namespace = '', name = '' } = body.metadata ?? {};
  const what = `${namespace}/${name}; ${apiVersionOf(kind)}, Kind=${kind.kind}`;
  throw new StatusError(500, '', `failed to create typed patch object (${what}): ${repeated}`);
}

/** Without an object to compare with, a resourceVersion is not a precondition for the real server; a uid is. */
function checkMayCreate(kind: Kind, config: Json): void {
  const { name, uid } = config.metadata;
  delete config.metadata.resourceVersion;
  if (uid)
    throw conflict(
      kind,
      name,
      `uid mismatch: the provided object specified uid ${uid}, and no existing object was found`,
    );
}

/** The configuration as it is merged: complete, in the namespace of the path, without the server's own fields. */
function applyConfig(kind: Kind, request: WriteRequest): Json {
  const { info, body } = request;
  for (const field of ['apiVersion', 'kind'])
    if (!body[field]) throw badRequest(`invalid object type: /, Kind=`);
  if (body.kind !== kind.kind || body.apiVersion !== apiVersionOf(kind)) decode(kind, body);
  if (Array.isArray(body.metadata?.managedFields) && body.metadata.managedFields.length > 0)
    throw badRequest('metadata.managedFields must be nil');
  checkName(request);
  const config = copy(body);
  config.metadata ??= {};
  config.metadata.name = info.name;
  if (kind.namespaced) config.metadata.namespace ??= info.namespace;
  for (const field of ['creationTimestamp', 'managedFields']) delete config.metadata[field];
  return config;
}

function preconditionsOf(request: WriteRequest): Json {
  if (request.body !== undefined && !isObject(request.body))
    throw badRequest('the body of the request was in an unknown format');
  return request.body ?? {};
}

export function remove(server: Server, kind: Kind, request: WriteRequest): HttpResponse {
  const { info, query } = request;
  const live = stored(server, kind, info);
  const body = preconditionsOf(request);
  const graceSeconds = body.gracePeriodSeconds ?? Number(query.get('gracePeriodSeconds') ?? Number.NaN);
  const propagation = body.propagationPolicy ?? query.get('propagationPolicy') ?? undefined;
  if (propagation !== undefined && !['Background', 'Foreground', 'Orphan'].includes(propagation))
    throw new StatusError(
      422,
      'Invalid',
      `DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Unsupported value: ${JSON.stringify(propagation)}`,
    );
  const { object, isGone } = deleteObject(server, kind, live, {
    ...(body.preconditions?.uid ? { uid: body.preconditions.uid } : {}),
    ...(body.preconditions?.resourceVersion ? { resourceVersion: body.preconditions.resourceVersion } : {}),
    ...(Number.isFinite(graceSeconds) ? { gracePeriodSeconds: graceSeconds } : {}),
    ...(propagation ? { propagation } : {}),
    ...(query.get('dryRun') === 'All' || body.dryRun?.includes('All') ? { dryRun: true } : {}),
  });
  if (!isGone || kind.deleteAnswersObject) return respond(200, objectText(kind, object));
  const { name, uid } = live.metadata;
  return respondJson(200, {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    details: { name, ...(kind.group ? { group: kind.group } : {}), kind: kind.plural, uid },
  });
}
