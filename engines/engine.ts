// What a pool of replicas is, once a deployment file has been resolved against the catalogue: limits, step cost, wire.
import type { ServerHint } from '../scenarios/formats/deployment/endpoint.ts';
import type { TokenPrice } from '../scenarios/formats/ledger.ts';
import type {
  GatewaySpec,
  HostedSpec,
  PlacesSpec,
  StoreSpec,
  ToolRuntimeSpec,
} from '../scenarios/formats/rules.ts';
import type { ServerKind, WireApi, WireField } from '../scenarios/formats/wire.ts';

/**
 * What one engine step has to do. A sequence with one new token is a decode (a prompt with one token left to compute
 * too: kernels cannot tell them apart); with more, a prefill. All integers.
 */
export interface StepLoad {
  /** Sequences with one new token. */
  decodes: number;
  /** KV entries the decodes read: for each, its context before the step and the new token. */
  decodeContextTokens: number;
  /** Sequences with more than one new token. */
  prefills: number;
  /** New tokens of the prefills. */
  prefillTokens: number;
  /** KV entries behind and in the chunks: context before the step plus new tokens, summed over the prefills. */
  prefillContextTokens: number;
  /** (query, key) pairs of the prefills: n * before + n * (n + 1) / 2, summed. */
  prefillPairs: number;
  /** Sequences whose logits are needed: those that give a token at the end of the step. */
  samples: number;
}

/** Units (ns/1024) of a step of decodes alone: `intercept + slope * contextTokens`, whole numbers. */
export interface DecodeLine {
  interceptUnits: number;
  slopeUnits: number;
  /** The line holds up to and including this many context tokens; Infinity for ever. */
  untilContextTokens: number;
}

/** How far a step model was tried. */
export interface StepRange {
  /** Sequences with one new token in a step. */
  decodes: number;
  /** Tokens of one sequence. */
  contextTokens: number;
  /** Tokens of prompts in a step. */
  prefillTokens: number;
}

/** How far a step model can be trusted, where that is known. */
export interface StepEvidence {
  /** Mean relative error to expect of each, 0-1; null: not known. */
  error: { ttft: number | null; tpot: number | null; e2e: number | null };
  /** The measured experiments it stands on, or the nearest to it; null where there is none. */
  nearest: string | null;
  range: StepRange;
  /** What of a load lies beyond the range, in words; null when all of it lies within. */
  outOfRange(load: StepLoad): string | null;
}

/** From the client's send to the engine's queue, and of a token back to the client: network, HTTP, tokenizing. */
export interface FrontEnd {
  ms: number;
  /** For each prompt token. */
  msPerToken: number;
  /** Of `ms`, what it does for one request after the other: those that come at once wait for each other. */
  serialMs: number;
}

export const NO_FRONT_END: FrontEnd = { ms: 0, msPerToken: 0, serialMs: 0 };

/** Length of a step: a pure function of whole numbers, in fixed point (ns/1024), floored to ns once a step. */
export interface StepModel {
  readonly name: string;
  /** What it was fitted on and what error to expect, one sentence. */
  readonly evidence: string;
  /** The same in figures. */
  readonly trust?: StepEvidence;
  /** Where it was measured with the server's front end: what a pool has that says nothing of its own. */
  readonly frontEnd?: FrontEnd;
  /** Whole nanoseconds, at least 1. */
  stepNs(load: StepLoad): number;
  /**
   * The same for steps of `decodes` decodes and nothing else, as a line in their context: the fast engine sums it.
   * Rule: stepNs of such a load = max(1, floor((intercept + slope * context) / 1024)).
   */
  decodeLine(decodes: number, contextTokens: number): DecodeLine;
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
  /** Prompt tokens waiting beyond which new requests get a 503; null: no limit (vLLM's default). */
  maxQueuedTokens: number | null;
  /** The next step is scheduled while one runs (vLLM --async-scheduling, its default). */
  asyncScheduling: boolean;
  /** Who waits in front and who is preempted first: by arrival, or by priority (lower number first). */
  schedulingPolicy: 'fcfs' | 'priority';
  /** Long prompts over several steps; without it a prompt waits for a step that has room for all of it. */
  chunkedPrefill: boolean;
  /** Tokens that one prompt takes in a step while other requests are there; 0: no limit. */
  longPrefillTokens: number;
}

