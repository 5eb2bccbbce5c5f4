/**
 * Flags and environment, parsed once. Flags that mean what Flagger's mean have Flagger's names; every number has its unit
 * in its name or its help, a default and a bound. A wrong flag is one line that says what was expected, and never
 * repeats a value that may be a secret. It reads no file: whoever uses a file reads it again when it changes.
 */
import { Command, CommanderError, Option } from 'commander';
import { SUPPORTED_PROVIDERS } from '../steppers/registry.ts';
import { disagreement } from './disagreement.ts';
import { isEgressEntry } from './egress.ts';
import {
  expecting,
  file,
  type Flag,
  flag,
  listOf,
  oneOf,
  optional,
  text,
  toggle,
  url,
  whole,
} from './flagReaders.ts';
import { refusedFlags } from './refusedFlags.ts';
import { scrapeFlags } from './scrapeFlags.ts';

const webhookUrl = url('an http or https URL', ['http:', 'https:'], true);

const NAMESPACE = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const LABEL = /^([a-z0-9.-]{1,253}\/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;

const flags = {
  kubeconfig: optional(
    file,
    'kubeconfig of the cluster; absent: KUBECONFIG, else the ServiceAccount of the pod',
    {
      argument: 'file',
    },
  ),
  'kubeconfig-qps': flag(
    whole(1, 10_000),
    'requests per second that the safety limit lets pass; it never delays a take-away',
    {
      argument: 'n',
      fallback: '500',
    },
  ),
  'kubeconfig-burst': flag(whole(1, 10_000), 'requests at once that the safety limit lets pass', {
    argument: 'n',
    fallback: '2000',
  }),
  namespace: flag(
    listOf(NAMESPACE, 'names of namespaces, separated by commas', 0),
    'namespaces to serve, separated by commas; empty: all',
    {
      argument: 'names',
      fallback: '',
    },
  ),
  'api-group': flag(
    oneOf('serin.dev', 'flagger.app'),
    "API group of the objects; flagger.app serves Flagger's own objects in place",
    {
      argument: 'group',
      fallback: 'serin.dev',
    },
  ),
  'mesh-provider': flag(
    text('the name of a provider'),
    `what moves the traffic of a Canary that does not say: ${SUPPORTED_PROVIDERS.join(', ')}`,
    {
      argument: 'name',
      fallback: 'linkerd',
    },
  ),
  'selector-labels': flag(
    listOf(LABEL, 'names of labels, separated by commas', 1),
    'labels by which a target may select its pods; the first one found is used',
    {
      argument: 'names',
      fallback: 'app,name,app.kubernetes.io/name',
    },
  ),
  'no-cross-namespace-refs': flag(
    toggle,
    'refuses references to MetricTemplates and AlertProviders in other namespaces; false allows them',
    {
      fallback: 'true',
    },
  ),
  'egress-allow': flag(
    listOf(
      { test: isEgressEntry },
      'host names (*. and a domain for all below it), addresses and networks, separated by commas',
      0,
    ),
    'hosts that receivers and metric servers may be at that users name in objects; empty: any but link-local and metadata addresses',
    {
      argument: 'hosts',
      fallback: '',
    },
  ),
  'metrics-server': optional(
    url('an http or https URL without credentials (they go into files)', ['http:', 'https:'], false),
    'Prometheus that answers built-in metrics and inline queries',
    {
      argument: 'url',
    },
  ),
  'metrics-server-username': optional(
    text('a name'),
    'user of the Prometheus; needs a file with the password too',
    {
      argument: 'name',
    },
  ),
  'metrics-server-password-file': optional(file, 'file that holds the password; read for each query', {
    argument: 'file',
  }),
  'metrics-server-token-file': optional(file, 'file that holds a bearer token; read for each query', {
    argument: 'file',
  }),
  'metrics-server-ca-file': optional(
    file,
    'PEM certificates that the Prometheus is trusted by, instead of the well-known',
    {
      argument: 'file',
    },
  ),
  ...scrapeFlags,
  'redis-url': optional(
    url('a redis or rediss URL', ['redis:', 'rediss:'], true),
    'Redis of the shared scheduler; absent: one replica is active at a time',
    {
      argument: 'url',
      env: 'REDIS_URL',
      isSecret: true,
    },
  ),
  'redis-ca-file': optional(
    file,
    'PEM certificates that the Redis is trusted by, instead of the well-known; read at the start',
    {
      argument: 'file',
    },
  ),
  'redis-prefix': flag(
    expecting('letters, digits, dots and hyphens', given =>
      /^[A-Za-z0-9.-]{1,64}$/.test(given) ? given : undefined,
    ),
    'begins every key in Redis; tells apart engines of several clusters on one Redis',
    {
      argument: 'text',
      fallback: 'serin',
    },
  ),
  'tick-concurrency': flag(whole(1, 1_000), 'canaries that are worked on at once', {
    argument: 'n',
    fallback: '50',
  }),
  'resync-seconds': flag(
    whole(5, 600),
    'seconds between two walks through the caches for canaries that need a tick',
    {
      argument: 'seconds',
      fallback: '30',
    },
  ),
  'drain-seconds': flag(
    whole(0, 600),
    'seconds that pods run on after the route has sent them the last request',
    {
      argument: 'seconds',
      fallback: '10',
    },
  ),
  'shutdown-grace-seconds': flag(whole(1, 300), 'seconds that a stopping engine waits for running ticks', {
    argument: 'seconds',
    fallback: '10',
  }),
  'leader-election-namespace': flag(
    expecting('the name of a namespace', given => (NAMESPACE.test(given) ? given : undefined)),
    'namespace of the Lease',
    {
      argument: 'name',
      fallback: 'serin',
      env: 'POD_NAMESPACE',
    },
  ),
  port: flag(whole(0, 65_535), 'port of REST, health and metrics; 0: any free one', {
    argument: 'port',
    fallback: '8080',
  }),
  'bind-address': optional(
    text('an address'),
    'address to listen on; absent: 0.0.0.0 in a pod, else 127.0.0.1',
    {
      argument: 'address',
    },
  ),
  'tls-cert-file': optional(file, 'certificate of the REST server; read again when it changes', {
    argument: 'file',
  }),
  'tls-key-file': optional(file, 'key of the certificate', { argument: 'file' }),
  'insecure-http': flag(toggle, 'accepts tokens over plain HTTP from other machines', { fallback: 'false' }),
  'slack-url': optional(webhookUrl, 'incoming webhook of Slack', {
    argument: 'url',
    env: 'SLACK_URL',
    isSecret: true,
  }),
  'slack-user': flag(text('a name'), 'name under which Slack shows the messages', {
    argument: 'name',
    fallback: 'serin',
  }),
  'slack-channel': optional(text('a channel'), 'channel of Slack', { argument: 'name' }),
  'event-webhook': optional(webhookUrl, 'address to which every event is posted', {
    argument: 'url',
    env: 'EVENT_WEBHOOK_URL',
    isSecret: true,
  }),
  'cluster-name': optional(text('a name'), 'name of the cluster in notifications', { argument: 'name' }),
  'log-level': flag(
    oneOf('debug', 'info', 'warn', 'error'),
    'least level that is logged: debug, info, warn or error',
    {
      argument: 'level',
      fallback: 'info',
    },
  ),
};

type Camel<S extends string> = S extends `${infer Head}-${infer Tail}`
  ? `${Head}${Capitalize<Camel<Tail>>}`
  : S;

/** Each flag's value under its name in camel case, with the unit that the flag names; undefined when it is absent. */
export type Config = {
  [Name in keyof typeof flags as Camel<Name>]: (typeof flags)[Name] extends Flag<infer T> ? T : never;
};

export type ParsedConfig =
  | { kind: 'config'; config: Config }
  | { kind: 'help'; text: string }
  | { kind: 'refused'; message: string };

type Environment = Record<string, string | undefined>;

const named = Object.entries(flags) as [string, Flag<unknown>][];
const camelCase = (name: string) => name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());

