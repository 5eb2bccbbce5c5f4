/** The options of `npm run simulate`. Pure: what cannot be understood is answered with a sentence. */
export interface Options {
  /** First seed; the others follow one by one. Undefined: fresh ones, from real chance. */
  seed: number | undefined;
  count: number;
  /** Goes on with fresh seeds for so long, instead of `count`. */
  minutes: number | undefined;
  /** Plays only these items of the seed's plan. */
  only: number[] | undefined;
  isCi: boolean;
  /** Does not stop at the first failure: lists them all. */
  isThorough: boolean;
  isMutations: boolean;
  /** Looks first at the seeds that noticed each mutation before. */
  isQuick: boolean;
  /** Only these mutations; empty: all. */
  mutations: string[];
  /** Name under which the shrunk history of a failure is kept as a regression test. */
  save: string | undefined;
  /** Prints the whole timeline of a single seed. */
  isTold: boolean;
}

export const USAGE = `npm run simulate -- [--seed N] [--count M] [--minutes T] [--only 3,17] [--tell] [--ci] [--mutations [--quick]]
  --seed N       plays seed N; with --count M the seeds N to N+M-1
  --minutes T    plays fresh seeds for T minutes
  --only IDS     plays only these items of the seed's history, as a failure prints them
  --tell         prints the timeline even of a seed that holds
  --save NAME    keeps the shrunk history of a failure in regressions/NAME.json
  --all          does not stop at the first failure, and lists them all
  --ci           a fixed set, then a fresh set of seeds, two minutes together
  --mutation X   only the mutation X
  --mutations    breaks the engine in known ways, and prints which checker notices at which seed;
                 with --quick it looks first at the seeds that have noticed it before`;

export type Parsed = { ok: true; options: Options } | { ok: false; message: string };

export function parseCommandLine(args: readonly string[]): Parsed {
  const options: Options = {
    seed: undefined,
    count: 1,
    minutes: undefined,
    only: undefined,
    save: undefined,
    isCi: false,
    isThorough: false,
    isMutations: false,
    isQuick: false,
    mutations: [],
    isTold: false,
  };
  const numberAfter = (index: number): number | undefined => {
    const value = Number(args[index + 1]);
    return args[index + 1] !== undefined && Number.isFinite(value) && value >= 0 ? value : undefined;
  };
  for (let index = 0; index < args.length; index++) {
    const name = args[index];
    if (name === '--ci') options.isCi = true;
    else if (name === '--mutations') options.isMutations = true;
    else if (name === '--quick') options.isQuick = true;
    else if (name === '--all') options.isThorough = true;
    else if (name === '--save') options.save = args[++index];
    else if (name === '--mutation') {
      options.isMutations = true;
      options.mutations.push(args[++index] ?? '');
    } else if (name === '--tell') options.isTold = true;
    else if (name === '--seed' || name === '--count' || name === '--minutes') {
      const value = numberAfter(index++);
      if (value === undefined) return { ok: false, message: `${name}: expected a number of 0 or more` };
      options[name.slice(2) as 'seed' | 'count' | 'minutes'] = value;
    } else if (name === '--only') {
      const ids = (args[++index] ?? '').split(',').map(Number);
      if (ids.some(id => !Number.isInteger(id)))
        return { ok: false, message: '--only: expected numbers such as 3,17' };
      options.only = ids;
    } else return { ok: false, message: `unknown option ${name}\n${USAGE}` };
  }
  if (options.only && options.seed === undefined) return { ok: false, message: '--only needs --seed' };
  return { ok: true, options };
}