/** Whose scheduler and cache a pool has. NIM is one of them, by its profile. */
export type EngineKind = 'vllm' | 'sglang' | 'tensorrt-llm';

/** Speculative decoding: a step verifies drafted tokens. */
export interface Speculative {
  /** Tokens drafted for each step; they count in the budget and take KV slots. */
  draftTokens: number;
  /** Mean tokens that a step yields, the one sampled anyway included: 1 to draftTokens + 1. */
  acceptedTokens: number;
}

/** Memory behind the GPU's, nearest first. Bandwidths are shared by whatever is under way. */
export interface KvTier {
  tier: 'cpu' | 'ssd' | 'cmx' | 'remote' | 'object';
  capacityBytes: number;
  readBytesPerSec: number;
  writeBytesPerSec: number;
  latencyMs: number;
  /** One for all replicas of the pool, not one each. */
  shared: boolean;
}

/** Replicas that only compute prompts, and the way of their KV blocks to the replicas that generate. */
export interface Disaggregation {
  prefill: Pick<
    PoolSpec,
    | 'replicas'
    | 'limits'
    | 'step'
    | 'gpuId'
    | 'tensorParallel'
    | 'usdPerGpuHour'
    | 'scaling'
    | 'coldStart'
    | 'spot'
  >;
  /** Of one replica, each way. */
  linkBytesPerSec: number;
  linkLatencyMs: number;
  /** Layers travel while later ones are computed; 1 / layers of the time cannot be hidden. */
  overlapLayers: number | null;
  firstToken: 'decode' | 'prefill';
  /** Prompts whose uncached part is shorter are computed by the decode replica itself; 0: none. */
  localBelowTokens: number;
}

/** A policy and its options, as a file names them. */
export interface PolicyChoice {
  policy: string;
  options: Record<string, unknown>;
}

/** Replicas that come and go. */
export interface ScalingSpec extends PolicyChoice {
  /** Fewest and most replicas; at the start there are as many as the pool says, within them. */
  min: number;
  max: number;
  /** How old the metrics are that it sees. */
  signalAgeMs: number;
  /** What a replica finishes before it goes: its calls, or its workflows too (their later calls still come to it). */
  drain: 'calls' | 'workflows';
  /** A drain ends after so long, whatever is left; Infinity: when it is done. */
  drainMaxMs: number;
}

/** From the wish for a replica to its first answer. */
export interface ColdStart {
  /** Drawn anew for each replica; `draw` is a uniform number strictly between 0 and 1. */
  draw(uniform: number): number;
  /** Sum of the medians of its parts: what a planner reckons with. */
  medianMs: number;
  /** In words, for the evidence of a run. */
  text: string;
}

/** Replicas that their owner takes back. */
export interface Spot {
  /** How often each one is taken, per second that it is ready. */
  perSec: number;
  /** From the notice to the end, ms: it takes no new requests meanwhile. */
  noticeMs: number;
}

/** How old what a router sees of its replicas is. */
export interface SignalAges {
  /** Between two scrapes of the engines' metrics, ms. */
  scrapeMs: number;
  /** From a scrape until the router has it, ms. */
  delayMs: number;
  /** From a change of a KV cache until the router knows; null: there are no such events. */
  kvEventsMs: number | null;
}

/** How a live address is reached. */
export interface Reach {
  /** Certificates in PEM files; null: as the system trusts. */
  tls: {
    caFile: string | null;
    certFile: string | null;
    keyFile: string | null;
    /** Any certificate is taken. */
    insecure: boolean;
  } | null;
  /** Address of an HTTP proxy that connects; `env`: as the usual variables say; null: none. */
  proxy: string | null;
  /** Over TLS, where the server offers it. */
  http2: boolean;
}

