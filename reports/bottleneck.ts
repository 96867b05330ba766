// Why a run was as slow as it was: causes on the critical path, by step too; when pools had more than they could do;
// calls that took far longer than others of their step.
import { quantile } from '../scenarios/base/statistics.ts';
import {
  type CallRecord,
  type CriticalPath,
  e2eMs,
  type NodeRecord,
  type Span,
} from '../scenarios/formats/record.ts';
import type { Bottleneck, SaturationSpan, TimelinePoint } from '../scenarios/formats/result.ts';
import { CRITICAL_PARTS, criticalNodes, type OnPart, totalMs } from './critical-path.ts';
import { united } from './phases.ts';
import { savingsMs } from './savings.ts';

const STEPS_MAX = 40;
const SPANS_MAX = 50;
const STRAGGLERS_MAX = 10;

/** From this share of its blocks on, a cache is about to preempt or to make prefixes homeless; below the other it is not. */
const KV_FULL = { from: 0.95, until: 0.9 } as const;
/** A queue counts from this share of the batch on: what comes within a step always waits for its end. */
const QUEUE_MIN = 0.1;
/** Of a step, so many calls have a median worth comparing with, and so many times that is far from it. */
const STEP_CALLS_MIN = 5;
const STRAGGLES_FROM = 2;

/** The causes of a summed critical path, the largest first. */
export function causesOf(path: CriticalPath): Bottleneck['causes'] {
  const allMs = totalMs(path);
  return CRITICAL_PARTS.map(cause => ({ cause, ms: path[cause], share: path[cause] / allMs }))
    .filter(({ ms }) => ms > 0)
    .sort((a, b) => b.ms - a.ms);
}

/** Collects the critical path of completed workflows by step; `stepOf` names a step among those of all workflows. */
export function stepCauses(stepOf: (of: { workflow: string; step: string }) => string): {
  readonly onPart: OnPart;
  rows(): Bottleneck['bySteps'];
} {
  const sums = new Map<string, { step: string; cause: keyof CriticalPath; ms: number }>();
  return {
    onPart: ({ workflow, status }, { step }, cause, ms) => {
      if (status !== 'completed') return;
      const name = stepOf({ workflow, step });
      const key = `${cause} ${name}`;
      const row = sums.get(key);
      if (row === undefined) sums.set(key, { step: name, cause, ms });
      else row.ms += ms;
    },
    rows: () =>
      [...sums.values()]
        .sort((a, b) => b.ms - a.ms || (a.step < b.step ? -1 : a.step > b.step ? 1 : 0))
        .slice(0, STEPS_MAX),
  };
}

/** With hysteresis: a state lasts until it is clearly over, and what is seen once is no state. */
function spansOf(points: readonly TimelinePoint[], durationMs: number): SaturationSpan[] {
  let isFull = false;
  let queues = false;
  const seen = points.map(({ atMs, pool, runningRequests, waitingRequests, kvUsedRatio }) => {
    isFull = kvUsedRatio >= (isFull ? KV_FULL.until : KV_FULL.from);
    queues = waitingRequests > 0 && (queues || waitingRequests >= runningRequests * QUEUE_MIN);
    return { pool, startMs: atMs, cause: isFull ? ('kv' as const) : queues ? ('queue' as const) : null };
  });
  const spans: SaturationSpan[] = [];
  for (let from = 0, to = 1; from < seen.length; from = to) {
    const { pool, startMs, cause } = seen[from]!;
    for (to = from + 1; to < seen.length && seen[to]!.cause === cause; to++);
    const endMs = seen[to]?.startMs ?? durationMs;
    if (cause !== null && to - from > 1 && endMs > startMs) spans.push({ pool, startMs, endMs, cause });
  }
  return spans;
}

