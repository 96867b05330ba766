// The simulator's speed. `sim-single` is the case of ../shared/reference/simulators.md §1: one replica of Llama 3.1 8B on
// an H100, 512 tokens in and out, Poisson arrivals at about 70 % of capacity, the full engine with KV blocks, prefix cache
// and latency histograms. inference-lab runs the same beside it where it is installed.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DeploymentSpec } from '../../engines/engine.ts';
import { loadDeployment } from '../../engines/load.ts';
import { routingPolicies } from '../../gateway/routing/index.ts';
import { Histogram } from '../../scenarios/base/histogram.ts';
import { extend, seedKey, uniform } from '../../scenarios/base/key.ts';
import { loadScenario } from '../../scenarios/cli/load.ts';
import { createCluster } from '../../sim/create-cluster.ts';
import { simulationOf } from '../builders/worlds.ts';
import { cpuSeconds, type Figure } from './figure.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const SHARED_TRACES = join(ROOT, '..', 'shared', 'data', 'traces', 'weka-claude-code');
const PROMPT_TOKENS = 512;

/** KV blocks that never run out: what longer outputs cost by themselves, without what preemptions cost. */
const ROOMY_BLOCKS = 200_000;

/** One H100 with a budget of 2048 tokens and 256 sequences; `kvBlocks` instead of what fits into its memory. */
function oneH100(kvBlocks: number | null): DeploymentSpec {
  const { deployment } = loadDeployment('1xh100-llama-3.1-8b', routingPolicies);
  if (deployment === null) throw new Error('the deployment does not load');
  const pools = deployment.pools.map(pool => ({
    ...pool,
    replicas: 1,
    limits: {
      ...pool.limits,
      maxBatchedTokens: 2048,
      maxSequences: 256,
      kvBlocks: kvBlocks ?? pool.limits.kvBlocks,
    },
  }));
  return { ...deployment, pools };
}

interface Played {
  cpuSeconds: number;
  tokensPerSec: number;
  detail: string;
}

/** Poisson arrivals at one replica; flat in memory: what is known of a request is forgotten when it ends. */
function play(
  requests: number,
  outputTokens: number,
  ratePerSec: number,
  kvBlocks: number | null = null,
): Played {
  const deployment = oneH100(kvBlocks);
  const pool = deployment.pools[0]!.name;
  const cluster = createCluster(deployment);
  const gaps = seedKey('arrivals');
  const prompts = seedKey('prompts');
  const outputs = seedKey('outputs');
  const ttftMs = new Histogram();
  const e2eMs = new Histogram();
  const live = 1 << 16; // more than are ever in the system at once
  const sentNs = new Float64Array(live);
  const firstNs = new Float64Array(live);
  let lastNs = 0;
  const drain = (): void => {
    for (const event of cluster.drain()) {
      const row = event.id & (live - 1);
      if (event.kind === 'token') {
        firstNs[row] = event.atNs;
        ttftMs.record((event.atNs - sentNs[row]!) / 1e6);
      } else if (event.kind === 'end') {
        lastNs = event.atNs;
        e2eMs.record((event.atNs - sentNs[row]!) / 1e6);
      }
    }
  };
  const seconds = cpuSeconds(() => {
    let atNs = 0;
    for (let id = 0; id < requests; id++) {
      atNs += Math.round((-Math.log(uniform(extend(gaps, id))) / ratePerSec) * 1e9);
      cluster.advanceTo(atNs);
      drain();
      sentNs[id & (live - 1)] = atNs;
      cluster.submit(atNs, {
        id,
        pool,
        session: 'one',
        prompt: [{ key: extend(prompts, id), from: 0, tokens: PROMPT_TOKENS }],
        promptTokens: PROMPT_TOKENS,
        output: [{ key: extend(outputs, id), from: 0, tokens: outputTokens }],
        outputTokens,
        warmTokens: 0,
        priority: 0,
      });
    }
    for (let ns = cluster.nextNs(); ns < Number.POSITIVE_INFINITY; ns = cluster.nextNs())
      cluster.advanceTo(ns);
    drain();
  });
  if (e2eMs.count !== requests) throw new Error(`${e2eMs.count} of ${requests} requests ended`);
  const itlMs = Histogram.from(cluster.itlMs());
  return {
    cpuSeconds: seconds,
    tokensPerSec: (requests * outputTokens) / (lastNs / 1e9),
    detail: `TTFT p50 ${ttftMs.quantile(0.5).toFixed(1)} ms, ITL mean ${(itlMs.sum / itlMs.count).toFixed(2)} ms, E2E p50 ${e2eMs.quantile(0.5).toFixed(0)} ms`,
  };
}

