// The points of a sweep as charts need them: axes by how much they matter, their values in a few groups, and the best point
// of each group.
import {
  SWEEP_METRICS,
  type SweepMetric,
  type SweepPoint,
  type SweepResult,
} from '../../scenarios/formats/sweep.ts';
import { showNumber } from '../numbers.ts';

export const figureOf = ({ metrics }: SweepPoint, metric: SweepMetric): number | null => metrics[metric][0];

/** Indexes of the axes with two values or more, the one that matters most first. */
export const axesByEffect = ({ axes, effects }: SweepResult): number[] =>
  effects
    .map(({ axis }) => axes.findIndex(({ name }) => name === axis))
    .filter(index => axes[index]!.values.length > 1);

/** More different values than these do not fit beside one another. */
const GROUPS_MAX = 24;
const BINS = 12;

/** The values of an axis in at most a few groups. */
export interface Groups {
  readonly labels: readonly string[];
  /** The group of a point. */
  of(point: SweepPoint): string;
  /** Whether a group holds several values. */
  readonly areBins: boolean;
}

export function groupsOf({ axes }: SweepResult, axis: number): Groups {
  const { values, isNumeric } = axes[axis]!;
  if (values.length <= GROUPS_MAX || !isNumeric)
    return { labels: values, of: ({ values: own }) => own[axis]!, areBins: false };
  const numbers = values.map(value => Number.parseFloat(value));
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
  const edge = (bin: number): string => showNumber(low + ((high - low) * bin) / BINS);
  const labels = Array.from({ length: BINS }, (_, bin) => `${edge(bin)}–${edge(bin + 1)}`);
  return {
    labels,
    of: ({ numbers: own }) =>
      labels[Math.min(BINS - 1, Math.floor((((own[axis] as number) - low) / (high - low)) * BINS))]!,
    areBins: true,
  };
}

/** The best place of each point: 0 is the best one. Points without the metric have none. */
export const placesOf = ({ ranking }: SweepResult): Map<number, number> =>
  new Map(ranking.map((point, place) => [point, place]));

/** From the worst point, 0, to the best, 1; equal values stand alike. */
export function standings(sweep: SweepResult): Map<number, number> {
  const { points, ranking, metric } = sweep;
  const values = [...new Set(ranking.map(i => figureOf(points[i]!, metric) as number))];
  const sign = SWEEP_METRICS[metric].better === 'higher' ? 1 : -1;
  const order = new Map(values.sort((a, b) => sign * (a - b)).map((value, i) => [value, i]));
  const most = Math.max(1, values.length - 1);
  return new Map(ranking.map(i => [i, order.get(figureOf(points[i]!, metric) as number)! / most]));
}

/** Whether every assertion holds with every seed; a sweep without assertions has none that fails. */
export const failsAssertions = ({ holdsRatio }: SweepPoint): boolean => holdsRatio !== null && holdsRatio < 1;

/** At most `most` indexes of a ranking: the first ones, and of the others every so many. */
export function thinned(ranking: readonly number[], most: number, first: number): number[] {
  if (ranking.length <= most) return [...ranking];
  const rest = ranking.slice(first);
  const kept = most - first;
  return [
    ...ranking.slice(0, first),
    ...Array.from({ length: kept }, (_, i) => rest[Math.floor((i * rest.length) / kept)]!),
  ];
}

/** A latency over a wide range is read in ratios. */
export const isWide = (values: readonly number[]): boolean =>
  Math.min(...values) > 0 && Math.max(...values) / Math.min(...values) > 10;
