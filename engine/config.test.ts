/** Flags: defaults, bounds, clear refusals in one line, and no secret in any of them. */
import { describe, expect, test } from 'vitest';
import { parseConfig } from './config.ts';
import { refusedFlags } from './refusedFlags.ts';

function refusal(args: string[], environment: Record<string, string> = {}): string {
  const parsed = parseConfig(args, environment);
  if (parsed.kind !== 'refused') throw new Error(`accepted: ${JSON.stringify(parsed)}`);
  return parsed.message;
}

function config(args: string[], environment: Record<string, string> = {}) {
  const parsed = parseConfig(args, environment);
  if (parsed.kind !== 'config') throw new Error(JSON.stringify(parsed));
  return parsed.config;
}

describe('what is accepted', () => {
  test('it needs no flag, and has a default for each', () => {
    expect(config([])).toMatchObject({
      kubeconfig: undefined,
      namespace: [],
      apiGroup: 'serin.dev',
      meshProvider: 'linkerd',
      metricsServer: undefined,
      redisUrl: undefined,
      redisCaFile: undefined,
      redisPrefix: 'serin',
      selectorLabels: ['app', 'name', 'app.kubernetes.io/name'],
      leaderElectionNamespace: 'serin',
      resyncSeconds: 30,
      drainSeconds: 10,
      shutdownGraceSeconds: 10,
      tickConcurrency: 50,
      kubeconfigQps: 500,
      kubeconfigBurst: 2000,
      port: 8080,
      insecureHttp: false,
      logLevel: 'info',
    });
  });

  test('lists, numbers, switches', () => {
    const args = [
      '--namespace',
      'a, b,a,',
      '--drain-seconds',
      '3',
      '--port=0',
      '--insecure-http',
      '--log-level',
      'debug',
    ];
    expect(config(args)).toMatchObject({
      namespace: ['a', 'b'],
      drainSeconds: 3,
      port: 0,
      insecureHttp: true,
      logLevel: 'debug',
    });
    expect(config(['--insecure-http=false']).insecureHttp).toBe(false);
    expect(config(['--insecure-http=true', '--port', '1'])).toMatchObject({ insecureHttp: true, port: 1 });
  });

  test('credentials of the metrics server are names of files', () => {
    const args = [
      '--metrics-server=https://p',
      '--metrics-server-ca-file=/ca',
      '--metrics-server-token-file=/t',
    ];
    expect(config(args)).toMatchObject({
      metricsServer: 'https://p',
      metricsServerCaFile: '/ca',
      metricsServerTokenFile: '/t',
      metricsServerUsername: undefined,
    });
  });

  test("one hyphen does too, as in Flagger's manifests", () => {
    expect(
      config(['-log-level=warn', '-mesh-provider', 'smi:v1alpha1', '-port=81', '-insecure-http=true']),
    ).toMatchObject({
      logLevel: 'warn',
      meshProvider: 'smi:v1alpha1',
      port: 81,
      insecureHttp: true,
    });
  });

  test('the environment stands in for a flag, and a flag wins', () => {
    const environment = { REDIS_URL: 'redis://:pw@r:6379/2', POD_NAMESPACE: 'mesh' };
    expect(config([], environment)).toMatchObject({
      redisUrl: 'redis://:pw@r:6379/2',
      leaderElectionNamespace: 'mesh',
    });
    expect(config(['--redis-url', 'rediss://other'], environment).redisUrl).toBe('rediss://other');
    expect(config(['--redis-ca-file', '/ca'], { REDIS_URL: 'rediss://r' }).redisCaFile).toBe('/ca');
    expect(config([], { REDIS_URL: '' }).redisUrl).toBeUndefined();
    expect(config(['--metrics-server='], {}).metricsServer).toBeUndefined();
  });
});

