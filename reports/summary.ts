// Records to summary: everything the page, the terminal, comparisons and gates read. Pure; its size does not grow
// with the run.
//
//   records ─▶ critical paths ─▶ counts, tokens ─▶ metrics, CDFs ─▶ groups ─▶ exemplars, timeline ─▶ verdict
import { mean, quantile } from '../scenarios/base/statistics.ts';
import {
  type CallRecord,
  e2eMs,
  makespanMs,
  noTime,
  ttftMs,
  type WorkflowRecord,
} from '../scenarios/formats/record.ts';
import { type GroupRow, RESULT_SCHEMA_VERSION, type RunResult } from '../scenarios/formats/result.ts';
import type { RunOutput } from '../scenarios/formats/run.ts';
import { judge } from './assertions.ts';
import { blocksOf } from './blocks.ts';
import { bottleneckOf, stepCauses } from './bottleneck.ts';
import { cacheMissesOf } from './cache-misses.ts';
import { attachCriticalPaths, bySession, CRITICAL_PARTS } from './critical-path.ts';
import { type Digest, recordLines } from './digest.ts';
import { exemplarsOf } from './exemplars.ts';
import { costOf } from './governed/cost.ts';
import { goodputOf } from './governed/goodput.ts';
import { pressureOf } from './governed/pressure.ts';
import { governedOf } from './governed/summary.ts';
import { gpuTimeOf } from './gpu-time.ts';
import { measuredOf } from './measured.ts';
import { metricsOf } from './metrics.ts';
import { backgroundOf } from './phases.ts';
import { ratesOf } from './rates.ts';
import { replicaRows } from './replicas.ts';
import { failuresOf, hostingOf, loadOf, wasServed } from './served.ts';
import { suggestionsOf } from './suggestions.ts';
import { poolTimelines, timelineOf } from './timeline.ts';
import { verdictOf } from './verdict.ts';

/** Prompt tokens computed; without recomputation where the server does not say. */
const computedTokensOf = (call: CallRecord): number =>
  call.computedTokens ?? Math.max(0, call.promptTokens - (call.cachedTokens ?? 0));

function countsOf({ calls, workflows }: RunOutput): RunResult['counts'] {
  const errors = new Map<string, number>();
  for (const { error } of calls) if (error !== null) errors.set(error, (errors.get(error) ?? 0) + 1);
  const callsEnded = (outcome: CallRecord['outcome']) =>
    calls.filter(call => call.outcome === outcome).length;
  const workflowsEnded = (status: WorkflowRecord['status']) =>
    workflows.filter(workflow => workflow.status === status).length;
  return {
    workflows: {
      planned: workflows.length,
      completed: workflowsEnded('completed'),
      failed: workflowsEnded('failed'),
      cancelled: workflowsEnded('cancelled'),
      unfinished: workflowsEnded('unfinished'),
    },
    calls: {
      planned: calls.length,
      ok: callsEnded('ok'),
      error: callsEnded('error'),
      cancelled: callsEnded('cancelled'),
      unfinished: callsEnded('unfinished'),
    },
    toolCalls: workflows.reduce((sum, { toolCalls }) => sum + toolCalls, 0),
    preemptions: calls.reduce((sum, { preemptions }) => sum + (preemptions ?? 0), 0),
    errors: Object.fromEntries([...errors].sort(([a], [b]) => (a < b ? -1 : 1))),
  };
}

function tokensOf(calls: readonly CallRecord[]): RunResult['tokens'] {
  const tokens = { prompt: 0, cached: 0, computed: 0, output: 0, reasoning: 0 };
  for (const call of calls) {
    tokens.output += call.outputTokens;
    tokens.reasoning += call.reasoningTokens;
    if (!wasServed(call)) continue;
    tokens.prompt += call.promptTokens;
    tokens.cached += call.cachedTokens ?? 0;
    tokens.computed += computedTokensOf(call);
  }
  return tokens;
}

const meanOrNull = (values: readonly (number | null)[]): number | null => {
  const known = values.filter(value => value !== null);
  return known.length === 0 ? null : mean(known);
};

/** Calls of one group. Tokens count for calls an engine took, latencies for those that came back whole. */
function groupRow(group: string, calls: readonly CallRecord[]): GroupRow {
  const { prompt, cached, computed, output } = tokensOf(calls);
  const whole = calls.filter(({ outcome }) => outcome === 'ok');
  return {
    group,
    calls: calls.length,
    promptTokens: prompt,
    cachedTokens: cached,
    computedTokens: computed,
    outputTokens: output,
    ttftMsMean: meanOrNull(whole.map(ttftMs)),
    e2eMsMean: meanOrNull(whole.map(e2eMs)),
  };
}

