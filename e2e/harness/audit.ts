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
}

/** Asks for nothing but markers: what is in the log before its request has been written down. */
export const MARKER_USER = 'audit-marker';

const USERS = ['engine', 'system:serviceaccount:serin:serin', MARKER_USER];

/** One entry a request: the later of a watch's two stages is kept. */
export const AUDIT_POLICY = JSON.stringify({
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  omitStages: ['RequestReceived', 'ResponseStarted'],
  rules: [{ level: 'Metadata', users: USERS }, { level: 'None' }],
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
    };
  });
}
