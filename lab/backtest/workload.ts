// The requests of a measured run: as recorded, as its generator drew them, or as a closed loop keeps them coming. Rule:
// lengths and instants come from the inputs or from draws keyed by the run's id, never from what was measured.
import { normalQuantile } from '../../scenarios/base/distributions.ts';
import { extend, extendText, type Key, textKey, uniform } from '../../scenarios/base/key.ts';
import type { Run } from '../../scenarios/formats/prompt.ts';
import {
  type Experiment,
  type ExperimentRun,
  isGapAnalysis,
  type RecordedRequests,
  Refused,
  scopeOf,
} from './experiment.ts';

/** What a client sends. */
export interface WorkloadRequest {
  /** From the start of its phase; without meaning where a phase limits what is in flight. */
  arrivalMs: number;
  prompt: readonly Run[];
  promptTokens: number;
  outputTokens: number;
  /** Leading tokens that are in the cache already. */
  warmTokens: number;
  /** Load stage or strategy. */
  stage: number;
}

/** A phase begins when the one before has drained. */
export interface Phase {
  requests: readonly WorkloadRequest[];
  /** Requests in flight: a new one starts as soon as one ends. null: each starts at its own time. */
  concurrency: number | null;
  /** From the end of the phase before. */
  pauseMs: number;
}

/** What one simulation plays, and the measured runs it answers. */
export interface Scene {
  phases: readonly Phase[];
  runs: readonly { run: ExperimentRun; includes: (request: WorkloadRequest) => boolean }[];
}

export interface WorkloadOptions {
  /** Prompts of a closed loop for each place in it; the measured runs had 10. */
  promptsPerPlace?: number;
}

const PROMPTS_PER_PLACE = 10;

/** Requests of one simulation; the largest measured run has 20,480. */
const MAX_REQUESTS = 1_000_000;

/** How many requests there are to be, if that is a sane number of them. */
function requestCount(count: number, from: string): number {
  if (count >= 1 && count <= MAX_REQUESTS) return count;
  throw new Refused(`${from}: ${count} requests, where a run has 1 to ${MAX_REQUESTS}`);
}

/** Of the client's run: every scene that its runs need. */
export function scenesOf(experiment: Experiment, options: WorkloadOptions = {}): Scene[] {
  const loops = experiment.runs.filter(run => run.concurrency !== null);
  const rest = experiment.runs.filter(run => run.concurrency === null);
  const scenes = loops.map(run => closedLoop(experiment, run, options.promptsPerPlace ?? PROMPTS_PER_PLACE));
  if (rest.length > 0) scenes.push({ phases: phasesOf(experiment), runs: rest.map(scoped) });
  return scenes;
}

/** The requests that a run's id is about. */
function scoped(run: ExperimentRun): Scene['runs'][number] {
  const scope = scopeOf(run.id);
  if (scope === 'all') return { run, includes: () => true };
  const stage = scope === 'sync' ? 0 : /^s(\d+)$/.exec(scope)?.[1];
  if (stage === undefined) throw new Refused(`runs: "${run.id}" is neither all, s0, c64 nor sync`);
  return { run, includes: request => request.stage === Number(stage) };
}

function phasesOf(experiment: Experiment): Phase[] {
  const { requests, workload } = experiment;
  if (requests !== null) return recorded(experiment, requests);
  if (workload.stages !== null && workload.stages.length > 0) return generated(experiment, workload.stages);
  throw new Refused('workload: it has neither requests, nor stages with rates, nor a concurrency');
}

// As recorded

const at = (column: number[] | number | null, row: number): number | null =>
  typeof column === 'number' || column === null ? column : (column[row] ?? null);

/** A token at least, and a whole number of them. */
const tokens = (count: number): number => Math.max(1, Math.round(count));

