import { readTrace } from '../scenarios/importers/read.ts';
import { traceProfiler } from '../scenarios/importers/profile.ts';
for (const p of process.argv.slice(2)) {
const { sessions, report } = readTrace([p]);
const prof = traceProfiler(); const t = performance.now(); for (const s of sessions) prof.add(s);
const r = prof.profile(); console.log(performance.now()-t);
const { cdfs, ...rest } = r;
console.log(JSON.stringify(report.totals)); console.log(JSON.stringify(rest, (k,v)=> typeof v==='number'? Number(v.toPrecision(4)):v, 1).replace(/\n\s+"(n|mean|min|p5|p25|p50|p75|p90|p99|max)"/g,' "$1"'));
}
