// Gathers the runs of a sweep into its points, in whatever order they come: a point is made when its last seed is in, and
// only then are its histograms let go. Pure.
import { showFigure } from '../../reports/sweep/words.ts';
import { invariant } from '../../scenarios/base/errors.ts';
import type { Assertion } from '../../scenarios/formats/assertion.ts';
import {
  SWEEP_METRIC_NAMES,
  SWEEP_METRICS,
  type SweepCost,
  type SweepFigure,
  type SweepMetric,
  type SweepPoint,
} from '../../scenarios/formats/sweep.ts';
import type { CaseFailure, Outcome } from '../grid/case.ts';
import type { Point } from './design.ts';
import { allHold, metricsOfRun, pooledMetrics, type SweepRun, type SweepValues } from './metrics.ts';

/** One run, as its row of a table. */
export interface RunRow {
  readonly point: number;
  readonly seed: number | string;
  readonly values: SweepValues | null;
  /** Whether every assertion holds; null: it failed, or there are none. */
  readonly holds: boolean | null;
  readonly failure: CaseFailure | null;
}

export interface Gathered {
  readonly point: SweepPoint;
  readonly rows: readonly RunRow[];
}

/** Assertions of a point's scenario: those of its plan. */
export type AssertionsOf = (point: number, run: SweepRun) => readonly Assertion[];

interface GatherOptions {
  readonly points: readonly Point[];
  readonly seeds: readonly (number | string)[];
  /** By which `bestSoFar` is told. */
  readonly metric: SweepMetric;
  readonly assertionsOf: AssertionsOf;
}

/** A run that is in: its row, and what is to be pooled. */
interface Ended {
  readonly row: RunRow;
  readonly run: SweepRun | null;
}

const NONE: SweepFigure = [null, null, null];

export class SweepGather {
  private readonly points: readonly Point[];
  private readonly seeds: readonly (number | string)[];
  private readonly metric: SweepMetric;
  private readonly assertionsOf: AssertionsOf;
  private best: { readonly value: number; readonly point: number } | null = null;
  /** Of points that lack a seed. */
  private readonly open = new Map<number, (Ended | null)[]>();
  private readonly closed = new Map<number, Gathered>();
  runs = 0;
  failedRuns = 0;

  constructor({ points, seeds, metric, assertionsOf }: GatherOptions) {
    this.points = points;
    this.seeds = seeds;
    this.metric = metric;
    this.assertionsOf = assertionsOf;
  }

  has = (point: number, seed: number): boolean =>
    this.closed.has(point) || (this.open.get(point)?.[seed] ?? null) !== null;

  /** A run that is in already changes nothing. */
  add(point: number, seed: number, outcome: Outcome): void {
    if (this.has(point, seed)) return;
    const ended = this.open.get(point) ?? this.seeds.map(() => null);
    const row = this.row(point, this.seeds[seed]!, outcome);
    ended[seed] = { row, run: outcome.ok ? runOf(outcome) : null };
    this.open.set(point, ended);
    this.runs += 1;
    if (!outcome.ok) this.failedRuns += 1;
    this.look(row);
    if (ended.includes(null)) return;
    this.open.delete(point);
    this.closed.set(point, this.gathered(point, ended as Ended[]));
  }

  /** The best single run so far, and where: `412 ms at 8, round-robin`. */
  bestSoFar(): string | null {
    if (this.best === null) return null;
    const labels = this.points[this.best.point]!.map(({ label }) => label);
    return `${showFigure(this.metric, this.best.value)} at ${labels.join(', ')}`;
  }

  private look({ point, values }: RunRow): void {
    const value = values?.[this.metric] ?? null;
    if (value !== null && (this.best === null || worse(this.metric, value, this.best.value) < 0))
      this.best = { value, point };
  }

  /** Points with all of their seeds, in the order of the design. */
  gatheredPoints = (): Gathered[] => [...this.closed.values()].sort((a, b) => a.point.index - b.point.index);

