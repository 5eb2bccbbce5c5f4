/**
 * The raw counters of the simulation's provider: what the proxies tell, pod by pod, late, missing, no
 * numbers or not at all while its world is in trouble.
 */
import type {
  ArmScope,
  CounterAnswer,
  CounterQuery,
  CounterReader,
  HistoryAnswer,
} from '../../analyzers/counterReader.ts';
import type { PodCounters } from '../../analyzers/scrape/counters.ts';
import type { CounterTrouble, MetricsTrouble } from './plan.ts';
import { BOUNDS_MS, type Counted, type CountedPods, type Proxies } from './proxies.ts';

/** A reading as an engine was given it, for the checkers. */
export interface Told {
  engine: number;
  /** Name of the process, in this life of it. */
  life: string;
  /** The engine's caches showed everything that had happened up to here when it asked. */
  knewAtMs: number;
  namespace: string;
  /** Of the canary. */
  workload: string;
  askedAtMs: number;
  atMs: number;
  answer: CounterAnswer;
}

export interface CounterSourceOptions {
  proxies: Proxies;
  /** Asks the proxies when it is asked, as whoever scrapes pods by himself: it keeps nothing, and each series is one. */
  isScraped: boolean;
  /** Books what was answered up to now. */
  accrueAll(): void;
  trouble(namespace: string, workload: string): MetricsTrouble | undefined;
  counterTrouble(namespace: string, workload: string): { how: CounterTrouble; sinceMs: number } | undefined;
  /** Answers when the provider does: late, or cut by the signal. */
  answered<Answer>(how: {
    isLate: boolean;
    answer: () => Answer;
    onCut: Answer;
    signal: AbortSignal;
  }): Promise<Answer>;
  onRead(query: CounterQuery, asked: { atMs: number; knewAtMs: number }, answer: CounterAnswer): void;
  now(): number;
  knewAtMs(): number;
}

/** Of each pod: its successes and its failures. */
const SERIES = 2;
const CUT = { kind: 'providerError', message: 'no answer in time' } as const;

export function createCounterSource(options: CounterSourceOptions): CounterReader {
  const { proxies } = options;

  /** Undefined: nothing is in the way. */
  function refusal(
    trouble: MetricsTrouble | undefined,
  ): { kind: 'providerError'; message: string } | undefined {
    if (trouble === 'error') return { kind: 'providerError', message: 'HTTP 503' };
    return trouble === 'many' ? { kind: 'providerError', message: 'HTTP 422' } : undefined;
  }

  /** A sum of which a part is no number is none at all. */
  const isUnread = (trouble: MetricsTrouble | undefined) =>
    trouble === 'missing' || (trouble === 'nan' && !options.isScraped);

  function readingOf({ namespace, canary, primary }: CounterQuery): CounterAnswer {
    options.accrueAll();
    const trouble = options.trouble(namespace, canary.deployment);
    const refused = refusal(trouble);
    if (refused) return refused;
    const told = [canary, primary].map(scope => {
      const { atMs, pods } = proxies.now(namespace, scope.deployment);
      return {
        atMs,
        pods: podsOf(pods, scope, { isSum: !options.isScraped, isNonsense: trouble === 'nan' }),
      };
    });
    const [ofCanary, ofPrimary] = told.map(({ pods }) =>
      pods.size === 0 || isUnread(trouble) ? undefined : pods,
    );
    const isHalf = options.counterTrouble(namespace, canary.deployment)?.how === 'half';
    const atMs = Math.min(...told.map(one => one.atMs));
    const born = ofPrimary ? new Map<string, PodCounters>() : undefined;
    const reading = { atMs, canary: ofCanary ?? born, primary: isHalf ? undefined : ofPrimary };
    return { kind: 'reading', reading, sampledAtMs: options.isScraped ? undefined : atMs };
  }

  function historyOf({ namespace, canary, primary }: CounterQuery): HistoryAnswer {
    options.accrueAll();
    const trouble = options.trouble(namespace, canary.deployment);
    const refused = refusal(trouble);
    if (refused) return refused;
    if (options.isScraped) return { kind: 'none' };
    const minutes = isUnread(trouble) ? [] : proxies.minutes(namespace, primary.deployment);
    const samples = minutes.map(({ atMs, pods }) => ({
      atMs,
      pods: podsOf(pods, primary, { isSum: true, isNonsense: trouble === 'nan' }),
    }));
    return { kind: 'history', samples };
  }

  const isLate = ({ namespace, canary }: CounterQuery) =>
    options.trouble(namespace, canary.deployment) === 'late';

  return {
    async read(query, signal) {
      const asked = { atMs: options.now(), knewAtMs: options.knewAtMs() };
      const answer = await options.answered<CounterAnswer>({
        isLate: isLate(query),
        answer: () => readingOf(query),
        onCut: CUT,
        signal,
      });
      options.onRead(query, asked, answer);
      return answer;
    },
    async history(query, signal) {
      const asked = { atMs: options.now(), knewAtMs: options.knewAtMs() };
      const answer = await options.answered<HistoryAnswer>({
        isLate: isLate(query),
        answer: () => historyOf(query),
        onCut: CUT,
        signal,
      });
      // Without a history nothing is read: that is all that is told of this look.
      if (answer.kind === 'providerError') options.onRead(query, asked, answer);
      return answer;
    },
  };
}

interface As {
  /** As a query by pod answers it. */
  isSum: boolean;
  isNonsense: boolean;
}

function podsOf(pods: CountedPods, { replicaSets }: ArmScope, as: As): Map<string, PodCounters> {
  const named = [...pods].filter(
    ([, { replicaSet }]) => replicaSets.length === 0 || replicaSets.includes(replicaSet),
  );
  return new Map(named.map(([name, counted]) => [name, countersOf(counted, as)]));
}

/** Whole numbers. Successes are rounded by themselves: what is left of a rounded total would fall now and then. */
function countersOf(counted: Counted, { isSum, isNonsense }: As): PodCounters {
  const whole = (count: number) => (isNonsense ? Number.NaN : Math.floor(count));
  return {
    startedAt: counted.startedAtMs,
    requests: new Map([
      ['success', { isFailure: false, count: Math.floor(counted.succeeded) }],
      ['failure', { isFailure: true, count: whole(counted.failed) }],
    ]),
    durations: new Map([['', { uppersMs: BOUNDS_MS, counts: counted.within.map(whole) }]]),
    ...(isSum ? { summed: SERIES } : {}),
  };
}

/** For the timeline. */
export function summaryOf({ namespace, workload, answer }: Told): string {
  const about = `counters of ${namespace}/${workload}`;
  if (answer.kind !== 'reading') return `${about}: ${answer.message}`;
  const { canary, primary } = answer.reading;
  const [ofCanary, ofPrimary] = [canary, primary].map(pods => {
    const counts = pods && [...pods.values()].flatMap(pod => [...pod.requests.values()]);
    const sum = (some: typeof counts) => some?.reduce((total, one) => total + one.count, 0);
    return counts ? `${sum(counts.filter(one => one.isFailure))}/${sum(counts)}` : 'stale';
  });
  return `${about}: canary ${ofCanary}, primary ${ofPrimary}`;
}
