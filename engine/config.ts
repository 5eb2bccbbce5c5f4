/**
 * Flags and environment, parsed once. Flags that mean what Flagger's mean have Flagger's names; every number has its unit
 * in its name or its help, a default and a bound. A wrong flag is one line that says what was expected.
 */
import { Command, CommanderError } from 'commander';
import { z } from 'zod';

const seconds = (least: number, most: number) => z.coerce.number().int().min(least).max(most);
const list = z.string().transform(text =>
  text
    .split(',')
    .map(part => part.trim())
    .filter(Boolean),
);

const configSchema = z.object({
  kubeconfig: z.string().optional(),
  namespace: list,
  meshProvider: z.string(),
  metricsServer: z.url({ protocol: /^https?$/ }).optional(),
  selectorLabels: list.refine(labels => labels.length > 0, 'expected at least one label'),
  apiGroup: z.enum(['serin.dev', 'flagger.app']),
  redisUrl: z.url({ protocol: /^rediss?$/ }).optional(),
  logLevel: z.enum(['debug', 'info', 'warn', 'error']),
  resyncSeconds: seconds(5, 600),
  drainSeconds: seconds(0, 600),
  shutdownGraceSeconds: seconds(1, 300),
  leaderElectionNamespace: z.string(),
  kubeconfigQps: z.coerce.number().min(1).max(10_000),
  kubeconfigBurst: z.coerce.number().int().min(1).max(10_000),
  port: z.coerce.number().int().min(0).max(65_535),
  bindAddress: z.string().optional(),
  tlsCertFile: z.string().optional(),
  tlsKeyFile: z.string().optional(),
  insecureHttp: z.boolean(),
});
export type Config = z.output<typeof configSchema>;

export type ParsedConfig =
  | { kind: 'config'; config: Config }
  | { kind: 'help'; text: string }
  | { kind: 'refused'; message: string };

type Environment = Record<string, string | undefined>;

function program(environment: Environment): Command {
  return new Command('serin')
    .description('Runs the engine: canary releases that are judged, promoted or rolled back.')
    .option(
      '--kubeconfig <file>',
      'kubeconfig of the cluster (default: KUBECONFIG, else the ServiceAccount of the pod)',
    )
    .option('--namespace <names>', 'namespaces to serve, separated by commas; empty: all', '')
    .option(
      '--mesh-provider <name>',
      'what moves the traffic: linkerd, or smi:v1alpha1 to smi:v1alpha4',
      'linkerd',
    )
    .option('--metrics-server <url>', 'Prometheus that answers built-in and inline metrics')
    .option(
      '--selector-labels <names>',
      'labels by which a target may select its pods; the first one found is used',
      'app,name,app.kubernetes.io/name',
    )
    .option(
      '--api-group <group>',
      'API group of the objects: serin.dev, or flagger.app to serve Flagger objects in place',
      'serin.dev',
    )
    .option(
      '--redis-url <url>',
      'Redis for the shared scheduler; without it one replica is active at a time (env REDIS_URL)',
      environment['REDIS_URL'],
    )
    .option('--log-level <level>', 'debug, info, warn or error', 'info')
    .option(
      '--resync-seconds <n>',
      'how often caches are walked for canaries that need a tick, 5 to 600',
      '30',
    )
    .option(
      '--drain-seconds <n>',
      'how long pods run on after the route has sent them the last request, 0 to 600',
      '10',
    )
    .option(
      '--shutdown-grace-seconds <n>',
      'how long a stopping engine waits for running ticks, 1 to 300',
      '10',
    )
    .option(
      '--leader-election-namespace <name>',
      'namespace of the Lease',
      environment['POD_NAMESPACE'] ?? 'serin',
    )
    .option('--kubeconfig-qps <n>', 'requests a second that the safety limit lets pass, 1 to 10000', '200')
    .option('--kubeconfig-burst <n>', 'requests at once that the safety limit lets pass, 1 to 10000', '400')
    .option('--port <n>', 'port of REST, health and metrics', '8080')
    .option('--bind-address <address>', 'address to listen on (default: 0.0.0.0 in a pod, else 127.0.0.1)')
    .option('--tls-cert-file <file>', 'certificate of the REST server; reloaded when it changes')
    .option('--tls-key-file <file>', 'its key')
    .option('--insecure-http', 'accept tokens over plain HTTP from other machines', false)
    .exitOverride()
    .configureOutput({ writeOut: () => {}, writeErr: () => {} });
}

export function parseConfig(args: readonly string[], environment: Environment): ParsedConfig {
  const command = program(environment);
  try {
    command.parse([...args], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === 'commander.helpDisplayed') return { kind: 'help', text: command.helpInformation() };
    return { kind: 'refused', message: error.message.replace(/^error: /, '') };
  }
  const parsed = configSchema.safeParse(command.opts());
  if (parsed.success) {
    const { tlsCertFile, tlsKeyFile } = parsed.data;
    if ((tlsCertFile === undefined) !== (tlsKeyFile === undefined))
      return { kind: 'refused', message: '--tls-cert-file and --tls-key-file: expected both or neither' };
    return { kind: 'config', config: parsed.data };
  }
  const [issue] = parsed.error.issues;
  const flag = `--${String(issue?.path[0]).replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`)}`;
  // The value is not repeated: a URL may hold a password.
  return { kind: 'refused', message: `${flag}: ${issue?.message ?? 'expected something else'}` };
}
