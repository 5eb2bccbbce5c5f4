/**
 * What people, GitOps tools, nodes and strangers do to the objects of a canary, carried out on the API in memory as
 * their own clients would do it. What lasts for a while is undone at its end, and at the latest when the restless time
 * is over. It never looks at an engine.
 */
import type { Clock } from '../../engine/clock.ts';
import type { KubernetesObject } from '../../engine/kubernetes/types.ts';
import { draft } from '../api/inprocess.ts';
import type { KindName } from '../api/inprocess.ts';
import type { Json } from '../api/json.ts';
import { StatusError } from '../api/status.ts';
import { DEPLOYMENT, POD, SERVICE } from '../controllers/objects.ts';
import type { Accountant } from './accountant.ts';
import {
  CANARY,
  canaryOf,
  type Cluster,
  GOOD_BEHAVIOUR,
  serviceOf,
  SPLIT,
  targetOf,
  templateOf,
} from './cluster.ts';
import type { Hand, Hands } from './hands.ts';
import type { Behaviour, CanaryPlan, Deed, Item, Plan } from './plan.ts';
import type { CanaryView, Witness } from './witness.ts';

export const FIRST_VERSION = 'v1';

export interface DeedsOptions {
  plan: Plan;
  clock: Clock;
  startMs: number;
  cluster: Cluster;
  hands: Hands;
  witness: Witness;
  accountant: Accountant;
  note(who: string, what: string): void;
}

export interface Deeds {
  /** Brings the canary's objects into the world. */
  found(index: number): void;
  declare(index: number): void;
  perform(item: Item & Deed): void;
  behaviourOf(index: number, version: string): Behaviour | undefined;
}

type Doer = Extract<Hand['who'], 'user' | 'gitops' | 'stranger'>;

