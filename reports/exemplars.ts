// The workflows drawn in the waterfall: the median, the 95th percentile and the longest of those that completed.
import { quantileRank } from '../scenarios/base/statistics.ts';
import {
  type CallRecord,
  makespanMs,
  type NodeRecord,
  type WorkflowRecord,
} from '../scenarios/formats/record.ts';
import type { Exemplar, ExemplarBar } from '../scenarios/formats/result.ts';
import { criticalNodes, phasesOf } from './critical-path.ts';

const BARS_MAX = 400;
const LABELS = [
  ['p50', 0.5],
  ['p95', 0.95],
  ['max', 1],
] as const;

/** Microseconds are enough to draw. */
const rounded = (ms: number): number => Math.round(ms * 1000) / 1000;

function barsOf(workflow: WorkflowRecord, nodes: NodeRecord[], calls: CallRecord[]): ExemplarBar[] {
  const byCall = new Map(calls.map(call => [call.call, call]));
  const onPath = new Set(criticalNodes(nodes).map(node => node.call));
  const zeroMs = workflow.plannedMs;
  return nodes.map(node => {
    const call = byCall.get(node.call);
    return {
      call: node.call,
      step: node.step,
      kind: node.kind,
      status: node.status,
      startMs: rounded(node.startMs - zeroMs),
      phases: phasesOf(node, call).map(({ phase, startMs, endMs }) => ({
        phase,
        startMs: rounded(startMs - zeroMs),
        endMs: rounded(endMs - zeroMs),
      })),
      endMs: rounded(node.endMs - zeroMs),
      onCriticalPath: onPath.has(node.call),
      promptTokens: call?.promptTokens ?? null,
      cachedTokens: call?.cachedTokens ?? null,
      outputTokens: call?.outputTokens ?? null,
    };
  });
}

/** The bars worth keeping when there are too many: the critical path first, then the longest. */
export function mostTelling(bars: readonly ExemplarBar[], limit: number): ExemplarBar[] {
  const byStart = (a: ExemplarBar, b: ExemplarBar) =>
    a.startMs - b.startMs || a.endMs - b.endMs || (a.call < b.call ? -1 : 1);
  const ordered = [...bars].sort(byStart);
  if (ordered.length <= limit) return ordered;
  return ordered
    .sort(
      (a, b) =>
        Number(b.onCriticalPath) - Number(a.onCriticalPath) ||
        b.endMs - b.startMs - (a.endMs - a.startMs) ||
        byStart(a, b),
    )
    .slice(0, limit)
    .sort(byStart);
}

/** One exemplar per label; a session that answers to two labels is drawn once. `workflows` carry critical paths. */
export function exemplarsOf(
  workflows: readonly WorkflowRecord[],
  nodes: Map<string, NodeRecord[]>,
  calls: Map<string, CallRecord[]>,
): Exemplar[] {
  const completed = workflows
    .filter(workflow => makespanMs(workflow) !== null)
    .sort((a, b) => makespanMs(a)! - makespanMs(b)! || (a.session < b.session ? -1 : 1));
  const exemplars: Exemplar[] = [];
  for (const [label, q] of LABELS) {
    const workflow = completed[quantileRank(q, completed.length)];
    if (workflow === undefined || exemplars.some(({ session }) => session === workflow.session)) continue;
    const bars = barsOf(workflow, nodes.get(workflow.session) ?? [], calls.get(workflow.session) ?? []);
    exemplars.push({
      label,
      session: workflow.session,
      workflow: workflow.workflow,
      makespanMs: makespanMs(workflow)!,
      criticalPath: workflow.criticalPath,
      bars: mostTelling(bars, BARS_MAX),
      barsLeftOut: Math.max(0, bars.length - BARS_MAX),
    });
  }
  return exemplars;
}
