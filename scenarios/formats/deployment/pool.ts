// A pool of a deployment file: replicas that serve one model, aggregated or split into prefill and decode; their engine,
// limits, step time, memory tiers, scaling and live addresses.
import { z } from 'zod';
import { bandwidth, bytes, drawn, duration, tokens, whole } from '../drawn.ts';
import { engineProfileSchema } from '../engine-profile.ts';
import { quantity } from '../quantity.ts';
import { autoscaler } from './autoscaler.ts';
import { coldStart } from './cold-start.ts';
import { baseUrl, endpointFields, KEEPS_IN_MESSAGES, keepsInMessages } from './endpoint.ts';
import { retention } from './retention.ts';

const limits = z
  .strictObject({
    max_model_len: tokens("context window: prompt plus output (default: the model's own)").optional(),
    max_num_batched_tokens: tokens(
      'token budget of one engine step (default by GPU memory, as vLLM)',
    ).optional(),
    max_num_seqs: whole(65_536, 'sequences in the running batch (default by GPU memory, as vLLM)').optional(),
    gpu_memory_utilization: quantity('ratio')
      .pipe(z.number().gt(0))
      .describe('share of GPU memory that the engine may use; a ratio (default 92%)')
      .optional(),
    block_size: whole(4096, 'tokens of one KV block (default 16)').optional(),
    kv_blocks: whole(1_000_000_000, 'KV blocks of one replica, instead of what fits into memory').optional(),
    enable_prefix_caching: z
      .boolean()
      .describe('reuse KV blocks of equal prefixes (default true)')
      .optional(),
    max_queued_requests: z
      .union([z.null(), z.int().min(0)])
      .describe('waiting requests beyond which new ones get a 503; null: no limit (default)')
      .optional(),
    max_queued_tokens: tokens(
      'prompt tokens that wait, beyond which new calls get a 503 (default: no limit)',
    ).optional(),
    async_scheduling: z
      .boolean()
      .describe('the next step is scheduled while one runs (default true)')
      .optional(),
    performance_mode: z
      .enum(['balanced', 'throughput'])
      .describe('throughput doubles the default token budget and batch (default balanced)')
      .optional(),
    scheduling_policy: z
      .enum(['fcfs', 'priority', 'edf', 'shortest_prompt', 'plas', 'atlas', 'kairos', 'program_fcfs'])
      .describe(
        'order of waiting requests: fcfs (default), by priority, deadline or prompt, or by the program they belong to',
      )
      .optional(),
    enable_chunked_prefill: z.boolean().describe('long prompts over several steps (default true)').optional(),
    long_prefill_token_threshold: z
      .int()
      .min(0)
      .describe('tokens of one prompt in one step while others wait; 0 (default): no limit')
      .optional(),
    cpu_offload_gb: z.number().min(0).describe('weights in CPU memory, GB (default 0)').optional(),
  })
  .describe("limits of the engine, under the names of vLLM's flags");

const step = z
  .discriminatedUnion('model', [
    z
      .strictObject({ model: z.literal('roofline') })
      .describe('step time from the catalogue: bytes, FLOPs and fitted factors'),
    z
      .strictObject({
        model: z.literal('affine'),
        base: duration('cost of a step'),
        per_token: duration('cost of each token computed').optional(),
        per_sequence: duration('cost of each sequence scheduled').optional(),
        per_context_token: duration('cost of each KV entry read').optional(),
        per_attention_pair: duration('cost of each (query, key) pair').optional(),
      })
      .describe('step time as a sum of given costs, e.g. measured on a live engine'),
    z
      .strictObject({
        model: z.literal('profile'),
        file: z
          .union([z.string().min(1), engineProfileSchema])
          .describe('engine profile, as `calibrate` writes it: the name of the file, or what it says'),
      })
      .describe('step time fitted on a live engine'),
    z.strictObject({ model: z.literal('kernels') }).describe('step time as a sum of measured kernels'),
  ])
  .describe('how long an engine step takes (default roofline)');

const endpoint = z
  .strictObject({
    url: baseUrl,
    model: z.string().min(1).describe('name of the model on that server'),
    ...endpointFields,
  })
  .refine(keepsInMessages, KEEPS_IN_MESSAGES)
  .describe('a live address of the pool, for replay and validate');

const tier = z
  .strictObject({
    tier: z.enum(['cpu', 'ssd', 'cmx', 'remote', 'object']).describe('kind of memory'),
    capacity: bytes('room for KV blocks, for each replica unless shared'),
    read: bandwidth('towards the GPU'),
    write: bandwidth('away from the GPU (default: as `read`)').optional(),
    latency: duration('before the first byte (default 0s)').optional(),
    shared: z.boolean().describe('one for all replicas of the pool (default false)').optional(),
  })
  .describe('memory that evicted KV blocks go to');

const speculative = z
  .strictObject({
    method: z.enum(['mtp', 'eagle', 'draft', 'ngram']).describe('who drafts'),
    tokens: whole(64, 'tokens drafted for each step'),
    accepted: z
      .number()
      .min(1)
      .describe(
        'mean tokens that a step yields, the one sampled anyway included: 1 to `tokens` + 1 (default: as measured for the model family)',
      )
      .optional(),
    model: z.string().min(1).describe('catalogue id of the draft model').optional(),
  })
  .describe('speculative decoding');

const lora = z
  .strictObject({
    adapters: z.array(z.string().min(1)).min(1).describe('names of the adapters'),
    slots: whole(1024, 'adapters on the GPU at once (default: all)').optional(),
    load: drawn('ms', 'time to load one that is not there').optional(),
  })
  .describe('LoRA adapters');

const teraflops = (type: string) =>
  z.number().positive().describe(`dense ${type} rate, 1e12 FLOP/s`).optional();

