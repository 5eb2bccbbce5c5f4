/**
 * Where a request goes: pure functions from Services, EndpointSlices and TrafficSplits to endpoints and backends, with
 * the rules of SMI and of Linkerd's proxy. No sockets, no clock; randomness is an argument.
 */
import type { KubernetesObject } from '../../engine/kubernetes/types.ts';

export interface WeightedBackend {
  service: string;
  /** Relative to the other backends' of the same split; 0 or more. */
  weight: number;
}

/** `namespace/name` of a Service that a Host header names (`web.shop`, `web.shop.svc.cluster.local:80`), and the port. */
export function serviceOfHost(host: string): { namespace: string; name: string; port: number } | undefined {
  const match = /^([a-z0-9-]+)\.([a-z0-9-]+)(?:\.svc(?:\.[a-z0-9.-]+)?)?(?::(\d{1,5}))?$/i.exec(host);
  if (!match?.[1] || !match[2]) return undefined;
  return { name: match[1].toLowerCase(), namespace: match[2].toLowerCase(), port: Number(match[3] ?? 80) };
}

/** The backends of a TrafficSplit of any version, in order. A weight that cannot be read counts as 0. */
export function backendsOf(split: KubernetesObject): WeightedBackend[] {
  const backends: { service: string; weight?: string | number }[] = split.spec?.backends ?? [];
  return backends.map(backend => ({ service: backend.service, weight: quantity(backend.weight ?? 0) }));
}

const SUFFIXES: Record<string, number> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
};

/** A Kubernetes quantity, as v1alpha1 has for weights (`500m` is half of `1`); other versions have plain numbers. */
export function quantity(value: string | number): number {
  const match = /^(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)(n|u|m|k|M|G|Ki|Mi|Gi)?$/.exec(String(value));
  if (!match) return 0;
  return Number(match[1]) * (SUFFIXES[match[2] ?? ''] ?? 0);
}

/** One of the backends, each with the chance of its share; undefined when all weights are 0. `random` is in [0, 1). */
export function pickWeighted<Backend extends { weight: number }>(
  backends: readonly Backend[],
  random: number,
): Backend | undefined {
  const total = backends.reduce((sum, backend) => sum + backend.weight, 0);
  let rest = random * total;
  let last: Backend | undefined;
  for (const backend of backends) {
    if (backend.weight <= 0) continue;
    if (rest < backend.weight) return backend;
    rest -= backend.weight;
    last = backend;
  }
  // Rounding can leave a hair's breadth above the last backend.
  return last;
}

/** A Service's port by number, or, where `orFirst`, its first. Undefined when it has none such. */
export function servicePort(
  service: KubernetesObject | undefined,
  port: number,
  orFirst: boolean,
): { name: string; port: number } | undefined {
  const ports: { name?: string; port: number }[] = service?.spec?.ports ?? [];
  const found = ports.find(known => known.port === port) ?? (orFirst ? ports[0] : undefined);
  return found === undefined ? undefined : { name: found.name ?? '', port: found.port };
}

/** `address:port` of the ready endpoints in these slices of one Service, sorted, for the Service port of this name. */
export function readyEndpoints(slices: Iterable<KubernetesObject>, portName: string): string[] {
  const found = new Set<string>();
  for (const slice of slices) {
    if (slice['addressType'] !== 'IPv4') continue;
    const ports: { name?: string; port?: number }[] = slice['ports'] ?? [];
    const port = ports.find(known => (known.name ?? '') === portName)?.port;
    if (port === undefined) continue;
    for (const endpoint of slice['endpoints'] ?? []) {
      // The API says of `ready`: unknown is to be read as ready.
      if (endpoint.conditions?.ready === false) continue;
      for (const address of endpoint.addresses ?? []) found.add(`${address}:${port}`);
    }
  }
  return [...found].toSorted();
}
