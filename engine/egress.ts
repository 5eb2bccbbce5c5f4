/**
 * Where the engine never sends anything that a user named, whatever a name resolves to: link-local and metadata addresses,
 * which hand out the credentials of the engine's own node. Behind a proxy it is the proxy that resolves names.
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

/** Whether an IP address, with or without a zone, is one that nothing is sent to. */
export function isRefusedAddress(address: string): boolean {
  const [plain = ''] = address.split('%');
  const family = isIP(plain);
  return family !== 0 && refusedRanges.check(plain, family === 4 ? 'ipv4' : 'ipv6');
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

/** Resolves as `lookup` does and refuses the whole name when one of its addresses is refused. */
export function guarded(lookup: Lookup): Lookup {
  return (hostname, options, callback) => {
    lookup(hostname, options, (error, address, family) => {
      if (error) return callback(error, address, family);
      const addresses = typeof address === 'string' ? [address] : address.map(one => one.address);
      if (addresses.some(isRefusedAddress)) return callback(refusal(), address, family);
      return callback(null, address, family);
    });
  };
}
