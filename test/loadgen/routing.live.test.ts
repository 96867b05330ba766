// Routing policies judged in both worlds: the same agents on two real vLLM processes and on two simulated replicas, whose
// step time is measured first. On two cores they share the machine with the client, so ratios are judged, not times.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { prepare } from '../../engines/prepare.ts';
import { tokenIdOf } from '../../engines/words.ts';
import { createClient } from '../../loadgen/client.ts';
import { startClock } from '../../loadgen/clock.ts';
import { startReplay } from '../../loadgen/start.ts';
import { textKey } from '../../scenarios/base/key.ts';
import { mean, quantile } from '../../scenarios/base/statistics.ts';
import { makespanMs, ttftMs } from '../../scenarios/formats/record.ts';
import type { RunOutput } from '../../scenarios/formats/run.ts';
import { planOf } from '../builders/scenarios.ts';
import { hasVllm, startVllm, type Vllm } from '../builders/vllm.ts';
import { deploymentOf, HEADER, simulated } from '../builders/worlds.ts';

const VLLM_TEST_MS = 1_500_000;
const VOCAB_TOKENS = 4096;

const POLICIES = ['prefix-cache', 'round-robin'] as const;
type Policy = (typeof POLICIES)[number];

/** Agents of eight projects: each begins with its project's 1,024 tokens and goes through six turns. */
const PROJECTS = 8;
const SCENARIO = `
windtunnel: 1
seed: 11
models: { tiny: { model: ministral-3-14b } }
prefixes: { ${Array.from({ length: PROJECTS }, (_, i) => `p${i}: { tokens: 1024, scope: global }`).join(', ')} }
tools: { look: { latency: 300ms, result: 64 } }
workflows:
${Array.from(
  { length: PROJECTS },
  (_, i) =>
    `  w${i}: { model: tiny, prefix: [p${i}], steps: [ { repeat: turns, times: 6, steps: [ { llm: act, adds: 192, out: 8 }, look ] } ] }`,
).join('\n')}
traffic:
${Array.from(
  { length: PROJECTS },
  (_, i) => `  - { workflow: w${i}, arrival: { poisson: { rate: 0.2/s } }, sessions: 2 }`,
).join('\n')}
`;

const deployment = (policy: Policy, { baseMs, perTokenUs }: Step, urls: readonly string[]): string => `
windtunnel: 1
deployment: two
pools:
  tiny:
    model: ministral-3-14b
    replicas: 2
    limits: { max_model_len: 4096, kv_blocks: 1024, block_size: 128, max_num_batched_tokens: 1024, max_num_seqs: 32 }
    step: { model: affine, base: ${baseMs.toFixed(3)}ms, per_token: ${perTokenUs.toFixed(1)}us }
    endpoints: [ ${urls.map(url => `{ url: ${url}, model: tiny, api: tokens }`).join(', ')} ]
routing: { policy: ${policy} }
`;

interface Step {
  baseMs: number;
  perTokenUs: number;
}

/** A step as a line, from prompts of one and of 1,000 tokens and the gaps of the answers. */
async function measuredStep(url: string): Promise<Step> {
  const client = createClient({ clock: startClock() });
  const one = async (name: string, tokens: number, outputTokens: number) => {
    const key = textKey(name);
    const tokenIds = Array.from({ length: tokens }, (_, i) => tokenIdOf(key, i, VOCAB_TOKENS));
    const { result } = client.stream({
      baseUrl: url,
      wire: { model: 'tiny', prompt: { api: 'tokens', tokenIds }, outputTokens, reasoningTokens: 0 },
    });
    const { sentMs, firstTokenMs, endMs, error } = await result;
    expect(error).toBeNull();
    return {
      firstMs: firstTokenMs! - sentMs,
      gapMs: (endMs - firstTokenMs!) / Math.max(1, outputTokens - 1),
    };
  };
  for (let i = 0; i < 3; i++) await one(`warm ${i}`, 500, 4);
  const long: number[] = [];
  const gaps: number[] = [];
  for (let i = 0; i < 5; i++) {
    long.push((await one(`long ${i}`, 1000, 1)).firstMs);
    gaps.push((await one(`short ${i}`, 100, 20)).gapMs);
  }
  await client.close();
  const baseMs = quantile(gaps, 0.5);
  return { baseMs, perTokenUs: ((quantile(long, 0.5) - baseMs) / 1000) * 1000 };
}

