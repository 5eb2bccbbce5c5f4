/**
 * The server's own validation: object metadata of every kind, and those rules of built-in kinds that the engine and
 * its users can run into. Pure; answers field errors, never throws.
 */
import { copy, equal, isObject } from './json.ts';
import type { Json } from './json.ts';
import type { Kind } from './kinds.ts';
import { matchesSelector } from './selectors.ts';
import type { FieldError } from './status.ts';
import { validateSchema } from './validation.ts';

const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const SERVICE_NAME = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;
const LABEL_VALUE = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/;
const QUALIFIED_NAME = /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;

const SUBDOMAIN_TEXT =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_TEXT =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SERVICE_TEXT =
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const LABEL_VALUE_TEXT =
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const NAME_PART_TEXT =
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

/** The real server's bound for all annotations of one object. */
const MAX_ANNOTATIONS_BYTES = 256 * 1024;

function checkName(kind: Kind, name: string, errors: FieldError[]): void {
  const isLabel = kind.kind === 'Namespace';
  const isService = kind.kind === 'Service' && kind.group === '';
  const form = isService ? SERVICE_NAME : isLabel ? LABEL : SUBDOMAIN;
  const detail = isService ? SERVICE_TEXT : isLabel ? LABEL_TEXT : SUBDOMAIN_TEXT;
  const maxLength = isService || isLabel ? 63 : 253;
  const wrong = (text: string) =>
    errors.push({ type: 'Invalid value', field: 'metadata.name', value: name, detail: text });
  if (name.length > maxLength) wrong(`must be no more than ${maxLength} bytes`);
  if (!form.test(name)) wrong(detail);
}

function checkLabels(labels: Json, field: string, errors: FieldError[]): void {
  for (const [key, value] of Object.entries(labels ?? {})) {
    if (!QUALIFIED_NAME.test(key))
      errors.push({ type: 'Invalid value', field, value: key, detail: NAME_PART_TEXT });
    const text = String(value);
    if (text.length > 63)
      errors.push({ type: 'Invalid value', field, value: text, detail: 'must be no more than 63 bytes' });
    if (!LABEL_VALUE.test(text))
      errors.push({ type: 'Invalid value', field, value: text, detail: LABEL_VALUE_TEXT });
  }
}

/** Errors of `metadata` that do not depend on an older state. */
export function metadataErrors(kind: Kind, metadata: Json): FieldError[] {
  const errors: FieldError[] = [];
  checkName(kind, metadata.name, errors);
  checkLabels(metadata.labels, 'metadata.labels', errors);
  let annotationsBytes = 0;
  for (const [key, value] of Object.entries(metadata.annotations ?? {})) {
    annotationsBytes += key.length + String(value).length;
    if (!QUALIFIED_NAME.test(key.toLowerCase()))
      errors.push({
        type: 'Invalid value',
        field: 'metadata.annotations',
        value: key,
        detail: NAME_PART_TEXT,
      });
  }
  if (annotationsBytes > MAX_ANNOTATIONS_BYTES)
    errors.push({
      type: 'Too long',
      field: 'metadata.annotations',
      detail: `may not be more than ${MAX_ANNOTATIONS_BYTES} bytes`,
    });
  (metadata.ownerReferences ?? []).forEach((owner: Json, index: number) => {
    for (const field of ['apiVersion', 'kind', 'name', 'uid'])
      if (!owner?.[field])
        errors.push({
          type: 'Invalid value',
          field: `metadata.ownerReferences[${index}].${field}`,
          value: '',
          detail: `must not be empty`,
        });
  });
  return errors;
}

/** Errors of changing `metadata` from `live` to `next`. */
export function metadataChangeErrors(live: Json, next: Json): FieldError[] {
  const errors: FieldError[] = [];
  for (const field of ['name', 'namespace', 'uid', 'deletionTimestamp'])
    if (!equal(live[field], next[field]))
      errors.push({
        type: 'Invalid value',
        field: `metadata.${field}`,
        value: next[field],
        detail: 'field is immutable',
      });
  if (live.deletionTimestamp !== undefined) {
    const added = (next.finalizers ?? []).filter((name: string) => !(live.finalizers ?? []).includes(name));
    if (added.length > 0)
      errors.push({
        type: 'Forbidden',
        field: 'metadata.finalizers',
        detail: `no new finalizers can be added if the object is being deleted, found new finalizers []string{${added
          .map((name: string) => JSON.stringify(name))
          .join(', ')}}`,
      });
  }
  return errors;
}

function required(errors: FieldError[], value: Json, field: string, detail?: string): boolean {
  if (value !== undefined && value !== null && value !== '') return true;
  errors.push({ type: 'Required value', field, ...(detail ? { detail } : {}) });
  return false;
}

function nonNegative(errors: FieldError[], value: Json, field: string): void {
  if (typeof value === 'number' && value < 0)
    errors.push({ type: 'Invalid value', field, value, detail: 'must be greater than or equal to 0' });
}

