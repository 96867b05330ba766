// A deployment file: pools of replicas that serve models, and how requests are routed to them. The schema is the
// one declaration of it; parts of the language that are not built yet are refused by name, not ignored.
import { z } from 'zod';
import { type InputPath, type Issue, issue } from '../base/issue.ts';
import { quantity } from './quantity.ts';
import { checkSchema, type Source } from './source.ts';

const name = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, 'a name has letters, digits, ".", "_" and "-" only');
const poolName = z
  .string()
  .regex(
    /^[A-Za-z][A-Za-z0-9_-]*$/,
    'a pool name starts with a letter and has letters, digits, "_" and "-" only',
  );

const duration = (what: string) =>
  quantity('ms').meta({ description: `${what}; a duration, such as 12ms or 60us` });
const tokens = (what: string) =>
  quantity('tokens')
    .pipe(z.int().min(1))
    .meta({ description: `${what}; tokens, such as 8192 or 32k (= 32000)` });
const whole = (maximum: number, what: string) => z.int().min(1).max(maximum).meta({ description: what });

const limits = z
  .strictObject({
    max_model_len: tokens("context window: prompt plus output (default: the model's own)").optional(),
    max_num_batched_tokens: tokens(
      'token budget of one engine step (default by GPU memory, as vLLM)',
    ).optional(),
    max_num_seqs: whole(65_536, 'sequences in the running batch (default by GPU memory, as vLLM)').optional(),
    gpu_memory_utilization: quantity('ratio')
      .pipe(z.number().gt(0))
      .meta({ description: 'share of GPU memory that the engine may use; a ratio (default 92%)' })
      .optional(),
    block_size: whole(4096, 'tokens of one KV block (default 16)').optional(),
    kv_blocks: whole(1_000_000_000, 'KV blocks of one replica, instead of what fits into memory').optional(),
    enable_prefix_caching: z
      .boolean()
      .meta({ description: 'reuse KV blocks of equal prefixes (default true)' })
      .optional(),
    max_queued_requests: z
      .union([z.null(), z.int().min(0)])
      .meta({ description: 'waiting requests beyond which new ones get a 503; null: no limit (default)' })
      .optional(),
  })
  .meta({ description: "limits of the engine, under the names of vLLM's flags" });

const rooflineStep = z
  .strictObject({ model: z.literal('roofline') })
  .meta({ description: 'step time from the catalogue: bytes, FLOPs and fitted factors' });

const affineStep = z
  .strictObject({
    model: z.literal('affine'),
    base: duration('cost of a step'),
    per_token: duration('cost of each token computed').optional(),
    per_sequence: duration('cost of each sequence scheduled').optional(),
    per_context_token: duration('cost of each KV entry read').optional(),
    per_attention_pair: duration('cost of each (query, key) pair').optional(),
  })
  .meta({ description: 'step time as a sum of given costs, e.g. measured on a live engine' });

const endpoint = z
  .strictObject({
    url: z
      .url({ protocol: /^https?$/, error: 'expected a base URL, such as http://127.0.0.1:8000/v1' })
      .meta({
        description: 'base URL up to and including /v1',
      }),
    model: z.string().min(1).meta({ description: 'name of the model on that server' }),
    key_env: z
      .string()
      .refine(
        text => /^[A-Za-z_][A-Za-z0-9_]*$/.test(text),
        'expected the name of an environment variable, never the key itself',
      )
      .meta({ description: 'name of the environment variable that holds the key, never the key' })
      .optional(),
    api: z
      .enum(['chat', 'completions', 'tokens'])
      .meta({
        description: 'chat completions, completions with text, or completions with token ids (default chat)',
      })
      .optional(),
  })
  .meta({ description: 'a live address of the pool, for replay and validate' });

