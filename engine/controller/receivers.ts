/**
 * Who is told of a canary: the AlertProviders of its alerts or else the Slack of the flags, and the event webhook in any
 * case. Secrets are read for each try, so that a rotated one counts; what is in them goes to the receiver and nowhere else.
 */
import { type Canary, decodeAlertProvider, formatProblem } from '../api/decode.ts';
import type { Reason } from '../api/reasons.ts';
import type { CanaryStatus, Transition } from '../api/status.ts';
import * as resources from '../kubernetes/resources.ts';
import { ApiError, type KubernetesObject } from '../kubernetes/types.ts';
import type { Addressee } from '../notifiers/delivery.ts';
import type { Receiver, Severity } from '../notifiers/notifier.ts';
import { wants } from '../notifiers/registry.ts';
import { isTold } from '../notifiers/told.ts';
import { mayRefer, providerOf } from './references.ts';
import type { World } from './world.ts';

/** Receivers that the engine's flags name. */
export interface FlagReceivers {
  slack?: Receiver | undefined;
  eventWebhook?: Receiver | undefined;
}

/** Why a receiver cannot be had. `code` is what logs say; neither holds anything from a Secret. */
export class ReceiverTrouble extends Error {
  override readonly name = 'ReceiverTrouble';
  readonly reason: Reason;
  readonly code: string;
  constructor(reason: Reason, message: string) {
    super(message);
    this.reason = reason;
    this.code = reason.replace(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase();
  }
}

/** Told of trouble with a receiver once for each message, not at each try. */
export type OnTrouble = (trouble: ReceiverTrouble, provider: KubernetesObject | undefined) => void;

export interface Telling {
  world: World;
  flags: FlagReceivers;
  canary: Canary;
  status: CanaryStatus;
  onTrouble: OnTrouble;
  /** A provider was reached for a message, Secret and all; called at each try. */
  onUsable?(provider: KubernetesObject): void;
}

/** Those who want this transition, each once. */
export function addresseesOf(telling: Telling, transition: Transition): Addressee[] {
  const { world, flags, canary, status } = telling;
  const all: Addressee[] = [];
  if (flags.eventWebhook) all.push(fixed('flag/event-webhook', flags.eventWebhook));
  if (isTold(transition, status)) {
    const alerts = canary.spec.analysis?.alerts ?? [];
    if (alerts.length === 0 && flags.slack) all.push(fixed('flag/slack-url', flags.slack));
    for (const alert of alerts) {
      const reference = providerOf(canary.namespace, alert);
      if (!mayRefer(world, canary.namespace, reference.namespace)) continue;
      all.push(provided(telling, reference, alert.severity || 'info'));
    }
  }
  // Two alerts of one provider are one message; the severity has been looked at already.
  const wanting = all.filter(one => wants(one.severity, transition.severity));
  return [...new Map(wanting.map(one => [one.key, one])).values()];
}

function fixed(key: string, receiver: Receiver): Addressee {
  return { key, receiver: () => receiver };
}

function provided(
  { world, onTrouble, onUsable }: Telling,
  reference: { namespace: string; name: string },
  severity: Severity,
): Addressee {
  let isReported = false;
  return {
    key: `AlertProvider ${reference.namespace}/${reference.name}`,
    severity,
    async receiver() {
      try {
        const receiver = await receiverOf(world, reference);
        const object = world.stores.alertProviders.get(reference.namespace, reference.name);
        if (object) onUsable?.(object);
        return receiver;
      } catch (error) {
        if (error instanceof ReceiverTrouble && !isReported) {
          isReported = true;
          onTrouble(error, world.stores.alertProviders.get(reference.namespace, reference.name));
        }
        throw error;
      }
    },
  };
}

async function receiverOf(
  world: World,
  { namespace, name }: { namespace: string; name: string },
): Promise<Receiver> {
  const what = `AlertProvider ${namespace}/${name}`;
  const object = world.stores.alertProviders.get(namespace, name);
  if (!object) throw new ReceiverTrouble('AlertProviderNotFound', `${what} does not exist.`);
  const decoded = decodeAlertProvider(object);
  if (!decoded.ok) {
    const [problem] = decoded.problems;
    throw new ReceiverTrouble('AlertProviderRefused', `${what}: ${problem ? formatProblem(problem) : ''}.`);
  }
  const { type, channel, username, proxy, secretRef, address } = decoded.alertProvider.spec;
  const secret = secretRef ? await secretOf(world, namespace, secretRef.name) : {};
  const to = secret.address ?? address;
  if (to === undefined)
    throw new ReceiverTrouble(
      'SecretNotFound',
      `spec.secretRef.name: Secret ${namespace}/${secretRef?.name} has no key address, and ${what} has none either.`,
    );
  return {
    type,
    address: to,
    ...(secret.token ? { token: secret.token } : {}),
    ...(channel ? { channel } : {}),
    ...(username ? { username } : {}),
    ...(proxy ? { proxy } : {}),
  };
}

/** Keys as Flagger's: `address`, and `token` for a bot. */
async function secretOf(
  world: World,
  namespace: string,
  name: string,
): Promise<{ address?: string; token?: string }> {
  const secret = await world.client.get(resources.secrets, namespace, name).catch((error: unknown) => {
    if (error instanceof ApiError && error.kind === 'forbidden')
      throw new ReceiverTrouble('Forbidden', `The engine may not read Secret ${namespace}/${name}.`);
    throw error;
  });
  if (!secret)
    throw new ReceiverTrouble(
      'SecretNotFound',
      `spec.secretRef.name: Secret ${namespace}/${name} does not exist.`,
    );
  const text = (key: string): string =>
    Buffer.from(secret.data?.[key] ?? '', 'base64')
      .toString('utf8')
      .trim();
  const [address, token] = [text('address'), text('token')];
  return { ...(address ? { address } : {}), ...(token ? { token } : {}) };
}
