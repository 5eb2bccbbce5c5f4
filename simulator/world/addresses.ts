/**
 * The addresses of played pods: one /16, given out in turn, so that an address that was freed is the last to come back
 * and a client with a stale endpoint meets nobody rather than somebody else. It knows no sockets.
 */

/** .0 and .255 of each /24 are left out: some clients take them for network and broadcast. */
const HOSTS_PER_BLOCK = 254;
const BLOCKS = 256;
const CAPACITY = HOSTS_PER_BLOCK * BLOCKS;

export interface AddressPool {
  /** The next free address. Throws when all 65,024 are taken. */
  take(): string;
  /** Takes this address; false when it is outside the range or taken. */
  claim(address: string): boolean;
  free(address: string): void;
}

/** `base` is the /16, e.g. `10.244.0.0` or `127.1.0.0`; its last two parts are ignored. */
export function createAddressPool(base: string): AddressPool {
  const match = /^(\d{1,3})\.(\d{1,3})\.\d{1,3}\.\d{1,3}$/.exec(base);
  if (!match) throw new Error(`'${base}' is not an IPv4 address`);
  const prefix = `${match[1]}.${match[2]}.`;
  const taken = new Set<string>();
  let cursor = 0;
  return {
    take() {
      for (let tries = 0; tries < CAPACITY; tries++) {
        const address = `${prefix}${Math.floor(cursor / HOSTS_PER_BLOCK)}.${(cursor % HOSTS_PER_BLOCK) + 1}`;
        cursor = (cursor + 1) % CAPACITY;
        if (taken.has(address)) continue;
        taken.add(address);
        return address;
      }
      throw new Error(`all ${CAPACITY} addresses of ${prefix}0.0/16 are taken`);
    },
    claim(address) {
      if (!address.startsWith(prefix) || taken.has(address)) return false;
      taken.add(address);
      return true;
    },
    free(address) {
      taken.delete(address);
    },
  };
}