function recorded(experiment: Experiment, table: RecordedRequests): Phase[] {
  const root = textKey(experiment.id);
  const given = experiment.workload.outputTokens?.max ?? null;
  const all = table.arrival_ms.map((arrivalMs, row): WorkloadRequest => {
    const promptTokens = tokens(at(table.input_tokens, row) ?? 1);
    const promptId = at(table.prompt_id, row);
    return {
      arrivalMs,
      promptTokens,
      // Where the generator fixes the length, what was recorded is the client's count of the text that came back.
      outputTokens: given ?? tokens(at(table.output_tokens, row) ?? 1),
      prompt:
        promptId === null
          ? ownPrompt(root, row, promptTokens, experiment.workload.profile?.data?.prefix_tokens ?? 0)
          : pooledPrompt(experiment, promptId, promptTokens),
      warmTokens: Math.min(promptTokens, at(table.cached_prefix_tokens, row) ?? 0),
      stage: at(table.stage, row) ?? at(table.strategy, row) ?? 0,
    };
  });
  if (!experiment.runs.some(run => scopeOf(run.id) === 'sync')) return [openPhase(all)];
  const alone = all.slice(0, oneAtATime(all));
  return [{ requests: alone, concurrency: 1, pauseMs: 0 }, openPhase(all.slice(alone.length))];
}

/** A client that waits for each answer does not send two requests within this time. */
const BURST_MS = 100;

/** How many requests the first strategy really sent one by one: the last of its rows may open the next one's burst. */
function oneAtATime(requests: readonly WorkloadRequest[]): number {
  const next = requests.findIndex(each => each.stage > 0);
  let end = next < 0 ? requests.length : next;
  while (
    end > 0 &&
    end < requests.length &&
    requests[end]!.arrivalMs - requests[end - 1]!.arrivalMs < BURST_MS
  )
    end--;
  return end;
}

/** Requests at their own times, from the first of them on. */
function openPhase(requests: readonly WorkloadRequest[], pauseMs = 0): Phase {
  const startMs = requests[0]?.arrivalMs ?? 0;
  return {
    requests: requests.map(each => ({ ...each, arrivalMs: each.arrivalMs - startMs })),
    concurrency: null,
    pauseMs,
  };
}

/** A prompt that nothing shares, but for a prefix that all of the experiment's have. */
function ownPrompt(root: Key, row: number, promptTokens: number, prefixTokens: number): Run[] {
  const shared = Math.min(prefixTokens, promptTokens - 1);
  const own: Run = { key: extend(root, row), from: 0, tokens: promptTokens - shared };
  return shared > 0 ? [{ key: extendText(root, 'prefix'), from: 0, tokens: shared }, own] : [own];
}

// As generated

/**
 * Random tokens made into text and back are more: prompts of six recorded runs have 1.040 to 1.052 times the tokens
 * that were asked for, and a standard deviation of 6 to 7 tokens.
 */
const RETOKENIZED = 1.047;
const PROMPT_DEVIATION_TOKENS = 7;

/** The pool's prompt of this number: its group's system prompt, and a question of its own. */
function pooledPrompt(experiment: Experiment, promptId: number, promptTokens: number): Run[] {
  const root = extendText(textKey(experiment.id), 'pool');
  const pool = experiment.workload.promptPool;
  const system = Math.round((pool?.systemPromptTokens ?? 0) * RETOKENIZED);
  const shared = Math.min(system, promptTokens - 1);
  const own: Run = { key: extend(root, promptId), from: 0, tokens: promptTokens - shared };
  if (pool === null || shared === 0) return [own];
  // The generator shuffles its prompts, so that which of them are of one group is not known.
  const group = Math.floor(uniform(extendText(own.key, 'group')) * pool.groups);
  return [{ key: extend(extendText(root, 'system'), group), from: 0, tokens: shared }, own];
}

/** From the last answer of a stage to the first request of the next: 2.1 to 2.4 s in six recorded runs. */
const STAGE_PAUSE_MS = 2200;

type Stage = NonNullable<Experiment['workload']['stages']>[number];

