/**
 * Holds the engine back until the API server has what it needs, says each thing that is missing once, in the log and on
 * the Canaries, and goes on by itself when it is there. While the engine runs it looks again when a request was forbidden
 * or when the CRDs may have been replaced. It never ends the process: it tells whoever started it.
 */
import type { Clock, Timer } from './clock.ts';
import { acceptedIn, refusedStatus } from './controller/refusal.ts';
import type { Problem } from './core/observation.ts';
import type { Log } from './engine.ts';
import type { RequestInfo } from './kubernetes/client.ts';
import { canaryTypes } from './kubernetes/resources.ts';
import { type ApiClient, ApiError, type KubernetesObject } from './kubernetes/types.ts';
import { type Lack, schemaLacks, type Survey, survey, type Wanted } from './survey.ts';
import type { ServedVersions } from '../steppers/registry.ts';
import type { Stepper } from '../steppers/stepper.ts';

export interface Prerequisites {
  /** Resolves when at least one namespace can be served; undefined when `signal` aborted before. */
  met(signal: AbortSignal): Promise<Met | undefined>;
  /** Tells what changes from now on, until `stop`. Call it after `met`. */
  follow(listener: Changes): void;
  stop(): void;
  /** What is missing now, optional things left out. */
  lacks(): readonly Lack[];
  /** Why no rollout can go on in this namespace now. */
  problemsIn(namespace: string): Problem[];
  served(): ServedVersions;
  /** The CRDs may have been replaced: looks at them now and until they are published for certain. */
  suspect(): void;
  /** For the client: every request that was answered. */
  noticed(request: RequestInfo): void;
}

export interface Met {
  stepper: Stepper;
  /** Those of the wanted ones that can be served; empty: the whole cluster. */
  namespaces: readonly string[];
}

export interface Changes {
  /** A namespace can be served now that could not be before. */
  onNamespace(namespace: string): void;
  /** Something was granted or withdrawn: canaries have to be looked at again. */
  onChange(): void;
  /** The CRDs drop what the engine writes: it must write nothing more. */
  onOutdated(lack: Lack): void;
  /** The CRDs have been looked at, because of a suspicion or of a new watch, and are whole. */
  onWhole(): void;
}

export interface PrerequisitesOptions {
  client: ApiClient;
  clock: Clock;
  log: Log;
  wanted: Wanted;
}

const FIRST_RETRY_MS = 1_000;
/** What is missing is brought by a person, who does not wait longer than this to see that it helped. */
const LONGEST_RETRY_MS = 10_000;
/** While the engine runs: between two looks at what is still missing. */
const LACKING_RETRY_MS = 30_000;
/** A namespace whose quota is full answers 403 too, as often as it is tried. */
const FORBIDDEN_PAUSE_MS = 60_000;
/** What may pass by itself is left unsaid for this long: an API server publishes a new CRD within a second or two. */
const UNSAID_MS = 5_000;
/** A schema is published a moment after its CRD was replaced, which ends the watches at once. */
const PUBLISHED_AFTER_MS = [3_000, 30_000] as const;
/** Canaries beyond these learn why nothing happens when the first ones have been told. */
const TOLD_MAX = 500;
const TOLD_AT_ONCE = 8;

