/**
 * Whoever is told of rollouts: an HTTP receiver that answers, fails, or hangs for as long as its world is in trouble.
 * No engine may wait for it. It counts what it was told.
 */
import type { Clock } from '../../engine/clock.ts';
import type { Post, PostAnswer } from '../../engine/notifiers/post.ts';
import type { Process } from './process.ts';

export const RECEIVER_NAME = 'on-call';
export const RECEIVER_URL = 'http://hooks.test/told';

export type ReceiverTrouble = 'hang' | 'error' | 'slow';

export interface ReceiverOptions {
  clock: Clock;
  process: Process;
  lagMs: () => number;
  trouble(): ReceiverTrouble | undefined;
  onTold(id: string): void;
}

/** Slower than anybody should be, and within the sender's patience. */
const SLOW_MS = 8_000;

export function createReceiver(options: ReceiverOptions): Post {
  const { clock, process, lagMs } = options;
  return ({ headers, signal }) =>
    new Promise<PostAnswer>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(new Error('aborted')));
      const trouble = options.trouble();
      if (trouble === 'hang') return;
      const answer: PostAnswer =
        trouble === 'error' ? { status: 503, body: '' } : { status: 200, body: 'ok' };
      clock.setTimer(
        () => {
          if (answer.status === 200) options.onTold(headers['idempotency-key'] ?? '');
          process.deliver(() => resolve(answer));
        },
        trouble === 'slow' ? SLOW_MS : lagMs(),
      );
    });
}
