// Why servers missed what they missed: they report what they found, and the same ledger as of simulated runs says why.
import { afterEach, expect, test } from 'vitest';
import { prepare } from '../../engines/prepare.ts';
import { missLedger } from '../../gateway/misses/layer.ts';
import { cacheRules } from '../../gateway/misses/rules.ts';
import { startClock } from '../../loadgen/clock.ts';
import { startReplay } from '../../loadgen/start.ts';
import type { RunOutput } from '../../scenarios/formats/run.ts';
import { planOf } from '../builders/scenarios.ts';
import { deploymentOf, HEADER } from '../builders/worlds.ts';
import { explained, lines } from '../gateway/misses/build.ts';
import { emulator, isIdle, type LiveEmulator, liveDeployment } from './live.ts';

const servers: LiveEmulator[] = [];
afterEach(async () => {
  const used = servers.splice(0);
  await isIdle(...used);
  for (const server of used) await server.close();
});

const SCENARIO = `
windtunnel: 1
seed: 5
models: { main: { model: ministral-3-14b } }
prefixes: { system: { tokens: 100 }, note: { tokens: 50, scope: session } }
workflows:
  main:
    steps:
      - { llm: plan, prefix: [system], adds: 60, out: 33, reasoning: 12 }
      - { repeat: look, times: 3, steps: [ { llm: turn, adds: 40, out: 20 } ] }
      - { llm: end, prefix: [system, note], reads: [plan], adds: 9, out: 5 }
traffic: [ { workflow: main, arrival: { closed: { agents: 1 } }, sessions: 3 } ]
`;

test('a replay on two servers misses for the same reasons as its simulation', async () => {
  servers.push(await emulator(), await emulator());
  const text = liveDeployment({ main: servers.map(({ url }) => url) }, '', 'routing: round-robin');
  const deployment = deploymentOf(text.replace('    endpoints:', '    replicas: 2\n    endpoints:'));
  const plan = planOf(SCENARIO);
  const { poolOf } = prepare(plan, deployment);
  const live = await startReplay({
    plan,
    deployment,
    poolOf,
    header: HEADER,
    clock: startClock(),
    environment: {},
    watching: missLedger({ poolOf, rules: cacheRules(deployment) }).layer,
  }).run();
  const told = ({ calls }: RunOutput): string[] =>
    calls.flatMap(({ session, call, misses }) => lines(misses).map(line => `${session} ${call}: ${line}`));
  const sim = told(explained(planOf(SCENARIO), deployment).run);
  expect(told(live)).toEqual(sim);
  for (const reason of ['new', 'partial', 'elsewhere', 'changed'])
    expect(sim.some(line => line.includes(`: ${reason} `))).toBe(true);
});
