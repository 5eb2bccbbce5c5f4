/** Which addresses an analyzer may ask at all: nobody may use it to read what only the engine's node can. Pure. */

/** Addresses that hand out a machine's own credentials. */
const FORBIDDEN_HOSTS = /^(169\.254\.\d+\.\d+|\[?fe80:.*|\[?fd00:ec2::254\]?|metadata\.google\.internal)$/i;

/** Why this address is not asked; undefined when it may be. */
export function addressProblem(address: string): string | undefined {
  if (!URL.canParse(address)) return 'expected an http or https URL';
  const url = new URL(address);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return 'expected an http or https URL';
  if (FORBIDDEN_HOSTS.test(url.hostname)) return 'link-local and metadata addresses are not asked';
  return undefined;
}