/** A live address of a pool or a provider. Plain data: threads are given it. */
export interface Endpoint extends Reach {
  /** Base URL up to and including /v1. */
  url: string;
  /** The model's name on the server. */
  model: string;
  /** Name of the environment variable that holds the key; null for none. */
  keyEnv: string | null;
  /** Further headers, by the names of the environment variables that hold their values. */
  headersEnv: Readonly<Record<string, string>>;
  /** The dialect (engines/wire). */
  api: WireApi;
  /** Whose server it is; `isGuess`: the file does not say, and what it says of itself goes before. */
  server: { kind: ServerKind; isGuess: boolean };
  /** Fields beyond the published API that it takes, as the file says; null: those of its kind. */
  takes: readonly WireField[] | null;
  /** What the server is told beside the prompt. */
  hints: readonly ServerHint[];
}

export interface PoolSpec {
  name: string;
  /** Catalogue id. */
  modelId: string;
  gpuId: string | null;
  replicas: number;
  tensorParallel: number;
  engine: EngineKind;
  limits: EngineLimits;
  step: StepModel;
  /** Stages that each hold part of the layers, with as many steps in flight; 1: none. */
  pipelineStages: number;
  /** Engines behind one front end, each with its own batch and KV cache; 1: none. */
  dataParallelRanks: number;
  /** Ranks step together, as long as the slowest of them (experts spread over the ranks). */
  ranksInLockStep: boolean;
  speculative: Speculative | null;
  kvTiers: KvTier[];
  /** Replicas of this spec then decode only; null: each does both. */
  disaggregation: Disaggregation | null;
  /** KV bytes of one token on all GPUs of a replica, for transfers; null where the model is not known. */
  kvBytesPerToken: number | null;
  /** How urgent a call is to the engine (gateway/scheduling); other than by arrival only with `limits.schedulingPolicy` priority. */
  scheduling: PolicyChoice;
  /** Which KV blocks go first (sim/retention); null: the least recently used, or as the engine does. */
  retention: PolicyChoice | null;
  /** Null: `replicas` is fixed. */
  scaling: ScalingSpec | null;
  /** Null: a new replica is ready at once. */
  coldStart: ColdStart | null;
  /** Null: replicas stay until they are told to go. */
  spot: Spot | null;
  frontEnd: FrontEnd;
  /** Where it stands; null: with the gateway. */
  place: string | null;
  endpoints: Endpoint[];
  /** USD per GPU-hour as the catalogue or the file says; null when unknown. */
  usdPerGpuHour: number | null;
  /** Warnings and provenance lines of this pool, for the run header. */
  evidence: string[];
}

export type { TokenPrice };

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
  /** How it answers; null: nothing is known of that, and no run can call it. */
  api: HostedSpec | null;
  /** Its live address; null: none. */
  endpoint: Endpoint | null;
}

export interface DeploymentSpec {
  name: string;
  sha256: string;
  pools: PoolSpec[];
  /** Hosted APIs, a row per model. */
  hosted: HostedModel[];
  /** What decides about each call; null: it goes where it asks to, once. */
  gateway: GatewaySpec | null;
  /** Where the gateway stands, though it may have no rules; null: with the agents. */
  gatewayPlace: string | null;
  /** Where tools run; empty: each takes the time it draws. */
  toolRuntimes: ToolRuntimeSpec[];
  /** What agents keep their state in. */
  stores: StoreSpec[];
  /** Null: everything is in one place. */
  places: PlacesSpec | null;
  /** Which replica takes a call (gateway/routing). */
  routing: PolicyChoice;
  /** What the router sees, and how late. */
  signals: SignalAges;
  /** Who is let in (gateway/admission). */
  admission: PolicyChoice;
  /** Hosts that live runs may go to beside this machine. */
  allowHosts: readonly string[];
}
