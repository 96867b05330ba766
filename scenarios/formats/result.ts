// result.json: the summary of one run, all that the report page, comparisons and gates read. Bounded in size whatever
// the length of the run. schemaVersion rises when a field changes its meaning; new fields may be added.
import type { AnomalyScore } from './anomaly-score.ts';
import type { AssertedMetric, Place } from './assertion.ts';
import type { ApiOffer, CostComponent } from './ledger.ts';
import type { Measured } from './measured.ts';
import type {
  AttemptKind,
  CallOutcome,
  CriticalPath,
  MissReason,
  NodeKind,
  NodeStatus,
  Waste,
  WorkflowStatus,
} from './record.ts';
import type { Reason } from './rules.ts';
import type { RunHeader } from './run.ts';
import type { StoredInputs } from './stored-inputs.ts';

export const RESULT_SCHEMA_VERSION = 1;

export interface MetricSummary {
  unit: 'ms' | 'ratio' | 'perSec' | 'tokensPerSec' | 'count';
  better: 'lower' | 'higher';
  n: number;
  mean: number;
  min: number;
  max: number;
  p50: number;
  p90: number;
  p95: number;
  /** null under 100 samples: too few for this tail. Pages and terminals show it from 1,000 on. */
  p99: number | null;
  /** null under 10,000 samples; absent: of an older version. */
  p999?: number | null;
}

export type MetricName = 'ttft' | 'itl' | 'tpot' | 'e2e' | 'queue' | 'makespan' | 'lag';

export interface AssertionResult {
  /** Where it is written; absent: in no file. */
  at?: Place;
  text: string;
  value: number | null;
  target: number;
  unit: 'ms' | 'ratio' | 'count';
  /** null: nothing to judge (no such call ran). */
  pass: boolean | null;
  /** Upper limits that it sets on latencies of the whole run, ms; absent: none, or of a part of the run only. */
  bounds?: LatencyBound[];
}

/** `p95` of `ttft` may be 500 ms at most; `each`: of every call, or of as many as an SLO says. */
export interface LatencyBound {
  metric: AssertedMetric;
  of: string;
  limitMs: number;
}

/** Calls grouped by step, role or workflow. */
export interface GroupRow {
  group: string;
  calls: number;
  promptTokens: number;
  cachedTokens: number;
  computedTokens: number;
  outputTokens: number;
  ttftMsMean: number | null;
  e2eMsMean: number | null;
}

/** The calls of one pass of a workflow's loops, or with `pass` null those outside of its loops. */
export interface PassRow extends GroupRow {
  workflow: string;
  /** Name of the repeat; null outside of one. */
  loop: string | null;
  /** From 0. */
  pass: number | null;
  /** Sessions of the workflow, to divide by. */
  workflows: number;
}

/** One workflow drawn in the waterfall. */
export interface Exemplar {
  /** `asked`: by its name, for a page; never in result.json. */
  label: 'p50' | 'p95' | 'max' | 'sample' | 'asked';
  session: string;
  workflow: string;
  /** Absent: completed. */
  status?: WorkflowStatus;
  makespanMs: number;
  criticalPath: CriticalPath;
  /** Bars in order of start, at most 400; times relative to the workflow's planned start. */
  bars: ExemplarBar[];
  barsLeftOut: number;
}

export type BarPhase =
  | 'queue'
  | 'prefill'
  | 'decode'
  | 'run'
  | 'retry'
  | 'limit'
  | 'cold'
  | 'transfer'
  | 'human';

export interface ExemplarBar {
  call: string;
  step: string;
  kind: NodeKind;
  status: NodeStatus;
  startMs: number;
  /** Phases inside: queue until scheduled, prefill until first token, decode until end (llm); else one `run`. */
  phases: { phase: BarPhase; startMs: number; endMs: number }[];
  endMs: number;
  onCriticalPath: boolean;
  /** Who did it: the agent, branch or sub-agent; absent: the workflow itself. */
  lane?: string;
  /** How much sooner the workflow would end if nothing of this bar were: up to the next path; absent: not known. */
  savesMs?: number;
  promptTokens: number | null;
  cachedTokens: number | null;
  outputTokens: number | null;
}

export interface TimelinePoint {
  atMs: number;
  pool: string;
  runningRequests: number;
  waitingRequests: number;
  kvUsedRatio: number;
  inFlightWorkflows: number;
}

/** What came, was done and went wrong in one slice of the run; per second. */
export interface RatePoint {
  atMs: number;
  /** Sessions that started, calls that were wanted and calls that ended well. */
  sessionsPerSec: number;
  callsWantedPerSec: number;
  callsDonePerSec: number;
  /** Prompt tokens that were computed, and output tokens. */
  prefillTokensPerSec: number;
  decodeTokensPerSec: number;
  /** Of the prompt tokens read in it; null: none were, or the server does not say. */
  cacheHitRatio: number | null;
  preemptionsPerSec: number;
  errorsPerSec: number;
  retriesPerSec: number;
}