function helpOf({ help, fallback, env }: Flag<unknown>): string {
  const notes = [
    ...(fallback === undefined ? [] : [`default: ${fallback === '' ? 'empty' : fallback}`]),
    ...(env === undefined ? [] : [`env: ${env}`]),
  ];
  return notes.length ? `${help} (${notes.join('; ')})` : help;
}

function program(): Command {
  const command = new Command('serin')
    .description('Runs the engine: canary releases that are judged, promoted or rolled back.')
    .helpOption('-h, --help', 'prints this')
    .allowExcessArguments(false)
    .exitOverride()
    .configureOutput({ writeOut: () => {}, writeErr: () => {} });
  for (const [name, given] of named) {
    // What is refused is not advertised either.
    if (refusedFlags.has(name)) continue;
    const option = given.argument
      ? new Option(`--${name} <${given.argument}>`, helpOf(given))
      : new Option(`--${name} [true|false]`, helpOf(given)).preset('true');
    command.addOption(option);
  }
  return command;
}

const FLAG = /^--?([a-z][a-z0-9-]+)(=.*)?$/s;

/** Go's flags, as Flagger's manifests have them, begin with one hyphen as well as with two. */
function withTwoHyphens(argument: string): string {
  return argument.replace(/^-(?=[a-z][a-z0-9-]+(=|$))/, '--');
}

