// A day of coding agents on a fleet: closed cohorts of the coding-agent preset on one pool of a library deployment, with
// nothing kept but the tally. ../shared/reference/workloads.md has the rows the preset is fitted to.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
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

const DEPLOYMENT = '8xh200-mistral-small-4';
const ROOT = join(import.meta.dirname, '..', '..');

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
}

const deploymentSet = ({ replicas, routing }: Day): string[] => [
  `pools.main.replicas=${replicas}`,
  `pools.main.tensor_parallel=${TENSOR_PARALLEL}`,
  `routing=${routing}`,
];

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
  const { deployment } = loadDeployment(DEPLOYMENT, routingPolicies, deploymentSet(day));
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
  const seconds = cpuSeconds(() => {
    while (simulation.step(50_000));
  });
  return { tally: tally.of(simulation), cpuSeconds: seconds };
}

const rounded = (value: number): string => Math.round(value).toLocaleString('en');

const callsOf = ({ calls }: RunTally): number => calls.ok + calls.error + calls.cancelled + calls.unfinished;

/** An eighth of it, as one simulation. */
const EIGHTH: Day = { agents: 1250, replicas: 32, hours: 18, routing: 'session-affinity' };

const DAY: Day = { agents: 10_000, replicas: 256, hours: 18, routing: 'session-affinity' };
const CELLS = 8;

/** A day of ten thousand coding agents as a user runs it on one core, in cells: CPU seconds of the whole command. */
export function dayOfAgents(): Figure {
  const folder = mkdtempSync(join(tmpdir(), 'windtunnel-bench-'));
  const path = join(folder, 'day.yaml');
  writeFileSync(path, scenarioOf(DAY));
  const set = deploymentSet(DAY).flatMap(each => ['--set', each]);
  const args = [path, '--deployment', DEPLOYMENT, ...set, '--records', 'none', '--out', join(folder, 'out')];
  const ran = spawnSync(
    'bash',
    ['-c', 'time "$0" bin/windtunnel.js simulate "$@"', process.execPath, ...args].concat([
      '--cells',
      String(CELLS),
      '--jobs',
      '1',
      '--json',
      '--quiet',
    ]),
    { cwd: ROOT, encoding: 'utf8', env: { ...process.env, TIMEFORMAT: '%R %U %S' }, maxBuffer: 1 << 26 },
  );
  const [wall = 0, user = 0, system = 0] = (ran.stderr.trim().split('\n').at(-1) ?? '')
    .split(' ')
    .map(Number);
  const file = join(folder, 'out', 'result.json');
  if (!existsSync(file)) throw new Error(`the day did not run: ${ran.stderr}`);
  const { tally } = JSON.parse(readFileSync(file, 'utf8')) as { tally: RunTally };
  rmSync(folder, { recursive: true });
  const { tokens } = tally;
  const calls = callsOf(tally);
  const seconds = user + system;
  return {
    value: seconds,
    unit: 'cpu-s',
    detail:
      `${rounded(calls)} calls of ${rounded(DAY.agents)} agents on ${DAY.replicas} replicas by ${DAY.routing} in ` +
      `${CELLS} cells one after the other, ${rounded(calls / seconds)} a CPU second, ${wall.toFixed(0)} s wall; prompts of ` +
      `${rounded(tokens.prompt / calls)} tokens, ${((100 * tokens.cached) / tokens.looked).toFixed(1)} % hits`,
  };
}

/** What ten million calls of one fleet take more memory than one million: live after a full collection, and resident. */
export function dayMemory(): Figure {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const liveAt: number[] = [];
  const every = 1_000_000;
  let residentBytes = 0;
  const look = (): void => {
    residentBytes = Math.max(residentBytes, process.memoryUsage.rss());
    collect();
    liveAt.push(process.memoryUsage().heapUsed);
  };
  const { tally, cpuSeconds: seconds } = playDay({ ...EIGHTH, hours: 330 }, { every, tell: look });
  const mb = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;
  return {
    value: liveAt.at(-1)! / liveAt[0]!,
    unit: 'x live',
    detail: `${rounded(callsOf(tally))} calls of ${rounded(EIGHTH.agents)} agents in ${rounded(seconds)} CPU s; live after each million: ${liveAt.map(mb).join(', ')}; resident at most ${mb(residentBytes)}`,
  };
}
