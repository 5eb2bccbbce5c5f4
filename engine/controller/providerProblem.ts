/**
 * Whether this engine can move the traffic of a Canary that names a provider itself. All SMI names drive the one
 * TrafficSplit that the engine writes, in whichever version: the API server converts it. Pure.
 */
import type { Problem } from '../core/observation.ts';
import { chooseStepper, type ProviderProblem, type ServedVersions } from '../../steppers/registry.ts';
import type { Reason } from '../api/reasons.ts';

const REASONS: Readonly<Record<ProviderProblem, Reason>> = {
  UnknownProvider: 'UnknownProvider',
  NotSupportedYet: 'NotSupportedYet',
  Retired: 'Retired',
  NotServed: 'ProviderNotServed',
};

/** None when the Canary leaves the choice to the engine, or names what the API server serves. */
export function providerProblems(provider: string | undefined, served: ServedVersions): Problem[] {
  // Flagger takes an empty name as none.
  if (!provider) return [];
  const choice = chooseStepper(provider, served);
  if (choice.ok) return [];
  return [{ reason: REASONS[choice.problem], field: 'spec.provider', message: choice.message }];
}