/** A span in which a pool had more than it could do. */
export interface SaturationSpan {
  pool: string;
  startMs: number;
  endMs: number;
  /** `kv`: the cache was full; `queue`: requests waited while the batch was full or compute was. */
  cause: 'kv' | 'queue';
}

/** Where the completed workflows' time went, and what stands out; the sentence of terminal and page. */
export interface Bottleneck {
  /** Of the critical path, the largest first; shares sum to 1. */
  causes: { cause: keyof CriticalPath; ms: number; share: number }[];
  /** The same by step, the 40 largest. */
  bySteps: { step: string; cause: keyof CriticalPath; ms: number }[];
  /** At most 50. */
  saturation: SaturationSpan[];
  /** Of the run's time, in which any pool was saturated. */
  saturatedRatio: number;
  preemptions: number;
  /** Calls that took longest against the median of their step, at most 10, and the time their workflows lost by them. */
  stragglers: {
    session: string;
    call: string;
    step: string;
    e2eMs: number;
    stepMedianMs: number;
    lostMs: number;
  }[];
}

/** Something to try next, with the command that tries it. */
export interface Suggestion {
  text: string;
  /** As it can be typed; null: nothing that a command does. */
  command: string | null;
}

/** What paid GPU time went into; GPU-seconds, which sum to those that were paid for. */
export interface GpuTime {
  prefill: number;
  decode: number;
  idle: number;
  /** From the wish for a replica until it was ready. */
  cold: number;
}

/** The replicas of a pool, or of one half of a disaggregated one, over a simulated run. Draining ones count as ready. */
export interface ReplicaRow {
  pool: string;
  /** The pool's, or `pool/prefill`. */
  name: string;
  readyMin: number;
  readyMax: number;
  /** Over the time of the run. */
  readyMean: number;
  /** Replicas that were asked for while the run went on, and became ready. */
  coldStarts: number;
  /** Of these, from the wish to ready; null without any. */
  coldStartMsMean: number | null;
  /** Crashed, or taken back by their owner. */
  lost: number;
  /** From the wish for each to its end. */
  gpuHours: number;
  /** null: no price is known. */
  usd: number | null;
  /** At most 1,000, where the number of replicas changes; else none. */
  points: ReplicaPoint[];
}

export interface ReplicaPoint {
  atMs: number;
  ready: number;
  starting: number;
  /** Of the pool: sent and not ended, those included that wait at the gate or for a replica. */
  inFlightCalls: number;
}

/** A share of the cost, USD. */
export interface CostRow {
  /** `(idle GPUs)`, `(classifier)`, `(none)` and `(others)` are no names of a scenario. */
  group: string;
  usd: number;
  /** Of it, paid for in vain. */
  wastedUsd: number;
}

/** What the run cost. Rows of each list sum to `totalUsd`, to the nano-dollar. */
export interface CostSummary {
  totalUsd: number;
  /** Of completed workflows; null: none completed. */
  usdPer1000Workflows: number | null;
  byComponent: Record<CostComponent, number>;
  byWorkflow: CostRow[];
  byStep: CostRow[];
  byRole: CostRow[];
  byTenant: CostRow[];
  /** The 20 most expensive, and all others as one. */
  byUser: CostRow[];
  byTarget: CostRow[];
  waste: { reason: Waste; usd: number; tokens: number; gpuSeconds: number }[];
  gpuSeconds: { busy: number; paid: number };
  /** What the amounts leave out or assume. */
  notes: string[];
}

/** Work that somebody served: calls that were taken, and their tokens. */
export interface ServedWork {
  calls: number;
  promptTokens: number;
  cachedTokens: number;
  outputTokens: number;
}

/** Who served the calls, GPUs of one's own or an API by the token, and what could be bought in place of the GPUs. */
export interface Hosting {
  own: ServedWork;
  api: ServedWork;
  offers: ApiOffer[];
}

/** The pace of workflows in the middle nine tenths of their starts, or of their ends where those take longer. */
export interface LoadFigures {
  offeredPerSec: number;
  /** That completed. */
  servedPerSec: number;
  /** Of these, those that kept their targets; null: they have none. */
  keptPerSec: number | null;
}

/** Calls that did not end well, alike in error, step and pool. */
export interface FailureRow {
  error: string;
  step: string;
  pool: string;
  calls: number;
  /** Of the first one. */
  session: string;
  atMs: number;
}

/** What happened in a slice of the run. */
export interface PressurePoint {
  atMs: number;
  /** Attempts that a server refused with a 429. */
  refusals429: number;
  retries: number;
  /** Calls that our own limits, budgets and shedding refused. */
  refusedByUs: number;
}

/** Those that had to keep a target and did, of those that are judged: failed ones count, cancelled ones do not. */
export interface GoodputRow {
  group: string;
  judged: number;
  kept: number;
  keptPerSec: number;
}

/** One attempt, drawn beside the others of its session. Times are relative to its planned start. */
export interface AttemptBar {
  call: string;
  attempt: number;
  kind: AttemptKind;
  because: string | null;
  target: string;
  outcome: CallOutcome;
  error: string | null;
  startMs: number;
  firstTokenMs: number | null;
  endMs: number;
  usd: number | null;
}

