// A measured experiment as ../shared/data/ground-truth describes it: what ran (the inputs of a prediction), and apart
// from it what was measured (for the score). Rule: an Experiment holds no outcome; `measured` never gets into one.
import { z } from 'zod';

const count = z.int().min(0).max(1e9);
const upTo = (most: number) => z.int().min(1).max(most);
const atLeastOne = upTo(1e9);
/** Layers, heads, experts, widths; GPUs: no model and no machine has more. */
const part = upTo(1_048_576);
const ranks = upTo(4096);
/** No context window is near this. */
const tokens = upTo(16_777_216);
const figure = z.number().min(0);
/** Not published, not stated, or of an older file that lacks the key. */
const maybe = <T extends z.ZodType>(of: T) => of.nullish().transform(value => value ?? null);
/** A column of the request table; one value stands for all rows. */
const column = z.union([z.array(z.number()), z.number()]);

const hardware = z.object({
  key: z.string(),
  name: z.string(),
  memGiB: figure,
  hbmTBs: figure,
  bf16TFlops: maybe(figure),
  fp8TFlops: maybe(figure),
  fp4TFlops: maybe(figure),
  /** Both directions together, as NVIDIA counts it. */
  nvlinkGBs: maybe(figure),
});

const model = z.object({
  name: z.string(),
  layers: part,
  hidden: part,
  intermediate: maybe(part),
  heads: part,
  kvHeads: part,
  /** Of MLA models it says nothing. */
  headDim: maybe(part),
  vocab: tokens,
  dtype: z.string(),
  moe: maybe(
    z.object({
      experts: part,
      topK: part,
      sharedExperts: maybe(count.max(65_536)),
      moeIntermediate: atLeastOne,
      denseLayers: maybe(count.max(65_536)),
    }),
  ),
  /** Figures under the names of the catalogue or of config.json, or only that it is so. */
  mla: maybe(z.union([z.record(z.string(), z.unknown()), z.boolean(), z.string(), z.number()])),
  slidingWindow: maybe(count),
  tieEmbeddings: maybe(z.boolean()),
  paramsTotalB: figure,
  paramsActiveB: maybe(figure),
  /** Of a bf16 cache, all layers. */
  kvBytesPerToken: atLeastOne,
  note: maybe(z.string()),
});

const engineConfig = z.object({
  gpus: ranks,
  tp: ranks,
  pp: maybe(ranks),
  dp: maybe(ranks),
  moeEp: maybe(count),
  expertParallel: maybe(z.boolean()),
  /** A number, or a rule such as "= concurrency". */
  maxNumSeqs: maybe(z.union([atLeastOne, z.string()])),
  /** A number, or a rule such as "2 x ISL". */
  maxNumBatchedTokens: maybe(z.union([atLeastOne, z.string()])),
  maxModelLen: maybe(tokens),
  gpuMemoryUtilization: maybe(z.number().gt(0).max(1)),
  /** Words where the flag is not known but the prompts are random. */
  prefixCaching: maybe(z.union([z.boolean(), z.string()])),
  chunkedPrefill: maybe(z.boolean()),
  blockSize: maybe(atLeastOne),
  totalKvBlocks: maybe(atLeastOne),
  kvCacheDtype: maybe(z.string()),
});

const workload = z.object({
  type: z.string(),
  generator: maybe(z.string()),
  stages: maybe(z.array(z.object({ index: count, rateRps: z.number().gt(0), durationS: z.number().gt(0) }))),
  promptPool: maybe(
    z.object({
      distinctPrompts: atLeastOne,
      groups: atLeastOne,
      systemPromptTokens: count,
      questionTokens: tokens,
    }),
  ),
  outputTokens: maybe(z.object({ max: tokens })),
  isl: maybe(tokens),
  osl: maybe(tokens),
  lengthNote: maybe(z.string()),
  profile: maybe(z.object({ data: maybe(z.object({ prefix_tokens: maybe(count) })) })),
});

