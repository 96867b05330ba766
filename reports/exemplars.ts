// The workflows that can be looked at step by step: the median, the 95th percentile and the longest of those that
// completed, and a sample of all. Bounded whatever the length of the run.
import { quantileRank } from '../scenarios/base/statistics.ts';
import {
  type CallRecord,
  makespanMs,
  type NodeRecord,
  type WorkflowRecord,
} from '../scenarios/formats/record.ts';
import type { Exemplar, ExemplarBar } from '../scenarios/formats/result.ts';
import { criticalNodes } from './critical-path.ts';
import { laneOf } from './lanes.ts';
import { type Background, phasesOf } from './phases.ts';
import { savingsMs } from './savings.ts';

const BARS_MAX = 400;
const SAMPLES_MAX = 200;
const SAMPLE_BARS_MAX = 120;
/** Of all samples together: what keeps result.json small. */
const SAMPLED_BARS_MAX = 8000;
/** Of the samples, so many are of workflows that did not complete, if there are. */
const TROUBLED_MIN = 20;
const LABELS = [
  ['p50', 0.5],
  ['p95', 0.95],
  ['max', 1],
] as const;

/** Microseconds are enough to draw. */
const rounded = (ms: number): number => Math.round(ms * 1000) / 1000;

function barsOf(
  workflow: WorkflowRecord,
  nodes: readonly NodeRecord[],
  calls: readonly CallRecord[],
  background: Background | undefined,
): ExemplarBar[] {
  const byCall = new Map(calls.map(call => [call.call, call]));
  const loops = new Set(calls.map(({ loop }) => loop).filter(loop => loop !== null));
  const onPath = new Set(criticalNodes(nodes).map(node => node.call));
  const saves = savingsMs(nodes);
  const zeroMs = workflow.plannedMs;
  return nodes.map(node => {
    const call = byCall.get(node.call);
    const lane = laneOf(node.call, loops);
    const savesMs = saves.get(node.call);
    return {
      call: node.call,
      step: node.step,
      kind: node.kind,
      status: node.status,
      startMs: rounded(node.startMs - zeroMs),
      phases: phasesOf(node, call, background).map(({ phase, startMs, endMs }) => ({
        phase,
        startMs: rounded(startMs - zeroMs),
        endMs: rounded(endMs - zeroMs),
      })),
      endMs: rounded(node.endMs - zeroMs),
      onCriticalPath: onPath.has(node.call),
      ...(lane === '' ? {} : { lane }),
      ...(savesMs === undefined ? {} : { savesMs: rounded(savesMs) }),
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

/** From its planned start to its end; of one that never came to an end, to what is last known of it. */
function lengthMs({ plannedMs, endMs }: WorkflowRecord, nodes: readonly NodeRecord[]): number {
  if (endMs !== null) return endMs - plannedMs;
  return nodes.reduce((lastMs, node) => Math.max(lastMs, node.endMs - plannedMs), 0);
}

/** One workflow, drawn; `workflow` carries its critical path. At most `limit` bars, by default 400. */
export function exemplarOf(
  label: Exemplar['label'],
  workflow: WorkflowRecord,
  nodes: readonly NodeRecord[],
  calls: readonly CallRecord[],
  { limit = BARS_MAX, background }: { limit?: number | undefined; background?: Background | undefined } = {},
): Exemplar {
  const bars = barsOf(workflow, nodes, calls, background);
  return {
    label,
    session: workflow.session,
    workflow: workflow.workflow,
    ...(workflow.status === 'completed' ? {} : { status: workflow.status }),
    makespanMs: rounded(lengthMs(workflow, nodes)),
    criticalPath: workflow.criticalPath,
    bars: mostTelling(bars, limit),
    barsLeftOut: Math.max(0, bars.length - limit),
  };
}

/** `count` of a list, evenly: both ends are among them. */
export function evenly<Item>(items: readonly Item[], count: number): Item[] {
  if (count >= items.length) return [...items];
  if (count <= 1) return items.slice(0, count);
  return Array.from({ length: count }, (_, i) => items[Math.round((i * (items.length - 1)) / (count - 1))]!);
}

/**
 * One exemplar per label (a session that answers to two labels is drawn once), then at most 200 samples, evenly over
 * the workflows in order of their length, those that did not complete among them. `workflows` carry critical paths.
 */
export function exemplarsOf(
  workflows: readonly WorkflowRecord[],
  nodes: ReadonlyMap<string, NodeRecord[]>,
  calls: ReadonlyMap<string, CallRecord[]>,
  background?: Background,
): Exemplar[] {
  const nodesOf = ({ session }: WorkflowRecord): NodeRecord[] => nodes.get(session) ?? [];
  const drawn = (label: Exemplar['label'], workflow: WorkflowRecord, limit?: number): Exemplar =>
    exemplarOf(label, workflow, nodesOf(workflow), calls.get(workflow.session) ?? [], { limit, background });

  const byLength = workflows
    .map(workflow => ({ workflow, ms: lengthMs(workflow, nodesOf(workflow)) }))
    .sort((a, b) => a.ms - b.ms || (a.workflow.session < b.workflow.session ? -1 : 1))
    .map(({ workflow }) => workflow);
  const completed = byLength.filter(workflow => makespanMs(workflow) !== null);

  const labelled: { label: Exemplar['label']; workflow: WorkflowRecord }[] = [];
  for (const [label, q] of LABELS) {
    const workflow = completed[quantileRank(q, completed.length)];
    if (workflow === undefined || labelled.some(each => each.workflow === workflow)) continue;
    labelled.push({ label, workflow });
  }

  const troubled = byLength.filter(workflow => makespanMs(workflow) === null && nodesOf(workflow).length > 0);
  const others = completed.filter(workflow => labelled.every(each => each.workflow !== workflow));
  const barsMean = meanBars([...others, ...troubled].map(workflow => nodesOf(workflow).length));
  const count = Math.min(SAMPLES_MAX, Math.floor(SAMPLED_BARS_MAX / barsMean));
  const share = troubled.length / Math.max(1, troubled.length + others.length);
  const troubledCount = Math.min(troubled.length, Math.max(TROUBLED_MIN, Math.round(share * count)));
  const samples = new Set([...evenly(others, count - troubledCount), ...evenly(troubled, troubledCount)]);
  return [
    ...labelled.map(({ label, workflow }) => drawn(label, workflow)),
    ...byLength
      .filter(workflow => samples.has(workflow))
      .map(workflow => drawn('sample', workflow, SAMPLE_BARS_MAX)),
  ];
}

/** How many bars a sample has, on average. */
const meanBars = (counts: readonly number[]): number =>
  Math.max(
    1,
    counts.reduce((sum, count) => sum + Math.min(count, SAMPLE_BARS_MAX), 0) / Math.max(1, counts.length),
  );