/** The session that a gateway had most to do with. */
export interface TroubledSession {
  session: string;
  workflow: string;
  status: WorkflowStatus;
  /** At most 60, in order of start. */
  attempts: AttemptBar[];
  attemptsLeftOut: number;
  cancel: { reason: string; atMs: number; cleanMs: number } | null;
}

/** What a gateway made of the calls. */
export interface GovernedSummary {
  attempts: number;
  byKind: Record<AttemptKind, number>;
  /** Attempts that did not end well, and further attempts, by reason. */
  failuresByReason: Partial<Record<Reason, number>>;
  retriesByReason: Partial<Record<Reason, number>>;
  /** Hedges whose answer came first. */
  hedgesWon: number;
  /** How often a policy decided what, the most frequent first; at most 60. */
  decisions: { policy: string; decision: string; why: string; count: number }[];
  breakerOpenings: number;
  /** Calls refused, by error code. */
  refusedByCode: Record<string, number>;
  cancels: {
    sessions: number;
    byReason: Record<string, number>;
    /** From a cancel until nothing of the session ran any more; null without any. */
    cleanMsP50: number | null;
    cleanMsP95: number | null;
    tokensAfter: number;
    gpuSecondsAfter: number;
  };
  tools: {
    runs: number;
    failed: number;
    coldRatio: number | null;
    queueMsP95: number | null;
    doubledSideEffects: number;
  };
  /** null: no anomaly was injected or flagged. */
  anomalies: AnomalyScore | null;
  troubled: TroubledSession | null;
}

export interface RunResult {
  schemaVersion: number;
  kind: 'run';
  header: RunHeader;
  verdict: {
    status: 'pass' | 'fail' | 'done' | 'invalid' | 'interrupted';
    /** One sentence: the answer. */
    headline: string;
    /** The bottleneck, one sentence. */
    why: string;
    /** What to try next, one sentence or command. */
    next: string;
  };
  durationMs: number;
  counts: {
    workflows: { planned: number; completed: number; failed: number; cancelled: number; unfinished: number };
    calls: { planned: number; ok: number; error: number; cancelled: number; unfinished: number };
    toolCalls: number;
    preemptions: number;
    errors: Record<string, number>;
  };
  tokens: { prompt: number; cached: number; computed: number; output: number; reasoning: number };
  metrics: Partial<Record<MetricName, MetricSummary>>;
  /** Completed workflows, calls and output tokens per second of the run. */
  throughput: { workflowsPerSec: number; callsPerSec: number; outputTokensPerSec: number };
  byWorkflow: (GroupRow & {
    workflows: number;
    makespanMsMean: number | null;
    makespanMsP95: number | null;
  })[];
  byStep: GroupRow[];
  byRole: GroupRow[];
  byPass: PassRow[];
  cacheBySegment: { segment: string; promptTokens: number; cachedTokens: number }[];
  /** Why tokens were not in the cache, by segment; absent: nobody looked. */
  cacheMisses?: {
    segment: string;
    reason: MissReason;
    tokens: number;
    calls: number;
    /** What most of the tokens have in common; absent: nothing. */
    detail?: string;
  }[];
  criticalPath: CriticalPath;
  /** Cumulative distributions, at most 400 points a metric: [value ms, share 0..1]. */
  cdfs: Partial<Record<MetricName, [number, number][]>>;
  bottleneck?: Bottleneck;
  suggestions?: Suggestion[];
  /** Simulated runs of GPUs. */
  gpuTime?: GpuTime;
  /** At most 2,000 points a pool. */
  timeline: TimelinePoint[];
  /** At most 500 slices of equal length. */
  rates?: RatePoint[];
  /** Values of each figure over blocks of time, warm-up cut; live runs. */
  blocks?: { id: string; values: (number | null)[] }[];
  /** Simulated runs. */
  replicas?: ReplicaRow[];
  exemplars: Exemplar[];
  assertions: AssertionResult[];
  /** Where prices are known. */
  cost?: CostSummary;
  /** Where the wiring knows who serves. */
  hosting?: Hosting;
  /** From 20 workflows on that completed. */
  load?: LoadFigures;
  /** The 100 most frequent; absent: every call ended well. */
  failures?: FailureRow[];
  /** What the run was made of: read from inputs.json beside it for the page, never in result.json. */
  inputs?: StoredInputs;
  /** Runs with a gateway that governs. */
  governed?: GovernedSummary;
  /** At most 200 slices of equal length; absent: nothing was refused or tried again. */
  pressure?: PressurePoint[];
  /** Live runs: our own client and the servers; at most 2,000 samples of GPUs. */
  measured?: Measured;
  /** By role and by workflow, where they have targets. */
  goodput?: { byRole: GoodputRow[]; byWorkflow: GoodputRow[] };
  /** sha256 over the records alone: equal digests, equal runs. */
  digest: string;
}