export function createDeeds(options: DeedsOptions): Deeds {
  const { plan, clock, startMs, cluster, hands, witness, accountant } = options;
  const { store } = cluster;
  const behaviours = plan.canaries.map(() => new Map<string, Behaviour>([[FIRST_VERSION, GOOD_BEHAVIOUR]]));
  let commands = 0;

  /** A client whose object has changed meanwhile tries again; what the server refuses for good is its own affair. */
  function attempt(who: Doer, what: string, work: () => void): void {
    try {
      hands.by(who, work);
    } catch (error) {
      if (!(error instanceof StatusError)) throw error;
      options.note(who, `${what}: refused, ${error.message}`);
    }
  }

  function change(
    who: Doer,
    kind: KindName,
    canary: CanaryPlan,
    name: string,
    edit: (next: KubernetesObject) => void,
  ) {
    attempt(who, `${kind.kind} ${name}`, () => {
      const live = store.get(kind, canary.namespace, name);
      if (!live || live.metadata.deletionTimestamp !== undefined) return;
      const next = draft(live);
      edit(next);
      store.update(next, who === 'user' ? 'kubectl' : who);
    });
  }

  function remove(who: Doer, kind: KindName, canary: CanaryPlan, name: string): void {
    attempt(who, `${kind.kind} ${name}`, () => {
      const live = store.get(kind, canary.namespace, name);
      if (live) store.delete(live);
    });
  }

  function create(who: Doer, object: KubernetesObject): void {
    attempt(who, `${object.kind} ${object.metadata.name}`, () => {
      if (!store.get(object, object.metadata.namespace, object.metadata.name))
        store.create(object, 'kubectl');
    });
  }

  function afterwards(forMs: number, work: () => void): void {
    const leftMs = Math.max(0, startMs + plan.restlessMs - clock.now());
    clock.setTimer(work, Math.min(forMs, leftMs));
  }

  function setTemplate(canary: CanaryPlan, version: string, behaviour: Behaviour): void {
    change('user', DEPLOYMENT, canary, canary.target, next => {
      next.spec.template = templateOf(canary, version, behaviour);
    });
  }

  /** The version that was promoted last, as the primary's template shows it. */
  function revert(view: CanaryView): void {
    const hash: string | undefined = view.status.current().lastGood?.hash;
    const version = (hash && view.versions.get(hash)) ?? FIRST_VERSION;
    const behaviour = behaviours[view.index]!.get(version);
    if (behaviour) setTemplate(view.plan, version, behaviour);
  }

  function command(view: CanaryView, verb: string, isBound: boolean): void {
    const status = view.status.current();
    const revision = isBound ? (verb === 'skip' ? queuedOf(view) : status.run?.revision) : 'a1-0123456789ab';
    if (!revision) return;
    commands += 1;
    const id = `c${commands}`;
    change('user', CANARY, view.plan, view.plan.name, next => {
      next.metadata.annotations = {
        ...next.metadata.annotations,
        'serin.dev/command': `${verb} ${revision} ${id} because`,
        'serin.dev/command-by': 'ada',
      };
    });
  }

  function queuedOf(view: CanaryView): string | undefined {
    const { version } = view.target.current();
    return [...view.versions].find(([, known]) => known === version)?.[0];
  }

  function gitops(canary: CanaryPlan, what: string, everyMs: number, times: number): void {
    const turn = (left: number): void => {
      if (left <= 0 || clock.now() >= startMs + plan.restlessMs) return;
      if (what === 'replicas')
        change('gitops', DEPLOYMENT, canary, canary.target, next => {
          next.spec.replicas = canary.replicas;
        });
      else if (what === 'weights')
        change('gitops', SPLIT, canary, canary.apex, next => {
          next.spec.backends = weights(canary, 100);
        });
      else
        change('gitops', SERVICE, canary, canary.apex, next => {
          next.spec.selector = { app: canary.target };
        });
      clock.setTimer(() => turn(left - 1), everyMs);
    };
    turn(times);
  }

  function weights(canary: CanaryPlan, primary: number): Json {
    return [
      { service: `${canary.apex}-canary`, weight: 100 - primary },
      { service: `${canary.apex}-primary`, weight: primary },
    ];
  }

  function editRoute(canary: CanaryPlan, how: 'weights' | 'stamp' | 'garbage' | 'delete'): void {
    if (how === 'delete') return remove('stranger', SPLIT, canary, canary.apex);
    change('stranger', SPLIT, canary, canary.apex, next => {
      if (how === 'weights') next.spec.backends = weights(canary, 40);
      else if (how === 'stamp') delete next.metadata.annotations?.['serin.dev/stamp'];
      else next.spec.backends = [{ service: `${canary.apex}-primary`, weight: 1 }];
    });
  }

  function disturb(view: CanaryView, deed: Deed & { kind: 'disturb' }): void {
    const label = deed.arm === 'target' ? view.plan.target : `${view.plan.target}-primary`;
    const pods = store
      .list(POD, view.plan.namespace)
      .filter(pod => pod.metadata.labels?.['app'] === label && pod.metadata.deletionTimestamp === undefined);
    const count = Math.max(1, Math.round(pods.length * deed.share));
    hands.by('cluster', () => cluster.pods.disturb(pods.slice(0, count), deed.how, deed.forMs));
  }

  function perform(item: Item & Deed): void {
    const view = witness.canaries[item.canary]!;
    const canary = view.plan;
    options.note('world', describe(item, canary));
    switch (item.kind) {
      case 'release':
        behaviours[item.canary]!.set(item.version, item.behaviour);
        return setTemplate(canary, item.version, item.behaviour);
      case 'revert':
        return revert(view);
      case 'command':
        return command(view, item.verb, item.isBound);
      case 'editSpec':
        return change('user', CANARY, canary, canary.name, next => {
          next.spec = item.spec;
        });
      case 'breakSpec': {
        const ingressRef = { apiVersion: 'networking.k8s.io/v1', kind: 'Ingress', name: 'web' };
        change('user', CANARY, canary, canary.name, next => {
          next.spec = { ...next.spec, ingressRef };
        });
        return afterwards(item.forMs, () =>
          change('user', CANARY, canary, canary.name, next => {
            delete next.spec.ingressRef;
          }),
        );
      }
      case 'suspend': {
        const set = (suspend: boolean) =>
          change('user', CANARY, canary, canary.name, next => {
            next.spec = { ...next.spec, suspend };
          });
        set(true);
        return afterwards(item.forMs, () => set(false));
      }
      case 'deleteCanary':
        remove('user', CANARY, canary, canary.name);
        return againWhenGone(canary, item.againAfterMs);
      case 'pauseTarget': {
        const set = (paused: boolean) =>
          change('user', DEPLOYMENT, canary, canary.target, next => {
            if (paused) next.spec.paused = true;
            else delete next.spec.paused;
          });
        if (store.get(DEPLOYMENT, canary.namespace, canary.target)?.spec.paused) return;
        set(true);
        return afterwards(item.forMs, () => set(false));
      }
      case 'resumeTarget':
        return change('user', DEPLOYMENT, canary, canary.target, next => {
          delete next.spec.paused;
        });
      case 'scaleTarget':
        return change('user', DEPLOYMENT, canary, canary.target, next => {
          next.spec.replicas = item.replicas;
        });
      case 'deleteTarget': {
        const { version, exists } = view.target.current();
        if (!exists) return;
        remove('user', DEPLOYMENT, canary, canary.target);
        return afterwards(item.againAfterMs, () =>
          create('user', targetOf(canary, version, behaviours[item.canary]!.get(version) ?? GOOD_BEHAVIOUR)),
        );
      }
      case 'gitops':
        return gitops(canary, item.what, item.everyMs, item.times);
      case 'editRoute':
        return editRoute(canary, item.how);
      case 'editService': {
        const name = item.arm === 'apex' ? canary.apex : `${canary.apex}-${item.arm}`;
        if (item.how === 'delete') return remove('stranger', SERVICE, canary, name);
        return change('stranger', SERVICE, canary, name, next => {
          next.spec.selector = { app: 'elsewhere' };
        });
      }
      case 'editPrimary': {
        const name = `${canary.target}-primary`;
        if (item.how === 'delete') return remove('stranger', DEPLOYMENT, canary, name);
        return change('stranger', DEPLOYMENT, canary, name, next => {
          next.spec.replicas = Math.max(1, canary.replicas - 1);
        });
      }
      case 'disturb':
        return disturb(view, item);
      case 'traffic':
        return accountant.setTraffic(item.canary, item.traffic);
    }
  }

  /** A user who deletes and applies again waits for the deletion to end. */
  function againWhenGone(canary: CanaryPlan, afterMs: number): void {
    const again = (): void => {
      if (store.get(CANARY, canary.namespace, canary.name)) return void clock.setTimer(again, 2_000);
      create('user', canaryOf(canary, canary.spec));
    };
    afterwards(afterMs, again);
  }

  return {
    found(index) {
      const canary = plan.canaries[index]!;
      create('user', targetOf(canary, FIRST_VERSION, GOOD_BEHAVIOUR));
      if (canary.hasService) create('user', serviceOf(canary));
    },
    declare(index) {
      const canary = plan.canaries[index]!;
      create('user', canaryOf(canary, canary.spec));
    },
    perform,
    behaviourOf: (index, version) => behaviours[index]!.get(version),
  };
}

/** A line for the timeline. */
export function describe(item: Item, canary: CanaryPlan | undefined): string {
  const { id, atMs: _at, kind, ...rest } = item;
  const details = Object.entries(rest)
    .filter(([key]) => key !== 'canary' && key !== 'spec')
    .map(([key, value]) => `${key}=${typeof value === 'object' ? JSON.stringify(value) : String(value)}`);
  return `#${id} ${kind} ${canary ? `${canary.namespace}/${canary.name} ` : ''}${details.join(' ')}`.trim();
}
