/** Decides by the environment which proxy a URL is to be reached through, as other cluster components do. Pure: the environment is given. */
import { BlockList, isIP } from 'node:net';

export type Environment = Record<string, string | undefined>;

/**
 * The proxy's URL, or undefined for a direct connection. Reads HTTPS_PROXY, HTTP_PROXY and NO_PROXY, lower case first.
 * NO_PROXY takes host names (which include their subdomains), `*.suffix`, `*`, addresses, CIDR ranges (undici's own
 * reading of NO_PROXY has none), each with an optional `:port`.
 */
export function proxyFor(url: URL, environment: Environment): string | undefined {
  const isTls = url.protocol === 'https:';
  const proxy = isTls
    ? environment['https_proxy'] || environment['HTTPS_PROXY']
    : environment['http_proxy'] || environment['HTTP_PROXY'];
  if (!proxy) return undefined;
  const host = url.hostname
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '')
    .toLowerCase();
  const port = url.port || (isTls ? '443' : '80');
  const exceptions = (environment['no_proxy'] ?? environment['NO_PROXY'] ?? '').split(/[,\s]+/);
  if (exceptions.some(entry => entry !== '' && excludes(entry.toLowerCase(), host, port))) return undefined;
  return proxy.includes('://') ? proxy : `http://${proxy}`;
}

function excludes(entry: string, host: string, port: string): boolean {
  if (entry === '*') return true;
  if (entry.includes('/')) return isInRange(entry, host);
  const { name, onlyPort } = splitPort(entry);
  if (onlyPort !== undefined && onlyPort !== port) return false;
  if (isIP(name) !== 0 || isIP(host) !== 0) return name === '*' || sameAddress(name, host);
  if (name === '*') return true;
  // `*.suffix` and `.suffix` mean subdomains only; a plain name means itself and its subdomains.
  if (name.startsWith('*.')) return host.endsWith(name.slice(1));
  if (name.startsWith('.')) return host.endsWith(name);
  return host === name || host.endsWith(`.${name}`);
}

function splitPort(entry: string): { name: string; onlyPort?: string } {
  const bracketed = /^\[(.+)\](?::(\d+))?$/.exec(entry);
  if (bracketed) return { name: bracketed[1]!, ...(bracketed[2] ? { onlyPort: bracketed[2] } : {}) };
  const plain = /^([^:]+):(\d+)$/.exec(entry);
  return plain ? { name: plain[1]!, onlyPort: plain[2]! } : { name: entry };
}

function sameAddress(a: string, b: string): boolean {
  return isIP(a) !== 0 && isIP(a) === isIP(b) && isInRange(`${a}/${isIP(a) === 4 ? 32 : 128}`, b);
}

function isInRange(range: string, host: string): boolean {
  const [network = '', prefix = ''] = range.split('/');
  const family = isIP(network);
  if (family === 0 || family !== isIP(host) || !/^\d{1,3}$/.test(prefix)) return false;
  const bits = Number(prefix);
  if (bits > (family === 4 ? 32 : 128)) return false;
  const list = new BlockList();
  list.addSubnet(network, bits, family === 4 ? 'ipv4' : 'ipv6');
  return list.check(host, family === 4 ? 'ipv4' : 'ipv6');
}
