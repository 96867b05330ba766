// What the gateway costs: CPU of the same sessions with everything on, to that with nothing on, and what is left of a
// million calls. "Everything": a timeout, retries, hedging, a breaker, fallbacks, budgets of sessions and tenants, rate
// limits, model choice with a classifier and sensitivities, quality, anomaly rules, limits on sub-agents, users who leave.
// Nothing of it strikes: what is measured is the looking.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { DeploymentSpec } from '../../engines/engine.ts';
import { loadDeployment } from '../../engines/load.ts';
import { prepare } from '../../engines/prepare.ts';
import { governingLayers } from '../../gateway/govern.ts';
import { Journal } from '../../gateway/journal.ts';
import { routingPolicies } from '../../gateway/routing/index.ts';
import { loadScenario } from '../../scenarios/cli/load.ts';
import type { Plan } from '../../scenarios/formats/plan.ts';
import { type GatewaySpec, type LimitRule, PLAIN_GATEWAY } from '../../scenarios/formats/rules.ts';
import { startSimulation } from '../../sim/start.ts';
import { planOf, workflowText } from '../builders/scenarios.ts';
import { DEPLOYMENT, deploymentOf, HEADER } from '../builders/worlds.ts';
import { cpuSeconds, type Figure } from './figure.ts';

const SESSIONS = 50_000;
const CALLS_OF_ONE = 20;
const AGENTS = 200;
/** Rounds of a process, of which the first does not count, and processes of each kind. */
const ROUNDS = 6;
const TURNS = 4;
const ROUND_SESSIONS = 3000;

/** An agent of twenty turns with a tool behind each. */
const planned = (sessions: number): Plan =>
  planOf(
    workflowText(
      `[ { repeat: loop, times: ${CALLS_OF_ONE}, steps: [ { llm: turn, role: worker, complexity: low, prefix: [system], adds: 40, out: { median: 12, p90: 30 } }, { tool: fetch } ] } ]`,
      '',
      sessions,
    ).replace('at_once: true', `closed: { agents: ${AGENTS} }`),
  );

const LIMIT: LimitRule = {
  rpm: 1e9,
  tpm: 1e12,
  inputTpm: 1e12,
  outputTpm: 1e12,
  concurrency: 1e6,
  spend: { usd: 1e9, windowMs: 60_000 },
  accounting: 'reserve',
  fraction: 0.25,
  burstMs: 60_000,
  cachedCounts: true,
  retryAfter: true,
};
const BUDGET = {
  limits: { tokens: 1e12, usd: 1e9, llmCalls: 1e9, toolCalls: 1e9, wallMs: 1e9 },
  softRatio: 0.8,
  save: { model: null, outputTokens: 100 },
  onExceed: 'stop',
  overdrawRatio: 0.2,
  perMs: null,
} as const;
const ANY = {
  roles: null,
  complexities: null,
  sensitivities: null,
  models: null,
  workflows: null,
  tenants: null,
};

/** `target`: the pool that serves. */
const everything = (target: string): GatewaySpec => ({
  ...PLAIN_GATEWAY,
  limits: [
    { ...LIMIT, each: 'all', model: null, maxWaitMs: 1000 },
    { ...LIMIT, each: 'tenant', model: null, maxWaitMs: null },
  ],
  budgets: [
    { ...BUDGET, each: 'session', workflow: null },
    { ...BUDGET, each: 'workflow', workflow: null },
  ],
  anomalies: {
    repeats: 1000,
    calls: 1000,
    callsSd: 4,
    toolCascade: 1000,
    burn: 1000,
    contextGrowth: 1000,
    action: 'flag',
    throttleMs: 0,
  },
  classifier: {
    latency: null,
    usd: 0,
    confusion: [
      [0.9, 0.1, 0],
      [0.05, 0.9, 0.05],
      [0, 0.1, 0.9],
    ],
    threshold: null,
  },
  choose: [
    { ...ANY, complexities: ['high'], use: [{ target, weight: 1 }], escalate: null },
    { ...ANY, roles: ['worker'], use: [{ target, weight: 1 }], escalate: null },
  ],
  destinations: new Map([['unlabelled', [target]]]),
  timeout: { attemptMs: 600_000, ttftMs: 300_000, totalMs: 1_200_000 },
  retry: {
    max: 2,
    reasons: ['429', '5xx', 'timeout', 'connect'],
    baseMs: 500,
    capMs: 8000,
    factor: 2,
    jitter: { minus: 0.25 },
    obeysRetryAfter: true,
    retryAfterMaxMs: 60_000,
    budgetRatio: 0.2,
    budgetMin: 3,
    isBlind: false,
  },
  hedge: { afterMs: 60_000, max: 1, shareMax: 0.05 },
  breaker: {
    inARow: null,
    share: 0.5,
    window: { calls: 100 },
    minCalls: 100,
    openMs: 60_000,
    trials: 10,
    slowMs: 60_000,
    slowShare: 1,
    reasons: ['5xx', 'timeout', 'connect'],
    growsOpen: false,
    ejectMax: null,
  },
  fallback: new Map([[target, { general: [target], contextLength: [], contentPolicy: [] }]]),
  quality: new Map([[target, { success: { low: 0.99, medium: 0.95, high: 0.8 } }]]),
  agents: { max: 100, depth: 5 },
});

