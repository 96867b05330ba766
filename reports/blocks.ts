// A live run as blocks: slices of equal time, by when sessions start, with the warm-up cut off. Requests of one moment are
// alike, so a test of two runs counts such slices, never the requests inside of them.
import type { HistogramCounts } from '../scenarios/base/histogram.ts';
import { warmupCount } from '../scenarios/base/statistics.ts';
import type { CallRecord, WorkflowRecord } from '../scenarios/formats/record.ts';
import { makespanMs } from '../scenarios/formats/record.ts';
import type { MetricName, RunResult } from '../scenarios/formats/result.ts';
import type { RunOutput } from '../scenarios/formats/run.ts';
import { goodputOf } from './governed/goodput.ts';
import { metricsOf } from './metrics.ts';

/** Slices of a run; fewer where it has few sessions, and none where even those would hold less than two each. */
const BLOCKS = 10;
const BLOCKS_MIN = 8;
const SESSIONS_MIN = 2;

/** What started in one slice. */
interface Slice {
  readonly lengthMs: number;
  readonly calls: CallRecord[];
  readonly workflows: WorkflowRecord[];
  /** What its calls and tools cost; null where nobody kept the books. */
  nanos: number | null;
}

type Read = (slice: Slice, output: RunOutput) => number | null;

const LATENCIES: readonly [MetricName, 'mean' | 'p50' | 'p95' | 'p99'][] = [
  ['makespan', 'mean'],
  ['makespan', 'p50'],
  ['makespan', 'p95'],
  ['ttft', 'p50'],
  ['ttft', 'p95'],
  ['tpot', 'p50'],
  ['e2e', 'p95'],
];

const perSec = (count: number, { lengthMs }: Slice): number => (count / lengthMs) * 1000;
const completed = ({ workflows }: Slice): number =>
  workflows.filter(({ status }) => status === 'completed').length;

/** By the ids of compare/figures.ts; latencies are read together. */
const READ: Readonly<Record<string, Read>> = {
  'throughput.workflows': slice => perSec(completed(slice), slice),
  'throughput.tokens': slice =>
    perSec(
      slice.calls.reduce((sum, { outputTokens }) => sum + outputTokens, 0),
      slice,
    ),
  'goodput.workflows'({ calls, workflows, lengthMs }, output) {
    const rows = goodputOf({ ...output, calls, workflows, durationMs: lengthMs })?.byWorkflow ?? [];
    return rows.length === 0 ? null : rows.reduce((sum, { keptPerSec }) => sum + keptPerSec, 0);
  },
  errors: ({ calls }) =>
    calls.length === 0 ? null : calls.filter(({ outcome }) => outcome === 'error').length / calls.length,
  cacheHits({ calls }) {
    const told = calls.filter(({ cachedTokens, outcome }) => cachedTokens !== null && outcome === 'ok');
    const promptTokens = told.reduce((sum, call) => sum + call.promptTokens, 0);
    const cachedTokens = told.reduce((sum, call) => sum + (call.cachedTokens ?? 0), 0);
    return promptTokens === 0 ? null : cachedTokens / promptTokens;
  },
  'cost.per1000Workflows'(slice) {
    const done = completed(slice);
    return slice.nanos === null || slice.nanos === 0 || done === 0 ? null : (slice.nanos / 1e9 / done) * 1000;
  },
};

/** Sessions after the warm-up, in order of their start. */
function warmSessions({ workflows }: RunOutput): WorkflowRecord[] {
  const ordered = workflows.toSorted((a, b) => a.plannedMs - b.plannedMs || (a.session < b.session ? -1 : 1));
  const timed = ordered.filter(workflow => makespanMs(workflow) !== null);
  const from = timed[warmupCount(timed.map(workflow => makespanMs(workflow)!))];
  return from === undefined ? ordered : ordered.slice(ordered.indexOf(from));
}

/** Equal slices from the first start to the last; null: too few sessions, or all start at once. */
function slicesOf(output: RunOutput): { slices: Slice[]; sliceOf: Map<string, Slice> } | null {
  const sessions = warmSessions(output);
  const fromMs = sessions[0]?.plannedMs ?? 0;
  const spanMs = (sessions.at(-1)?.plannedMs ?? 0) - fromMs;
  const count = Math.min(BLOCKS, Math.floor(sessions.length / SESSIONS_MIN));
  if (count < BLOCKS_MIN || spanMs <= 0) return null;
  const lengthMs = spanMs / count;
  const slices = Array.from(
    { length: count },
    (): Slice => ({ lengthMs, calls: [], workflows: [], nanos: output.ledger === undefined ? null : 0 }),
  );
  const sliceOf = new Map<string, Slice>();
  for (const workflow of sessions) {
    const slice = slices[Math.min(count - 1, Math.floor((workflow.plannedMs - fromMs) / lengthMs))]!;
    slice.workflows.push(workflow);
    sliceOf.set(workflow.session, slice);
  }
  for (const call of output.calls) sliceOf.get(call.session)?.calls.push(call);
  return { slices, sliceOf };
}

/** Work is paid by whom it was for, what stood idle by time. */
function addCosts({ slices, sliceOf }: NonNullable<ReturnType<typeof slicesOf>>, output: RunOutput): void {
  const { ledger, governed, calls, durationMs } = output;
  if (ledger === undefined) return;
  const add = (session: string, nanos: number): void => {
    const slice = sliceOf.get(session);
    if (slice?.nanos != null) slice.nanos += nanos;
  };
  const attempts = governed?.attempts ?? calls;
  for (const [i, { session }] of attempts.entries()) add(session, ledger.attemptNanos[i] ?? 0);
  for (const [i, { session }] of (governed?.tools ?? []).entries()) add(session, ledger.toolNanos[i] ?? 0);
  const { gpu_idle: idleGpus, tools_idle: idleTools, classifier } = ledger.components;
  for (const slice of slices)
    slice.nanos! += ((idleGpus + idleTools + classifier) * slice.lengthMs) / durationMs;
}

/** Gaps between tokens are counted over the run, not by session. */
const NO_TOKEN_GAPS: HistogramCounts = { count: 0, sum: 0, min: 0, max: 0, buckets: [] };

/** The figures of each slice, by the ids of compare/figures.ts; null: the run has no slices. */
export function blocksOf(output: RunOutput): NonNullable<RunResult['blocks']> | null {
  if (output.header.world !== 'live' || output.interrupted) return null;
  const sliced = slicesOf(output);
  if (sliced === null) return null;
  addCosts(sliced, output);
  const { slices } = sliced;
  const metrics = slices.map(
    ({ calls, workflows }) => metricsOf({ ...output, calls, workflows, itlMs: NO_TOKEN_GAPS }).metrics,
  );
  const latencies = LATENCIES.map(([metric, statistic]) => ({
    id: `${metric}.${statistic}`,
    values: metrics.map(each => each[metric]?.[statistic] ?? null),
  }));
  const others = Object.entries(READ).map(([id, read]) => ({
    id,
    values: slices.map(slice => read(slice, output)),
  }));
  return [...latencies, ...others].filter(({ values }) => values.some(value => value !== null));
}
