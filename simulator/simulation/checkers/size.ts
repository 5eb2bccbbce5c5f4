/** Statuses are bounded: at most 32 KiB, ten past rollouts of at most 512 bytes (design, section 5). */
import type { Rule } from './checker.ts';
import { statusWrite } from './reading.ts';

const STATUS_BYTES_MAX = 32 * 1024;
const HISTORY_MAX = 10;
const ROLLOUT_BYTES_MAX = 512;

export const size: Rule = {
  name: 'size',
  says: 'a status has at most 32 KiB, and ten past rollouts of at most 512 bytes',
  create: (_scene, report) => ({
    onChange(change, views, hand) {
      const status = statusWrite(change, views, hand);
      if (!status) return;
      const { view, after } = status;
      const bytes = Buffer.byteLength(JSON.stringify(after));
      if (bytes > STATUS_BYTES_MAX) report(view, `the status has ${bytes} bytes`);
      const history: unknown[] = after.history ?? [];
      if (history.length > HISTORY_MAX) report(view, `the history has ${history.length} rollouts`);
      const largest = Math.max(0, ...history.map(one => Buffer.byteLength(JSON.stringify(one))));
      if (largest > ROLLOUT_BYTES_MAX) report(view, `a past rollout takes ${largest} bytes`);
    },
  }),
};
