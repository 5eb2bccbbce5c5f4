/**
 * Gets every real program that the end-to-end tests run, while there is a network: finds, installs, downloads or builds
 * it. As a program it prints one line for each. Quick when all is there; it never starts any of them.
 */
import { controlPlaneBinaries } from './build.ts';
import { type ProgramName, VARIABLES } from './environment.ts';
import { packagedPrograms } from './packages.ts';
import { tools } from './tools.ts';

export interface Prepared {
  programs: Record<ProgramName, string>;
  /** Path of iproute2's `ip`, which sets up the network namespace. */
  ip: string;
}

export function prepare(): Prepared {
  const { ip, ...packaged } = packagedPrograms();
  return { programs: { ...packaged, ...tools(), ...controlPlaneBinaries() }, ip };
}

/** The variables by which `programPath` finds what was prepared. */
export function environmentOf(prepared: Prepared): Record<string, string> {
  const entries = Object.entries(prepared.programs) as [ProgramName, string][];
  return Object.fromEntries(entries.map(([name, path]) => [VARIABLES[name], path]));
}

if (import.meta.main) {
  try {
    const { programs, ip } = prepare();
    for (const [name, path] of Object.entries({ ...programs, ip })) console.log(`${name.padEnd(24)} ${path}`);
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 1;
  }
}
