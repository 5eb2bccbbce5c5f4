/**
 * Where the engine sends what a user of the cluster named: never to link-local and metadata addresses, which hand out the
 * credentials of the engine's own node, whatever a name resolves to; and, where its operator gave a list, nowhere else
 * than there. Behind a proxy it is the proxy that resolves names: there only the name as it is written counts.
 */
import type { LookupAddress, LookupOptions } from 'node:dns';
import { BlockList, isIP } from 'node:net';

/** Code of the error that says so; it will not pass by itself. */
export const ADDRESS_REFUSED = 'ADDRESS_REFUSED';

const refusedRanges = new BlockList();
refusedRanges.addSubnet('169.254.0.0', 16, 'ipv4');
refusedRanges.addSubnet('fe80::', 10, 'ipv6');
// Metadata services outside the link-local ranges: AWS over IPv6, Alibaba Cloud, and the IPv4 one through NAT64.
refusedRanges.addAddress('fd00:ec2::254', 'ipv6');
refusedRanges.addAddress('100.100.100.200', 'ipv4');
refusedRanges.addSubnet('64:ff9b::a9fe:0', 112, 'ipv6');
const refusedNames = ['metadata.google.internal'];

const REFUSED = 'link-local and metadata addresses are not asked';
const UNLISTED = 'this engine asks only the hosts of its --egress-allow';

const familyOf = (address: string) => (isIP(address) === 4 ? 'ipv4' : 'ipv6');
const withoutZone = (address: string) => address.split('%')[0] ?? '';

function isRefusedAddress(address: string): boolean {
  const plain = withoutZone(address);
  return refusedRanges.check(plain, familyOf(plain));
}

export function refusal(): Error {
  return Object.assign(new Error('the address is refused'), { code: ADDRESS_REFUSED });
}

type LookupCallback = (
  error: NodeJS.ErrnoException | null,
  address: string | LookupAddress[],
  family?: number,
) => void;
export type Lookup = (hostname: string, options: LookupOptions, callback: LookupCallback) => void;

export interface Egress {
  /**
   * Why nothing is sent to this host of a URL; undefined: it may be, as far as it tells before its name is resolved, or at
   * all when the name is resolved elsewhere.
   */
  problemOf(host: string, isResolvedElsewhere?: boolean): string | undefined;
  /** Resolves as `lookup` does and refuses the whole name when one of its addresses is refused. */
  guarded(lookup: Lookup): Lookup;
}

const HOST_NAME = /^(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/i;

/** What an entry of the list may be: a host name, `*.` and a domain, an address, or a network `10.0.0.0/8`. */
export function isEgressEntry(text: string): boolean {
  const [address = '', prefix, ...rest] = text.split('/');
  const family = isIP(address);
  if (family === 0) return prefix === undefined && HOST_NAME.test(text) && !/^[\d.]+$/.test(text);
  if (prefix === undefined) return true;
  return rest.length === 0 && /^\d{1,3}$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128);
}

/** `allowed`: entries as above; none: any host but the refused ones. An address that is listed itself is never refused. */
export function createEgress(allowed: readonly string[]): Egress {
  const networks = new BlockList();
  const names: string[] = [];
  for (const entry of allowed) {
    const [address = '', prefix] = entry.split('/');
    const bits = isIP(address) === 4 ? 32 : 128;
    if (isIP(address) === 0) names.push(entry.toLowerCase());
    else networks.addSubnet(address, Number(prefix ?? bits), familyOf(address));
  }

  const isListedName = (host: string): boolean =>
    names.some(name => (name.startsWith('*.') ? host.endsWith(name.slice(1)) : host === name));

  function isAllowedAddress(address: string, isNamed: boolean): boolean {
    const plain = withoutZone(address);
    if (isIP(plain) === 0) return false;
    if (networks.check(plain, familyOf(plain))) return true;
    return !isRefusedAddress(plain) && (isNamed || allowed.length === 0);
  }

  return {
    problemOf(text, isResolvedElsewhere = false) {
      const host = text
        .toLowerCase()
        .replace(/^\[|\]$/g, '')
        .replace(/\.$/, '');
      if (refusedNames.includes(host) && !names.includes(host)) return REFUSED;
      if (isIP(withoutZone(host)) !== 0) {
        if (isAllowedAddress(host, false)) return undefined;
        return isRefusedAddress(host) ? REFUSED : UNLISTED;
      }
      if (allowed.length === 0 || isListedName(host)) return undefined;
      // A network is known only by what the name resolves to.
      return !isResolvedElsewhere && names.length < allowed.length ? undefined : UNLISTED;
    },
    guarded: lookup => (hostname, options, callback) => {
      lookup(hostname, options, (error, address, family) => {
        if (error) return callback(error, address, family);
        const addresses = typeof address === 'string' ? [address] : address.map(one => one.address);
        const isNamed = isListedName(hostname.toLowerCase());
        if (!addresses.every(one => isAllowedAddress(one, isNamed)))
          return callback(refusal(), address, family);
        return callback(null, address, family);
      });
    },
  };
}

/** Of an engine whose operator gave no list. */
export const OPEN_EGRESS = createEgress([]);
