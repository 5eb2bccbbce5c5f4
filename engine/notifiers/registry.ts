/** Every notifier there is, by the type that an AlertProvider names, and which severities a receiver wants. */
import type { Notifier, Severity } from './notifier.ts';
import { slack } from './slack.ts';
import { webhook } from './webhook.ts';

export const notifiers: readonly Notifier[] = [slack, webhook];

export function notifierOf(type: string): Notifier | undefined {
  return notifiers.find(notifier => notifier.type === type);
}

const ranks: Record<Severity, number> = { info: 0, warn: 1, error: 2 };

/** `info` wants everything, `warn` warnings and errors, `error` errors; absent means `info`. */
export function wants(least: Severity | undefined, severity: Severity): boolean {
  return ranks[severity] >= ranks[least ?? 'info'];
}
