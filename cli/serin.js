#!/usr/bin/env node
// Starts the program, whose files only a Node that strips types can read; any other is told so in one sentence. This
// file is plain JavaScript, because even an old Node has to read it, and knows nothing of what the program does.
if (process.features.typescript) {
  const { runCli } = await import('./main.ts');
  const { systemConsole } = await import('./console.ts');
  process.exitCode = await runCli(process.argv.slice(2), systemConsole);
} else {
  process.stderr.write(
    `serin: needs Node 24 or newer, and this is Node ${process.versions.node}. In Serin's own folder, "npm install" brings the right one and "npx serin" uses it.\n`,
  );
  process.exitCode = 1;
}