/** One row per group; `null` groups are left out. Rows come in order of the group's first planned call. */
function grouped(calls: readonly CallRecord[], groupOf: (call: CallRecord) => string | null): GroupRow[] {
  const groups = new Map<string, { calls: CallRecord[]; firstMs: number }>();
  for (const call of calls) {
    const name = groupOf(call);
    if (name === null) continue;
    const group = groups.get(name);
    if (group === undefined) {
      groups.set(name, { calls: [call], firstMs: call.plannedMs });
    } else {
      group.calls.push(call);
      group.firstMs = Math.min(group.firstMs, call.plannedMs);
    }
  }
  return [...groups]
    .sort(([a, one], [b, other]) => one.firstMs - other.firstMs || (a < b ? -1 : 1))
    .map(([name, group]) => groupRow(name, group.calls));
}

function byWorkflow(
  calls: readonly CallRecord[],
  workflows: readonly WorkflowRecord[],
): RunResult['byWorkflow'] {
  const names = [...new Set(workflows.map(({ workflow }) => workflow))].sort();
  return names.map(name => {
    const own = workflows.filter(({ workflow }) => workflow === name);
    const makespans = own.map(makespanMs).filter(value => value !== null);
    const row = groupRow(
      name,
      calls.filter(({ workflow }) => workflow === name),
    );
    return {
      ...row,
      workflows: own.length,
      makespanMsMean: meanOrNull(makespans),
      makespanMsP95: makespans.length === 0 ? null : quantile(makespans, 0.95),
    };
  });
}

/** Tokens by pass of each workflow's loops, in order; workflows without loops have one row, to compare with. */
function byPass(calls: readonly CallRecord[], workflows: readonly WorkflowRecord[]): RunResult['byPass'] {
  const names = [...new Set(workflows.map(({ workflow }) => workflow))].sort();
  return names.flatMap(name => {
    const own = calls.filter(({ workflow }) => workflow === name);
    const sessions = workflows.filter(({ workflow }) => workflow === name).length;
    const rowOf = (label: string, loop: string | null, pass: number | null) => {
      const row = groupRow(
        label,
        own.filter(call => call.loop === loop && call.iteration === pass),
      );
      return { ...row, workflow: name, loop, pass, workflows: sessions };
    };
    const outside = own.some(({ loop }) => loop === null);
    const loops = [...new Set(own.map(({ loop }) => loop).filter(loop => loop !== null))].sort();
    const rows = outside
      ? [rowOf(loops.length === 0 ? `${name}: whole` : `${name}: outside the loop`, null, null)]
      : [];
    for (const loop of loops) {
      const passes = [
        ...new Set(own.filter(call => call.loop === loop).map(({ iteration }) => iteration ?? 0)),
      ];
      passes.sort((a, b) => a - b);
      const prefix = loops.length === 1 ? name : `${name} ${loop}`;
      for (const pass of passes) rows.push(rowOf(`${prefix}: pass ${pass + 1}`, loop, pass));
    }
    return rows;
  });
}

/**
 * Cache hits by prompt segment. A prefix cache hits from the left, so a call's cached tokens belong to its first
 * parts, in order. Calls whose server does not report hits are left out; no rows means that none did.
 */
function cacheBySegment(calls: readonly CallRecord[]): RunResult['cacheBySegment'] {
  const segments = new Map<string, { promptTokens: number; cachedTokens: number }>();
  for (const call of calls) {
    if (call.cachedTokens === null || !wasServed(call)) continue;
    let hitTokens = call.cachedTokens;
    let restTokens = call.promptTokens;
    const add = (name: string, tokens: number) => {
      const segment = segments.get(name) ?? { promptTokens: 0, cachedTokens: 0 };
      segments.set(name, segment);
      const hereTokens = Math.min(hitTokens, tokens);
      segment.promptTokens += tokens;
      segment.cachedTokens += hereTokens;
      hitTokens -= hereTokens;
      restTokens -= tokens;
    };
    for (const { segment, tokens } of call.parts) add(segment, tokens);
    if (restTokens > 0) add('unlabelled', restTokens);
  }
  return [...segments]
    .map(([segment, tokens]) => ({ segment, ...tokens }))
    .sort((a, b) => b.promptTokens - a.promptTokens || (a.segment < b.segment ? -1 : 1));
}

