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
  /** Time of sandboxes that sessions kept between two runs; 0 where each run has its own. */
  readonly keptMs: number;
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
    keptMs: keptMs(tools, ends),
  };
};
export default measure;

/** Of sessions that run one tool at a time: from each end to the next wish that met no cold start, or to their own end. */
function keptMs(tools: readonly ToolRecord[], ends: ReadonlyMap<string, number>): number {
  const bySession = Map.groupBy(tools, ({ session }) => session);
  let sum = 0;
  for (const [session, runs] of bySession)
    for (const [i, { endMs }] of runs.entries()) sum += (runs[i + 1]?.askedMs ?? ends.get(session)!) - endMs;
  return sum;
}
