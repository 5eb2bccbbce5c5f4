/**
 * What is wrong with the world around the engines for a while: metrics that lie, statuses that nobody may write, a quota
 * that is used up, watches and clocks that misbehave. It carries out the faults that do not wait for a call.
 */
import type { StatusError } from '../api/status.ts';
import type { Call } from './calls.ts';
import type { Cluster } from './cluster.ts';
import type { Engines } from './engines.ts';
import { refusalOf } from './network.ts';
import type { ReceiverTrouble } from './receivers.ts';
import type { CounterTrouble, Fault, Item, MetricsTrouble, Plan } from './plan.ts';

export interface Troubles {
  metricsOf(namespace: string, workload: string): MetricsTrouble | undefined;
  countersOf(namespace: string, workload: string): { how: CounterTrouble; sinceMs: number } | undefined;
  /** Percent of requests that fail whoever answers them. */
  incidentOf(namespace: string, target: string): number;
  refusalOf(call: Call): StatusError | undefined;
  receiver(): ReceiverTrouble | undefined;
  /** Begins a fault that strikes by itself. */
  begin(item: Item & Fault, engines: Engines): void;
}

export function createTroubles(plan: Plan, cluster: Cluster, now: () => number, endMs: number): Troubles {
  const metrics = new Map<string, { how: MetricsTrouble; untilMs: number }>();
  const counters = new Map<string, { how: CounterTrouble; sinceMs: number; untilMs: number }>();
  const incidents = new Map<string, { errorPercent: number; untilMs: number }>();
  const deaf = new Map<string, { code: number; untilMs: number }>();
  let receiver: { how: ReceiverTrouble; untilMs: number } | undefined;
  const until = (forMs: number) => Math.min(now() + forMs, endMs);

  return {
    metricsOf(namespace, workload) {
      const trouble = metrics.get(`${namespace}/${workload.replace(/-primary$/, '')}`);
      return trouble && trouble.untilMs > now() ? trouble.how : undefined;
    },
    countersOf(namespace, workload) {
      const trouble = counters.get(`${namespace}/${workload.replace(/-primary$/, '')}`);
      return trouble && trouble.untilMs > now() ? trouble : undefined;
    },
    incidentOf(namespace, target) {
      const incident = incidents.get(`${namespace}/${target}`);
      return incident && incident.untilMs > now() ? incident.errorPercent : 0;
    },
    refusalOf(call) {
      const trouble = call.kind === 'status' ? deaf.get(`${call.namespace}/${call.name}`) : undefined;
      return trouble && trouble.untilMs > now() ? refusalOf(trouble.code) : undefined;
    },
    receiver: () => (receiver && receiver.untilMs > now() ? receiver.how : undefined),
    begin(item, engines) {
      switch (item.kind) {
        case 'stall':
          return engines.streams(item.engine)?.stall(item.resource, Math.min(item.forMs, endMs - now()));
        case 'drop':
          return engines.streams(item.engine)?.drop(item.resource);
        case 'replay':
          return engines.streams(item.engine)?.replay(item.resource);
        case 'compact':
          cluster.api.compact();
          return engines.streams(item.engine)?.drop('deployments');
        case 'kill':
          return engines.kill(item.engine, item.downMs);
        case 'clock':
          return engines.step(item.engine, item.byMs);
        case 'metrics': {
          const { namespace, target } = plan.canaries[item.canary]!;
          metrics.set(`${namespace}/${target}`, { how: item.how, untilMs: until(item.forMs) });
          return;
        }
        case 'counters': {
          const { namespace, target } = plan.canaries[item.canary]!;
          const sinceMs = now();
          counters.set(`${namespace}/${target}`, { how: item.how, sinceMs, untilMs: until(item.forMs) });
          return;
        }
        case 'incident': {
          const { namespace, target } = plan.canaries[item.canary]!;
          const { errorPercent } = item;
          incidents.set(`${namespace}/${target}`, { errorPercent, untilMs: until(item.forMs) });
          return;
        }
        case 'receiver':
          receiver = { how: item.how, untilMs: until(item.forMs) };
          return;
        case 'quota':
          return cluster.limit(plan.canaries[item.canary]!.namespace, until(item.forMs));
        case 'status': {
          const { namespace, name } = plan.canaries[item.canary]!;
          deaf.set(`${namespace}/${name}`, { code: item.code, untilMs: until(item.forMs) });
          return;
        }
        case 'crash':
        case 'freeze':
        case 'refuse':
        case 'lost':
        case 'slow':
        case 'late':
        case 'tick':
        case 'wake':
          // These wait for a call or a tick.
          return;
      }
    },
  };
}

export const FAULTS: ReadonlySet<string> = new Set<Fault['kind']>([
  'crash',
  'freeze',
  'refuse',
  'lost',
  'slow',
  'late',
  'stall',
  'drop',
  'replay',
  'compact',
  'tick',
  'wake',
  'kill',
  'clock',
  'metrics',
  'counters',
  'incident',
  'quota',
  'receiver',
  'status',
]);

export function isFault(item: Item): item is Item & Fault {
  return FAULTS.has(item.kind);
}