/** Load stages of a generator with a pool of prompts, which it sends in a cycle. */
function generated(experiment: Experiment, stages: readonly Stage[]): Phase[] {
  const { promptPool: pool, outputTokens } = experiment.workload;
  if (outputTokens === null) throw new Refused('workload.outputTokens: missing');
  if (pool === null) throw new Refused('workload.promptPool: missing');
  const root = textKey(experiment.id);
  const meanTokens = (pool.systemPromptTokens + pool.questionTokens) * RETOKENIZED;
  const pooled = Array.from(
    { length: requestCount(pool.distinctPrompts, 'workload.promptPool') },
    (_, id) => {
      const spread = normalQuantile(uniform(extend(extendText(root, 'length'), id)));
      const promptTokens = tokens(meanTokens + PROMPT_DEVIATION_TOKENS * spread);
      return { promptTokens, prompt: pooledPrompt(experiment, id, promptTokens) };
    },
  );
  let sent = 0;
  return stages.map((stage, index): Phase => {
    const requests = poissonInstants(extend(extendText(root, 'stage'), index), stage).map(arrivalMs => ({
      arrivalMs,
      ...pooled[sent++ % pooled.length]!,
      outputTokens: outputTokens.max,
      warmTokens: 0,
      stage: stage.index,
    }));
    return { requests, concurrency: null, pauseMs: index === 0 ? 0 : STAGE_PAUSE_MS };
  });
}

/** Exactly rate x duration requests, as recorded; of a Poisson process with that count the instants are uniform. */
function poissonInstants(root: Key, { rateRps, durationS }: Stage): number[] {
  const count = requestCount(Math.round(rateRps * durationS), 'workload.stages');
  const instants = Array.from({ length: count }, (_, i) => uniform(extend(root, i)) * durationS * 1000);
  return instants.sort((a, b) => a - b);
}

// A closed loop

/** InferenceX draws lengths from this share of the nominal one up to all of it (its random-range-ratio). */
const LEAST_LENGTH_RATIO = 0.8;

/**
 * aiperf makes so many prompts unless told otherwise, and draws among them: beyond them the prefix cache hits. Of NVIDIA's
 * rows those with lengths in round thousands are explained by it (Llama 3.1 8B FP8 on H200: TPOT within 10 %, 87 % off
 * without), those with lengths in powers of two are not.
 */
const AIPERF_PROMPTS = 100;
const repeatsPrompts = (experiment: Experiment): boolean =>
  isGapAnalysis(experiment) && (experiment.workload.isl ?? 0) % 1000 === 0;

/**
 * As many requests in flight as the run says, of prompts that share nothing unless its tool repeats them. The warm-ups
 * of the measured run are left out: they have drained before it, and random prompts hit nothing they left.
 */
function closedLoop(experiment: Experiment, run: ExperimentRun, promptsPerPlace: number): Scene {
  const { isl, osl } = experiment.workload;
  if (isl === null || osl === null) throw new Refused('workload.isl or workload.osl: missing');
  const concurrency = run.concurrency ?? 1;
  const root = textKey(run.id);
  // aiperf, with no deviation of lengths.
  const isExact = isGapAnalysis(experiment);
  const drawn = (longest: number, key: Key): number => {
    const least = Math.floor(longest * LEAST_LENGTH_RATIO);
    return isExact ? longest : least + Math.floor(uniform(key) * (longest - least + 1));
  };
  const count = requestCount(concurrency * promptsPerPlace, run.id);
  const requests = Array.from({ length: count }, (_, row): WorkloadRequest => {
    const key = extend(root, row);
    const promptTokens = drawn(isl, extendText(key, 'input'));
    const repeated = Math.floor(uniform(extendText(key, 'prompt')) * AIPERF_PROMPTS);
    const content = repeatsPrompts(experiment) ? extend(extendText(root, 'dataset'), repeated) : key;
    return {
      arrivalMs: 0,
      promptTokens,
      outputTokens: drawn(osl, extendText(key, 'output')),
      prompt: [{ key: content, from: 0, tokens: promptTokens }],
      warmTokens: 0,
      stage: 0,
    };
  });
  return { phases: [{ requests, concurrency, pauseMs: 0 }], runs: [{ run, includes: () => true }] };
}
