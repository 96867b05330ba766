// The same scenario in both worlds, metric by metric: exact for counts and tokens, with a bootstrap interval over
// sessions for times. Sessions pair by their names, since both worlds meet the same agents.
import { textKey } from '../scenarios/base/key.ts';
import { bootstrapInterval, mean } from '../scenarios/base/statistics.ts';
import {
  type CallRecord,
  e2eMs,
  makespanMs,
  tpotMs,
  ttftMs,
  type WorkflowRecord,
} from '../scenarios/formats/record.ts';
import type { ValidationRow } from '../scenarios/formats/result.ts';
import type { RunOutput } from '../scenarios/formats/run.ts';

export interface Tolerances {
  /** Of mean times, as a ratio. */
  timeRatio: number;
  /** Of counts, tokens and cache hits, as a ratio. */
  countRatio: number;
}

type Measure = {
  metric: string;
  of: (calls: readonly CallRecord[], workflows: readonly WorkflowRecord[]) => number[];
};

const numbers = (values: (number | null)[]): number[] => values.filter(value => value !== null);

const TIMES: readonly Measure[] = [
  { metric: 'mean TTFT', of: calls => numbers(calls.map(ttftMs)) },
  { metric: 'mean TPOT', of: calls => numbers(calls.map(tpotMs)) },
  { metric: 'mean E2E', of: calls => numbers(calls.map(e2eMs)) },
  { metric: 'mean workflow time', of: (_calls, workflows) => numbers(workflows.map(makespanMs)) },
];

const COUNTS: readonly { metric: string; unit: 'count' | 'tokens'; of: (run: RunOutput) => number | null }[] =
  [
    {
      metric: 'workflows completed',
      unit: 'count',
      of: run => run.workflows.filter(each => each.status === 'completed').length,
    },
    { metric: 'calls ok', unit: 'count', of: run => run.calls.filter(call => call.outcome === 'ok').length },
    {
      metric: 'tool calls',
      unit: 'count',
      of: run => run.workflows.reduce((sum, each) => sum + each.toolCalls, 0),
    },
    { metric: 'prompt tokens', unit: 'tokens', of: run => total(run, call => call.promptTokens) },
    { metric: 'output tokens', unit: 'tokens', of: run => total(run, call => call.outputTokens) },
    { metric: 'cached tokens', unit: 'tokens', of: run => total(run, call => call.cachedTokens) },
  ];

/** null when any call does not say. */
function total(run: RunOutput, of: (call: CallRecord) => number | null): number | null {
  let sum = 0;
  for (const call of run.calls) {
    const value = of(call);
    if (value === null) return null;
    sum += value;
  }
  return sum;
}

interface SessionValues {
  sum: number;
  count: number;
}

/** Sum and number of a measure in each session. */
function bySession(run: RunOutput, measure: Measure): Map<string, SessionValues> {
  const calls = Map.groupBy(run.calls, call => call.session);
  const values = new Map<string, SessionValues>();
  for (const workflow of run.workflows) {
    const list = measure.of(calls.get(workflow.session) ?? [], [workflow]);
    values.set(workflow.session, { sum: list.reduce((sum, value) => sum + value, 0), count: list.length });
  }
  return values;
}

/** Rows in the order above; times first. */
export function compareWorlds(sim: RunOutput, live: RunOutput, tolerances: Tolerances): ValidationRow[] {
  // Where neither world has a value (TPOT of one-token answers) there is nothing to compare.
  const times = TIMES.filter(
    measure =>
      measure.of(sim.calls, sim.workflows).length + measure.of(live.calls, live.workflows).length > 0,
  );
  return [
    ...times.map(measure => timeRow(measure, sim, live, tolerances)),
    ...countRows(sim, live, tolerances),
  ];
}

function timeRow(measure: Measure, sim: RunOutput, live: RunOutput, tolerances: Tolerances): ValidationRow {
  const simMean = mean(measure.of(sim.calls, sim.workflows));
  const liveMean = mean(measure.of(live.calls, live.workflows));
  const errorRatio =
    Number.isFinite(simMean) && Number.isFinite(liveMean) && liveMean > 0
      ? (simMean - liveMean) / liveMean
      : null;
  const simSessions = bySession(sim, measure);
  const liveSessions = bySession(live, measure);
  const names = [...simSessions.keys()].filter(name => liveSessions.has(name)).sort();
  const ci95 = bootstrapInterval(
    names.length,
    rows => {
      const sums = { sim: 0, simCount: 0, live: 0, liveCount: 0 };
      for (const row of rows) {
        const name = names[row] as string;
        const a = simSessions.get(name) as SessionValues;
        const b = liveSessions.get(name) as SessionValues;
        sums.sim += a.sum;
        sums.simCount += a.count;
        sums.live += b.sum;
        sums.liveCount += b.count;
      }
      return sums.sim / sums.simCount / (sums.live / sums.liveCount) - 1;
    },
    { key: textKey(`validate/${measure.metric}`) },
  );
  return {
    metric: measure.metric,
    sim: simMean,
    live: liveMean,
    unit: 'ms',
    errorRatio,
    ci95,
    toleranceRatio: tolerances.timeRatio,
    pass: errorRatio !== null && Math.abs(errorRatio) <= tolerances.timeRatio,
  };
}

function countRows(sim: RunOutput, live: RunOutput, tolerances: Tolerances): ValidationRow[] {
  const rows: ValidationRow[] = [];
  for (const { metric, unit, of } of COUNTS) {
    const simValue = of(sim);
    const liveValue = of(live);
    // A server that does not report cached tokens leaves nothing to compare.
    if (simValue === null || liveValue === null) continue;
    const errorRatio = liveValue === 0 ? (simValue === 0 ? 0 : null) : (simValue - liveValue) / liveValue;
    const pass = errorRatio !== null && Math.abs(errorRatio) <= tolerances.countRatio;
    rows.push({
      metric,
      sim: simValue,
      live: liveValue,
      unit,
      errorRatio,
      ci95: null,
      toleranceRatio: tolerances.countRatio,
      pass,
    });
  }
  return rows;
}