function play(plan: Plan, deployment: DeploymentSpec, onCall: () => void): void {
  const { poolOf } = prepare(plan, deployment);
  const simulation = startSimulation({
    plan,
    deployment,
    poolOf,
    header: HEADER,
    keepRecords: false,
    onCall,
  });
  while (simulation.step(100_000));
}

function heapBytes(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}

/** What is played: coding agents, or the cheapest calls there are. */
const PLAYS = { agents, cheapest: () => ({ plan: planned(ROUND_SESSIONS), deployment: bare() }) };
type Play = keyof typeof PLAYS;

/** CPU of a call, us: the best of some rounds, since others use the machine. */
function callUs(name: Play, isOn: boolean): number {
  const { plan, deployment: off } = PLAYS[name]();
  const on = { ...off, gateway: everything(off.pools[0]!.name) };
  if (governingLayers(plan, on, new Journal(false)).length === 0) throw new Error('nothing governs');
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    let calls = 0;
    const seconds = cpuSeconds(() => play(plan, isOn ? on : off, () => calls++));
    if (round > 0) best = Math.min(best, (seconds / calls) * 1e6);
  }
  return best;
}

/** With everything on, and with nothing: in processes of their own, as a run has one, taking turns. */
function ratioOf(name: Play): { ratio: number; offUs: number; onUs: number } {
  const best = { off: Number.POSITIVE_INFINITY, on: Number.POSITIVE_INFINITY };
  for (let turn = 0; turn < TURNS; turn++)
    for (const mode of ['off', 'on'] as const) {
      const child = spawnSync(process.execPath, [import.meta.filename, name, mode], { encoding: 'utf8' });
      if (child.status !== 0) throw new Error(child.stderr);
      best[mode] = Math.min(best[mode], Number(child.stdout));
    }
  return { ratio: best.on / best.off, offUs: best.off, onUs: best.on };
}

/** What is left of a call, over a million of them. */
function grownBytes(off: DeploymentSpec): number {
  const calls = SESSIONS * CALLS_OF_ONE;
  const bytes: number[] = [];
  let ended = 0;
  play(planned(SESSIONS), { ...off, gateway: everything(off.pools[0]!.name) }, () => {
    ended += 1;
    if (ended === calls / 10 || ended === (calls * 9) / 10) bytes.push(heapBytes());
  });
  if (ended !== calls) throw new Error(`${ended} of ${calls} calls ended`);
  return (bytes[1]! - bytes[0]!) / (calls * 0.8);
}

/** Coding agents on 64 replicas behind a router that knows prefixes, as in `sim-agentic-64`. */
function agents(): { plan: Plan; deployment: DeploymentSpec } {
  const folder = mkdtempSync(join(tmpdir(), 'windtunnel-bench-'));
  const path = join(folder, 'agents.yaml');
  writeFileSync(
    path,
    `windtunnel: 1
name: agents
extends: coding-agent
traffic: [ { workflow: session, tenant: eng, arrival: { closed: { agents: 150, think: 10m } }, sessions: 300 } ]
`,
  );
  const plan = loadScenario(path).compiled?.plan;
  rmSync(folder, { recursive: true });
  const { deployment } = loadDeployment('8xh200-mistral-small-4', routingPolicies);
  if (plan == null || deployment === null) throw new Error('the scenario or its deployment does not load');
  const pools = deployment.pools.map(pool => ({ ...pool, replicas: 64 }));
  return { plan, deployment: { ...deployment, pools, routing: { policy: 'prefix-cache', options: {} } } };
}

const bare = (): DeploymentSpec => deploymentOf(DEPLOYMENT('', undefined, 8, 'least-outstanding'));

export function gatewayOverhead(): Figure {
  const agentic = ratioOf('agents');
  const cheapest = ratioOf('cheapest');
  const us = ({ offUs, onUs }: typeof agentic) =>
    `${offUs.toFixed(0)} us a call without, ${onUs.toFixed(0)} with`;
  return {
    value: agentic.ratio,
    unit: 'x CPU',
    detail: `coding agents on 64 replicas, ${us(agentic)} everything on (at most 1.3); ${cheapest.ratio.toFixed(2)} x for the cheapest calls there are, ${us(cheapest)}; heap grows by ${grownBytes(bare()).toFixed(1)} bytes a call over a million (at most 64)`,
  };
}

const [name, mode] = process.argv.slice(2);
if (import.meta.main && name !== undefined && name in PLAYS) console.log(callUs(name as Play, mode === 'on'));
