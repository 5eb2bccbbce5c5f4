/**
 * Loads all that the engine may load, so that Node's compile cache holds it: whoever is started from the cache needs no type
 * stripper, which takes 20 MB. It runs nothing but `--help`.
 */
await import('prometheus-query');
await import('./controller/schedulerBullmq.ts');
await import('@hono/node-server');
await import('./server/app.ts');
process.argv.splice(2, Infinity, '--help');
await import('./main.ts');

export {};
