/**
 * Tells people what has happened to a canary: each transition that stands in its status, to those who want to know. It
 * is called when the route is safe and never waited for. At least once: what may not have arrived before this process
 * took over is told again, from the status.
 */
import { type Canary, decodeCanary } from '../api/decode.ts';
import type { CanaryStatus, Transition } from '../api/status.ts';
import { settingsOf } from '../core/settings.ts';
import type { KubernetesObject } from '../kubernetes/types.ts';
import type { Delivery } from '../notifiers/delivery.ts';
import { notificationId, notificationOf } from '../notifiers/transitions.ts';
import { namesOf } from './observe.ts';
import { queryOf } from './query.ts';
import { addresseesOf, type FlagReceivers, type ReceiverTrouble, type Telling } from './receivers.ts';
import type { World } from './world.ts';

/**
 * What replicas that share the work let each other know: notifications that are on their way to nobody any more. It may
 * lose some, and then they are told twice.
 */
export interface SharedTold {
  /** Never throws. */
  add(id: string): void;
  /** Those of these that are known; undefined when nobody can say now. Never rejects. */
  known(ids: readonly string[]): Promise<ReadonlySet<string> | undefined>;
}

export interface TellOptions extends FlagReceivers {
  delivery: Delivery;
  /** Absent: only one replica acts at a time. */
  shared?: SharedTold | undefined;
  clusterName?: string | undefined;
  /** Whether built-in metrics are asked of a Prometheus, so that they have a query to show. */
  asksPrometheus: boolean;
}

export interface Teller {
  /** These transitions are written; `object` is the Canary with the status that holds them, or that they left behind. */
  told(object: KubernetesObject, canary: Canary, transitions: readonly Transition[]): void;
  /** This replica has begun to act: tells what nobody is known to have told. */
  tellAgain(): void;
  /** For one of the replicas that share the work, again and again: tells what another was killed over. */
  tellLate(): void;
  /**
   * Number of the last transition up to which none is on its way to anybody. One that another replica has taken on is
   * passed only when it is too old to be told again.
   */
  notified(canary: Canary, status: CanaryStatus): number;
}

/** Older news are not told again: after an hour a person has looked, or nobody needs to. */
const TOLD_AGAIN_MS = 60 * 60_000;
/** A replica that lives has told it by then, or given it up: five tries take about two minutes. */
const LATE_MS = 3 * 60_000;

/** What is known to have been told by others: 12 transitions of each of 1,000 canaries. Beyond it is asked again. */
const KNOWN_MAX = 12_000;

interface Left {
  id: string;
  object: KubernetesObject;
  transition: Transition;
}

/** What the engine is told of receivers, beside what people are told. */
export interface TellListener {
  /** On the Canary and on the AlertProvider, each once for a message. */
  trouble(object: KubernetesObject, trouble: ReceiverTrouble): void;
  /** A provider was used for a message, in vain (why) or not (undefined). */
  used(provider: KubernetesObject, trouble: ReceiverTrouble | undefined): void;
}

export function createTeller(options: TellOptions, world: () => World, listener: TellListener): Teller {
  const { delivery, clusterName } = options;
  /** Asked about once: nobody takes them back. */
  const knownElsewhere = new Set<string>();

  function tellingOf(canary: Canary, status: CanaryStatus, object?: KubernetesObject): Telling {
    return {
      world: world(),
      flags: options,
      canary,
      status,
      onTrouble(trouble, provider) {
        for (const one of [object, provider]) if (one) listener.trouble(one, trouble);
        if (provider) listener.used(provider, trouble);
      },
      onUsable: provider => listener.used(provider, undefined),
    };
  }

  function tell(object: KubernetesObject, canary: Canary, transition: Transition): void {
    const status: CanaryStatus = object.status ?? {};
    const telling = tellingOf(canary, status, object);
    const notification = notificationOf({
      canary: {
        uid: canary.uid,
        namespace: canary.namespace,
        name: canary.name,
        target: canary.spec.targetRef.name,
      },
      status,
      transition,
      queryOf: metric => queryText(telling, metric, options.asksPrometheus),
      cluster: clusterName,
    });
    delivery.told(notification, addresseesOf(telling, transition));
  }

  const isTooOld = (transition: Transition): boolean =>
    !(Date.parse(transition.at) >= world().clock.now() - TOLD_AGAIN_MS);

  /** Beyond the cursor of their canary, at least this old, and not known to have been told. */
  function leftFor(ageMs: number): Left[] {
    const nowMs = world().clock.now();
    return world()
      .stores.canaries.all()
      .flatMap(object => {
        const { notified = 0, transitions = [] }: CanaryStatus = object.status ?? {};
        return transitions
          .filter(one => one.number > notified && !isTooOld(one) && Date.parse(one.at) + ageMs <= nowMs)
          .map(one => ({
            id: notificationId(object.metadata.uid ?? '', one.number),
            object,
            transition: one,
          }));
      })
      .filter(({ id }) => !knownElsewhere.has(id));
  }

  async function tellLeft(ageMs: number): Promise<void> {
    const left = leftFor(ageMs);
    if (left.length === 0) return;
    const known = options.shared ? await options.shared.known(left.map(({ id }) => id)) : new Set<string>();
    // Whoever looks after what is late asks again.
    if (!known) return;
    for (const { id, object, transition } of left) {
      const decoded = decodeCanary(object);
      if (known.has(id)) knownElsewhere.add(id);
      else if (decoded.ok) tell(object, decoded.canary, transition);
    }
    while (knownElsewhere.size > KNOWN_MAX) knownElsewhere.delete(knownElsewhere.values().next().value!);
  }

  return {
    told(object, canary, transitions) {
      for (const transition of transitions) tell(object, canary, transition);
    },
    tellAgain: () => void tellLeft(0),
    tellLate() {
      if (options.shared) void tellLeft(LATE_MS);
    },
    notified(canary, status) {
      let through = status.notified ?? 0;
      for (const transition of status.transitions ?? []) {
        if (transition.number <= through) continue;
        const isOnItsWay =
          !delivery.isOver(notificationId(canary.uid, transition.number)) &&
          !isTooOld(transition) &&
          addresseesOf(tellingOf(canary, status), transition).length > 0;
        if (isOnItsWay) break;
        through = transition.number;
      }
      return through;
    },
  };
}

/** What was asked of the provider, where that is a query: pods that are asked themselves get none. */
function queryText(
  { world, canary, status }: Telling,
  name: string,
  asksPrometheus: boolean,
): string | undefined {
  const settings = settingsOf(canary, world.defaults);
  const metric = settings.metrics.find(one => one.name === name);
  const isBuiltIn = metric?.kind !== 'custom';
  if (!metric || (isBuiltIn && !asksPrometheus && canary.spec.metricsServer === undefined)) return undefined;
  const names = namesOf(canary.namespace, settings);
  const asked = { names, canary, run: status.run, now: world.clock.now() };
  const rendered = queryOf(world, asked, metric, 'canary');
  return rendered.ok ? rendered.query : undefined;
}
