// Every library scenario and preset, cut to be quick: it runs, it runs the same twice, and agents that nobody asked about
// change nothing of what the others draw.
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { prepare } from '../../engines/prepare.ts';
import { recordLines } from '../../reports/digest.ts';
import { libraryNames } from '../../scenarios/cli/library.ts';
import { loadScenario, settledScenario } from '../../scenarios/cli/load.ts';
import type { RunOutput } from '../../scenarios/formats/run.ts';
import { planLines } from '../../scenarios/plan-file.ts';
import { startSimulation } from '../../sim/start.ts';
import { deploymentOf, HEADER } from '../builders/worlds.ts';
import { planOfEntry } from './sessions.ts';

/** How an entry is cut; where nothing stands, a few sessions of each cohort. */
const CUTS: Readonly<Record<string, readonly string[]>> = {
  'break-even': ['params.scanner=5', 'params.gpu_usd_per_hour=0.005'],
  'coding-agent': ['params.requests=3', 'params.deep=3', 'traffic.0.sessions=3'],
  'deep-trace': ['params.sub=2', 'traffic.0.sessions=2'],
  demo: [],
  'job-scanner': ['params.companies=3', 'traffic.1.for=20s'],
  'remote-agent': ['traffic.0.for=30s'],
};

function cutOf(name: string): readonly string[] {
  const cut = CUTS[name];
  if (cut !== undefined) return cut;
  const { file } = loadScenario(name);
  return (file?.traffic ?? []).map((_, index) => `traffic.${index}.sessions=4`);
}

/** Entries in which nothing is left to chance. */
const FIXED = ['break-even', 'meeting-ingester'];

/** Room for the longest prompt of the library, and few long steps. */
const DEPLOYMENT = deploymentOf(`
windtunnel: 1
deployment: test
pools:
  main:
    model: mistral-small-4
    replicas: 2
    limits: { max_model_len: 262144, kv_blocks: 131072, max_num_batched_tokens: 8192, max_num_seqs: 256 }
    step: { model: affine, base: 8ms, per_token: 20us, per_sequence: 90us }
routing: session-affinity
`);

function simulated(name: string, set: readonly string[]): RunOutput {
  const plan = planOfEntry(name, ...set);
  const { poolOf, issues } = prepare(plan, DEPLOYMENT);
  expect(issues).toEqual([]);
  const simulation = startSimulation({
    plan,
    deployment: DEPLOYMENT,
    poolOf,
    header: HEADER,
  });
  while (simulation.step(5000));
  return simulation.finish();
}

function digestOf(output: RunOutput): string {
  const hash = createHash('sha256');
  for (const chunk of recordLines(output)) hash.update(chunk);
  return hash.digest('hex');
}

/** One more cohort, of a workflow that the entry does not have. */
function withStrangers(name: string): string[] {
  const { file } = loadScenario(name);
  const [model] = Object.keys(file!.models ?? {});
  return [
    `workflows.stranger={ model: ${model}, steps: [ { llm: hello, adds: 900, out: 40 }, { llm: more, adds: 50, out: 30 } ] }`,
    `traffic.${file!.traffic.length}={ name: strangers, workflow: stranger, arrival: { poisson: { rate: 2/s } }, sessions: 6 }`,
  ];
}

/** Planned draws, a line a session. */
function drawsOf(name: string, set: readonly string[]): string[] {
  const loaded = loadScenario(name, { set });
  const lines = [...planLines(loaded.compiled!.plan!, settledScenario(loaded), loaded.recorded)];
  return lines.slice(1).filter(line => !line.includes('"session":"strangers/'));
}

/** What each call was made of, whenever it ran. */
const lengthsOf = (output: RunOutput): string[] =>
  output.calls
    .filter(call => call.cohort !== 'strangers')
    .map(call => `${call.session} ${call.call} ${call.promptTokens} ${call.outputTokens} ${call.outcome}`)
    .sort();

describe.each(libraryNames('scenarios'))('%s', name => {
  const cut = cutOf(name);

  test('runs to its end, and twice the same', () => {
    const first = simulated(name, cut);
    expect(first.workflows.length).toBeGreaterThan(0);
    expect(first.workflows.map(each => each.status)).toEqual(first.workflows.map(() => 'completed'));
    expect(digestOf(simulated(name, cut))).toBe(digestOf(first));
    const reseeded = digestOf(simulated(name, [...cut, 'seed=8']));
    expect(reseeded === digestOf(first)).toBe(FIXED.includes(name));
  });

  test('draws the same beside strangers, and runs the same calls', () => {
    const strangers = [...cut, ...withStrangers(name)];
    expect(drawsOf(name, strangers)).toEqual(drawsOf(name, cut));
    const beside = simulated(name, strangers);
    expect(beside.calls.some(call => call.cohort === 'strangers')).toBe(true);
    expect(lengthsOf(beside)).toEqual(lengthsOf(simulated(name, cut)));
  });
});
