// The metric along one axis of numbers, the one that matters most, with the next axis as lines; of all others the best.
import type { SweepPoint, SweepResult } from '../../../scenarios/formats/sweep.ts';
import type { Chart } from '../../charts/chart.ts';
import { type Line, type LineAxis, linesSpec } from '../../charts/lines.ts';
import { metricAxis } from '../axis.ts';
import { axesByEffect, figureOf, placesOf } from '../space.ts';
import { axisLabels, capital, metricLabel, showFigure } from '../words.ts';

const TICKS_MAX = 12;

interface Along {
  /** The axis of numbers, and that of the lines, where there is one. */
  readonly x: number;
  readonly lines: Line[];
  readonly by: number | null;
  readonly others: readonly number[];
}

function alongOf(sweep: SweepResult): Along | null {
  const { axes, points, metric } = sweep;
  const order = axesByEffect(sweep);
  // A sample has no two points with the same value to draw a line of.
  if (sweep.design !== 'grid') return null;
  const x = order.find(axis => axes[axis]!.isNumeric);
  if (x === undefined) return null;
  const [by = null, ...others] = order.filter(axis => axis !== x);
  const places = placesOf(sweep);
  const best = new Map<string, Map<number, number>>();
  for (const i of sweep.ranking) {
    const point = points[i]!;
    const name = by === null ? metricLabel(metric) : point.values[by]!;
    const row = best.get(name) ?? new Map<number, number>();
    const at = point.numbers[x] as number;
    const known = row.get(at);
    if (known === undefined || places.get(i)! < places.get(known)!) row.set(at, i);
    best.set(name, row);
  }
  const label = by === null ? '' : `${axisLabels(sweep)[by]} `;
  const lines = [...best].map(([name, row]) => ({
    name: `${label}${name}`,
    points: [...row].sort(([a], [b]) => a - b).map(([at, i]) => linePoint(at, points[i]!, metric)),
  }));
  return { x, by, others, lines };
}

function linePoint(x: number, point: SweepPoint, metric: SweepResult['metric']) {
  const [y, low, high] = point.metrics[metric];
  // On an axis of ratios nothing has no place, so an interval that reaches it is not drawn.
  return (low ?? 0) > 0 ? { x, y, low, high } : { x, y, low: null, high: null };
}

/** Numbers a few times apart stand at even distances, and few of them are all written. */
function xAxis(title: string, lines: readonly Line[]): LineAxis {
  const xs = [...new Set(lines.flatMap(({ points }) => points.map(({ x }) => x)))].sort((a, b) => a - b);
  const ticks =
    xs.length <= TICKS_MAX ? { values: xs, format: '~r' } : { tickCount: TICKS_MAX, format: '~s' };
  const isLog = xs[0]! > 0 && xs.at(-1)! / xs[0]! > 10;
  return { title, scale: isLog ? { type: 'log' } : {}, axis: ticks };
}

export const alongAxis: Chart<SweepResult> = {
  id: 'along-axis',
  howToRead:
    'To the right the setting that matters most of those with numbers; a line for each value of the next setting, in colour ' +
    'for the seven that come out best. Bands are the 95 % interval over seeds. Where further settings vary, each mark is ' +
    'the best point over them.',

  title(sweep) {
    const along = alongOf(sweep);
    const best = sweep.points[sweep.ranking[0] ?? -1];
    if (along === null || best === undefined) return 'The metric along a setting';
    const labels = axisLabels(sweep);
    const { metric } = sweep;
    const name = labels[along.x]!;
    // The best point of each value, in the order of the values.
    const tops = new Map<number, SweepPoint>();
    for (const i of sweep.ranking) {
      const point = sweep.points[i]!;
      if (!tops.has(point.numbers[along.x]!)) tops.set(point.numbers[along.x]!, point);
    }
    const all = [...tops.values()].sort((a, b) => a.numbers[along.x]! - b.numbers[along.x]!);
    const peak = all.find(point => figureOf(point, metric) === figureOf(best, metric))!;
    const from = peak === all[0] ? all.at(-1)! : all[0]!;
    const others = [...(along.by === null ? [] : [along.by]), ...along.others];
    const over = others.length === 0 ? '' : `, best over ${others.map(axis => labels[axis]).join(', ')}`;
    const shown = (point: SweepPoint): string =>
      `${showFigure(metric, figureOf(point, metric))} at ${name} ${point.values[along.x]}`;
    return `${capital(metricLabel(metric))} goes from ${shown(from)} to ${shown(peak)}${over}`;
  },

  spec(sweep) {
    const along = alongOf(sweep);
    if (along === null)
      return {
        absent:
          sweep.design === 'grid'
            ? 'no setting with several numbers varies'
            : 'points of a sample share no values to draw lines of; --design grid has them',
      };
    const values = along.lines.flatMap(({ points }) =>
      points.flatMap(({ y, low, high }) => [y ?? [], low ?? [], high ?? []].flat()),
    );
    const { title, scale, axis, label, format } = metricAxis(sweep.metric, values);
    return linesSpec(along.lines, {
      x: xAxis(axisLabels(sweep)[along.x]!, along.lines),
      y: {
        title,
        scale,
        axis,
        ...(label === undefined ? {} : { label }),
        ...(format === undefined ? {} : { format }),
      },
    });
  },

  table(sweep) {
    const along = alongOf(sweep);
    const label = along === null ? 'setting' : axisLabels(sweep)[along.x]!;
    return {
      columns: ['line', label, metricLabel(sweep.metric), '95 % from', '95 % to'],
      rows: (along?.lines ?? []).flatMap(({ name, points }) =>
        points.map(({ x, y, low, high }) => [name, x, y, low ?? null, high ?? null]),
      ),
    };
  },
};
