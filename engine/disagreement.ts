/** What no flag says by itself: which of them need each other, and which exclude each other. Pure. */
import type { Config } from './config.ts';
import { scrapeDisagreement } from './scrapeFlags.ts';
import { providerProblem } from '../steppers/registry.ts';

/** One line that names the flags, or undefined when they fit together. */
export function disagreement(config: Config): string | undefined {
  const provider = providerProblem(config.meshProvider);
  if (provider) return `--mesh-provider: ${provider.message}`;
  if ((config.tlsCertFile === undefined) !== (config.tlsKeyFile === undefined))
    return '--tls-cert-file and --tls-key-file: expected both or neither';
  return ofRedis(config) ?? ofMetricsServer(config) ?? scrapeDisagreement(config);
}

function ofRedis({ redisUrl, redisCaFile }: Config): string | undefined {
  if (redisCaFile === undefined || redisUrl?.startsWith('rediss:')) return undefined;
  return '--redis-ca-file: expected a --redis-url with rediss, which is TLS';
}

function ofMetricsServer(config: Config): string | undefined {
  const { metricsServer, metricsServerUsername, metricsServerTokenFile, metricsServerCaFile } = config;
  if ((metricsServerUsername === undefined) !== (config.metricsServerPasswordFile === undefined))
    return '--metrics-server-username and --metrics-server-password-file: expected both or neither';
  if (metricsServerUsername !== undefined && metricsServerTokenFile !== undefined)
    return '--metrics-server-token-file: expected either a token or a user, not both';
  if (metricsServer === undefined) {
    if (metricsServerUsername !== undefined)
      return '--metrics-server-username: expected --metrics-server too';
    if (metricsServerTokenFile !== undefined)
      return '--metrics-server-token-file: expected --metrics-server too';
    if (metricsServerCaFile !== undefined) return '--metrics-server-ca-file: expected --metrics-server too';
  }
  if (metricsServerCaFile !== undefined && metricsServer?.startsWith('http:'))
    return '--metrics-server-ca-file: expected a --metrics-server with https';
  return undefined;
}