function criticalPathSum(workflows: readonly WorkflowRecord[]): RunResult['criticalPath'] {
  const sum = noTime();
  for (const { status, criticalPath } of workflows) {
    if (status !== 'completed') continue;
    for (const part of CRITICAL_PARTS) sum[part] += criticalPath[part];
  }
  return sum;
}

/** A field that is left out where there is nothing to say. */
const present = <Name extends string, Value>(name: Name, value: Value | null) =>
  (value === null ? {} : { [name]: value }) as Partial<Record<Name, Value>>;

/** The summary of a run. `digest` hashes text (sha256, hex); it is passed in so that this stays pure. */
export function summarise(output: RunOutput, digest: Digest): RunResult {
  // 1. where each workflow's time went
  const { calls, durationMs } = output;
  const severalWorkflows = new Set(output.workflows.map(({ workflow }) => workflow)).size > 1;
  const stepOf = ({ workflow, step }: { workflow: string; step: string }) =>
    severalWorkflows ? `${workflow} / ${step}` : step;
  const background = backgroundOf(output);
  const bySteps = stepCauses(stepOf);
  const workflows = attachCriticalPaths(output, background, bySteps.onPart);
  const nodes = bySession(output.nodes);

  // 2. what happened, and what it cost
  const counts = countsOf(output);
  const tokens = tokensOf(calls);
  const seconds = durationMs / 1000;
  const perSec = (count: number): number => (seconds > 0 ? count / seconds : 0);

  // 3. how long it took
  const { metrics, cdfs } = metricsOf(output);
  const criticalPath = criticalPathSum(workflows);

  // 4. the answer
  const assertions = judge(output);
  const byStep = grouped(calls, stepOf);
  const pools = poolTimelines(output.timeline, workflows, output.replicas);
  const exemplars = exemplarsOf(workflows, nodes, bySession(calls), background);
  const replicas =
    output.replicas === undefined ? undefined : replicaRows(output.replicas, calls, durationMs);
  const bottleneck = bottleneckOf({
    calls,
    nodes,
    pools,
    durationMs,
    criticalPath,
    bySteps: bySteps.rows(),
    preemptions: counts.preemptions,
    stepOf,
  });
  const { header } = output;
  const hasLoad = new Set(workflows.map(({ plannedMs }) => plannedMs)).size > 1;
  const missed = present('cacheMisses', cacheMissesOf(calls));
  const facts = {
    header,
    counts,
    tokens,
    metrics,
    criticalPath,
    durationMs,
    bottleneck,
    replicas,
    ...missed,
  };
  const suggestions = suggestionsOf({ ...facts, assertions, byStep, exemplars, calls, stepOf, hasLoad });

  const pressure = pressureOf(output);
  const goodput = goodputOf(output);

  return {
    schemaVersion: RESULT_SCHEMA_VERSION,
    kind: 'run',
    header,
    verdict: verdictOf(output, { ...facts, suggestions }, assertions),
    durationMs,
    counts,
    tokens,
    metrics,
    throughput: {
      workflowsPerSec: perSec(counts.workflows.completed),
      callsPerSec: perSec(counts.calls.ok),
      outputTokensPerSec: perSec(tokens.output),
    },
    byWorkflow: byWorkflow(calls, workflows),
    byStep,
    byRole: grouped(calls, ({ role }) => role),
    byPass: byPass(calls, workflows),
    cacheBySegment: cacheBySegment(calls),
    ...missed,
    criticalPath,
    cdfs,
    bottleneck,
    suggestions,
    ...present('gpuTime', gpuTimeOf(output)),
    timeline: timelineOf(pools),
    ...present('rates', ratesOf(output)),
    ...present('replicas', replicas ?? null),
    exemplars,
    assertions,
    ...present('cost', costOf(output)),
    ...present('hosting', hostingOf(output)),
    ...present('load', loadOf(output, goodput)),
    ...present('failures', failuresOf(calls, stepOf)),
    ...present('governed', governedOf(output)),
    ...present('pressure', pressure.length === 0 ? null : pressure),
    ...present('goodput', goodput),
    ...present('measured', measuredOf(output)),
    ...present('blocks', blocksOf(output)),
    digest: digest(recordLines(output)),
  };
}
