/**
 * Jobs in as many processes as there are processors, one at a time in each: what one job does cannot touch another. It
 * knows nothing of what a job is, but that it and its answer can be sent as JSON.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { availableParallelism } from 'node:os';

/** Most of what a simulation makes is garbage at once; with more room less of it is copied. Megabytes. */
const YOUNG_MB = 64;

export interface ProcessesOptions<Job, Answer> {
  /** A file that calls `answerJobs`. */
  worker: string;
  /** The next job, or undefined when there is none. */
  next(): Job | undefined;
  onAnswer(answer: Answer): void;
  /** Options of Node for the processes, e.g. to break the engine. */
  execArgv?: string[];
  environment?: Record<string, string>;
  processes?: number;
}

/** Resolves when every job was answered. Rejects when a process dies. */
export async function playJobs<Job, Answer>(options: ProcessesOptions<Job, Answer>): Promise<void> {
  const processes = options.processes ?? availableParallelism();
  const working = Array.from({ length: processes }, () => work(options));
  await Promise.all(working);
}

function work<Job, Answer>(options: ProcessesOptions<Job, Answer>): Promise<void> {
  const first = options.next();
  if (first === undefined) return Promise.resolve();
  const child: ChildProcess = fork(options.worker, [], {
    execArgv: [`--max-semi-space-size=${YOUNG_MB}`, ...(options.execArgv ?? [])],
    env: { ...process.env, ...options.environment },
  });
  const send = (job: Job) => child.send({ job });
  return new Promise((resolve, reject) => {
    let isDone = false;
    child.on('exit', (code, signal) =>
      isDone ? resolve() : reject(new Error(`a worker ended with ${code ?? signal} while it played`)),
    );
    child.on('message', ({ answer }: { answer: Answer }) => {
      options.onAnswer(answer);
      const job = options.next();
      isDone = job === undefined;
      if (job === undefined) child.kill();
      else send(job);
    });
    send(first);
  });
}

/** The other side: plays what this process is sent, for as long as anybody listens. */
export function answerJobs<Job>(play: (job: Job) => Promise<unknown>): void {
  process.on('message', ({ job }: { job: Job }) => {
    void play(job).then(
      answer => process.send?.({ answer }),
      (error: unknown) => {
        const why = error instanceof Error ? error.stack : String(error);
        process.stderr.write(`${JSON.stringify(job)}: ${why}\n`);
        process.exit(1);
      },
    );
  });
  // Nobody is left to answer to.
  process.on('disconnect', () => process.exit(0));
}