  private gathered(index: number, ended: readonly Ended[]): Gathered {
    const rows = ended.map(({ row }) => row);
    const runs = ended.flatMap(({ run }) => run ?? []);
    const [first, ...others] = runs;
    const holding = rows.flatMap(({ holds }) => holds ?? []);
    const place = this.points[index]!;
    return {
      rows,
      point: {
        index,
        values: place.map(({ label }) => label),
        numbers: place.map(({ number }) => number),
        seeds: runs.length,
        metrics:
          first === undefined
            ? (Object.fromEntries(SWEEP_METRIC_NAMES.map(name => [name, NONE])) as SweepPoint['metrics'])
            : pooledMetrics(
                [first, ...others],
                rows.flatMap(({ values }) => values ?? []),
                this.assertionsOf(index, first),
              ),
        holdsRatio: holding.length === 0 ? null : holding.filter(Boolean).length / holding.length,
        failures: rows.flatMap(({ seed, failure }) => (failure === null ? [] : [{ seed, ...failure }])),
        isFront: false,
      },
    };
  }

  private row(point: number, seed: number | string, outcome: Outcome): RunRow {
    if (!outcome.ok) return { point, seed, values: null, holds: null, failure: outcome.failure };
    const run = runOf(outcome);
    const assertions = this.assertionsOf(point, run);
    const holds = assertions.length === 0 ? null : allHold(run, assertions);
    return { point, seed, values: metricsOfRun(run, assertions), holds, failure: null };
  }
}

/** What a sweep asks of its cases. */
function runOf({ figures, tally }: Extract<Outcome, { ok: true }>): SweepRun {
  invariant(tally !== undefined, () => 'a run of a sweep has its tally');
  return { figures, tally };
}

/** Below 0 where `a` is the better one. */
export function worse(metric: SweepMetric, a: number, b: number): number {
  return SWEEP_METRICS[metric].better === 'lower' ? a - b : b - a;
}

const metricOf = ({ metrics }: SweepPoint, name: SweepMetric): number | null => metrics[name][0];

/** Whether nothing speaks against a point: no seed failed, and every assertion holds with each. */
const isSound = ({ failures, holdsRatio }: SweepPoint): boolean =>
  failures.length === 0 && (holdsRatio === null || holdsRatio === 1);

/** Best first: points that hold every assertion before others, then those of which no seed failed; then by metric, then the cheaper one. */
export function rankingOf(points: readonly SweepPoint[], metric: SweepMetric, cost: SweepCost): number[] {
  const known = points.flatMap((point, i) => (metricOf(point, metric) === null ? [] : [i]));
  const against = (point: SweepPoint): number => (isSound(point) ? 0 : point.failures.length === 0 ? 1 : 2);
  return known.sort((i, j) => {
    const [a, b] = [points[i]!, points[j]!];
    return (
      against(a) - against(b) ||
      worse(metric, metricOf(a, metric)!, metricOf(b, metric)!) ||
      (metricOf(a, cost) ?? Number.POSITIVE_INFINITY) - (metricOf(b, cost) ?? Number.POSITIVE_INFINITY) ||
      i - j
    );
  });
}

/** Marks the points that no other beats in metric and cost: of those that hold every assertion, where some do. */
export function withFront(points: readonly SweepPoint[], metric: SweepMetric, cost: SweepCost): SweepPoint[] {
  const sound = points.filter(isSound);
  const known = (sound.length > 0 ? sound : points)
    .flatMap(point => {
      const [value, spent] = [metricOf(point, metric), metricOf(point, cost)];
      return value === null || spent === null ? [] : [{ point, value, spent }];
    })
    .sort((a, b) => a.spent - b.spent || worse(metric, a.value, b.value));
  const front = new Set<number>();
  let best: { value: number; spent: number } | null = null;
  for (const { point, value, spent } of known) {
    const isBetter = best === null || worse(metric, value, best.value) < 0;
    const isEqual = best !== null && best.value === value && best.spent === spent;
    if (isBetter || isEqual) front.add(point.index);
    if (isBetter) best = { value, spent };
  }
  return points.map(point => ({ ...point, isFront: front.has(point.index) }));
}

/** Of points that hold every assertion with every seed. */
export function cheapestThatHolds(
  points: readonly SweepPoint[],
  ranking: readonly number[],
  cost: SweepCost,
): number | null {
  const holding = ranking.filter(i => points[i]!.holdsRatio === 1 && isSound(points[i]!));
  const spent = (i: number): number => metricOf(points[i]!, cost) ?? Number.POSITIVE_INFINITY;
  return holding.reduce<number | null>(
    (least, i) => (least === null || spent(i) < spent(least) ? i : least),
    null,
  );
}
