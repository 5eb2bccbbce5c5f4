/**
 * Which replica wrote what of a canary, and when, and which images an engine gave to primaries: read from the API server's audit log alone, so that no engine is asked
 * about itself. Only writes that the API server took are acts.
 */
import { type AuditEntry, auditTime, REPLICA_USERS } from './audit.ts';
import type { ControlPlane } from './controlplane.ts';

export interface Act {
  /** The user of the replica, or `engine`. */
  by: string;
  /** Milliseconds since the epoch. */
  atMs: number;
  kind: 'route' | 'status' | 'lease' | 'workload';
  namespace: string;
  name: string;
  /** The canary's share that a route was given, in percent; undefined when the write left it alone. */
  weight?: number;
  /** `<epoch>/<run>/<end>` of a route write. */
  stamp?: string;
  /** Of a Lease that was taken: by whom. */
  holder?: string;
  /** That a workload was given; undefined when the write left it alone. */
  image?: string;
  replicas?: number;
  /** Of a Deployment: whether its rollouts stand still from now on. */
  isPaused?: boolean;
}

const KINDS: Readonly<Record<string, Act['kind']>> = {
  'trafficsplits/': 'route',
  'canaries/status': 'status',
  'leases/': 'lease',
  'deployments/': 'workload',
};
const WRITES = ['create', 'update', 'patch'];

/** Oldest first; every act whose request was answered before the call is in it. */
export async function actsOf(plane: ControlPlane, namespace?: string): Promise<Act[]> {
  const entries = await plane.auditEvents('engine', ...REPLICA_USERS);
  return entries
    .filter(entry => namespace === undefined || entry.namespace === namespace)
    .flatMap(actOf)
    .toSorted((a, b) => a.atMs - b.atMs);
}

function actOf(entry: AuditEntry): Act[] {
  const kind = KINDS[`${entry.resource}/${entry.subresource}`];
  const isTaken = entry.code >= 200 && entry.code < 300;
  if (!kind || !isTaken || !WRITES.includes(entry.verb) || entry.uri.includes('dryRun=')) return [];
  const { user: by, namespace, name, body } = entry;
  const weight: number | undefined = body?.spec?.backends?.find((backend: any) =>
    backend.service.endsWith('-canary'),
  )?.weight;
  const act: Act = { by, atMs: auditTime(entry), kind, namespace, name };
  const more = {
    weight,
    stamp: kind === 'route' ? body?.metadata?.annotations?.['serin.dev/stamp'] : undefined,
    holder: body?.spec?.holderIdentity ?? undefined,
    image: body?.spec?.template?.spec?.containers?.[0]?.image,
    replicas: body?.spec?.replicas,
    isPaused: body?.spec?.paused === undefined ? undefined : body.spec.paused === true,
  };
  return [
    Object.assign(act, Object.fromEntries(Object.entries(more).filter(([, value]) => value !== undefined))),
  ];
}
