/** Which addresses an analyzer may ask at all: nobody may use it to read what only the engine's node can. Pure. */
import { type Egress, OPEN_EGRESS } from '../engine/egress.ts';

/**
 * Why this address is not asked; undefined when it may be, as far as it tells before its name is resolved.
 * `isProxied`: by somebody else.
 */
export function addressProblem(
  address: string,
  egress: Egress = OPEN_EGRESS,
  isProxied = false,
): string | undefined {
  if (!URL.canParse(address)) return 'expected an http or https URL';
  const { protocol, hostname } = new URL(address);
  if (protocol !== 'http:' && protocol !== 'https:') return 'expected an http or https URL';
  return egress.problemOf(hostname, isProxied);
}