function podSpecErrors(spec: Json, field: string, errors: FieldError[]): void {
  if (!Array.isArray(spec?.containers) || spec.containers.length === 0) {
    errors.push({ type: 'Required value', field: `${field}.containers` });
    return;
  }
  const names = new Set<string>();
  spec.containers.forEach((container: Json, index: number) => {
    const at = `${field}.containers[${index}]`;
    if (required(errors, container?.name, `${at}.name`)) {
      if (names.has(container.name))
        errors.push({ type: 'Duplicate value', field: `${at}.name`, value: container.name });
      names.add(container.name);
    }
    required(errors, container?.image, `${at}.image`);
  });
}

function workloadErrors(object: Json, live: Json): FieldError[] {
  const errors: FieldError[] = [];
  const spec = object.spec ?? {};
  nonNegative(errors, spec.replicas, 'spec.replicas');
  if (required(errors, isObject(spec.selector) ? spec.selector : undefined, 'spec.selector')) {
    const labels = spec.template?.metadata?.labels;
    if (!matchesSelector(spec.selector, labels))
      errors.push({
        type: 'Invalid value',
        field: 'spec.template.metadata.labels',
        value: copy(labels ?? null),
        detail: '`selector` does not match template `labels`',
      });
    if (live && !equal(live.spec.selector, spec.selector))
      errors.push({
        type: 'Invalid value',
        field: 'spec.selector',
        value: copy(spec.selector),
        detail: 'field is immutable',
      });
  }
  podSpecErrors(spec.template?.spec, 'spec.template.spec', errors);
  return errors;
}

function serviceErrors(object: Json, live: Json): FieldError[] {
  const errors: FieldError[] = [];
  const { spec } = object;
  const ports: Json[] = spec.ports ?? [];
  if (ports.length === 0 && spec.clusterIP !== 'None' && spec.type !== 'ExternalName')
    errors.push({ type: 'Required value', field: 'spec.ports' });
  ports.forEach((port, index) => {
    const at = `spec.ports[${index}]`;
    if (ports.length > 1) required(errors, port.name, `${at}.name`);
    if (typeof port.port !== 'number' || port.port < 1 || port.port > 65535)
      errors.push({
        type: 'Invalid value',
        field: `${at}.port`,
        value: port.port ?? 0,
        detail: 'must be between 1 and 65535, inclusive',
      });
  });
  if (live?.spec.clusterIP && spec.type !== 'ExternalName' && live.spec.clusterIP !== spec.clusterIP)
    errors.push({
      type: 'Invalid value',
      field: 'spec.clusterIPs[0]',
      value: copy(spec.clusterIPs ?? null),
      detail: 'may not change once set',
    });
  return errors;
}

function revisionErrors(object: Json, live: Json): FieldError[] {
  const errors: FieldError[] = [];
  if (object.data === undefined || object.data === null)
    errors.push({ type: 'Required value', field: 'data', detail: 'data is mandatory' });
  nonNegative(errors, object.revision, 'revision');
  if (live && !equal(live.data, object.data))
    errors.push({
      type: 'Invalid value',
      field: 'data',
      value: copy(object.data),
      detail: 'field is immutable',
    });
  return errors;
}

function sliceErrors(object: Json, live: Json, allowsLoopback: boolean): FieldError[] {
  const errors: FieldError[] = [];
  required(errors, object.addressType, 'addressType');
  if (live && live.addressType !== object.addressType)
    errors.push({
      type: 'Invalid value',
      field: 'addressType',
      value: object.addressType,
      detail: 'field is immutable',
    });
  (object.endpoints ?? []).forEach((endpoint: Json, index: number) => {
    for (const address of endpoint.addresses ?? [])
      if (address.startsWith('169.254.') || (!allowsLoopback && address.startsWith('127.')))
        errors.push({
          type: 'Invalid value',
          field: `endpoints[${index}].addresses[0]`,
          value: address,
          detail: 'may not be in the loopback range (127.0.0.0/8, ::1/128)',
        });
  });
  return errors;
}

function podErrors(object: Json, live: Json): FieldError[] {
  const errors: FieldError[] = [];
  podSpecErrors(object.spec, 'spec', errors);
  if (live && live.spec.nodeName && live.spec.nodeName !== object.spec.nodeName)
    errors.push({ type: 'Forbidden', field: 'spec', detail: 'pod updates may not change the node' });
  return errors;
}

function immutableErrors(object: Json, live: Json): FieldError[] {
  if (live?.immutable !== true || equal(live.data, object.data)) return [];
  return [{ type: 'Forbidden', field: 'data', detail: 'field is immutable when `immutable` is set' }];
}

const builtinRules: Record<string, (object: Json, live: Json) => FieldError[]> = {
  Deployment: workloadErrors,
  ReplicaSet: workloadErrors,
  Service: serviceErrors,
  ControllerRevision: revisionErrors,
  Pod: podErrors,
  ConfigMap: immutableErrors,
  Secret: immutableErrors,
};

/** Errors of everything but `metadata`. `live` is the state before, undefined on create. */
export function contentErrors(
  kind: Kind,
  object: Json,
  live: Json,
  allowed: { allowsLoopbackEndpoints: boolean },
): FieldError[] {
  if (!kind.isBuiltin) return validateSchema(object, kind.schema ?? {});
  if (kind.kind === 'EndpointSlice') return sliceErrors(object, live, allowed.allowsLoopbackEndpoints);
  return builtinRules[kind.kind]?.(object, live) ?? [];
}
