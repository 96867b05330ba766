// What recorded sessions look like before anything is simulated: sums, quantiles and thinned distributions. Its size is
// bounded whatever the length of the trace; it says nothing that the trace does not hold (null: not known).
import type { RecordedCall } from './recorded.ts';

/** A distribution in the unit of its name: exact mean, least and most; quantiles within 0.4 %. */
export interface Spread {
  n: number;
  mean: number;
  min: number;
  p5: number;
  p25: number;
  p50: number;
  p75: number;
  p90: number;
  p99: number;
  max: number;
}

/** [value, share of the samples at or under it], ascending, thinned. */
export type Cdf = [value: number, share: number][];

/** Points in time, as a counting process. */
export interface ArrivalFigures {
  n: number;
  /** First to last. */
  spanMs: number;
  ratePerSec: number;
  /** Deviation of the times between them over their mean: 1 for Poisson, more for bursts. Null under three. */
  interArrivalCv: number | null;
  /** Variance over mean of the counts per second: 1 for Poisson. Null under two seconds. */
  dispersionPerSec: number | null;
}

/** Arrivals of sessions and of their calls on the trace's own clock. */
export interface ArrivalProfile {
  sessions: ArrivalFigures;
  calls: ArrivalFigures;
  /** Counts over time in equal bins from the first arrival on. */
  binMs: number;
  sessionBins: number[];
  callBins: number[];
}

/** What an infinite cache would find, in whole blocks. */
export interface ReuseFigures {
  /** Share of prompt tokens found in earlier calls of the same session. */
  bySessionRatio: number;
  /** Share found only in other sessions; null where block ids mean nothing outside their session. */
  acrossRatio: number | null;
}

export type GapKind = RecordedCall['gapKind'];

/** Idle times of a cached context beyond which a cache may have dropped it. */
export interface GapOver {
  limitMs: number;
  /** Of all gaps. */
  callsRatio: number;
  /** Of the prompt tokens of the calls after a gap. */
  promptTokensRatio: number;
  /** Of the gaps of one kind; null where there are none. */
  toolRatio: number | null;
  humanRatio: number | null;
}

/** Distributions that are drawn as curves. */
export type CdfName =
  | 'promptTokens'
  | 'outputTokens'
  | 'uncachedTokens'
  | 'toolGapMs'
  | 'humanGapMs'
  | 'otherGapMs'
  | 'callHitRatio';

export interface TraceProfile {
  sessions: number;
  calls: number;
  promptTokens: number;
  outputTokens: number;
  reasoningTokens: number;
  failedCalls: number;
  /** Of one call. Hit and uncached: what an infinite cache finds, in whole blocks, and what not. */
  call: {
    promptTokens: Spread;
    outputTokens: Spread;
    /** These two are null where no block ids were recorded. */
    uncachedTokens: Spread | null;
    hitRatio: Spread | null;
    /** As the recorded server measured them. */
    ttftMs: Spread | null;
    e2eMs: Spread | null;
  };
  /** Of one session. */
  session: {
    calls: Spread;
    /** Prompts that a person wrote; null where the trace does not tell people from tools. */
    humanTurns: Spread | null;
    callsPerHumanTurn: Spread | null;
    /** Prompts that bring a tool result; null as above. */
    toolTurns: Spread | null;
    promptTokens: Spread;
    outputTokens: Spread;
    uncachedTokens: Spread | null;
    firstPromptTokens: Spread;
    lastPromptTokens: Spread;
    /** Null where not recorded. */
    systemTokens: Spread | null;
    /** First start to last end. Null where no session has two calls. */
    spanMs: Spread | null;
    /** Last prompt of the main thread over its first; null where no session has two calls. */
    contextGrowth: Spread | null;
    /** First prompts of 100,000 tokens or more. */
    resumedRatio: number;
  };
  /** From one prompt to the next of the same thread. */
  turn: {
    /** Prompt tokens beyond the prompt before (the answer before included), new contexts left out. */
    toolGrowthTokens: Spread | null;
    humanGrowthTokens: Spread | null;
    transitions: number;
    /** Prompts more than 20 % shorter than the one before: compaction, /clear. */
    newContexts: number;
  };
  /** Prompt of the main thread by its number in the session; `from` and `to` count from 1. */
  contextByTurn: { from: number; to: number; n: number; p10: number; p50: number; p90: number }[];
  /** Between the end of what a call waits for and its start; calls that wait for none are left out. */
  gaps: {
    all: Spread | null;
    byKind: Record<GapKind, Spread | null>;
    /** Client and unknown together. */
    other: Spread | null;
    over: GapOver[];
  };
  fanOut: {
    /** Calls or sub-agents started together from one point. */
    width: Spread | null;
    /** [width, how often], ascending; the last row stands for that width and more. */
    widths: [width: number, spawns: number][];
    /** Most calls in flight at once, of one session. */
    inFlight: Spread;
  };
  subagents: {
    count: number;
    sessionsRatio: number;
    /** Of sessions that have any. */
    perSession: Spread | null;
    calls: Spread | null;
    spanMs: Spread | null;
    firstPromptTokens: Spread | null;
  };
  /** Null where the sessions have no common clock. */
  arrivals: ArrivalProfile | null;
  /** Null where no block ids were recorded. */
  reuse: ReuseFigures | null;
  /** Share of prompt tokens that the recorded server found in its cache; null where it does not say. */
  recordedCachedRatio: number | null;
  /** By calls, the most first. */
  models: { model: string; calls: number; promptTokens: number; outputTokens: number }[];
  tools: { tool: string; calls: number; gapMs: Spread }[];
  cdfs: Record<CdfName, Cdf>;
}
