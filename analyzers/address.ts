/** Which addresses an analyzer may ask at all: nobody may use it to read what only the engine's node can. Pure. */
import { isRefusedAddress } from '../engine/egress.ts';

/** Why this address is not asked; undefined when it may be, as far as it tells before its name is resolved. */
export function addressProblem(address: string): string | undefined {
  if (!URL.canParse(address)) return 'expected an http or https URL';
  const { protocol, hostname } = new URL(address);
  if (protocol !== 'http:' && protocol !== 'https:') return 'expected an http or https URL';
  if (isRefusedAddress(hostname.replace(/^\[|\]$/g, '')) || hostname === 'metadata.google.internal')
    return 'link-local and metadata addresses are not asked';
  return undefined;
}
