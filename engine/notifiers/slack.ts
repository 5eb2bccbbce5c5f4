/**
 * Slack, by incoming webhook or, with a token, as a bot. Pure: it makes the request and reads the answer; whoever sends
 * it sees to time-outs and retries. Text of others is escaped, so that it can neither mention nor link.
 */
import type { Notification, Notifier, Receiver, Severity } from './notifier.ts';
import { verdictOfStatus } from './answers.ts';

/** Slack cuts longer texts by itself, in the middle of an escape if need be. */
const TEXT_CHARACTERS_MAX = 3_000;
const VALUE_CHARACTERS_MAX = 500;
/** Slack shows no more without folding. */
const FIELDS_MAX = 10;
/** Values up to this length stand two in a row. */
const SHORT_CHARACTERS = 40;

const colors: Record<Severity, string> = { info: 'good', warn: 'warning', error: 'danger' };

/** Errors of Slack's API that pass by themselves; it answers them with status 200. */
const PASSING_ERRORS: readonly string[] = [
  'ratelimited',
  'rate_limited',
  'internal_error',
  'fatal_error',
  'service_unavailable',
  'request_timeout',
];

export const slack: Notifier = {
  type: 'slack',
  request(notification, receiver) {
    return {
      url: receiver.address,
      headers: {
        'content-type': 'application/json; charset=utf-8',
        ...(receiver.token ? { authorization: `Bearer ${receiver.token}` } : {}),
      },
      body: JSON.stringify(messageOf(notification, receiver)),
    };
  },
  accepted(status, body) {
    const verdict = verdictOfStatus(status);
    if (verdict !== 'delivered') return verdict;
    const error = botError(body);
    if (error === undefined) return 'delivered';
    return PASSING_ERRORS.includes(error) ? 'retry' : 'refused';
  },
};

function messageOf(notification: Notification, receiver: Receiver): object {
  const { canary, severity, message, fields, time } = notification;
  const text = escaped(message, TEXT_CHARACTERS_MAX);
  return {
    ...(receiver.channel ? { channel: receiver.channel } : {}),
    username: receiver.username ?? 'serin',
    attachments: [
      {
        color: colors[severity],
        fallback: `${canary.namespace}/${canary.name}: ${text}`,
        author_name: `${canary.target}.${canary.namespace}`,
        text,
        mrkdwn_in: [],
        fields: fieldsOf(notification, fields.slice(0, FIELDS_MAX)),
        ts: Math.floor(Date.parse(time) / 1_000),
      },
    ],
  };
}

function fieldsOf(notification: Notification, fields: Notification['fields']): object[] {
  const { phase, revision, canaryWeight, reason, cluster } = notification;
  const all = [
    { title: 'Reason', value: reason },
    { title: 'Phase', value: phase },
    { title: 'Revision', value: revision },
    { title: 'Canary weight', value: `${canaryWeight} %` },
    ...fields,
    ...(cluster ? [{ title: 'Cluster', value: cluster }] : []),
  ];
  return all.map(({ title, value }) => ({
    title: escaped(title, SHORT_CHARACTERS),
    value: escaped(value, VALUE_CHARACTERS_MAX),
    short: value.length <= SHORT_CHARACTERS,
  }));
}

/** Slack's three control characters, after the text was cut so that no escape is. */
function escaped(text: string, charactersMax: number): string {
  const short = text.length > charactersMax ? `${text.slice(0, charactersMax - 1)}…` : text;
  return short.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
}

/** The error in an answer of Slack's API; webhooks answer `ok` as plain text. */
function botError(body: string): string | undefined {
  try {
    const answer: unknown = JSON.parse(body);
    if (typeof answer !== 'object' || answer === null || !('ok' in answer) || answer.ok !== false)
      return undefined;
    return 'error' in answer && typeof answer.error === 'string' ? answer.error : 'unknown';
  } catch {
    return undefined;
  }
}
