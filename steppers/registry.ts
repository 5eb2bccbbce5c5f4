/** Which provider name is which stepper. Adding one is one file and one line here. */
import { createSmiStepper, SMI_VERSIONS, type SmiVersion } from './smi.ts';
import type { Stepper } from './stepper.ts';

/** `servedSmiVersions`: what the API server serves; `linkerd` takes the integers of v1alpha2 where it can. */
export function stepperFor(
  provider: string,
  servedSmiVersions: readonly string[],
): { ok: true; stepper: Stepper } | { ok: false; message: string } {
  const named = SMI_VERSIONS.find(version => provider === `smi:${version}`);
  if (named) return { ok: true, stepper: createSmiStepper(named) };
  if (provider === 'linkerd') {
    const preferred: SmiVersion[] = ['v1alpha2', 'v1alpha4', 'v1alpha3', 'v1alpha1'];
    const version = preferred.find(one => servedSmiVersions.includes(one));
    if (!version)
      return {
        ok: false,
        message:
          'provider linkerd: the cluster does not serve split.smi-spec.io TrafficSplit; install the linkerd-smi extension',
      };
    return { ok: true, stepper: createSmiStepper(version) };
  }
  return {
    ok: false,
    message: `provider "${provider}": expected linkerd or one of ${SMI_VERSIONS.map(version => `smi:${version}`).join(', ')}`,
  };
}
