const mods = process.argv.slice(2);
const t=performance.now();
for (const m of mods) await import(m);
const d=performance.now()-t;
global.gc?.();
import { readFileSync } from 'node:fs';
const s=readFileSync('/proc/self/status','utf8');
console.log(mods.map(m=>m.split('/').slice(-2).join('/')).join('+').padEnd(50), d.toFixed(0)+'ms', s.match(/VmRSS:\s+(\d+)/)[1]/1024|0, 'MB rss', s.match(/VmHWM:\s+(\d+)/)[1]/1024|0,'peak', (s.match(/RssAnon:\s+(\d+)/)[1]/1024|0)+' anon', (process.memoryUsage().heapUsed/1048576).toFixed(0)+' heapUsed');