/** Requests a second that one replica can serve: tokens a second with a deep queue, over the output. */
function capacityPerSec(outputTokens: number, kvBlocks: number | null = null): number {
  const requests = Math.max(2000, Math.round(500_000 / outputTokens));
  return play(requests, outputTokens, 1e6, kvBlocks).tokensPerSec / outputTokens;
}

const rounded = (value: number): string => Math.round(value).toLocaleString('en');

/** CPU seconds of inference-lab on the same case; null where it is not installed. */
function inferenceLab(requests: number): { cpuSeconds: number; ratePerSec: number } | null {
  const command = process.env.INFERENCE_LAB ?? 'inference-lab';
  if (spawnSync(command, ['--help']).status !== 0) return null;
  const folder = mkdtempSync(join(tmpdir(), 'windtunnel-bench-'));
  const ratePerSec = 22; // 70 % of the 31.8 requests/s that its own model can serve
  writeFileSync(
    join(folder, 'model.toml'),
    'model = "llama-3.1-8b-instruct"\n[scheduler]\nmax_num_batched_tokens = 2048\nmax_num_seqs = 256\npolicy = "fcfs"\nenable_chunked_prefill = true\nblock_size = 16\n[hardware.h100]\ntp = 1\n',
  );
  const length = `{ type = "fixed", value = ${PROMPT_TOKENS} }`;
  writeFileSync(
    join(folder, 'load.toml'),
    `arrival_pattern = "poisson"\narrival_rate = ${ratePerSec}.0\nnum_requests = ${requests}\nseed = 42\ninput_len_dist = ${length}\noutput_len_dist = ${length}\n`,
  );
  const script = 'time "$0" -c model.toml --hardware h100 -w load.toml -q >/dev/null; exit $?';
  const timed = spawnSync('bash', ['-c', script, command], {
    cwd: folder,
    encoding: 'utf8',
    env: { ...process.env, TIMEFORMAT: '%U %S' },
  });
  rmSync(folder, { recursive: true });
  const [user, system] = (timed.stderr.trim().split('\n').at(-1) ?? '').split(' ').map(Number);
  if (timed.status !== 0 || user === undefined || system === undefined || !(user > 0))
    throw new Error(`inference-lab did not run: ${timed.stderr}`);
  return { cpuSeconds: user + system, ratePerSec };
}

export function simSingle(): Figure {
  const requests = 100_000;
  const rate = 0.7 * capacityPerSec(512);
  play(20_000, 512, rate); // the compiler has seen the code
  const { cpuSeconds: seconds, detail } = play(requests, 512, rate);
  const peer = inferenceLab(requests);
  const beside =
    peer === null
      ? 'inference-lab is not installed (cargo install inference-lab; INFERENCE_LAB names it)'
      : `inference-lab ${rounded(requests / peer.cpuSeconds)} at ${peer.ratePerSec}/s in the same run: ${(peer.cpuSeconds / seconds).toFixed(1)} x`;
  return {
    value: requests / seconds,
    unit: 'requests/cpu-s',
    detail: `${rounded(requests)} at ${rate.toFixed(1)}/s, 70 % of capacity; ${detail}; ${beside}`,
  };
}

