// What a pool of replicas is, once a deployment file has been resolved against the catalogue: limits, step cost, wire.

/** What one engine step has to do, summed over the scheduled sequences. All integers. */
export interface StepLoad {
  /** Tokens computed in this step: prefill chunks and one per decoding sequence. */
  newTokens: number;
  /** Sequences scheduled. */
  sequences: number;
  /** Sum over sequences of the KV entries read: context before the step plus the new tokens. */
  contextTokens: number;
  /** Sum over sequences of (query, key) pairs: n * before + n * (n + 1) / 2. */
  attentionPairs: number;
}

/** Length of a step. `stepNs` is a pure integer function, quantised once (coefficients in ns/1024). */
export interface StepModel {
  readonly name: string;
  /** What it was fitted on and what error to expect, one sentence. */
  readonly evidence: string;
  /** Whole nanoseconds, at least 1. */
  stepNs(load: StepLoad): number;
}

export interface EngineLimits {
  /** Tokens per KV block. */
  blockTokens: number;
  /** KV blocks of one replica, the reserved null block not counted. */
  kvBlocks: number;
  /** Token budget of a step (vLLM max_num_batched_tokens). */
  maxBatchedTokens: number;
  /** Sequences in the running batch (vLLM max_num_seqs). */
  maxSequences: number;
  /** Context window: prompt plus output (vLLM max_model_len). */
  maxModelTokens: number;
  prefixCaching: boolean;
  /** Requests waiting beyond which new ones get a 503; null: no limit (vLLM's default). */
  maxQueuedRequests: number | null;
}

/** A live address of a pool. */
export interface Endpoint {
  /** Base URL up to and including /v1. */
  url: string;
  /** The model's name on the server. */
  model: string;
  /** Name of the environment variable that holds the key; null for none. */
  keyEnv: string | null;
  /** `chat`: /v1/chat/completions with text; `completions`: /v1/completions with text; `tokens`: token-id prompts. */
  api: 'chat' | 'completions' | 'tokens';
}

export interface PoolSpec {
  name: string;
  /** Catalogue id. */
  modelId: string;
  gpuId: string | null;
  replicas: number;
  tensorParallel: number;
  limits: EngineLimits;
  step: StepModel;
  /** From the client's send to the engine's queue: network, HTTP, tokenizing. */
  apiLatencyMs: number;
  endpoints: Endpoint[];
  /** USD per GPU-hour as the catalogue or the file says; null when unknown. */
  usdPerGpuHour: number | null;
  /** Warnings and provenance lines of this pool, for the run header. */
  evidence: string[];
}

/** USD per million tokens. */
export interface TokenPrice {
  in: number;
  cachedIn: number;
  cacheWrite: number;
  out: number;
}

/** A model that a provider sells. */
export interface HostedModel {
  /** What scenarios and policies call it. */
  name: string;
  provider: string;
  /** Catalogue id of the model or of its price. */
  modelId: string;
  /** As the file says, else the catalogue's list price; null when unknown. */
  price: TokenPrice | null;
  /** Context window; null when unknown. */
  maxModelTokens: number | null;
}

export interface DeploymentSpec {
  name: string;
  sha256: string;
  pools: PoolSpec[];
  /** Hosted APIs, a row per model; no run calls them yet. */
  hosted: HostedModel[];
  /** Name of the routing policy and its options. */
  routing: { policy: string; options: Record<string, unknown> };
}