const run = z.object({
  id: z.string().regex(/.\/./, 'expected <experiment>/<run>'),
  concurrency: maybe(atLeastOne),
  requests: maybe(atLeastOne),
  inputs: maybe(z.object({ input_tokens_mean: maybe(figure), output_tokens_mean: maybe(figure) })),
});

/** The columns that are inputs: when requests came, how long they were, what they shared. */
const requests = z.object({
  arrival_ms: z.array(z.number().min(0)),
  input_tokens: column,
  output_tokens: column,
  stage: maybe(column),
  strategy: maybe(column),
  prompt_id: maybe(column),
  cached_prefix_tokens: maybe(column),
});

const experiment = z.object({
  id: z.string().min(1),
  family: z.string(),
  source: maybe(z.object({ upstream: maybe(z.string()) })),
  hardware,
  model,
  engine: z.object({ name: z.string(), version: maybe(z.string()) }),
  engineConfig,
  workload,
  runs: z.array(run),
  requests: maybe(requests),
});

/** What ran. Everything that a prediction may know. */
export type Experiment = z.infer<typeof experiment>;
/** One condition of it: the whole run, a load stage, a concurrency. */
export type ExperimentRun = Experiment['runs'][number];
export type RecordedRequests = NonNullable<Experiment['requests']>;

/** The last part of a run's id: all, s0, c64, sync. */
export const scopeOf = (runId: string): string => runId.slice(runId.lastIndexOf('/') + 1);

/** Runs of NVIDIA's aiconfigurator team, with what that tool generates. */
export const isGapAnalysis = ({ source }: Experiment): boolean =>
  /gap-analysis/i.test(source?.upstream ?? '');

/** Runs of SemiAnalysis InferenceX, launched by the scripts of its repository. */
export const isInferenceX = ({ source }: Experiment): boolean => /InferenceX/i.test(source?.upstream ?? '');

export const isStage = (runId: string): boolean => /^s\d+$/.test(scopeOf(runId));

/** Metrics of a run in ms, and tokens per second; what was not published or not predicted is absent. */
export const METRICS = [
  'ttft_mean_ms',
  'ttft_p50_ms',
  'ttft_p90_ms',
  'ttft_p99_ms',
  'tpot_mean_ms',
  'e2e_mean_ms',
  'e2e_p50_ms',
  'e2e_p90_ms',
  'e2e_p99_ms',
  'throughput_out_tok_s',
] as const;
export type Metric = (typeof METRICS)[number];
export type Metrics = Partial<Record<Metric, number>>;

const outcome = z.object({
  quality: maybe(z.string()),
  runs: z.array(
    z.object({
      id: z.string(),
      reliable: maybe(z.boolean()),
      measured: maybe(z.record(z.string(), z.unknown())),
    }),
  ),
});

/** What came out of a run, for the score alone. */
export interface Measured {
  readonly runId: string;
  readonly metrics: Metrics;
  /** Stands in no mean: overloaded, uncertain, or marked as not reliable. */
  readonly leftOut: boolean;
}

/** Why an experiment cannot be predicted; the others still are. */
export class Refused extends Error {}

const issuesText = (error: z.ZodError): string =>
  error.issues.map(({ path, message }) => `${path.join('.') || 'the file'}: ${message}`).join('; ');

/** The inputs of an experiment; throws Refused with every key that is missing or wrong. */
export function readExperiment(json: unknown): Experiment {
  const read = experiment.safeParse(json);
  if (!read.success) throw new Refused(issuesText(read.error));
  return read.data;
}

/** What was measured, run by run; nothing where the file has none. */
export function readMeasured(json: unknown): Measured[] {
  const read = outcome.safeParse(json);
  if (!read.success) return [];
  const isOdd = /^(overload|uncertain)/.test(read.data.quality ?? '');
  return read.data.runs.map(({ id, reliable, measured }) => {
    const metrics = METRICS.flatMap(metric => {
      const value = measured?.[metric];
      return typeof value === 'number' && Number.isFinite(value) ? [[metric, value] as const] : [];
    });
    return { runId: id, metrics: Object.fromEntries(metrics), leftOut: isOdd || reliable === false };
  });
}
