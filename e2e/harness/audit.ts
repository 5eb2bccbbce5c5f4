/**
 * What the API server wrote down about requests of the engine: the instrument that counts them. It reads the audit log
 * and nothing else; a request is in it when its answer was complete, a watch when it has ended.
 */
import { existsSync, readFileSync } from 'node:fs';

export interface AuditEntry {
  user: string;
  /** As RBAC names it: get, list, watch, create, update, patch, delete, … */
  verb: string;
  /** Plural; empty when the request was for no resource (discovery, health). */
  resource: string;
  subresource: string;
  namespace: string;
  name: string;
  /** HTTP status. */
  code: number;
  /** Path and query. */
  uri: string;
  /** RFC 3339 with microseconds. */
  requestReceivedTimestamp: string;
  /** What was sent; only of writes to routes, Deployments and Leases. */
  body?: any;
}

/** Asks for nothing but markers: what is in the log before its request has been written down. */
export const MARKER_USER = 'audit-marker';

/** Users under which a replica is told from the others; each has the rights of `engine`. */
export const REPLICA_USERS = ['engine-1', 'engine-2', 'engine-3'] as const;

const USERS = ['engine', ...REPLICA_USERS, 'system:serviceaccount:serin:serin', MARKER_USER];

/** Few and small, and what is proved about writes is proved by them. */
const WITH_BODY = [
  { group: 'split.smi-spec.io', resources: ['trafficsplits'] },
  { group: 'apps', resources: ['deployments'] },
  { group: 'coordination.k8s.io', resources: ['leases'] },
];

/** One entry a request: the later of a watch's two stages is kept. */
export const AUDIT_POLICY = JSON.stringify({
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  omitStages: ['RequestReceived', 'ResponseStarted'],
  rules: [
    { level: 'Request', users: USERS, resources: WITH_BODY, verbs: ['create', 'update', 'patch'] },
    { level: 'Metadata', users: USERS },
    { level: 'None' },
  ],
});

/** All entries in the order in which they were written, markers included. */
export function readAudit(path: string): AuditEntry[] {
  if (!existsSync(path)) return [];
  // The last piece is empty, or a line that is being written.
  const lines = readFileSync(path, 'utf8').split('\n').slice(0, -1);
  return lines.map(line => {
    const event = JSON.parse(line);
    const { resource = '', subresource = '', namespace = '', name = '' } = event.objectRef ?? {};
    return {
      user: event.user?.username ?? '',
      verb: event.verb,
      resource,
      subresource,
      namespace,
      name,
      code: event.responseStatus?.code ?? 0,
      uri: event.requestURI,
      requestReceivedTimestamp: event.requestReceivedTimestamp,
      ...(event.requestObject === undefined ? {} : { body: event.requestObject }),
    };
  });
}

/** When the API server took the request: milliseconds since the epoch, to the microsecond. */
export function auditTime(entry: AuditEntry): number {
  const [, seconds = '', fraction = '0'] = /^(.*?)(\.\d+)?Z$/.exec(entry.requestReceivedTimestamp) ?? [];
  return Date.parse(`${seconds}Z`) + Number(fraction) * 1_000;
}
