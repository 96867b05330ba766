// The figures that decide: means and tails of latencies, counts and tokens, each against its tolerance or the noise.
import { mean } from '../../scenarios/base/statistics.ts';
import type { CallRecord } from '../../scenarios/formats/record.ts';
import type { Estimate, TimeComparison, ValidationRow, World } from '../../scenarios/formats/validation.ts';
import { errorOf, noiseOf } from './error.ts';
import type { Records, SampledMetric } from './samples.ts';

export interface Tolerances {
  /** Of mean times, as a ratio. */
  timeRatio: number;
  /** Of their 95th percentiles. */
  tailRatio: number;
  /** Of counts, tokens and cache hits. */
  countRatio: number;
}

export interface ComparedWorld {
  readonly world: World;
  /** Runs of one plan; a simulation or a record has one. */
  readonly runs: readonly Records[];
}

/** How far an error may exceed what repeats differ by: means, and tails, which differ more than their few values show. */
const NOISE_FACTOR = 1.5;
const TAIL_NOISE_FACTOR = 2;
/** With fewer values the 95th percentile is the luck of a few. */
const TAIL_COUNT_MIN = 100;

/** How rows name the latencies. */
const TIME_LABELS: Record<SampledMetric, string> = {
  ttft: 'TTFT',
  tpot: 'TPOT',
  e2e: 'E2E',
  makespan: 'workflow time',
};

function rowOf(
  part: Pick<ValidationRow, 'metric' | 'predicted' | 'measured' | 'unit' | 'ci95' | 'noiseRatio'>,
  toleranceRatio: number,
  noiseFactor: number,
): ValidationRow {
  const errorRatio = errorOf(part.predicted, part.measured);
  const limitRatio = Math.max(toleranceRatio, noiseFactor * (part.noiseRatio ?? 0));
  const pass = errorRatio !== null && Math.abs(errorRatio) <= limitRatio;
  return { ...part, errorRatio, toleranceRatio, limitRatio, pass };
}

/**
 * Means, and 95th percentiles where there are enough values. Token gaps are shown, but server and client cut streams
 * into pieces of their own: TPOT is judged in their place.
 */
export function timeRows(
  times: readonly TimeComparison[],
  world: World,
  tolerances: Tolerances,
): ValidationRow[] {
  const unseen = unseenTimes(times);
  const judged = times.filter(
    // What a record or a driver does not have cannot be judged; what else our own run lacks is a failure.
    each =>
      each.metric !== 'itl' && !(world === 'recorded' && each.measuredCount === 0) && !unseen.includes(each),
  );
  const row = (what: string, { predictedMs, measuredMs, ci95, noise }: Estimate, isTail: boolean) =>
    rowOf(
      {
        metric: what,
        predicted: predictedMs,
        measured: measuredMs,
        unit: 'ms',
        ci95,
        noiseRatio: noise?.deviationRatio ?? null,
      },
      isTail ? tolerances.tailRatio : tolerances.timeRatio,
      isTail ? TAIL_NOISE_FACTOR : NOISE_FACTOR,
    );
  const labelOf = ({ metric }: TimeComparison): string => TIME_LABELS[metric as SampledMetric];
  const hasTail = ({ predictedCount, measuredCount }: TimeComparison): boolean =>
    Math.min(predictedCount, measuredCount) >= TAIL_COUNT_MIN;
  return [
    ...judged.map(each => row(`mean ${labelOf(each)}`, each.mean, false)),
    ...judged.filter(hasTail).map(each => row(`p95 ${labelOf(each)}`, each.p95, true)),
  ];
}

/** Calls ended, and nobody saw their tokens: k6 sent them. */
export function unseenTimes(times: readonly TimeComparison[]): TimeComparison[] {
  const sawEnds = times.some(({ metric, measuredCount }) => metric === 'e2e' && measuredCount > 0);
  return times.filter(
    ({ metric, measuredCount }) => sawEnds && measuredCount === 0 && (metric === 'ttft' || metric === 'tpot'),
  );
}

interface Count {
  metric: string;
  unit: 'count' | 'tokens';
  of: (run: Records) => number | null;
  /** Whoever wrote a trace says it as well. */
  isRecorded: boolean;
}

const COUNTS: readonly Count[] = [
  {
    metric: 'workflows completed',
    unit: 'count',
    of: run => run.workflows.filter(each => each.status === 'completed').length,
    isRecorded: false,
  },
  {
    metric: 'calls ok',
    unit: 'count',
    of: run => run.calls.filter(call => call.outcome === 'ok').length,
    isRecorded: true,
  },
  {
    metric: 'tool calls',
    unit: 'count',
    of: run => run.workflows.reduce((sum, each) => sum + each.toolCalls, 0),
    isRecorded: false,
  },
  {
    metric: 'prompt tokens',
    unit: 'tokens',
    of: run => total(run, call => call.promptTokens),
    isRecorded: true,
  },
  {
    metric: 'output tokens',
    unit: 'tokens',
    of: run => total(run, call => call.outputTokens),
    isRecorded: true,
  },
  {
    metric: 'cached tokens',
    unit: 'tokens',
    of: run => total(run, call => call.cachedTokens),
    isRecorded: true,
  },
];

/** null when any call does not say. */
function total(run: Records, of: (call: CallRecord) => number | null): number | null {
  let sum = 0;
  for (const call of run.calls) {
    const value = of(call);
    if (value === null) return null;
    sum += value;
  }
  return sum;
}

export function countRows(
  before: readonly Records[],
  { world, runs }: ComparedWorld,
  countRatio: number,
): ValidationRow[] {
  return COUNTS.flatMap(({ metric, unit, of, isRecorded }) => {
    if (world === 'recorded' && !isRecorded) return [];
    const predicted = before.map(of);
    const measured = runs.map(of);
    // A server that does not report cached tokens leaves nothing to compare.
    if (predicted.includes(null) || measured.includes(null)) return [];
    const values = measured as number[];
    const part = {
      metric,
      predicted: mean(predicted as number[]),
      measured: mean(values),
      unit,
      ci95: null,
      noiseRatio: noiseOf(values)?.deviationRatio ?? null,
    };
    return [rowOf(part, countRatio, NOISE_FACTOR)];
  });
}
