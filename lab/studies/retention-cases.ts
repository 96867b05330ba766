// The runs of the study `retention`: agents under KV pressure, jobs whose tools pause, crews that take turns, conversations
// of all lengths, and a tier behind the GPU at several bandwidths.
import type { PolicyChoice } from '../../engines/engine.ts';
import type { GridCase } from '../grid/case.ts';
import type { StudyCase } from './study.ts';

/** A retention policy as it is written, and what else stands beside it. */
export interface Keeping {
  readonly name: string;
  readonly retention: string;
  readonly scheduling?: 'program_fcfs';
  /** Sessions let in at once. */
  readonly sessionsMost?: number;
  readonly hasTier?: true;
}

const keeping = (name: string, retention = `policy: ${name}`, more: Partial<Keeping> = {}): Keeping => ({
  name,
  retention,
  ...more,
});

export const LRU = keeping('lru');
export const PRIORITY = keeping('priority');
export const DURABLE = keeping('durable');
export const WORKFLOW = keeping('workflow');
export const KVFLOW = keeping('kvflow');
export const T_LRU = keeping('t-lru', 'policy: t-lru, next_prompt: 200');
export const T_LRU_HALF = keeping('t-lru, 100 ms', 'policy: t-lru, ttft: 100ms, next_prompt: 200');
export const PAPER = keeping('continuum-paper');
export const CODE = keeping('continuum-code');

const inOrder = (of: Keeping): Keeping => ({
  ...of,
  name: `${of.name}, by program`,
  scheduling: 'program_fcfs',
});
export const LRU_ORDERED = inOrder(LRU);
export const PAPER_ORDERED = inOrder(PAPER);
export const CODE_ORDERED = inOrder(CODE);
export const WORKFLOW_ORDERED = inOrder(WORKFLOW);
/** About as many jobs as the KV cache of the card holds. */
const SESSIONS_MOST = 24;
export const GATED = keeping(`lru, ${SESSIONS_MOST} jobs at once`, 'policy: lru', {
  sessionsMost: SESSIONS_MOST,
});

/** From 0 to the longest pause of the tools, s. */
export const TTLS_SEC = [0, 2, 10, 30, 60, 120, 300];
export const ttl = (sec: number): Keeping => keeping(`ttl ${sec} s`, `policy: ttl, ttl: ${sec}s`);

/** Behind a CPU tier, as SGLang with its hierarchical cache. */
const behindTier = (of: Keeping): Keeping => ({ ...of, name: `${of.name}, CPU tier`, hasTier: true });
export const LRU_TIER = behindTier(LRU);
export const KVFLOW_TIER = behindTier(KVFLOW);
export const UNFETCHED_TIER = behindTier(
  keeping('kvflow without prefetch', 'policy: kvflow, prefetch_steps: 0'),
);
const CPU_TIER = '[{ tier: cpu, capacity: 100GB, read: 20GB/s, latency: 20us }]';

/** Where a run stands; `x` is what its part varies. */
export interface At {
  readonly part: 'pressure' | 'gaps' | 'crews' | 'chats' | 'tier' | 'prefill';
  readonly world: string;
  readonly policy: string;
  readonly x: number;
  readonly seed: number;
}
export type Place = Omit<At, 'seed'>;

// ---- agents under KV pressure ------------------------------------------------------------------------------------

/** What live agents would come back to, over what the KV cache holds. */
export const PRESSURES = [0.5, 1, 1.5, 2, 3];
export const BUSY_PRESSURES = [1, 3];
/** Instructions of eight teams and what all begin with; history of an agent, on average over its time. */
const SHARED_TOKENS = 2800 + 8 * 6000;
const HISTORY_TOKENS = 6600;
export const CROWDS = { spare: 12, busy: 40 } as const;
export type Crowd = keyof typeof CROWDS;
export const KEPT = [LRU, PRIORITY, DURABLE, WORKFLOW, KVFLOW, T_LRU, PAPER, CODE];
export const BUSY_KEPT = [LRU, PRIORITY, DURABLE, WORKFLOW, KVFLOW];
const BLOCK_TOKENS = 16;

const MIN_BLOCKS = 32_768 / BLOCK_TOKENS;

const blocksAt = (agents: number, pressure: number): number =>
  Math.max(MIN_BLOCKS, Math.round((SHARED_TOKENS + agents * HISTORY_TOKENS) / pressure / BLOCK_TOKENS));

// ---- jobs whose tools pause --------------------------------------------------------------------------------------

/** Pauses behind calls, and jobs a minute: with KV memory for all, and with too little. */
export const GAPS = {
  slow: { told: '9 s, p90 74 s', gap: '{ median: 9s, p90: 74s, max: 5m }', perMin: [4, 12], jobs: 50 },
  quick: { told: '1 s, p90 4 s', gap: '{ median: 1s, p90: 4s, max: 1m }', perMin: [12, 20], jobs: 100 },
} as const;
export type Gap = keyof typeof GAPS;
export const PAUSED = [LRU, PAPER, CODE, WORKFLOW];
export const ORDERED = [LRU_ORDERED, PAPER_ORDERED, CODE_ORDERED, WORKFLOW_ORDERED, GATED];
/** The same for a look. */
const LOOKED: Record<Gap, readonly Keeping[]> = {
  slow: [LRU, WORKFLOW],
  quick: [LRU, LRU_ORDERED, CODE_ORDERED, GATED],
};
/** What the scenario says at load factor 1. */
const JOBS_PER_MIN = 6;

