// A day of coding agents on a fleet: closed cohorts of the coding-agent preset on one pool of a library deployment, with
// nothing kept but the tally. ../shared/reference/workloads.md has the rows the preset is fitted to.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadDeployment } from '../../engines/load.ts';
import { prepare } from '../../engines/prepare.ts';
import { routingPolicies } from '../../gateway/routing/index.ts';
import { tallied } from '../../lab/grid/tallied.ts';
import { loadScenario } from '../../scenarios/cli/load.ts';
import type { RunTally } from '../../scenarios/formats/tally.ts';
import { startSimulation } from '../../sim/start.ts';
import { HEADER } from '../builders/worlds.ts';
import { cpuSeconds, type Figure } from './figure.ts';

/**
 * GPUs of a replica. On one, as in the library, the weights leave room for 540,000 tokens of KV, which is five of the
 * preset's contexts: forty agents wait for minutes. On two there is room for 3.1 million.
 */
const TENSOR_PARALLEL = 2;

/** How much of the day: agents, replicas and hours. */
export interface Day {
  readonly agents: number;
  readonly replicas: number;
  readonly hours: number;
  readonly routing: 'session-affinity' | 'prefix-cache';
}

export interface PlayedDay {
  readonly tally: RunTally;
  readonly cpuSeconds: number;
  /** The most memory that was resident at one of some hundred looks. */
  readonly residentBytesMax: number;
}

/** They come in over three hours; sessions start for `hours`, and end in their own time. */
const scenarioOf = ({ agents, hours }: Day): string => `windtunnel: 1
name: day
extends: coding-agent
traffic:
  - name: developers
    mix: { session: 97%, delegating: 3% }
    tenant: eng
    arrival: { closed: { agents: ${agents}, think: 10m, ramp: 3h } }
    for: ${hours}h
`;

/** Plays it to the end; `onCalls` is told of the calls there were, each `every` of them. */
export function playDay(day: Day, onCalls?: { every: number; tell: (calls: number) => void }): PlayedDay {
  const folder = mkdtempSync(join(tmpdir(), 'windtunnel-bench-'));
  const path = join(folder, 'day.yaml');
  writeFileSync(path, scenarioOf(day));
  const plan = loadScenario(path).compiled?.plan;
  rmSync(folder, { recursive: true });
  const set = [`pools.main.replicas=${day.replicas}`, `pools.main.tensor_parallel=${TENSOR_PARALLEL}`];
  const { deployment } = loadDeployment('8xh200-mistral-small-4', routingPolicies, [
    ...set,
    `routing=${day.routing}`,
  ]);
  if (plan == null || deployment === null) throw new Error('the day or its deployment does not load');
  const { poolOf } = prepare(plan, deployment);
  const tally = tallied(plan, deployment);
  let calls = 0;
  const simulation = startSimulation({
    plan,
    deployment,
    poolOf,
    header: HEADER,
    ...tally.hears,
    onCall(call) {
      tally.hears.onCall(call);
      calls += 1;
      if (onCalls !== undefined && calls % onCalls.every === 0) onCalls.tell(calls);
    },
    keepRecords: false,
  });
  let residentBytesMax = 0;
  const seconds = cpuSeconds(() => {
    while (simulation.step(50_000)) residentBytesMax = Math.max(residentBytesMax, process.memoryUsage.rss());
  });
  return { tally: tally.of(simulation), cpuSeconds: seconds, residentBytesMax };
}

const rounded = (value: number): string => Math.round(value).toLocaleString('en');

const callsOf = ({ calls }: RunTally): number => calls.ok + calls.error + calls.cancelled + calls.unfinished;

/** As the library's deployment routes, and by prefixes beside it. */
const DAY: Day = { agents: 10_000, replicas: 256, hours: 16, routing: 'session-affinity' };

/** A day of ten thousand coding agents: sessions start for sixteen hours, and end in their own time. */
export function dayOfAgents(): Figure {
  playDay({ ...DAY, agents: 500, replicas: 13, hours: 2 }); // the compiler has seen the code
  const { tally, cpuSeconds: seconds, residentBytesMax } = playDay(DAY);
  const { tokens } = tally;
  return {
    value: seconds,
    unit: 'cpu-s',
    detail: `${rounded(callsOf(tally))} calls of ${rounded(DAY.agents)} agents on ${DAY.replicas} replicas by ${DAY.routing}, ${rounded(callsOf(tally) / seconds)} a CPU second; prompts of ${rounded(tokens.prompt / callsOf(tally))} tokens, ${((100 * tokens.cached) / tokens.looked).toFixed(1)} % hits; ${(residentBytesMax / 1e6).toFixed(0)} MB resident at most`,
  };
}

/** What ten million calls take more memory than one million. */
export function dayMemory(): Figure {
  const residentAt: number[] = [];
  const every = 1_000_000;
  const heap = (): void => {
    residentAt.push(process.memoryUsage.rss());
  };
  const { tally, cpuSeconds: seconds } = playDay({ ...DAY, hours: 34 }, { every, tell: heap });
  const mb = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;
  return {
    value: residentAt.at(-1)! / residentAt[0]!,
    unit: 'x resident',
    detail: `${rounded(callsOf(tally))} calls in ${rounded(seconds)} CPU s; resident after each million: ${residentAt.map(mb).join(', ')}`,
  };
}