const pool = z
  .strictObject({
    model: z.string().min(1).meta({ description: 'id of the model in the catalogue' }),
    gpu: z.string().min(1).meta({ description: 'id of the GPU in the catalogue' }).optional(),
    replicas: whole(10_000, 'number of replicas (default 1)').optional(),
    tensor_parallel: whole(1024, 'GPUs of one replica (default 1)').optional(),
    precision: z
      .strictObject({
        weights: z
          .enum(['bf16', 'fp8', 'nvfp4'])
          .meta({ description: 'type of the weights (default bf16)' })
          .optional(),
        kv: z.enum(['bf16', 'fp8']).meta({ description: 'type of the KV cache (default bf16)' }).optional(),
      })
      .optional(),
    engine: z.literal('vllm').meta({ description: 'whose scheduler is modelled (default vllm)' }).optional(),
    limits: limits.optional(),
    step: z
      .discriminatedUnion('model', [rooflineStep, affineStep])
      .meta({ description: 'how long an engine step takes (default roofline)' })
      .optional(),
    price: quantity('usdPerHour')
      .meta({ description: "USD per GPU-hour, such as 3.39/h (default: the catalogue's first price)" })
      .optional(),
    api_latency: quantity('ms')
      .meta({
        description: 'from the client to the engine: network, HTTP, tokenizing; such as 2ms (default 0)',
      })
      .optional(),
    endpoints: z.array(endpoint).max(10_000).meta({ description: 'live addresses of the pool' }).optional(),
  })
  .meta({ description: 'replicas that serve one model' });

const routing = z
  .union([z.string().min(1), z.looseObject({ policy: z.string().min(1) })])
  .meta({ description: 'name of a routing policy, or { policy: name, … its options }' });

/** The whole file; its JSON Schema comes from here. */
export const deploymentSchema = z
  .strictObject({
    windtunnel: z.literal(1).meta({ description: 'version of the file format' }),
    deployment: name.meta({ description: 'name of the deployment' }),
    pools: z
      .record(poolName, pool)
      .refine(pools => Object.keys(pools).length > 0, 'expected at least one pool')
      .meta({ description: 'pools by name' }),
    routing: routing.optional(),
  })
  .meta({ description: 'what serves the models of a scenario' });

export type DeploymentFile = z.output<typeof deploymentSchema>;
export type PoolFile = DeploymentFile['pools'][string];
export type StepFile = NonNullable<PoolFile['step']>;
export type LimitsFile = NonNullable<PoolFile['limits']>;
export type WeightType = 'bf16' | 'fp8' | 'nvfp4';
export type KvType = 'bf16' | 'fp8';

// ---- parts of the language that come later --------------------------------------------------------------------

/** WT1008: `key` is understood, but nothing behind it exists yet. */
export function notBuilt(path: InputPath, key: string, what: string): Issue {
  return issue(path, 'WT1008', `\`${key}\` is part of the language but not built yet`, what, { atKey: true });
}

type Later = Readonly<Record<string, string>>;

const LATER_ROOT: Later = {
  providers: 'hosted APIs with prices and rate limits; for now give a pool with an affine step',
  tools: 'tool runtimes; for now a tool step draws its duration in the scenario',
  links: 'network links between places; for now every link is instant',
  places: 'regions and the links between them; for now every link is instant',
  gateway: 'admission, rate limits, retries and budgets; for now `routing` is what there is',
  autoscaler: 'replicas that come and go; for now `replicas` is fixed',
  faults: 'outages, crashes and slow replicas',
  prices: 'a price table; for now `price` stands in each pool',
};

const LATER_POOL: Later = {
  autoscaler: 'replicas that come and go; for now `replicas` is fixed',
  cold_start: 'the start of a replica; for now all replicas are ready at time 0',
  prefill: 'disaggregated prefill and decode; for now a pool does both',
  decode: 'disaggregated prefill and decode; for now a pool does both',
  link: 'the KV link between prefill and decode',
  kv_tiers: 'KV offload to CPU memory or disk; for now evicted blocks are computed again',
  pipeline_parallel: 'for now a replica spans `tensor_parallel` GPUs',
  expert_parallel: 'for now experts are split by `tensor_parallel`',
  data_parallel: 'for now give `replicas`',
  speculative: 'speculative decoding',
  lora: 'LoRA adapters',
};

const LATER_LIMITS: Later = {
  scheduling_policy: 'for now the order is first come, first served',
  enable_chunked_prefill: 'for now chunked prefill is on, as is the default of vLLM',
  long_prefill_token_threshold: 'for now 0, the default of vLLM',
  cpu_offload_gb: 'weights in CPU memory',
};

