/**
 * What the stores keep of an object: all that anybody asks of it, and not the parts that are larger than the rest. Pure; the
 * object that was received is left as it is.
 */
import type { KubernetesObject } from '../kubernetes/types.ts';
import { takeRevision } from './revisions.ts';

/** What users' objects carry in annotations for kubectl alone; as large as the object. */
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

/**
 * Of `managedFields` only which manager holds which top-level field of the spec, which is all that is asked of them: the
 * whole of them is larger than the object.
 */
export function withSmallMetadata(object: KubernetesObject): KubernetesObject {
  const { managedFields = [], annotations, ...metadata } = object.metadata;
  const { [LAST_APPLIED]: _lastApplied, ...kept } = annotations ?? {};
  const small = managedFields.flatMap(entry => {
    const spec = entry.fieldsV1?.['f:spec'];
    if (typeof spec !== 'object' || spec === null) return [];
    const fields = Object.fromEntries(Object.keys(spec).map(field => [field, {}]));
    return [{ ...entry, fieldsV1: { 'f:spec': fields } }];
  });
  return { ...object, metadata: { ...metadata, annotations: kept, managedFields: small } };
}

export function withoutManagedFields(object: KubernetesObject): KubernetesObject {
  const { managedFields: _managedFields, ...metadata } = object.metadata;
  return { ...object, metadata };
}

/** Of `managedFields` only who wrote and when: that tells when a route was written. */
export function withWriteTimes(object: KubernetesObject): KubernetesObject {
  const managedFields = (object.metadata.managedFields ?? []).map(({ fieldsV1: _fields, ...entry }) => entry);
  return { ...object, metadata: { ...object.metadata, managedFields } };
}

/**
 * A ReplicaSet: what counts pods, and its revision, but not the template that the revision is read from. Several of them
 * lie about for each Deployment.
 */
export function withoutTemplate(replicaSet: KubernetesObject): KubernetesObject {
  const { managedFields: _fields, annotations: _annotations, ...metadata } = replicaSet.metadata;
  const kept = { ...replicaSet, metadata, spec: { replicas: replicaSet.spec?.replicas } };
  takeRevision(kept, replicaSet);
  return kept;
}