// ---- crews and conversations -------------------------------------------------------------------------------------

export const CREWS = [1, 8];
export const CREW_KEPT = [LRU, KVFLOW, LRU_TIER, KVFLOW_TIER, UNFETCHED_TIER];
/** Of ten agents' instructions about seven fit. */
const CREW_BLOCKS = 4000;

/** About half of what the conversations under way would come back to. */
export const CHAT_BLOCKS = 12_000;
export const CHAT_KEPT = [LRU, T_LRU, T_LRU_HALF, WORKFLOW];
/** T-LRU's SLO. */
export const CHAT_SLO_MS = 200;

// ---- a tier behind the GPU ---------------------------------------------------------------------------------------

/** 0: no tier. */
export const BANDWIDTHS_GB_PER_SEC = [0, 1, 2, 5, 10, 25, 50, 100];

interface TierWorld {
  readonly told: string;
  readonly deployment: string;
  readonly set: readonly string[];
  readonly perMin: number;
  /** Bytes of KV a token, and the prompt tokens a second that the break-even is usually told with. */
  readonly kvBytes: number;
  readonly toldPerSec: number;
}
export const TIER_WORLDS = {
  'llama-3.1-8b': {
    told: 'Llama 3.1 8B, H100',
    deployment: '1xh100-llama-3.1-8b',
    set: [],
    perMin: 3,
    kvBytes: 131_072,
    toldPerSec: 20_000,
  },
  'llama-3.1-70b': {
    told: 'Llama 3.1 70B fp8, H200',
    deployment: 'autoscaled-llama-3.1-70b',
    set: [],
    perMin: 1,
    kvBytes: 327_680,
    toldPerSec: 10_000,
  },
  'mistral-small-4': {
    told: 'Mistral Small 4 fp8, H200 (MLA)',
    deployment: '8xh200-mistral-small-4',
    set: ['replicas=1'],
    perMin: 3,
    kvBytes: 23_040,
    toldPerSec: 20_000,
  },
} as const satisfies Record<string, TierWorld>;
export type TierModel = keyof typeof TIER_WORLDS;
export const TIER_MODELS = Object.keys(TIER_WORLDS) as TierModel[];
/** About three contexts fit on the GPU; the others are in the tier, or gone. */
const TIER_BLOCKS = 4096;
/** Latency to the first byte, flash behind RDMA: not published, assumed. */
const TIER_LATENCY = '100us';

// ---- cases -------------------------------------------------------------------------------------------------------

interface Run {
  readonly at: Place;
  readonly keeping: Keeping;
  readonly scenario: string;
  readonly set: readonly string[];
  readonly loadFactor?: number;
  readonly deployment?: string;
  /** Of the pool. */
  readonly pool: readonly string[];
  readonly slos?: GridCase['slos'];
}

const choice = (policy: string, options: PolicyChoice['options'] = {}): PolicyChoice => ({ policy, options });

function caseOf({ keeping: of, ...run }: Run, seed: number): GridCase {
  const { scenario, set, loadFactor = 1, deployment = '1xh100-llama-3.1-8b', pool, slos } = run;
  const { retention, scheduling, sessionsMost: max, hasTier } = of;
  const settings = [...pool, `retention={ ${retention} }`, ...(hasTier ? [`kv_tiers=${CPU_TIER}`] : [])];
  return {
    scenario: { input: scenario, options: { seed, set: [...set] } },
    deployment: {
      input: deployment,
      set: settings.map(each => `pools.main.${each}`),
      change: {
        ...(scheduling !== undefined && { pool: { scheduling: choice(scheduling) } }),
        ...(max !== undefined && {
          // All wait for as long as it takes: none is turned away.
          admission: choice('sessions', { max, queue: 1_000_000, max_wait: 86_400_000 }),
        }),
      },
    },
    loadFactor,
    isBySegment: true,
    ...(slos !== undefined && { slos }),
  };
}

function pressed(crowd: Crowd, keeping: Keeping, pressure: number): Run {
  const agents = CROWDS[crowd];
  return {
    at: { part: 'pressure', world: crowd, policy: keeping.name, x: pressure },
    keeping,
    scenario: 'studies/retention',
    set: [`traffic.0.arrival.closed.agents=${agents}`, `traffic.0.sessions=${2 * agents}`],
    pool: ['limits.max_model_len=32768', `limits.kv_blocks=${blocksAt(agents, pressure)}`],
  };
}

const paused = (gap: Gap, perMin: number, keeping: Keeping, jobs: number): Run => ({
  at: { part: 'gaps', world: gap, policy: keeping.name, x: perMin },
  keeping,
  scenario: 'studies/retention-gaps',
  set: [`params.gap=${GAPS[gap].gap}`, `traffic.0.sessions=${jobs}`],
  loadFactor: perMin / JOBS_PER_MIN,
  pool: [],
});

