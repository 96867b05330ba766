// Parts of a run against the whole of it: those that share nothing add up to it exactly, cells to the same sessions.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { loadDeployment, readyRun } from '../../../engines/load.ts';
import { routingPolicies } from '../../../gateway/routing/index.ts';
import { partsApart, tieOf } from '../../../lab/fleet/apart.ts';
import { cellsOf, partOf } from '../../../lab/fleet/part.ts';
import { runFleet } from '../../../lab/fleet/run.ts';
import { CaseRunner } from '../../../lab/grid/run-case.ts';
import { loadScenario } from '../../../scenarios/cli/load.ts';
import type { RunTally } from '../../../scenarios/formats/tally.ts';

const folder = mkdtempSync(join(tmpdir(), 'windtunnel-fleet-'));
afterAll(() => rmSync(folder, { recursive: true }));

function written(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const SCENARIO = written(
  'scenario.yaml',
  `windtunnel: 1
name: two-worlds
prefixes: { rules: { tokens: 900, scope: global } }
workflows:
  chat: { prefix: [rules], steps: [ { llm: answer, model: small, adds: { median: 300, p90: 900 }, out: { median: 80, p90: 200 } } ] }
  code:
    prefix: [rules]
    steps:
      - repeat: loop
        times: 4
        steps: [ { llm: turn, model: large, adds: { median: 500, p90: 2000 }, out: { median: 120, p90: 400 } }, { tool: shell } ]
  both: { steps: [ { llm: ask, model: small, adds: 50, out: 20 }, { llm: check, model: large, adds: 50, out: 20 } ] }
tools: { shell: { latency: 2s, result: 300 } }
models: { small: { model: ministral-3-14b }, large: { model: mistral-small-4 } }
traffic:
  - { name: chats, workflow: chat, arrival: { poisson: { rate: 2/s } }, for: 60s }
  - { name: agents, workflow: code, arrival: { closed: { agents: 12, think: 5s } }, for: 60s }
assert: [ 'p95(ttft) < 2s', 'cache_hit(workflow=code) > 10%', 'count(calls) > 200' ]
`,
);

const pool = (model: string, replicas: number) => `
    model: ${model}
    replicas: ${replicas}
    limits: { max_model_len: 65536, kv_blocks: 4096, max_num_batched_tokens: 2048, max_num_seqs: 64 }
    step: { model: affine, base: 8ms, per_token: 80us, per_sequence: 90us, per_context_token: 20ns }
    price: 2/h
    gpu: h100-80gb-sxm`;
const POOLS = `windtunnel: 1
deployment: two-pools
pools:
  edge:${pool('ministral-3-14b', 4)}
  centre:${pool('mistral-small-4', 4)}
routing: prefix-cache
`;
const DEPLOYMENT = written('deployment.yaml', POOLS);
const GOVERNED = written('governed.yaml', `${POOLS}gateway: { fallback: { edge: [centre] } }\n`);

const OF = { scenario: { input: SCENARIO, options: {} }, deployment: { input: DEPLOYMENT }, loadFactor: 1 };

function whole(set: readonly string[] = [], deployment = DEPLOYMENT) {
  const loaded = loadScenario(SCENARIO, { set: [...set] });
  const ready = readyRun(loaded, loadDeployment(deployment, routingPolicies), {
    json: true,
    quiet: true,
  });
  const { compiled, file } = loaded;
  return { loaded, ready, apart: { ...ready, file: file!, workflows: compiled!.workflows } };
}

async function tallyOf(of: Parameters<CaseRunner['run']>[0]): Promise<RunTally> {
  const outcome = await new CaseRunner().run({ ...of, isTallied: true });
  if (!outcome.ok) throw new Error(outcome.failure.message);
  return outcome.tally!;
}

test('pools that share nothing are simulated apart, and together are what one simulation says', async () => {
  const { loaded, ready, apart } = whole();
  expect(partsApart(apart)).toEqual([
    { kind: 'apart', cohorts: ['chats'], pools: ['edge'] },
    { kind: 'apart', cohorts: ['agents'], pools: ['centre'] },
  ]);
  const { tally, parts } = await runFleet({ loaded, ready, of: OF, cells: null, jobs: 1 });
  expect(parts).toEqual({ kind: 'apart', count: 2, isExact: true, notes: [] });
  const one = await tallyOf(OF);
  expect(one.calls.ok).toBeGreaterThan(200);
  // Order of buckets included: the same bytes.
  expect(JSON.stringify(tally)).toBe(JSON.stringify(one));
});

test('pools in two regions are apart too: links carry each call by itself', async () => {
  const places = `places: { office: { kind: client }, near: { kind: region }, far: { kind: region } }
links:
  short: { between: [office, near], rtt: 10ms, jitter: { median: 1ms, p90: 5ms }, bandwidth: 1Mbit/s, loss: 2%, keep_alive: 3s }
  long: { between: [office, far], rtt: 120ms, jitter: { median: 2ms, p90: 9ms }, loss: 5% }
`;
  const inPlace = (text: string, name: string, place: string): string =>
    text.replace(`  ${name}:`, `  ${name}:\n    place: ${place}`);
  const input = written('regions.yaml', inPlace(inPlace(POOLS, 'edge', 'near'), 'centre', 'far') + places);
  const { loaded, ready, apart } = whole([], input);
  expect(partsApart(apart).length).toBe(2);
  const of = { ...OF, deployment: { input } };
  const { tally } = await runFleet({ loaded, ready, of, cells: null, jobs: 1 });
  const one = await tallyOf(of);
  expect(JSON.stringify(tally)).toBe(JSON.stringify(one));
  const plain = await tallyOf(OF);
  expect(one.us.ttft.sum).toBeGreaterThan(plain.us.ttft.sum + 5000 * one.calls.ok);
});

test('a workflow that calls both pools ties them together, and a gateway does', () => {
  const bound = whole(['traffic.0.workflow=both']).apart;
  expect(partsApart(bound)).toEqual([
    { kind: 'apart', cohorts: ['chats', 'agents'], pools: ['edge', 'centre'] },
  ]);
  const governed = whole([], GOVERNED).apart;
  expect(tieOf(governed)).toContain('gateway');
  expect(partsApart(governed)).toEqual([]);
});

test('every session is in exactly one cell, and every replica', () => {
  const { ready } = whole();
  const parts = cellsOf(3, ready.deployment).map(part => partOf(ready, part));
  const ids = (plan: typeof ready.plan): string[] =>
    plan.cohorts.flatMap(cohort =>
      cohort.kind === 'open'
        ? [...cohort.sessions()].map(({ id }) => id)
        : Array.from({ length: cohort.agents }, (_, agent) => cohort.session(agent, 0, 0)?.id ?? []).flat(),
    );
  const all = parts.flatMap(({ plan }) => ids(plan));
  expect(all.toSorted()).toEqual(ids(ready.plan).toSorted());
  for (const { plan } of parts) expect(ids(plan).length).toBeGreaterThan(0);
  const replicas = parts.map(({ deployment }) => deployment.pools.map(each => each.replicas));
  expect(replicas).toEqual([
    [2, 2],
    [1, 1],
    [1, 1],
  ]);
});

test('one cell is the whole run', async () => {
  const { loaded, ready } = whole();
  const { tally } = await runFleet({ loaded, ready, of: OF, cells: 1, jobs: 1 });
  expect(JSON.stringify(tally)).toBe(JSON.stringify(await tallyOf(OF)));
});

test('more cells than replicas are refused', () => {
  const { ready } = whole();
  expect(() => cellsOf(5, ready.deployment)).toThrow('pool "edge" has 4 replicas to share out');
  expect(() => cellsOf(0, ready.deployment)).toThrow('--cells 0: expected a whole number above 0');
});
