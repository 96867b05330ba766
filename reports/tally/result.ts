// The result of a run of which only a tally is there, as a document and as the lines that a terminal shows.
import type { HistogramCounts } from '../../scenarios/base/histogram.ts';
import type { Assertion } from '../../scenarios/formats/assertion.ts';
import type { AssertionResult, MetricSummary } from '../../scenarios/formats/result.ts';
import type { RunHeader } from '../../scenarios/formats/run.ts';
import type { RunTally } from '../../scenarios/formats/tally.ts';
import {
  TALLY_RESULT_SCHEMA_VERSION,
  type TalliedParts,
  type TallyResult,
} from '../../scenarios/formats/tally-result.ts';
import { histogramSummary, METRIC_LABELS } from '../metrics.ts';
import {
  plural,
  showCount,
  showMs,
  showNumber,
  showRatio,
  showTokens,
  showUsd,
  showValue,
} from '../numbers.ts';
import { judgeTally } from './judge.ts';

const US_PER_MS = 1000;
const MS_PER_HOUR = 3.6e6;
const NANOS = 1e9;

const MISSING = [
  'calls, sessions and steps one by one, and with them waterfalls, critical paths and the bottleneck',
  'anything over time: queues, KV in use, replicas',
  'groups by step, role, workflow, tenant or user, but where an assertion names them',
];

const inMs = (us: HistogramCounts): MetricSummary | null => {
  const summary = histogramSummary(us);
  if (summary === null) return null;
  const ms = <T extends number | null | undefined>(value: T): T =>
    (typeof value === 'number' ? value / US_PER_MS : value) as T;
  const { mean, min, max, p50, p90, p95, p99, p999 } = summary;
  return {
    ...summary,
    mean: ms(mean),
    min: ms(min),
    max: ms(max),
    p50: ms(p50),
    p90: ms(p90),
    p95: ms(p95),
    p99: ms(p99),
    ...(p999 === undefined ? {} : { p999: ms(p999) }),
  };
};

const statusOf = (assertions: readonly AssertionResult[]): TallyResult['verdict']['status'] => {
  if (assertions.length === 0) return 'done';
  return assertions.some(({ pass }) => pass === false) ? 'fail' : 'pass';
};

export function tallyResult(
  header: RunHeader,
  assertions: readonly Assertion[],
  { tally, parts }: { tally: RunTally; parts: TalliedParts },
): TallyResult {
  const { ttft, tpot, e2e, queue, makespan } = tally.us;
  const judged = judgeTally(assertions, tally);
  return {
    kind: 'tally',
    schemaVersion: TALLY_RESULT_SCHEMA_VERSION,
    header,
    verdict: { status: statusOf(judged) },
    assertions: judged,
    metrics: {
      ttft: inMs(ttft),
      itl: histogramSummary(tally.itlMs),
      tpot: inMs(tpot),
      e2e: inMs(e2e),
      queue: inMs(queue),
      makespan: inMs(makespan),
    },
    parts,
    missing: MISSING,
    tally,
  };
}

const SHOWN = ['ttft', 'itl', 'e2e', 'makespan'] as const;

function partsText({ kind, count, isExact, notes }: TalliedParts): string {
  const what =
    kind === 'cells'
      ? `${count} cells: exact for a system that is built in cells, an approximation of one that routes over all`
      : count === 1
        ? 'in one simulation'
        : `${count} parts that share nothing: as exact as one simulation`;
  const lead = isExact && count === 1 && notes.length > 0 ? ', since ' : notes.length > 0 ? '; ' : '';
  return `${what}${lead}${notes.join('; ')}`;
}

const MARKS = { true: '✓', false: '✗', null: '–' };

/** What a terminal shows of it. */
export function tallyText({ metrics, assertions, verdict, parts, tally, header }: TallyResult): string {
  const { calls, sessions, tokens } = tally;
  const all = calls.ok + calls.error + calls.cancelled + calls.unfinished;
  const [failed] = Object.entries(tally.errors).sort((a, b) => b[1] - a[1]);
  const hits = tokens.looked === 0 ? '' : `, ${showRatio(tokens.cached / tokens.looked)} of it cached`;
  const usd = tally.gpuNanos === null ? '' : `, ${showUsd((tally.gpuNanos + tally.apiNanos) / NANOS)}`;
  return [
    `${verdict.status.toUpperCase()}  ${header.scenario.name} on ${header.deployment.name}, simulated ${showMs(tally.durationUs / US_PER_MS)}, no records kept`,
    `  ${partsText(parts)}`,
    `  ${plural(all, 'call')}: ${showCount(calls.ok)} ok${failed === undefined ? '' : `, ${showCount(all - calls.ok)} not (most: ${failed[0]})`}; ${plural(sessions.completed, 'session')} completed of ${showCount(Object.values(sessions).reduce((sum, n) => sum + n, 0))}`,
    `  ${showTokens(tokens.prompt)} prompt tokens${hits}, ${showTokens(tokens.output)} out; ${showNumber(tally.gpuMs / MS_PER_HOUR)} GPU-hours${usd}`,
    ...SHOWN.flatMap(name => {
      const of = metrics[name];
      if (of === null) return [];
      const tail = of.p99 === null ? '' : `  p99 ${showMs(of.p99)}`;
      return [`  ${METRIC_LABELS[name].padEnd(24)} p50 ${showMs(of.p50)}  p95 ${showMs(of.p95)}${tail}`];
    }),
    ...assertions.map(({ text, value, unit, pass }) => {
      const found = value === null ? 'nothing to judge, or no tally can say' : showValue(value, unit);
      return `  ${MARKS[`${pass}` as keyof typeof MARKS]} ${text}: ${found}`;
    }),
    '  percentiles are those of histograms, within 0.4 %',
  ].join('\n');
}