export function createPrerequisites(options: PrerequisitesOptions): Prerequisites {
  const { client, clock, log, wanted } = options;
  let current: Survey = { lacks: [], served: { trafficSplit: [] }, stepper: undefined };
  let following: Changes | undefined;
  let nextLook: Timer | undefined;
  let lookedAt = 0;
  let schemaLooks: Timer[] = [];
  let said: readonly Lack[] = [];
  /** By message: when a lack that may pass was first seen. */
  let passingSince = new Map<string, number>();
  const servedNamespaces = new Set<string>();

  const lacks = () => current.lacks.filter(lack => !lack.isOptional);
  const servable = () =>
    wanted.namespaces.filter(namespace => !lacks().some(lack => lack.namespace === namespace));

  /** True when something that is needed came or went. */
  async function look(): Promise<boolean> {
    const before = current.lacks;
    const now = await survey(client, wanted);
    lookedAt = clock.now();
    // A server that does not answer takes nothing back of what is known.
    const isAway = now.lacks.some(isUnreachable);
    current = isAway
      ? { ...current, lacks: [...now.lacks, ...before.filter(lack => !isUnreachable(lack))] }
      : now;
    passingSince = new Map(
      current.lacks
        .filter(lack => lack.mayPass)
        .map(({ message }) => [message, passingSince.get(message) ?? lookedAt]),
    );
    const known = said;
    said = current.lacks.filter(hasStayed);
    return tellChanges(log, known, said);
  }

  function hasStayed({ message }: Lack): boolean {
    return lookedAt - (passingSince.get(message) ?? Number.NEGATIVE_INFINITY) >= UNSAID_MS;
  }

  function metNow(): Met | undefined {
    const { stepper } = current;
    if (!stepper || lacks().some(lack => lack.namespace === undefined)) return undefined;
    const namespaces = servable();
    if (wanted.namespaces.length > 0 && namespaces.length === 0) return undefined;
    for (const namespace of namespaces) servedNamespaces.add(namespace);
    return { stepper, namespaces };
  }

  function lookIn(delayMs: number): void {
    nextLook ??= clock.setTimer(() => void lookAgain(), delayMs);
  }

  async function lookAgain(): Promise<void> {
    const hasChanged = await look();
    nextLook = undefined;
    if (!following) return;
    if (hasChanged) {
      for (const namespace of servable().filter(one => !servedNamespaces.has(one))) {
        servedNamespaces.add(namespace);
        following.onNamespace(namespace);
      }
      following.onChange();
    }
    if (lacks().length > 0) lookIn(LACKING_RETRY_MS);
  }

  async function lookAtSchemas(isLast: boolean): Promise<void> {
    const found = await schemaLacks(client, wanted.apiGroup).catch((error: unknown) => {
      if (error instanceof ApiError) return undefined;
      throw error;
    });
    // A server that does not answer is asked until it does: what is suspected stays so.
    if (!found) return lookAtSchemasIn(PUBLISHED_AFTER_MS);
    const [outdated] = found;
    if (outdated) following?.onOutdated(outdated);
    else if (isLast) following?.onWhole();
  }

  function lookAtSchemasIn(delaysMs: readonly number[]): void {
    if (!following) return;
    for (const timer of schemaLooks) timer.cancel();
    const last = delaysMs.length - 1;
    schemaLooks = delaysMs.map((ms, index) => clock.setTimer(() => void lookAtSchemas(index === last), ms));
  }

  return {
    async met(signal) {
      for (let retryMs = FIRST_RETRY_MS; !signal.aborted; retryMs = Math.min(LONGEST_RETRY_MS, 2 * retryMs)) {
        await look();
        const met = metNow();
        if (met) return met;
        await tellCanaries(options, lacks().filter(hasStayed));
        await clock.sleep(retryMs, signal);
      }
      return undefined;
    },
    follow(listener) {
      following = listener;
      if (lacks().length > 0) lookIn(LACKING_RETRY_MS);
    },
    stop() {
      following = undefined;
      for (const timer of [nextLook, ...schemaLooks]) timer?.cancel();
    },
    lacks,
    problemsIn: namespace =>
      lacks()
        .filter(lack => lack.namespace === undefined || lack.namespace === namespace)
        .map(({ reason, message }) => ({ reason, message })),
    served: () => current.served,
    suspect: () => lookAtSchemasIn([0, ...PUBLISHED_AFTER_MS]),
    noticed({ verb, resource, code }) {
      if (!following) return;
      if (code === 403) lookIn(Math.max(FIRST_RETRY_MS, lookedAt + FORBIDDEN_PAUSE_MS - clock.now()));
      if (verb !== 'watch' || resource !== 'canaries' || code !== 200) return;
      lookAtSchemasIn(PUBLISHED_AFTER_MS);
    },
  };
}

function isUnreachable(lack: Lack): boolean {
  return lack.reason === 'ApiServerUnreachable';
}

/** One line for each thing that came or went. True when one of them is needed. */
function tellChanges(log: Log, before: readonly Lack[], after: readonly Lack[]): boolean {
  const isIn = (list: readonly Lack[], lack: Lack) => list.some(one => one.message === lack.message);
  const come = after.filter(lack => !isIn(before, lack));
  const gone = before.filter(lack => !isIn(after, lack));
  for (const lack of come) {
    const fields = { reason: lack.reason, detail: lack.message };
    if (lack.isOptional) log.warn(fields, 'something optional is missing');
    else log.error(fields, 'something that the engine needs is missing');
  }
  for (const { reason, message } of gone) log.info({ reason, detail: message }, 'no longer missing');
  return [...come, ...gone].some(lack => !lack.isOptional);
}

/** Says on each Canary that can be read and written why nothing happens to it. */
async function tellCanaries(options: PrerequisitesOptions, lacks: readonly Lack[]): Promise<void> {
  const { client, wanted } = options;
  const { canaries } = canaryTypes(wanted.apiGroup);
  const places = wanted.namespaces.length === 0 ? [undefined] : wanted.namespaces;
  for (const place of places) {
    const lack = lacks.find(one => one.namespace === undefined || one.namespace === place);
    if (!lack) continue;
    const { items } = await client.list(canaries, place).catch(nothingListed);
    const untold = items
      .filter(object => !isTold(object, lack) && mayBeTold(object, lack))
      .slice(0, TOLD_MAX);
    for (let from = 0; from < untold.length; from += TOLD_AT_ONCE) {
      const batch = untold.slice(from, from + TOLD_AT_ONCE);
      await Promise.all(batch.map(object => tellCanary(options, object, lack)));
    }
  }
}

/**
 * Under an outdated CRD every write to an object drops what the engine has remembered in it, which reading does not show
 * any more; who wrote what is still on record.
 */
function mayBeTold({ metadata }: KubernetesObject, lack: Lack): boolean {
  if (lack.reason !== 'CrdsOutdated') return true;
  const written = (metadata.managedFields ?? []).map(entry => entry.fieldsV1?.['f:status']);
  return !written.some(fields => typeof fields === 'object' && fields !== null && 'f:epoch' in fields);
}

function isTold(object: KubernetesObject, lack: Lack): boolean {
  const accepted = acceptedIn(object);
  return accepted?.reason === lack.reason && accepted.message === lack.message;
}

async function tellCanary(
  options: PrerequisitesOptions,
  object: KubernetesObject,
  lack: Lack,
): Promise<void> {
  const { client, clock, wanted } = options;
  const { reason, message } = lack;
  const at = new Date(clock.now()).toISOString();
  const status = refusedStatus(object, { reason, message }, at, false);
  const { canaries } = canaryTypes(wanted.apiGroup);
  // Another replica says the same, or it may not be said: it is in the log in any case.
  await client.replaceStatus(canaries, { ...object, status }).catch(nothingListed);
}

function nothingListed(error: unknown): { items: KubernetesObject[] } {
  if (error instanceof ApiError) return { items: [] };
  throw error;
}