const gpuFigures = z
  .strictObject({
    memory: bytes('of one GPU').optional(),
    memory_bandwidth: bandwidth('of its memory').optional(),
    bf16_tflops: teraflops('BF16'),
    fp8_tflops: teraflops('FP8'),
    fp4_tflops: teraflops('FP4'),
    link_bandwidth: bandwidth('to the other GPUs of a replica, each way').optional(),
    link_latency: duration('between two of them').optional(),
    link_gpus: whole(100_000, 'GPUs that the link joins').optional(),
  })
  .describe('figures of the GPU where the catalogue has none, or others');

/** What both halves of a disaggregated pool may have to themselves. */
const machine = {
  gpu: z.string().min(1).describe('id of the GPU in the catalogue').optional(),
  gpu_figures: gpuFigures.optional(),
  replicas: z
    .int()
    .min(0)
    .max(10_000)
    .describe('number of replicas (default 1); with an autoscaler at the start, 0 where its `min` is 0')
    .optional(),
  tensor_parallel: whole(1024, 'GPUs that share each layer of a replica (default 1)').optional(),
  pipeline_parallel: whole(1024, 'stages of a replica (default 1)').optional(),
  data_parallel: whole(1024, 'ranks of a replica that share one front end (default 1)').optional(),
  expert_parallel: z
    .boolean()
    .describe('experts spread over all ranks of a replica (default false)')
    .optional(),
  precision: z
    .strictObject({
      weights: z.enum(['bf16', 'fp8', 'nvfp4']).describe('type of the weights (default bf16)').optional(),
      kv: z.enum(['bf16', 'fp8']).describe('type of the KV cache (default bf16)').optional(),
    })
    .describe('number types')
    .optional(),
  limits: limits.optional(),
  step: step.optional(),
  price: quantity('usdPerHour')
    .describe("USD per GPU-hour, such as 3.39/h (default: the catalogue's first price)")
    .optional(),
  speculative: speculative.optional(),
  autoscaler: autoscaler.optional(),
  cold_start: coldStart.optional(),
  spot: z
    .strictObject({
      rate: quantity('perSec').describe('how often each replica is taken back; a rate, such as 0.5/d'),
      notice: duration('from the notice to its end (default 30s)').optional(),
    })
    .describe('replicas that their owner takes back; another is asked for with the notice')
    .optional(),
  drain: z
    .enum(['calls', 'workflows'])
    .describe('what a replica finishes before it goes: its calls (default), or their workflows too')
    .optional(),
  drain_max: duration('after which it goes, whatever is left (default 10m)').optional(),
};
const half = z.strictObject(machine);

const nim = z
  .strictObject({
    backend: z
      .enum(['tensorrt-llm', 'vllm'])
      .describe('engine inside the container (default tensorrt-llm)')
      .optional(),
    profile: z
      .enum(['throughput', 'latency'])
      .describe(
        'throughput (default): the fewest GPUs that hold the model; latency: twice as many. `tensor_parallel` goes before both',
      )
      .optional(),
  })
  .describe('profile of the container, with `engine: nim`');

const link = z
  .strictObject({
    bandwidth: bandwidth('of one replica, each way'),
    latency: duration('before the first byte (default 0s)').optional(),
    overlap: z.boolean().describe('layers travel while later ones are computed (default false)').optional(),
    first_token: z
      .enum(['decode', 'prefill'])
      .describe('which half sends the first token: decode (default, vLLM) or prefill (TensorRT-LLM)')
      .optional(),
    local_below: tokens(
      'prompts whose uncached part is shorter are not sent to prefill (default: none)',
    ).optional(),
  })
  .describe('the way of KV blocks from prefill to decode');

export const pool = z
  .strictObject({
    model: z.string().min(1).describe('id of the model in the catalogue'),
    ...machine,
    engine: z
      .enum(['vllm', 'sglang', 'tensorrt-llm', 'nim'])
      .describe('whose scheduler is modelled (default vllm)')
      .optional(),
    nim: nim.optional(),
    prefill: half
      .describe('disaggregated: replicas that compute prompts; what is left out is as in the pool')
      .optional(),
    decode: half
      .describe('disaggregated: replicas that generate; what is left out is as in the pool')
      .optional(),
    link: link.optional(),
    kv_tiers: z.array(tier).min(1).describe('where evicted KV blocks go, nearest first').optional(),
    retention: retention.optional(),
    lora: lora.optional(),
    place: z.string().describe('where it stands: a name under `places`').optional(),
    api_latency: quantity('ms')
      .describe('from the client to the engine: network, HTTP, tokenizing; such as 2ms (default 0)')
      .optional(),
    endpoints: z.array(endpoint).max(10_000).describe('live addresses of the pool').optional(),
  })
  .describe('replicas that serve one model');

export type PoolFile = z.output<typeof pool>;
export type MachineFile = z.output<typeof half>;
export type StepFile = NonNullable<PoolFile['step']>;
export type GpuFiguresFile = NonNullable<PoolFile['gpu_figures']>;
export type SpeculativeFile = NonNullable<PoolFile['speculative']>;
export type LimitsFile = NonNullable<PoolFile['limits']>;
export type WeightType = 'bf16' | 'fp8' | 'nvfp4';
export type KvType = 'bf16' | 'fp8';

export const HALVES = ['prefill', 'decode'] as const;
export type Half = (typeof HALVES)[number];

/** One half of a disaggregated pool, with what it takes over from the pool. */
export function halfOf(pool: PoolFile, half: Half): PoolFile {
  const { prefill, decode, link: _, ...shared } = pool;
  const own = { prefill, decode }[half] ?? {};
  return { ...shared, ...own, limits: { ...shared.limits, ...own.limits } };
}
