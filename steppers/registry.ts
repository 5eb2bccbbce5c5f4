/**
 * Which stepper a provider's name stands for, and a clear sentence for each name that Serin knows and does not do. A
 * new mesh is one file beside this one and one line here.
 */
import { createSmiStepper, SMI_GROUP, SMI_VERSIONS, type SmiVersion } from './smi.ts';
import type { Stepper } from './stepper.ts';

/** What the API server serves of the groups that steppers write, as discovery says. */
export interface ServedVersions {
  /** Versions of `split.smi-spec.io` in which TrafficSplits are served; empty when the CRD is not installed. */
  trafficSplit: readonly string[];
}

export type ProviderProblem = 'UnknownProvider' | 'NotSupportedYet' | 'Retired' | 'NotServed';

export type StepperChoice =
  | { ok: true; stepper: Stepper }
  | { ok: false; problem: ProviderProblem; message: string };

type Choose = (served: ServedVersions) => StepperChoice;

const steppers: ReadonlyMap<string, Choose> = new Map<string, Choose>([
  ['linkerd', chooseLinkerd],
  ['smi:v1alpha1', chooseSmi('v1alpha1')],
  ['smi:v1alpha2', chooseSmi('v1alpha2')],
  ['smi:v1alpha3', chooseSmi('v1alpha3')],
  ['smi:v1alpha4', chooseSmi('v1alpha4')],
]);

/** Names that users may write and that Serin moves traffic by. */
export const SUPPORTED_PROVIDERS: readonly string[] = [...steppers.keys()];

interface Refusal {
  problem: 'NotSupportedYet' | 'Retired';
  /** The rest of a sentence that begins with the provider's name. */
  rest: string;
}

const notYet: Refusal = {
  problem: 'NotSupportedYet',
  rest: `is not supported yet; use one of ${SUPPORTED_PROVIDERS.join(', ')}`,
};
const appMesh: Refusal = {
  problem: 'Retired',
  rest: 'is AWS App Mesh, which its maker has retired; move to another mesh',
};
const openServiceMesh: Refusal = {
  problem: 'Retired',
  rest: 'is Open Service Mesh, which its makers have archived; move to another mesh',
};

/** Names of Flagger's providers that Serin does not do. */
const refused: ReadonlyMap<string, Refusal> = new Map<string, Refusal>([
  ['apisix', notYet],
  ['appmesh', appMesh],
  ['appmesh:v1beta2', appMesh],
  ['contour', notYet],
  ['gatewayapi:v1', notYet],
  ['gatewayapi:v1beta1', notYet],
  ['gloo', notYet],
  ['istio', notYet],
  ['knative', notYet],
  ['kubernetes', notYet],
  ['kuma', notYet],
  ['nginx', notYet],
  ['osm', openServiceMesh],
  ['skipper', notYet],
  ['traefik', notYet],
]);

/** Every provider name that is known, supported or not. */
export const KNOWN_PROVIDERS: readonly string[] = [...steppers.keys(), ...refused.keys()];

/** Why this provider can never be chosen, whatever the API server serves; undefined when it may be. A whole sentence. */
export function providerProblem(provider: string): { problem: ProviderProblem; message: string } | undefined {
  if (steppers.has(provider)) return undefined;
  const known = refused.get(provider);
  if (known) return { problem: known.problem, message: `Provider ${provider} ${known.rest}.` };
  return {
    problem: 'UnknownProvider',
    message: `Provider ${provider} is not known; expected one of ${SUPPORTED_PROVIDERS.join(', ')}.`,
  };
}

/** The stepper of this provider on this API server, or why there is none. */
export function chooseStepper(provider: string, served: ServedVersions): StepperChoice {
  const problem = providerProblem(provider);
  if (problem) return { ok: false, ...problem };
  return steppers.get(provider)!(served);
}

function chooseSmi(version: SmiVersion): Choose {
  return served =>
    served.trafficSplit.includes(version)
      ? { ok: true, stepper: createSmiStepper(version) }
      : notServed(`smi:${version}`, version, served);
}

/** Linkerd's SMI adaptor obeys v1alpha1 and v1alpha2 only: an object that is served in later versions alone would move nothing. */
function chooseLinkerd(served: ServedVersions): StepperChoice {
  const version = SMI_VERSIONS.slice(0, 2).find(wanted => served.trafficSplit.includes(wanted));
  return version
    ? { ok: true, stepper: createSmiStepper(version, 'linkerd') }
    : notServed('linkerd', 'v1alpha2 or v1alpha1', served);
}

function notServed(provider: string, wanted: string, served: ServedVersions): StepperChoice {
  const found =
    served.trafficSplit.length === 0
      ? `does not serve TrafficSplits (${SMI_GROUP}): install the SMI extension of the mesh`
      : `serves TrafficSplits (${SMI_GROUP}) in ${served.trafficSplit.join(', ')} only`;
  return {
    ok: false,
    problem: 'NotServed',
    message: `Provider ${provider} needs TrafficSplits in ${wanted}, but the API server ${found}.`,
  };
}
