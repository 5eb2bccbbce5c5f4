/**
 * Says on each MetricTemplate and AlertProvider whether it can be used, and if not why: a condition, written once for each
 * generation by the one replica that speaks, and an event. It looks at the watch caches and reads nothing; whether a
 * Secret is there is learnt from whoever needed it. Nothing waits for it, and it never throws.
 */
import { decodeAlertProvider, decodeMetricTemplate, formatProblem, type Refused } from '../api/decode.ts';
import type { Reason } from '../api/reasons.ts';
import type { Clock } from '../clock.ts';
import {
  type ApiClient,
  ApiError,
  type KubernetesObject,
  objectKey,
  type Store,
} from '../kubernetes/types.ts';
import { acceptedIn, type Accepted, withAccepted } from './refusal.ts';
import type { Stores } from './world.ts';

export interface AcceptanceOptions {
  client: Pick<ApiClient, 'replaceStatus'>;
  stores: Pick<Stores, 'metricTemplates' | 'alertProviders'>;
  clock: Clock;
  /** Whether this replica is the one that judges objects: two would write the same. */
  speaks(): boolean;
  /** A Warning on exactly that object. */
  onRefused(object: KubernetesObject, refusal: { reason: string; message: string }): void;
  onFailed(object: KubernetesObject, message: string): void;
}

export interface Acceptance {
  /** From now on whatever is created or edited is looked at. */
  start(): void;
  /** Looks at everything that the caches hold: after a start, as the new speaker, and for writes that failed. */
  walk(): void;
  /** What was found when an AlertProvider was used; undefined: it could be. By whoever used it, the speaker or not. */
  used(provider: KubernetesObject, trouble: { reason: Reason; message: string } | undefined): void;
}

/** What only use shows: a spec that reads well says nothing about it, and must not take it back. */
const SHOWN_BY_USE: readonly string[] = ['SecretNotFound', 'Forbidden'] satisfies Reason[];
/** As the API bounds it. */
const MESSAGE_CHARACTERS_MAX = 1_024;
/** Answers after which the same version is not written again: only an edit, or another process, may have more luck. */
const FINAL: readonly string[] = ['forbidden', 'invalid', 'badRequest', 'notFound', 'conflict'];

const ACCEPTED: Accepted = {
  status: 'True',
  reason: 'Accepted',
  message: 'The object is valid and supported.',
};

/** What is to be said of an object as it is now; undefined: nothing. */
type Verdict = (now: KubernetesObject) => Accepted | undefined;

function judged(decoded: { ok: true } | Refused): Accepted {
  if (decoded.ok) return ACCEPTED;
  const message = decoded.problems.map(formatProblem).join('; ').slice(0, MESSAGE_CHARACTERS_MAX);
  return { status: 'False', reason: decoded.problems[0]?.reason ?? 'InvalidSpec', message };
}

export function createAcceptance(options: AcceptanceOptions): Acceptance {
  const { client, clock, onRefused, onFailed } = options;
  const { metricTemplates, alertProviders } = options.stores;
  /** Versions that were judged: there is nothing more to write about them. */
  const settled = new WeakSet<KubernetesObject>();
  /** What is to be written on an object when its turn comes; at most two entries for each object of the caches. */
  const waiting = new Map<string, Verdict>();
  /** One write at a time: there is no hurry, and there may be hundreds after an upgrade. */
  let last: Promise<void> = Promise.resolve();

  const judge = (store: Store, object: KubernetesObject): Accepted =>
    judged(store === metricTemplates ? decodeMetricTemplate(object) : decodeAlertProvider(object));

  async function write(store: Store, object: KubernetesObject, wanted: Accepted): Promise<void> {
    const status = withAccepted(object, wanted, new Date(clock.now()).toISOString());
    try {
      store.absorb(await client.replaceStatus(store.type, { ...object, status }));
      // Whoever used it in vain has told so by an event of its own.
      if (wanted.status === 'False' && !SHOWN_BY_USE.includes(wanted.reason)) onRefused(object, wanted);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      // After a conflict the watch shows the newer version; after anything that passes the next walk tries again.
      if (!FINAL.includes(error.kind)) settled.delete(object);
      if (error.kind !== 'conflict' && error.kind !== 'notFound') onFailed(object, error.message);
    }
  }

  async function settle(store: Store, { namespace, name }: KubernetesObject['metadata'], verdict: Verdict) {
    const now = store.get(namespace, name);
    if (!now || now.metadata.deletionTimestamp) return;
    const wanted = verdict(now);
    if (wanted && !isSaid(now, wanted))
      await write(store, now, wanted).catch((error: unknown) => onFailed(now, String(error)));
  }

  function queue(store: Store, { metadata }: KubernetesObject, by: 'spec' | 'use', verdict: Verdict): void {
    const key = `${by} ${store.type.plural} ${objectKey(metadata.namespace, metadata.name)}`;
    const isQueued = waiting.has(key);
    waiting.set(key, verdict);
    if (isQueued) return;
    last = last.then(async () => {
      const newest = waiting.get(key) ?? verdict;
      waiting.delete(key);
      await settle(store, metadata, newest);
    });
  }

  function look(store: Store, object: KubernetesObject): void {
    if (!options.speaks() || settled.has(object)) return;
    queue(store, object, 'spec', now => {
      if (settled.has(now)) return undefined;
      settled.add(now);
      const wanted = judge(store, now);
      return wanted.status === 'True' && isOfThisGeneration(now) && isShownByUse(now) ? undefined : wanted;
    });
  }

  return {
    start() {
      for (const store of [metricTemplates, alertProviders])
        store.onChange((object, deleted) => void (deleted || look(store, object)));
    },
    walk() {
      for (const store of [metricTemplates, alertProviders])
        for (const object of store.all()) look(store, object);
    },
    used(object, trouble) {
      if (trouble ? !SHOWN_BY_USE.includes(trouble.reason) : !isShownByUse(object)) return;
      queue(alertProviders, object, 'use', now => {
        const spec = judge(alertProviders, now);
        if (!trouble || spec.status === 'False') return spec;
        return { status: 'False', reason: trouble.reason, message: trouble.message };
      });
    },
  };
}

function isOfThisGeneration(object: KubernetesObject): boolean {
  return acceptedIn(object)?.observedGeneration === object.metadata.generation;
}

function isShownByUse(object: KubernetesObject): boolean {
  const said = acceptedIn(object);
  return said?.status === 'False' && SHOWN_BY_USE.includes(said.reason ?? '');
}

function isSaid(object: KubernetesObject, wanted: Accepted): boolean {
  const said = acceptedIn(object);
  const isSame =
    said?.status === wanted.status && said.reason === wanted.reason && said.message === wanted.message;
  return isSame && isOfThisGeneration(object);
}