describe('what is refused is one clear line that names the flag', () => {
  test.each<[string[], string]>([
    [['--drain-seconds', '-1'], '--drain-seconds: expected a whole number from 0 to 600, got "-1"'],
    [['--drain-seconds', '601'], '--drain-seconds: expected a whole number from 0 to 600, got "601"'],
    [['--drain-seconds', '1.5'], '--drain-seconds: expected a whole number from 0 to 600, got "1.5"'],
    [['--drain-seconds', '10s'], '--drain-seconds: expected a whole number from 0 to 600, got "10s"'],
    [['--port', 'http'], '--port: expected a whole number from 0 to 65535, got "http"'],
    [['--port', ''], '--port: expected a whole number from 0 to 65535, got ""'],
    [['--port'], '--port: expected a value'],
    [['--resync-seconds', '1'], '--resync-seconds: expected a whole number from 5 to 600, got "1"'],
    [['--api-group', 'x'], '--api-group: expected one of serin.dev, flagger.app, got "x"'],
    [['--log-level', 'loud'], '--log-level: expected one of debug, info, warn, error, got "loud"'],
    [['--insecure-http', 'maybe'], '--insecure-http: expected true or false, got "maybe"'],
    [['--namespace', 'Shop'], '--namespace: expected names of namespaces, separated by commas, got "Shop"'],
    [['--selector-labels', ','], '--selector-labels: expected names of labels, separated by commas, got ","'],
    [
      ['--metrics-server', 'ftp://p'],
      '--metrics-server: expected an http or https URL without credentials (they go into files)',
    ],
    [['--redis-url', 'http://r'], '--redis-url: expected a redis or rediss URL'],
    [
      ['--redis-url=redis://r', '--redis-ca-file=c'],
      '--redis-ca-file: expected a --redis-url with rediss, which is TLS',
    ],
    [['--redis-ca-file=c'], '--redis-ca-file: expected a --redis-url with rediss, which is TLS'],
    [['--tls-cert-file', 'a'], '--tls-cert-file and --tls-key-file: expected both or neither'],
    [
      ['--metrics-server-username', 'ann'],
      '--metrics-server-username and --metrics-server-password-file: expected both or neither',
    ],
    [
      ['--metrics-server-username=ann', '--metrics-server-password-file=p', '--metrics-server-token-file=t'],
      '--metrics-server-token-file: expected either a token or a user, not both',
    ],
    [['--metrics-server-token-file', 't'], '--metrics-server-token-file: expected --metrics-server too'],
    [
      ['--metrics-server=http://p', '--metrics-server-ca-file=c'],
      '--metrics-server-ca-file: expected a --metrics-server with https',
    ],
    [['--mesh-providr', 'x'], '--mesh-providr: unknown flag; did you mean --mesh-provider?'],
    [['--nonsense=x'], '--nonsense: unknown flag; see --help'],
    [['run'], 'unexpected argument: expected flags only, each beginning with --; see --help'],
  ])('%j', (args, message) => {
    expect(refusal(args)).toBe(message);
  });

  test('a provider that is not done says so', () => {
    expect(refusal(['--mesh-provider', 'istio'])).toContain(
      '--mesh-provider: Provider istio is not supported yet',
    );
    expect(refusal(['--mesh-provider', 'osm'])).toContain(
      'Open Service Mesh, which its makers have archived',
    );
    expect(refusal(['--mesh-provider', 'x'])).toContain('Provider x is not known; expected one of linkerd');
  });

  test.each([...refusedFlags])("a flag of Flagger's that does nothing here: --%s", (name, sentence) => {
    expect(refusal([`--${name}`, 'secret-value'])).toBe(`--${name}: ${sentence}`);
    expect(refusal([`-${name}=secret-value`])).toBe(`--${name}: ${sentence}`);
    expect(sentence).not.toMatch(/\n|\.$/);
  });
});

test('no secret is ever repeated', () => {
  const refused = [
    refusal(['--redis-url', 'http://ann:hunter2@r']),
    refusal([], { REDIS_URL: 'hunter2' }),
    refusal(['--metrics-server', 'http://ann:hunter2@prometheus']),
    refusal(['--redis-ulr=redis://:hunter2@r']),
    refusal(['--redis-url=redis://r', 'hunter2']),
    refusal(['redis://:hunter2@r']),
    refusal([], { SLACK_URL: 'ftp://hooks.test/hunter2' }),
    refusal(['-slack-url=hooks.test/hunter2']),
    refusal(['--event-webhook', 'hunter2']),
    refusal([], { EVENT_WEBHOOK_URL: 'hunter2' }),
    refusal(['-slack-token=hunter2']),
  ];
  for (const message of refused) {
    expect(message).not.toContain('hunter2');
    expect(message).not.toContain('\n');
  }
  expect(refused[1]).toBe('REDIS_URL: expected a redis or rediss URL');
});

test('--help lists each flag once, each number with its default and a unit', () => {
  const parsed = parseConfig(['--help'], {});
  const help = parsed.kind === 'help' ? parsed.text.replace(/\s+/g, ' ') : '';
  for (const name of Object.keys(config([]))) {
    const flag = name.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`);
    expect(help.split(`--${flag} `).length - 1, flag).toBe(refusedFlags.has(flag) ? 0 : 1);
  }
  for (const sentence of [
    '--drain-seconds <seconds> seconds that pods run on after the route has sent them the last request (default: 10)',
    'requests per second that the safety limit lets pass; it never delays a take-away (default: 500)',
    '(env: REDIS_URL)',
    'namespace of the Lease (default: serin; env: POD_NAMESPACE)',
  ]) {
    expect(help).toContain(sentence);
  }
  expect(parseConfig(['-h'], {}).kind).toBe('help');
});
