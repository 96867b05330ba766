// What the study of cancellation reads off a run: what servers and tools still did for users who had left, and how long
// until nothing of theirs ran.
import { leavesAfterMs } from '../../gateway/cancel/leaving.ts';
import { quantileSorted, sorted } from '../../scenarios/base/statistics.ts';
import { NANOS_PER_USD } from '../../scenarios/formats/ledger.ts';
import type { Plan, PlannedSession } from '../../scenarios/formats/plan.ts';
import type { ToolRecord } from '../../scenarios/formats/record.ts';
import type { RunOutput } from '../../scenarios/formats/run.ts';
import type { Measure } from '../grid/case.ts';

/** Chances a second that a user leaves. */
export const HAZARDS = [0.003, 0.01, 0.03];
/** The agents whose users may leave. */
const LEAVING = 'leaving';

/** What was done after their users had left, for all sessions together. */
export interface Late {
  /** Sessions that ended before their time, or would have. */
  readonly sessions: number;
  readonly outputTokens: number;
  readonly gpuSeconds: number;
  readonly usd: number;
  readonly toolSeconds: number;
}

export interface Cancelled {
  /** Of all agents whose users may leave. */
  readonly outputTokens: number;
  readonly gpuSeconds: number;
  readonly late: Late;
  /** The same if nobody were told: by chance of leaving, where no session ended before its time. */
  readonly untold: readonly Late[];
  /** From the end of a session to the end of all that ran of it, ms; null: no session ended so. */
  readonly cleanMsP50: number | null;
  readonly cleanMsP95: number | null;
}

const secondsAfter = ({ startMs, endMs }: Pick<ToolRecord, 'startMs' | 'endMs'>, fromMs: number): number =>
  startMs === null ? 0 : Math.max(0, endMs - Math.max(startMs, fromMs)) / 1000;

/** Of what took from one instant to another, the share after a third: it goes on evenly. */
const shareAfter = (startMs: number | null, endMs: number | null, fromMs: number): number =>
  startMs === null || endMs === null || endMs <= fromMs
    ? 0
    : startMs >= fromMs
      ? 1
      : (endMs - fromMs) / (endMs - startMs);

/** Each session of the plan by its id. */
function sessionsOf({ cohorts }: Plan): Map<string, PlannedSession> {
  const sessions = new Map<string, PlannedSession>();
  for (const cohort of cohorts)
    if (cohort.kind === 'open' && cohort.name === LEAVING)
      for (const session of cohort.sessions()) sessions.set(session.id, session);
  return sessions;
}

/** What attempts and tools did after the instant that `leftMs` gives for their session. */
function lateBy(run: Run, leftMs: ReadonlyMap<string, number>): Late {
  const { attempts = [], tools = [] } = run.governed ?? {};
  let [outputTokens, usd, toolSeconds, gpuSeconds] = [0, 0, 0, 0];
  const usdPerSecond = workUsdPerSecond(run);
  for (const [i, attempt] of attempts.entries()) {
    const fromMs = leftMs.get(attempt.session);
    if (fromMs === undefined) continue;
    const { scheduledMs, firstTokenMs, endMs } = attempt;
    const workUsd = (run.ledger.attemptNanos[i]! / NANOS_PER_USD) * shareAfter(scheduledMs, endMs, fromMs);
    outputTokens += attempt.outputTokens * shareAfter(firstTokenMs, endMs, fromMs);
    usd += workUsd;
    gpuSeconds += usdPerSecond === 0 ? 0 : workUsd / usdPerSecond;
  }
  for (const tool of tools) {
    const fromMs = leftMs.get(tool.session);
    if (fromMs === undefined) continue;
    const seconds = secondsAfter(tool, fromMs);
    const tookMs = tool.startMs === null ? 0 : tool.endMs - tool.startMs;
    toolSeconds += seconds;
    usd += tookMs === 0 ? 0 : tool.usd * ((seconds * 1000) / tookMs);
  }
  return { sessions: leftMs.size, outputTokens, gpuSeconds, usd, toolSeconds };
}

type Run = Parameters<Measure<Cancelled>>[0];

/** The work of GPUs is split over attempts in USD: a second of it costs the same everywhere here. */
const workUsdPerSecond = ({ ledger }: Run): number =>
  ledger.gpuSeconds.busy === 0 ? 0 : ledger.components.gpu_work / NANOS_PER_USD / ledger.gpuSeconds.busy;

/** When their users would have left, of those whose session took longer. */
function wouldLeave({ workflows }: RunOutput, sessions: ReturnType<typeof sessionsOf>, perSec: number) {
  const left = new Map<string, number>();
  for (const { session, startMs, endMs } of workflows) {
    const planned = sessions.get(session);
    if (planned === undefined) continue;
    const atMs = startMs + leavesAfterMs({ hazardPerSec: perSec, after: null, cascade: true }, planned.key);
    if (endMs !== null && atMs < endMs) left.set(session, atMs);
  }
  return left;
}

const measure: Measure<Cancelled> = (run, plan) => {
  const { attempts = [], cancels = [] } = run.governed ?? {};
  const sessions = sessionsOf(plan);
  const usdPerSecond = workUsdPerSecond(run);
  let [outputTokens, gpuSeconds] = [0, 0];
  for (const [i, { session, outputTokens: tokens }] of attempts.entries()) {
    if (!sessions.has(session)) continue;
    outputTokens += tokens;
    gpuSeconds += usdPerSecond === 0 ? 0 : run.ledger.attemptNanos[i]! / NANOS_PER_USD / usdPerSecond;
  }
  const ended = new Map(cancels.map(({ session, atMs }) => [session, atMs]));
  const cleanMs = sorted(cancels.map(each => each.cleanMs - each.atMs));
  const at = (q: number): number | null => (cleanMs.length === 0 ? null : quantileSorted(cleanMs, q));
  return {
    outputTokens,
    gpuSeconds,
    late: lateBy(run, ended),
    untold: cancels.length > 0 ? [] : HAZARDS.map(perSec => lateBy(run, wouldLeave(run, sessions, perSec))),
    cleanMsP50: at(0.5),
    cleanMsP95: at(0.95),
  };
};

export default measure;
