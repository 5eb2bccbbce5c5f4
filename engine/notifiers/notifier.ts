/**
 * What is told to people, and the interface of whoever tells it. Sent after the route is safe; a slow or dead receiver
 * delays nothing.
 */

import type { CheckResult } from '../api/status.ts';

/** A check with its value and bounds and, when it did not pass, its query where it has one of its own. */
export type JudgedCheck = CheckResult & { query?: string };

export type Severity = 'info' | 'warn' | 'error';

/** One transition that a person wants to know.  */
export interface Notification {
  /** Unique per transition: `<canary uid>/<number>`; receivers may drop a repeated one. */
  id: string;
  severity: Severity;
  /** A constant of the reason table, e.g. `RolledBack`. */
  reason: string;
  /** One sentence for people: what happened and why, with value, threshold and query where there are some. */
  message: string;
  canary: { namespace: string; name: string; target: string };
  phase: string;
  revision: string;
  canaryWeight: number;
  /** Title and value pairs, shown as fields. */
  fields: { title: string; value: string }[];
  /** The checks that led to it, for programs; empty when none did. */
  checks: JudgedCheck[];
  /** RFC 3339. */
  time: string;
  cluster?: string;
}

/** Where to send: from an AlertProvider and its Secret, or from flags. Never logged: it holds tokens. */
export interface Receiver {
  type: string;
  address: string;
  token?: string;
  channel?: string;
  username?: string;
  proxy?: string;
}

/** Pure: turns a notification into one HTTP request. */
export interface Notifier {
  readonly type: string;
  request(
    notification: Notification,
    receiver: Receiver,
  ): { url: string; headers: Record<string, string>; body: string };
  /** Whether the answer means that it was delivered, is worth a retry, or is refused for good. */
  accepted(status: number, body: string): 'delivered' | 'retry' | 'refused';
}