/** The fewest gaps closed, the shortest first, that leave at most `limit` spans; the longer one names the cause. */
function mergedTo(spans: readonly SaturationSpan[], limit: number): SaturationSpan[] {
  const merged = [...spans];
  while (merged.length > limit) {
    let best = -1;
    let bestMs = Number.POSITIVE_INFINITY;
    for (let i = 1; i < merged.length; i++) {
      const gapMs = merged[i]!.startMs - merged[i - 1]!.endMs;
      if (merged[i]!.pool === merged[i - 1]!.pool && gapMs < bestMs) [best, bestMs] = [i, gapMs];
    }
    // So many pools that each has one: the longest stay.
    if (best < 0) return merged.sort((a, b) => lengthMs(b) - lengthMs(a)).slice(0, limit);
    const [a, b] = [merged[best - 1]!, merged[best]!];
    const cause = lengthMs(a) >= lengthMs(b) ? a.cause : b.cause;
    merged.splice(best - 1, 2, { pool: a.pool, startMs: a.startMs, endMs: b.endMs, cause });
  }
  return merged;
}

const lengthMs = ({ startMs, endMs }: Span): number => endMs - startMs;

/** When pools had more than they could do, and the share of the run in which any had. `pools`: a list for each. */
export function saturationOf(
  pools: readonly (readonly TimelinePoint[])[],
  durationMs: number,
): Pick<Bottleneck, 'saturation' | 'saturatedRatio'> {
  const all = pools.flatMap(points => spansOf(points, durationMs));
  const saturatedMs = united(all).reduce((sum, span) => sum + lengthMs(span), 0);
  const saturation = mergedTo(all, SPANS_MAX).sort(
    (a, b) => a.startMs - b.startMs || (a.pool < b.pool ? -1 : a.pool > b.pool ? 1 : 0),
  );
  return { saturation, saturatedRatio: durationMs > 0 ? Math.min(1, saturatedMs / durationMs) : 0 };
}

/** Those furthest beyond the median of their step. A workflow lost as much by one on its critical path, up to the next path. */
function stragglersOf(
  calls: readonly CallRecord[],
  nodes: ReadonlyMap<string, readonly NodeRecord[]>,
  stepOf: (call: CallRecord) => string,
): Bottleneck['stragglers'] {
  const late: { call: CallRecord; step: string; tookMs: number; medianMs: number }[] = [];
  for (const [step, own] of Map.groupBy(calls, stepOf)) {
    const times = own.flatMap(call => e2eMs(call) ?? []);
    if (times.length < STEP_CALLS_MIN) continue;
    const medianMs = quantile(times, 0.5);
    for (const call of own) {
      const tookMs = e2eMs(call);
      if (tookMs !== null && tookMs >= STRAGGLES_FROM * medianMs && tookMs > medianMs)
        late.push({ call, step, tookMs, medianMs });
    }
  }
  const byName = (a: CallRecord, b: CallRecord): number =>
    a.session !== b.session ? (a.session < b.session ? -1 : 1) : a.call < b.call ? -1 : 1;
  return late
    .sort((a, b) => b.tookMs - b.medianMs - (a.tookMs - a.medianMs) || byName(a.call, b.call))
    .slice(0, STRAGGLERS_MAX)
    .map(({ call, step, tookMs, medianMs }) => {
      const own = nodes.get(call.session) ?? [];
      const onPath = criticalNodes(own).some(node => node.call === call.call);
      const savesMs = savingsMs(own).get(call.call) ?? tookMs;
      return {
        session: call.session,
        call: call.call,
        step,
        e2eMs: tookMs,
        stepMedianMs: medianMs,
        lostMs: onPath ? Math.min(tookMs - medianMs, savesMs) : 0,
      };
    });
}

/** What a bottleneck is made of: of the completed workflows `criticalPath` and `bySteps`. */
export interface BottleneckInput {
  readonly calls: readonly CallRecord[];
  readonly nodes: ReadonlyMap<string, readonly NodeRecord[]>;
  readonly pools: readonly (readonly TimelinePoint[])[];
  readonly durationMs: number;
  readonly criticalPath: CriticalPath;
  readonly bySteps: Bottleneck['bySteps'];
  readonly preemptions: number;
  readonly stepOf: (call: CallRecord) => string;
}

export const bottleneckOf = (run: BottleneckInput): Bottleneck => ({
  causes: causesOf(run.criticalPath),
  bySteps: run.bySteps,
  ...saturationOf(run.pools, run.durationMs),
  preemptions: run.preemptions,
  stragglers: stragglersOf(run.calls, run.nodes, run.stepOf),
});