interface Outcome {
  ttftMs: number;
  workflowMs: number;
  hitRatio: number;
}

/** By the server's own count where it has one: vLLM puts it into answers only when told to. */
function hitRatioOf({ calls, measured }: RunOutput): number {
  const counted = measured?.servers ?? [];
  const sum = <T>(all: readonly T[], of: (each: T) => number) =>
    all.reduce((total, each) => total + of(each), 0);
  return counted.length > 0
    ? sum(counted, each => each.prefixHitTokens!) / sum(counted, each => each.prefixQueriedTokens!)
    : sum(calls, call => call.cachedTokens!) / sum(calls, call => call.promptTokens);
}

function outcomeOf(run: RunOutput): Outcome {
  const { calls, workflows } = run;
  expect(calls.every(({ outcome }) => outcome === 'ok')).toBe(true);
  return {
    ttftMs: mean(calls.map(call => ttftMs(call)!)),
    workflowMs: mean(workflows.map(workflow => makespanMs(workflow)!)),
    hitRatio: hitRatioOf(run),
  };
}

async function live(policy: Policy, step: Step, urls: readonly string[]): Promise<Outcome> {
  const plan = planOf(SCENARIO);
  const two = deploymentOf(deployment(policy, step, urls));
  const { poolOf, issues } = prepare(plan, two);
  expect(issues).toEqual([]);
  const replay = startReplay({
    plan,
    deployment: two,
    poolOf,
    header: HEADER,
    clock: startClock(),
    environment: {},
    vocabTokens: VOCAB_TOKENS,
    salt: `${policy} ${performance.now()}`,
  });
  return outcomeOf(await replay.run());
}

describe.skipIf(!hasVllm)('two vLLM processes (set WINDTUNNEL_VLLM to its executable)', () => {
  let servers: Vllm[] = [];
  beforeAll(async () => {
    servers = await Promise.all([0, 1].map(core => startVllm({ core })));
  }, VLLM_TEST_MS);
  afterAll(async () => {
    for (const server of servers) await server.close();
  });

  test('routing by prefix beats turns in both worlds, by hits, TTFT and workflow time', {
    timeout: VLLM_TEST_MS,
    retry: 1,
  }, async () => {
    const urls = servers.map(({ url }) => url);
    const step = await measuredStep(urls[0]!);
    const rows: { policy: Policy; sim: Outcome; live: Outcome }[] = [];
    for (const policy of POLICIES) {
      const sim = outcomeOf(simulated(planOf(SCENARIO), deployment(policy, step, [])));
      rows.push({ policy, sim, live: await live(policy, step, urls) });
    }
    const told = ({ ttftMs, workflowMs, hitRatio }: Outcome): string =>
      `TTFT ${ttftMs.toFixed(0)} ms, workflow ${workflowMs.toFixed(0)} ms, hits ${(100 * hitRatio).toFixed(1)} %`;
    process.stderr.write(
      `two vLLM: a step takes ${step.baseMs.toFixed(1)} ms and ${step.perTokenUs.toFixed(0)} us a token\n` +
        rows
          .map(({ policy, ...row }) => `  ${policy}: simulated ${told(row.sim)}; live ${told(row.live)}\n`)
          .join(''),
    );
    for (const world of ['sim', 'live'] as const) {
      const [best, worst] = rows.map(row => row[world]);
      expect(best!.hitRatio - worst!.hitRatio, `${world} hits`).toBeGreaterThan(0.08);
      expect(best!.ttftMs, `${world} TTFT`).toBeLessThan(worst!.ttftMs);
      expect(best!.workflowMs, `${world} workflow time`).toBeLessThan(worst!.workflowMs);
    }
    for (const { policy, sim, live } of rows)
      expect(Math.abs(sim.hitRatio - live.hitRatio), `hits of ${policy}`).toBeLessThan(0.03);
  });
});
