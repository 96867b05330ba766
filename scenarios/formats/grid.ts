// One run of many, in a few figures: what a grid of simulations answers with, since records of thousands of runs would
// fit nowhere.

/** What one run came to. Times in ms, shares 0-1; null where nothing was there to judge. */
export interface RunFigures {
  /** From the start to the last end. */
  durationMs: number;
  /** In which sessions start: to the last start, or the whole run where all start at once. */
  windowMs: number;
  calls: number;
  /** Ended other than well; those that their own workflow cancelled not counted. */
  failedCalls: number;
  /** Ended well and within their SLO. */
  goodCalls: number;
  sessions: number;
  completedSessions: number;
  /** Completed, and every call of theirs was good. */
  goodSessions: number;
  /** From the first call's planned time to the first token of any. */
  firstAnswerMs: number | null;
  /** Most calls that waited at once, at the gateway or in an engine. */
  waitingMost: number;
  /** Calls of the run over the window: the load that was offered. */
  offeredPerSec: number;
  /** While the middle half of the calls ended: how many a second. */
  servedPerSec: number;
  /** Good calls over the window. */
  goodputPerSec: number;
  /** Good calls over calls, cancelled ones left out. */
  sloRatio: number | null;
  makespanMsMean: number | null;
  makespanMsP50: number | null;
  makespanMsP95: number | null;
  makespanMsP99: number | null;
  ttftMsMean: number | null;
  ttftMsP50: number | null;
  ttftMsP95: number | null;
  ttftMsP99: number | null;
  e2eMsP95: number | null;
  e2eMsP99: number | null;
  /** Most calls of a session in flight at once. */
  sessionWidthP95: number | null;
  /** Prompt tokens found in a cache, over prompt tokens. */
  hitRatio: number | null;
  /** The same of calls after the first of their session. */
  laterHitRatio: number | null;
  /** Calls that ran on the replica of their session's call before, over calls after the first of their session. */
  stayRatio: number | null;
  /** Of calls that an engine took up. */
  promptTokens: number;
  /** Prompt tokens that no cache had, and output tokens but the last of each call; recomputation included. */
  computedTokens: number;
  outputTokens: number;
  /** Tokens computed a second time or for calls that did not end well, over tokens computed. */
  wasteRatio: number | null;
  /** Of replicas from the wish for them to their end, cold starts and drains included. */
  gpuHours: number;
  /** Of these, what passed until replicas were ready. */
  coldGpuHours: number;
  /** Most replicas asked for at once, and when they first were: ms since the start. */
  replicasMost: number;
  replicasMostAtMs: number;
  /** Null where a pool has no price. */
  usd: number | null;
  /** Jain's index of the tenants' shares of good calls: 1 when all fare alike, 1/n when one has it all. */
  fairnessRatio: number | null;
}

/** Figures that are plain numbers, by which runs are compared. */
export type FigureName = keyof RunFigures;
