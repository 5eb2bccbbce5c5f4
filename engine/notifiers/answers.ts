/** What an HTTP status says about a delivery, the same for every receiver. Pure. */

export type DeliveryVerdict = 'delivered' | 'retry' | 'refused';

/** Too early, too many, timed out: the request may be right the next time. */
const PASSING_STATUSES: readonly number[] = [408, 425, 429];

/** Redirects are refusals: whoever may answer one could send the message, and its token, anywhere. */
export function verdictOfStatus(status: number): DeliveryVerdict {
  if (status >= 200 && status < 300) return 'delivered';
  return status >= 500 || PASSING_STATUSES.includes(status) ? 'retry' : 'refused';
}
