// Judges a scenario's assertion lines and SLOs on the records of a run.
import { unreachable } from '../scenarios/base/errors.ts';
import { Histogram } from '../scenarios/base/histogram.ts';
import { mean, quantileSorted, sorted } from '../scenarios/base/statistics.ts';
import type { AssertedMetric, Assertion, SloMetric } from '../scenarios/formats/assertion.ts';
import {
  callKeeps,
  isFailure,
  isJudged,
  namesCalls,
  passes,
  workflowKeeps,
  workflowPasses,
} from '../scenarios/formats/kept.ts';
import type { AssertionResult, LatencyBound } from '../scenarios/formats/result.ts';
import type { RunOutput } from '../scenarios/formats/run.ts';
import { callValuesMs, makespansMs } from './metrics.ts';

type Filter = Assertion['filter'];

/** Sorted values under judgement; null when the metric is not kept at this grain. */
function valuesOf(output: RunOutput, metric: AssertedMetric, filter: Filter): Float64Array | null {
  const ofWorkflow =
    metric === 'makespan' || (metric === 'e2e' && filter.workflow !== undefined && !namesCalls(filter));
  if (ofWorkflow) return sorted(makespansMs(output.workflows.filter(workflowPasses(filter))));
  if (metric === 'itl') return null;
  return sorted(callValuesMs(output.calls.filter(passes(filter)), metric));
}

/** Gaps between tokens live in one histogram for the whole run, so a filter on them cannot be judged. */
function itlValue(output: RunOutput, { subject, filter }: Assertion): number | null {
  const { itlMs } = output;
  if (itlMs.count === 0 || Object.values(filter).some(wanted => wanted !== undefined)) return null;
  if (subject.kind === 'quantile') return Histogram.from(itlMs).quantile(subject.quantile);
  return subject.kind === 'mean' ? itlMs.sum / itlMs.count : itlMs.max;
}

/** The value of one assertion in its unit; null when nothing of the kind ran. */
function judgedValue(output: RunOutput, assertion: Assertion): number | null {
  const { subject, filter } = assertion;
  switch (subject.kind) {
    case 'quantile':
    case 'mean':
    case 'max': {
      if (subject.metric === 'itl') return itlValue(output, assertion);
      const values = valuesOf(output, subject.metric, filter);
      if (values === null || values.length === 0) return null;
      if (subject.kind === 'mean') return mean(values);
      return quantileSorted(values, subject.kind === 'quantile' ? subject.quantile : 1);
    }
    case 'rate': {
      const calls = output.calls.filter(passes(filter));
      return calls.length === 0 ? null : calls.filter(isFailure(subject.code)).length / calls.length;
    }
    case 'cache_hit': {
      let promptTokens = 0;
      let cachedTokens = 0;
      for (const call of output.calls.filter(passes(filter))) {
        if (call.cachedTokens === null) continue;
        promptTokens += call.promptTokens;
        cachedTokens += call.cachedTokens;
      }
      return promptTokens === 0 ? null : cachedTokens / promptTokens;
    }
    case 'count':
      return countOf(output, subject.what, filter);
    case 'attainment':
      return subject.of === 'sessions'
        ? shareOf(output.workflows.filter(workflowPasses(filter)), record => workflowKeeps(assertion, record))
        : shareOf(output.calls.filter(passes(filter)), call => callKeeps(assertion, call));
    default:
      return unreachable(subject);
  }
}

/** null of nothing. */
function shareOf<T extends { outcome?: string; status?: string }>(
  records: readonly T[],
  keeps: (record: T) => boolean,
): number | null {
  const judged = records.filter(isJudged);
  return judged.length === 0 ? null : judged.filter(keeps).length / judged.length;
}

function countOf(output: RunOutput, what: 'calls' | 'workflows' | 'tool_calls', filter: Filter): number {
  if (what === 'calls') return output.calls.filter(passes(filter)).length;
  const workflows = output.workflows.filter(workflowPasses(filter));
  if (what === 'workflows') return workflows.length;
  if (filter.step === undefined && filter.role === undefined) {
    return workflows.reduce((sum, { toolCalls }) => sum + toolCalls, 0);
  }
  const sessions = new Set(workflows.map(({ session }) => session));
  return output.nodes.filter(
    node =>
      node.kind === 'tool' &&
      node.status !== 'skipped' &&
      sessions.has(node.session) &&
      (filter.step === undefined || node.step === filter.step) &&
      (filter.role === undefined || node.role === filter.role),
  ).length;
}

export const holds: Record<Assertion['op'], (value: number, target: number) => boolean> = {
  '<': (value, target) => value < target,
  '<=': (value, target) => value <= target,
  '>': (value, target) => value > target,
  '>=': (value, target) => value >= target,
  '==': (value, target) => value === target,
};

export function unitOf({ kind }: Assertion['subject']): AssertionResult['unit'] {
  if (kind === 'rate' || kind === 'cache_hit' || kind === 'attainment') return 'ratio';
  return kind === 'count' ? 'count' : 'ms';
}

/** The makespan also by its other name. */
const metricOf = (metric: AssertedMetric, filter: Filter): AssertedMetric =>
  metric === 'e2e' && filter.workflow !== undefined && !namesCalls(filter) ? 'makespan' : metric;

/** Which way is better, by the operator that it ends with: the text of an SLO holds others. */
export const betterOf = ({ text }: Pick<Assertion, 'text'>): 'lower' | 'higher' | null => {
  const op = /([<>])=?[^<>]*$/.exec(text)?.[1];
  return op === undefined ? null : op === '<' ? 'lower' : 'higher';
};

/** Upper limits on latencies of the whole run: what a chart can draw a line at. */
function boundsOf({ subject, filter, op, target }: Assertion, output: RunOutput): LatencyBound[] {
  // A filter that everything passes, such as the name of the only workflow, is none.
  if (!output.calls.every(passes(filter)) || !output.workflows.every(workflowPasses(filter))) return [];
  switch (subject.kind) {
    case 'quantile':
      if (op !== '<' && op !== '<=') return [];
      return [
        {
          metric: metricOf(subject.metric, filter),
          of: `p${Number((subject.quantile * 100).toFixed(3))}`,
          limitMs: target,
        },
      ];
    case 'mean':
    case 'max':
      if (op !== '<' && op !== '<=') return [];
      return [{ metric: metricOf(subject.metric, filter), of: subject.kind, limitMs: target }];
    case 'attainment':
      if (op !== '>' && op !== '>=') return [];
      return (Object.entries(subject.withinMs) as [SloMetric, number][]).map(([metric, limitMs]) => ({
        metric: subject.of === 'sessions' ? 'makespan' : metric,
        of: 'each',
        limitMs,
      }));
    default:
      return [];
  }
}

/** Every assertion of the run, judged. */
export const judge = (output: RunOutput): AssertionResult[] =>
  output.assertions.map(assertion => {
    const value = judgedValue(output, assertion);
    const bounds = boundsOf(assertion, output);
    return {
      ...(bounds.length === 0 ? {} : { bounds }),
      ...(assertion.at === undefined ? {} : { at: assertion.at }),
      text: assertion.text,
      value,
      target: assertion.target,
      unit: unitOf(assertion.subject),
      pass: value === null ? null : holds[assertion.op](value, assertion.target),
    };
  });
