// An incident in a figure over time: a stretch far above the usual value. Was what happened in the record reproduced?
import { showMs, showValue } from '../../reports/numbers.ts';
import { quantile } from '../../scenarios/base/statistics.ts';
import type { Incident, Rise, SeriesComparison, SeriesPoint } from '../../scenarios/formats/validation.ts';

/** A peak of at least so many times the usual value is an incident. */
const RISE_FACTOR = 2;
/** And by so much, so that a queue of one, or a tenth of a millisecond, is none. */
const RISE_MIN: Record<SeriesComparison['unit'], number> = { ms: 1, count: 3, ratio: 0.1 };
/** Fewer points show no shape. */
const POINTS_MIN = 4;
/** Peaks apart by at most this factor are the same peak, stretches apart by at most so many points the same time. */
const PEAK_FACTOR = 1.5;
const SHIFT_POINTS = 2;

type Figure = Pick<SeriesComparison, 'metric' | 'unit' | 'windowMs'>;
type WorldOf = 'predicted' | 'measured' | 'live';

/** The stretch around the highest point that is at least half way up; null: nothing rises. */
export function riseOf(points: readonly SeriesPoint[], of: WorldOf, { unit, windowMs }: Figure): Rise | null {
  const known = points.flatMap(point => (point[of] === null ? [] : [{ atMs: point.atMs, value: point[of] }]));
  if (known.length < POINTS_MIN) return null;
  const values = known.map(({ value }) => value);
  const usual = quantile(values, 0.5);
  const peak = Math.max(...values);
  if (peak < RISE_FACTOR * usual || peak - usual < RISE_MIN[unit]) return null;
  const half = usual + (peak - usual) / 2;
  let first = values.indexOf(peak);
  let last = first;
  while (first > 0 && values[first - 1]! >= half) first--;
  while (last < values.length - 1 && values[last + 1]! >= half) last++;
  return { usual, peak, fromMs: known[first]!.atMs - windowMs, toMs: known[last]!.atMs };
}

/** How an instant of the run is told: `14:02` where its wall clock is known, else `2 min 05 s into the run`. */
export function clockOf(epochMs: number | null, durationMs: number): (atMs: number) => string {
  if (epochMs === null) return atMs => `${showMs(Math.max(0, atMs))} into the run`;
  const [from, to] = durationMs > 86_400_000 ? [0, 16] : durationMs > 1_800_000 ? [11, 16] : [11, 19];
  return atMs =>
    `${new Date(epochMs + atMs).toISOString().slice(from, to).replace('T', ' ')}${from === 0 ? ' UTC' : ''}`;
}

const WORDS: Record<WorldOf, string> = { predicted: 'simulation', measured: 'record', live: 'live run' };

/** Whether the predicted world shows what the measured one does. */
export function incidentOf(
  points: readonly SeriesPoint[],
  figure: Figure,
  clock: (atMs: number) => string,
): Incident {
  const [measured, predicted, live] = (['measured', 'predicted', 'live'] as const).map(of =>
    riseOf(points, of, figure),
  ) as [Rise | null, Rise | null, Rise | null];
  const show = (value: number): string => showValue(value, figure.unit);
  const risen = (rise: Rise): string =>
    `from ${show(rise.usual)} to ${show(rise.peak)} at ${clock(Math.max(0, rise.fromMs))}`;
  const flat = (of: WorldOf): string => {
    const values = points.flatMap(point => point[of] ?? []);
    return values.length === 0
      ? 'has no value'
      : `stays between ${show(Math.min(...values))} and ${show(Math.max(...values))}`;
  };
  const sameTime = (rise: Rise, other: Rise): boolean => {
    const shiftMs = SHIFT_POINTS * figure.windowMs;
    return rise.fromMs <= other.toMs + shiftMs && other.fromMs <= rise.toMs + shiftMs;
  };
  const sameSize = (rise: Rise, other: Rise): boolean =>
    rise.peak <= PEAK_FACTOR * other.peak && other.peak <= PEAK_FACTOR * rise.peak;
  const answer = (): Pick<Incident, 'reproduced' | 'sentence'> => {
    const { metric } = figure;
    if (measured === null && predicted === null) {
      return {
        reproduced: 'nothing',
        sentence: `nothing happened: ${metric} ${flat('measured')} in the record and ${flat('predicted')} in the simulation`,
      };
    }
    if (measured === null) {
      return {
        reproduced: 'no',
        sentence: `no: ${metric} rises ${risen(predicted!)} in the simulation, and ${flat('measured')} in the record`,
      };
    }
    if (predicted === null) {
      return {
        reproduced: 'no',
        sentence: `no: ${metric} rises ${risen(measured)} in the record, and ${flat('predicted')} in the simulation`,
      };
    }
    if (!sameTime(measured, predicted)) {
      return {
        reproduced: 'no',
        sentence: `no: ${metric} rises ${risen(measured)} in the record, and ${risen(predicted)} in the simulation`,
      };
    }
    if (!sameSize(measured, predicted)) {
      return {
        reproduced: 'partly',
        sentence: `partly: ${metric} rises at ${clock(Math.max(0, measured.fromMs))} in both, from ${show(measured.usual)} to ${show(measured.peak)} in the record and from ${show(predicted.usual)} to ${show(predicted.peak)} in the simulation`,
      };
    }
    return {
      reproduced: 'yes',
      sentence: `yes: ${metric} rises ${risen(measured)} in both (simulated: from ${show(predicted.usual)} to ${show(predicted.peak)})`,
    };
  };
  const { reproduced, sentence } = answer();
  const also = !points.some(point => point.live !== null)
    ? ''
    : live === null
      ? `; in the ${WORDS.live} it ${flat('live')}`
      : `; in the ${WORDS.live} it rises ${risen(live)}`;
  return { reproduced, sentence: `${sentence}${also}`, measured, predicted, live };
}

/** How far two series are apart, over the points that both have; null without one. */
export function seriesError(points: readonly SeriesPoint[]): {
  predicted: number;
  measured: number;
} | null {
  const both = points.filter(point => point.predicted !== null && point.measured !== null);
  if (both.length === 0) return null;
  const sumOf = (of: 'predicted' | 'measured'): number => both.reduce((sum, point) => sum + point[of]!, 0);
  return { predicted: sumOf('predicted') / both.length, measured: sumOf('measured') / both.length };
}