const LATER_ENGINES = ['sglang', 'tensorrt-llm', 'nim'];
const LATER_STEPS = ['profile', 'kernels'];

type Mapping = Record<string, unknown>;

const mapping = (value: unknown): Mapping | null =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Mapping) : null;

/** A copy of `value` without the keys that come later, each of which becomes an issue. */
function withoutLater(value: Mapping, path: InputPath, later: Later, issues: Issue[]): Mapping {
  const kept: [string, unknown][] = [];
  for (const [key, inner] of Object.entries(value)) {
    const what = Object.hasOwn(later, key) ? later[key] : undefined;
    if (what === undefined) kept.push([key, inner]);
    else issues.push(notBuilt([...path, key], key, what));
  }
  return Object.fromEntries(kept);
}

function poolWithoutLater(value: Mapping, path: InputPath, issues: Issue[]): Mapping {
  const kept = withoutLater(value, path, LATER_POOL, issues);
  const limitsGiven = mapping(kept.limits);
  if (limitsGiven !== null)
    kept.limits = withoutLater(limitsGiven, [...path, 'limits'], LATER_LIMITS, issues);
  if (typeof kept.engine === 'string' && LATER_ENGINES.includes(kept.engine)) {
    issues.push({
      ...notBuilt([...path, 'engine'], `engine: ${kept.engine}`, 'for now vllm is modelled'),
      atKey: false,
    });
    delete kept.engine;
  }
  const step = mapping(kept.step);
  if (typeof step?.model === 'string' && LATER_STEPS.includes(step.model)) {
    const what = 'for now roofline or affine';
    issues.push({ ...notBuilt([...path, 'step', 'model'], `step: ${step.model}`, what), atKey: false });
    delete kept.step;
  }
  return kept;
}

/** A pool without a GPU must say everything that would follow from one. */
function gpuIssues(pools: DeploymentFile['pools']): Issue[] {
  return Object.entries(pools).flatMap(([poolId, each]) => {
    const told = each.limits?.kv_blocks !== undefined && each.limits.max_model_len !== undefined;
    if (each.gpu !== undefined || (each.step?.model === 'affine' && told)) return [];
    const hint =
      'without a GPU, give `step: { model: affine, … }`, `limits.kv_blocks` and `limits.max_model_len`';
    return [issue(['pools', poolId, 'gpu'], 'WT1004', 'missing key "gpu"', hint)];
  });
}

/** Keys that would hold a secret; the file names the variable instead. */
const SECRET_KEYS = new Set(['key', 'api_key', 'apikey', 'token', 'password', 'authorization']);

function withSecretHint(found: Issue): Issue {
  const key = String(found.path.at(-1)).toLowerCase();
  if (found.code !== 'WT1003' || !found.path.includes('endpoints') || !SECRET_KEYS.has(key)) return found;
  return { ...found, hint: 'keys never stand in a file: name the environment variable in `key_env`' };
}

/** Checks a deployment file. `file` is null when it has errors. */
export function parseDeployment(source: Source): { file: DeploymentFile | null; issues: Issue[] } {
  const issues: Issue[] = [...source.issues];
  if (issues.length > 0) return { file: null, issues };
  const root = mapping(source.value);
  if (root === null) {
    return {
      file: null,
      issues: [issue([], 'WT1005', 'expected a deployment: a mapping with `deployment` and `pools`')],
    };
  }
  const kept = withoutLater(root, [], LATER_ROOT, issues);
  const pools = mapping(kept.pools);
  if (pools !== null) {
    const cleaned = Object.entries(pools).map(([poolId, value]): [string, unknown] => {
      const each = mapping(value);
      return [poolId, each === null ? value : poolWithoutLater(each, ['pools', poolId], issues)];
    });
    kept.pools = Object.fromEntries(cleaned);
  }
  const checked = checkSchema(deploymentSchema, kept, []);
  issues.push(...checked.issues.map(withSecretHint));
  if (checked.value !== null) issues.push(...gpuIssues(checked.value.pools));
  return { file: issues.length === 0 ? checked.value : null, issues };
}
