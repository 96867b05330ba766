// Run by report.ts, in a process of its own: simulates a million calls and writes their run folder, and what each took.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { publish } from '../../reports/publish.ts';
import { planOf } from '../builders/scenarios.ts';
import { DEPLOYMENT, simulated } from '../builders/worlds.ts';
import { cpuSeconds } from './figure.ts';

/** Of mixed-fleet: 56 sessions with about 280 calls, in 2.5 minutes. */
const TIMES_SESSIONS = 4000;
const TIMES_RATE = 200;
const REPLICAS = 160;

const [folder] = process.argv.slice(2) as [string];
const library = join(import.meta.dirname, '..', '..', 'scenarios', 'library', 'mixed-fleet.yaml');
const text = readFileSync(library, 'utf8')
  .replace(/sessions: (\d+)/g, (_, count: string) => `sessions: ${Number(count) * TIMES_SESSIONS}`)
  .replace(/rate: ([\d.]+)\//g, (_, rate: string) => `rate: ${Number(rate) * TIMES_RATE}/`);

const maxRssMb = (): number => process.resourceUsage().maxRSS / 1024;

const plan = planOf(text);
let output: ReturnType<typeof simulated> | undefined;
const simulateSeconds = cpuSeconds(() => {
  output = simulated(plan, DEPLOYMENT('', undefined, REPLICAS));
});
const simulatedMb = maxRssMb();
const before = process.cpuUsage();
await publish(output!, { out: folder });
const { user, system } = process.cpuUsage(before);
writeFileSync(
  join(folder, 'cost.json'),
  JSON.stringify({
    calls: output!.calls.length,
    simulateSeconds,
    simulatedMb,
    publishSeconds: (user + system) / 1e6,
    publishedMb: maxRssMb(),
  }),
);
