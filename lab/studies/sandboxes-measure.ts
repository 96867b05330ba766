// What the study of sandboxes reads off a run: how tools waited, how long what asked for them took, what sandboxes cost.
import { mean, quantile } from '../../scenarios/base/statistics.ts';
import { makespanMs, type ToolRecord } from '../../scenarios/formats/record.ts';
import type { Measure } from '../grid/case.ts';

export interface SandboxesMeasured {
  readonly runs: number;
  readonly coldRatio: number;
  /** From the wish to the end: of a tool, and of what asks for it. */
  readonly toolMsMean: number;
  readonly toolMsP95: number;
  readonly makespanMsMean: number;
  readonly makespanMsP95: number;
  readonly durationMs: number;
  /** Of sandboxes that run a tool or start for it, USD. */
  readonly runUsd: number;
  /** Of sessions with one tool at a time: between their tools, and from the last to their end; ms of all together. */
  readonly betweenMs: number;
}

const measure: Measure<SandboxesMeasured> = ({ governed, workflows, durationMs }) => {
  const tools = governed?.tools ?? [];
  const tookMs = tools.map(({ askedMs, endMs }) => endMs - askedMs);
  const makespans = workflows.flatMap(session => makespanMs(session) ?? []);
  const ends = new Map(workflows.map(({ session, endMs }) => [session, endMs ?? durationMs]));
  return {
    runs: tools.length,
    coldRatio: tools.filter(({ isCold }) => isCold).length / Math.max(1, tools.length),
    toolMsMean: mean(tookMs),
    toolMsP95: quantile(tookMs, 0.95),
    makespanMsMean: mean(makespans),
    makespanMsP95: quantile(makespans, 0.95),
    durationMs,
    runUsd: tools.reduce((sum, { usd }) => sum + usd, 0),
    betweenMs: betweenMs(tools, ends),
  };
};
export default measure;

/** A sandbox that stays with its session idles from the end of a run to the next wish, and from the last to its own end. */
function betweenMs(tools: readonly ToolRecord[], ends: ReadonlyMap<string, number>): number {
  let sum = 0;
  for (const [session, runs] of Map.groupBy(tools, run => run.session))
    for (const [i, { endMs }] of runs.entries()) sum += (runs[i + 1]?.askedMs ?? ends.get(session)!) - endMs;
  return sum;
}
