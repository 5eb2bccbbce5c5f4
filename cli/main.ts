/** The command line: verbs, flags, help and exit codes. What a verb does is its own file; a new one is a line here. */
import { Command, CommanderError } from 'commander';
import type { Console } from './console.ts';
import { addPlan } from './plan.ts';
import { addRehearse } from './rehearse.ts';
import type { AddVerb, ExitCode } from './verb.ts';

const VERBS: readonly AddVerb[] = [addPlan, addRehearse];

/** @param args without the names of Node and of the program */
export async function runCli(args: readonly string[], console: Console): Promise<ExitCode> {
  let code: ExitCode = 0;
  const program = new Command('serin')
    .description('Progressive delivery for Kubernetes, from the command line.')
    .exitOverride()
    .configureOutput({ writeOut: console.out, writeErr: console.err })
    .helpCommand(false);
  for (const add of VERBS)
    add(program, console, ended => {
      code = ended;
    });
  // What was set above counts for the verbs too.
  for (const verb of program.commands) verb.copyInheritedSettings(program);
  try {
    await program.parseAsync(args, { from: 'user' });
    return code;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? 0 : 2;
  }
}