/** What a request costs with outputs of 8,192 tokens over what it costs with 128. */
export function simGrowth(): Figure {
  const cost = (outputTokens: number, requests: number): number => {
    const rate = 0.7 * capacityPerSec(outputTokens, ROOMY_BLOCKS);
    play(Math.round(requests / 5), outputTokens, rate, ROOMY_BLOCKS);
    return play(requests, outputTokens, rate, ROOMY_BLOCKS).cpuSeconds / requests;
  };
  const lengths = [128, 512, 2048, 8192];
  const costs = lengths.map(tokens => cost(tokens, 30_000));
  return {
    value: costs[3]! / costs[0]!,
    unit: 'x a request',
    detail: lengths.map((tokens, i) => `${tokens} out ${(costs[i]! * 1e6).toFixed(2)} us`).join(', '),
  };
}

/** Ten million requests: memory stays flat. */
export function simTenMillion(): Figure {
  const rate = 0.7 * capacityPerSec(512);
  play(1_000_000, 512, rate);
  const before = process.memoryUsage().rss;
  const { cpuSeconds: seconds } = play(10_000_000, 512, rate);
  const grown = (process.memoryUsage().rss - before) / 1e6;
  return {
    value: 10_000_000 / seconds,
    unit: 'requests/cpu-s',
    detail: `10,000,000 requests; resident memory ${grown >= 0 ? 'grew' : 'shrank'} by ${Math.abs(grown).toFixed(0)} MB beyond what 1,000,000 take`,
  };
}

/** The coding-agent preset on 64 replicas behind prefix-aware routing, workflows, gateway and records included. */
export function simAgentic64(): Figure {
  const text = `windtunnel: 1
name: agentic-64
extends: coding-agent
traffic:
  - name: developers
    mix: { session: 97%, delegating: 3% }
    tenant: eng
    arrival: { closed: { agents: 640, think: 10m } }
    sessions: 1920
`;
  const folder = mkdtempSync(join(tmpdir(), 'windtunnel-bench-'));
  const path = join(folder, 'agentic-64.yaml');
  writeFileSync(path, text);
  const plan = loadScenario(path).compiled?.plan;
  rmSync(folder, { recursive: true });
  const { deployment } = loadDeployment('8xh200-mistral-small-4', routingPolicies);
  if (plan == null || deployment === null) throw new Error('the scenario or its deployment does not load');
  const pools = deployment.pools.map(pool => ({ ...pool, replicas: 64 }));
  const routing = { policy: 'prefix-cache', options: {} };
  const simulation = simulationOf(plan, { ...deployment, pools, routing });
  const seconds = cpuSeconds(() => {
    while (simulation.step(10_000));
  });
  const { calls } = simulation.finish();
  const sum = (of: (call: (typeof calls)[number]) => number): number =>
    calls.reduce((total, call) => total + of(call), 0);
  const promptTokens = sum(call => call.promptTokens);
  const hits = sum(call => call.cachedTokens ?? 0) / promptTokens;
  return {
    value: calls.length / seconds,
    unit: 'calls/cpu-s',
    detail: `${rounded(calls.length)} calls on 64 replicas, prompts of ${rounded(promptTokens / calls.length)} tokens, ${(100 * hits).toFixed(1)} % hits`,
  };
}

/** The slowest of the shared Claude Code sessions on one virtual node, read, planned and simulated. */
export function simSessions(): Figure {
  if (!existsSync(SHARED_TRACES))
    return { value: 0, unit: 'cpu-s', detail: 'skipped: the shared sessions are not there' };
  const { deployment } = loadDeployment('8xh200-mistral-small-4', routingPolicies);
  if (deployment === null) throw new Error('the deployment does not load');
  const files = readdirSync(SHARED_TRACES, { recursive: true, encoding: 'utf8' }).filter(file =>
    /trace_\d+\.json$/.test(file),
  );
  const costs = files.map(file =>
    cpuSeconds(() => {
      const plan = loadScenario(join(SHARED_TRACES, file)).compiled?.plan;
      if (plan == null) throw new Error(`${file} does not load`);
      const simulation = simulationOf(plan, deployment);
      while (simulation.step(10_000));
      if (simulation.finish().calls.some(call => call.outcome !== 'ok')) throw new Error('a call failed');
    }),
  );
  const total = costs.reduce((sum, cost) => sum + cost, 0);
  return {
    value: Math.max(...costs),
    unit: 'cpu-s',
    detail: `the slowest of ${files.length} sessions; all together ${total.toFixed(2)}`,
  };
}