function refuseCommandLine(args: readonly string[], environment: Environment): string | undefined {
  for (const argument of args) {
    const name = FLAG.exec(argument)?.[1];
    const sentence = name === undefined ? undefined : refusedFlags.get(name);
    if (sentence) return `--${name}: ${sentence}`;
  }
  for (const [name, { env }] of named) {
    const sentence = refusedFlags.get(name);
    if (env && environment[env] && sentence) return `${env}: ${sentence}`;
  }
  return undefined;
}

/** Commander repeats what it was given, which may be a secret: only names of flags are taken from its message. */
function describe(error: CommanderError): string {
  const name = /--?[a-z][a-z0-9-]*/.exec(error.message)?.[0] ?? '';
  switch (error.code) {
    case 'commander.unknownOption': {
      const suggestion = /Did you mean ([^?]*)\?/i.exec(error.message)?.[1];
      return `${name}: unknown flag; ${suggestion ? `did you mean ${suggestion}?` : 'see --help'}`;
    }
    case 'commander.optionMissingArgument':
      return `${name}: expected a value`;
    default:
      return 'unexpected argument: expected flags only, each beginning with --; see --help';
  }
}

/** The value, or what is wrong with it. */
function read(name: string, given: Flag<unknown>, onLine: string | undefined, environment: Environment) {
  const fromEnvironment = onLine === undefined && given.env !== undefined && Boolean(environment[given.env]);
  const value = onLine ?? (fromEnvironment ? environment[given.env!]! : given.fallback);
  if (value === undefined || (value === '' && given.fallback === undefined)) return { value: undefined };
  const result = given.read.safeParse(value);
  if (result.success) return { value: result.data };
  const got = given.isSecret || name.endsWith('-server') ? '' : `, got ${JSON.stringify(value.slice(0, 64))}`;
  return {
    problem: `${fromEnvironment ? given.env : `--${name}`}: ${result.error.issues[0]?.message}${got}`,
  };
}

/** @param args without the program's own path */
export function parseConfig(args: readonly string[], environment: Environment): ParsedConfig {
  const refusal = refuseCommandLine(args, environment);
  if (refusal) return { kind: 'refused', message: refusal };
  const command = program();
  try {
    command.parse(args.map(withTwoHyphens), { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === 'commander.helpDisplayed') return { kind: 'help', text: command.helpInformation() };
    return { kind: 'refused', message: describe(error) };
  }
  const onLine: Record<string, string | undefined> = command.opts();
  const values: Record<string, unknown> = {};
  for (const [name, given] of named) {
    const { value, problem } = read(name, given, onLine[camelCase(name)], environment);
    if (problem !== undefined) return { kind: 'refused', message: problem };
    values[camelCase(name)] = value;
  }
  const config = values as Config;
  const message = disagreement(config);
  return message === undefined ? { kind: 'config', config } : { kind: 'refused', message };
}