const crewed = (crews: number, keeping: Keeping): Run => ({
  at: { part: 'crews', world: 'crews', policy: keeping.name, x: crews },
  keeping,
  scenario: 'studies/retention-agents',
  set: [`traffic.0.arrival.closed.agents=${crews}`, `traffic.0.sessions=${2 * crews}`],
  pool: ['limits.max_model_len=16384', `limits.kv_blocks=${CREW_BLOCKS}`],
});

const chatted = (keeping: Keeping, chats: number): Run => ({
  at: { part: 'chats', world: 'chats', policy: keeping.name, x: CHAT_BLOCKS },
  keeping,
  scenario: 'studies/retention-chats',
  set: [`traffic.0.sessions=${chats}`],
  pool: [`limits.kv_blocks=${CHAT_BLOCKS}`],
  slos: [{ ttft: CHAT_SLO_MS }],
});

function tiered(model: TierModel, gbPerSec: number, jobs: number): Run {
  const { deployment, set, perMin }: TierWorld = TIER_WORLDS[model];
  const tier = `[{ tier: cmx, capacity: 1000GB, read: ${gbPerSec}GB/s, latency: ${TIER_LATENCY} }]`;
  return {
    at: { part: 'tier', world: model, policy: LRU.name, x: gbPerSec },
    keeping: LRU,
    scenario: 'studies/retention-gaps',
    set: [`traffic.0.sessions=${jobs}`],
    loadFactor: perMin / JOBS_PER_MIN,
    deployment,
    pool: [
      ...set,
      'limits.max_model_len=65536',
      `limits.kv_blocks=${TIER_BLOCKS}`,
      ...(gbPerSec > 0 ? [`kv_tiers=${tier}`] : []),
    ],
  };
}

/** Prompts one after the other, all of them computed: what a model computes a second. */
function computed(model: TierModel): Run {
  const { deployment, set }: TierWorld = TIER_WORLDS[model];
  return {
    at: { part: 'prefill', world: model, policy: LRU.name, x: 0 },
    keeping: LRU,
    scenario: 'studies/retention-agents',
    set: ['traffic.0.sessions=1'],
    deployment,
    pool: [...set, 'limits.max_model_len=16384', 'limits.enable_prefix_caching=false'],
  };
}

/** For a look: the ends of what is varied. */
const few = <T>(all: readonly T[], isQuick: boolean, ...places: number[]): readonly T[] =>
  isQuick ? places.map(place => all.at(place)!) : all;

function runs(isQuick: boolean): Run[] {
  // Quick tools want as many jobs as ever before memory is short.
  const jobs = (gap: Gap): number => (isQuick && gap === 'slow' ? 30 : GAPS[gap].jobs);
  const gaps = Object.keys(GAPS) as Gap[];
  const pressing = few(PRESSURES, isQuick, 1, -1);
  const kept = isQuick ? KEPT.filter(each => each !== PAPER && each !== CODE) : KEPT;
  return [
    ...pressing.flatMap(pressure => kept.map(each => pressed('spare', each, pressure))),
    ...(isQuick ? [] : BUSY_PRESSURES).flatMap(pressure =>
      BUSY_KEPT.map(each => pressed('busy', each, pressure)),
    ),
    ...gaps.flatMap(gap => [
      ...(isQuick ? [] : PAUSED).map(each => paused(gap, GAPS[gap].perMin[0], each, jobs(gap))),
      ...(isQuick ? LOOKED[gap] : [...PAUSED, ...ORDERED]).map(each =>
        paused(gap, GAPS[gap].perMin[1], each, jobs(gap)),
      ),
    ]),
    ...few(TTLS_SEC, isQuick, 0, -1).map(sec => paused('slow', GAPS.slow.perMin[1], ttl(sec), jobs('slow'))),
    ...CREWS.flatMap(crews => CREW_KEPT.map(each => crewed(crews, each))),
    ...CHAT_KEPT.map(each => chatted(each, isQuick ? 50 : 100)),
    ...TIER_MODELS.flatMap(model => [
      computed(model),
      ...few(BANDWIDTHS_GB_PER_SEC, isQuick, 0, 1, 3, 4, -1).map(gbPerSec =>
        tiered(model, gbPerSec, isQuick ? 8 : 16),
      ),
    ]),
  ];
}

/** Tails need more seeds than means. */
const SEEDS: Partial<Record<At['part'], number>> = { chats: 6 };
const DEFAULT_SEEDS = 4;
const QUICK_SEEDS = 2;

export const cases = ({ isQuick }: { isQuick: boolean }): StudyCase<At>[] =>
  runs(isQuick).flatMap(run => {
    const seeds = isQuick ? QUICK_SEEDS : (SEEDS[run.at.part] ?? DEFAULT_SEEDS);
    return Array.from({ length: seeds }, (_, i) => ({
      at: { ...run.at, seed: i + 1 },
      of: caseOf(run, i + 1),
    }));
  });
