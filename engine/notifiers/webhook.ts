/**
 * A plain JSON POST, for whoever wants to make something of it. The object has the fields of Flagger's event webhook
 * (name, namespace, phase, checksum, metadata) and more. Pure: it makes the request and reads the answer.
 */
import { verdictOfStatus } from './answers.ts';
import type { Notification, Notifier, Receiver } from './notifier.ts';

export const webhook: Notifier = {
  type: 'webhook',
  request(notification, receiver) {
    const { url, authorization } = addressOf(receiver);
    return {
      url,
      headers: {
        'content-type': 'application/json',
        // The same on each try: a receiver may drop what it has already.
        'idempotency-key': notification.id,
        ...(authorization ? { authorization } : {}),
      },
      body: JSON.stringify(bodyOf(notification)),
    };
  },
  accepted: status => verdictOfStatus(status),
};

/** A user and password in the address become a header: HTTP clients ignore or refuse them in a URL. */
function addressOf({ address, token }: Receiver): { url: string; authorization?: string } {
  if (!URL.canParse(address)) return { url: address };
  const url = new URL(address);
  const { username, password } = url;
  url.username = '';
  url.password = '';
  if (token) return { url: url.href, authorization: `Bearer ${token}` };
  if (username === '' && password === '') return { url: address };
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { url: url.href, authorization: `Basic ${Buffer.from(pair).toString('base64')}` };
}

function bodyOf(notification: Notification): object {
  const {
    id,
    severity,
    reason,
    message,
    canary,
    phase,
    revision,
    canaryWeight,
    fields,
    checks,
    time,
    cluster,
  } = notification;
  return {
    name: canary.name,
    namespace: canary.namespace,
    phase,
    checksum: revision,
    canaryWeight,
    metadata: {
      eventMessage: message,
      eventType: severity === 'info' ? 'Normal' : 'Warning',
      // Milliseconds since the epoch, as text.
      timestamp: String(Date.parse(time)),
    },
    id,
    severity,
    reason,
    message,
    target: canary.target,
    revision,
    fields,
    checks,
    time,
    ...(cluster ? { cluster } : {}),
  };
}
