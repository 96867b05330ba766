// All points at once: a line each over every setting, the metric and the cost, in the colour of its place.
import type { SweepPoint, SweepResult } from '../../../scenarios/formats/sweep.ts';
import { type Chart, chartSpec, FAINT, INK, PALETTE, topLegend } from '../../charts/chart.ts';
import { showNumber } from '../../numbers.ts';
import { axesByEffect, figureOf, thinned } from '../space.ts';
import { axisLabels, bestPoint, metricLabel, pointName, showFigure } from '../words.ts';

/** Lines that can be told apart; the best ones are always there. */
const LINES_MAX = 400;
const BEST_KEPT = 100;
/** Values of an axis that are written; of more, every so many. */
const TICKS_MAX = 8;

const QUARTERS = ['best quarter', 'second', 'third', 'worst quarter'] as const;
const COLOURS = [PALETTE.blue, PALETTE.sky, PALETTE.orange, PALETTE.vermilion];

interface Column {
  readonly name: string;
  /** 0 below, 1 above; null: the point has none. */
  place(point: SweepPoint): number | null;
  readonly ticks: readonly { place: number; label: string }[];
}

const every = <T>(items: readonly T[], most: number): T[] => {
  const step = Math.ceil(items.length / most);
  return items.filter((_, i) => i % step === 0 || i === items.length - 1);
};

/** Values of an axis with even gaps, in their order. */
function axisColumn(sweep: SweepResult, axis: number): Column {
  const { values } = sweep.axes[axis]!;
  const places = new Map(
    values.map((value, i) => [value, values.length === 1 ? 0.5 : i / (values.length - 1)]),
  );
  return {
    name: axisLabels(sweep)[axis]!,
    place: point => places.get(point.values[axis]!) ?? null,
    ticks: every(values, TICKS_MAX).map(label => ({ place: places.get(label)!, label })),
  };
}

/** From the least to the greatest value; in ratios where they are far apart. */
function metricColumn(sweep: SweepResult, metric: SweepResult['metric']): Column | null {
  const values = sweep.points.flatMap(point => figureOf(point, metric) ?? []);
  if (values.length === 0) return null;
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const isLog = low > 0 && high / low > 10;
  const shown = (value: number): number => (isLog ? Math.log10(value) : value);
  const span = shown(high) - shown(low);
  const place = (value: number): number => (span === 0 ? 0.5 : (shown(value) - shown(low)) / span);
  return {
    name: metricLabel(metric),
    place: point => {
      const value = figureOf(point, metric);
      return value === null ? null : place(value);
    },
    ticks: [...new Set([low, high])].map(value => ({
      place: place(value),
      label: showFigure(metric, value),
    })),
  };
}

function columnsOf(sweep: SweepResult): Column[] {
  const { metric, cost } = sweep;
  const figures = [...new Set([metric, cost])].flatMap(each => metricColumn(sweep, each) ?? []);
  return [...axesByEffect(sweep).map(axis => axisColumn(sweep, axis)), ...figures];
}

/** Worst first, so that the best lie on top. */
const drawnPoints = ({ ranking }: SweepResult): number[] => thinned(ranking, LINES_MAX, BEST_KEPT).reverse();

export const parallel: Chart<SweepResult> = {
  id: 'parallel',
  howToRead:
    'Each line is a point: where it crosses an upright line it has that value. Settings stand in the order in which they ' +
    'matter, then the metric and the cost, whose least and greatest value are written. The colour is the quarter of all ' +
    'points by the metric; the thick line is the best. Where blue meets in one value, that value is what the good points ' +
    'share. Of more than 400 points the best hundred and an even share of the others are drawn.',

  title(sweep) {
    const best = bestPoint(sweep);
    if (best === null) return 'Every point over every setting';
    const quarter = sweep.ranking.slice(0, Math.max(1, Math.ceil(sweep.ranking.length / 4)));
    const [axis] = axesByEffect(sweep);
    if (axis === undefined) return `${pointName(best, sweep)} is best`;
    const label = axisLabels(sweep)[axis]!;
    const { isNumeric } = sweep.axes[axis]!;
    const has = `The best quarter of points has ${label}`;
    if (isNumeric) {
      const numbers = quarter.map(i => sweep.points[i]!.numbers[axis]!);
      const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
      return low === high ? `${has} ${showNumber(low)}` : `${has} ${showNumber(low)} to ${showNumber(high)}`;
    }
    const counts = new Map<string, number>();
    for (const i of quarter) {
      const value = sweep.points[i]!.values[axis]!;
      counts.set(value, (counts.get(value) ?? 0) + 1);
    }
    const [most] = [...counts].sort((a, b) => b[1] - a[1]);
    return `${has} ${most![0]} in ${most![1]} of ${quarter.length}`;
  },

  spec(sweep) {
    const columns = columnsOf(sweep);
    if (sweep.ranking.length < 2 || columns.length < 2)
      return { absent: 'fewer than two points have the metric' };
    const places = new Map(sweep.ranking.map((point, place) => [point, place]));
    const best = sweep.ranking[0];
    const rows = drawnPoints(sweep).flatMap(i => {
      const point = sweep.points[i]!;
      const quarter = QUARTERS[Math.floor((4 * places.get(i)!) / sweep.ranking.length)]!;
      return columns.flatMap((column, x) => {
        const y = column.place(point);
        return y === null ? [] : [{ point: i, x, y, quarter }];
      });
    });
    const ticks = columns.flatMap((column, x) =>
      column.ticks.map(({ place: y, label }) => ({ x, y, label })),
    );
    const names = columns.map(({ name }, x) => ({ x, name: name.split(/[ /_]/) }));
    const x = {
      field: 'x',
      type: 'quantitative',
      scale: { domain: [-0.35, columns.length - 0.65], nice: false },
      axis: null,
    };
    const y = { field: 'y', type: 'quantitative', scale: { domain: [-0.06, 1.06], nice: false }, axis: null };
    const line = {
      x,
      y,
      detail: { field: 'point' },
      order: { field: 'x', type: 'quantitative' },
      color: {
        field: 'quarter',
        type: 'nominal',
        scale: { domain: QUARTERS, range: COLOURS },
        legend: topLegend(),
      },
    };
    return chartSpec(
      {
        lines: rows.filter(row => row.point !== best),
        best: rows.filter(row => row.point === best),
        ticks,
        names,
      },
      {
        height: 320,
        layer: [
          {
            data: { name: 'names' },
            mark: { type: 'rule', color: FAINT, opacity: 0.6 },
            encoding: { x },
          },
          {
            data: { name: 'lines' },
            mark: { type: 'line', strokeWidth: 1.1, opacity: rows.length > 600 ? 0.3 : 0.55 },
            encoding: line,
          },
          {
            data: { name: 'best' },
            mark: { type: 'line', strokeWidth: 3.5, opacity: 1 },
            encoding: line,
          },
          {
            data: { name: 'ticks' },
            mark: {
              type: 'text',
              align: 'left',
              dx: 4,
              fontSize: 10,
              color: INK,
              limit: { expr: `width / ${columns.length} - 6` },
            },
            encoding: { x, y, text: { field: 'label' } },
          },
          {
            data: { name: 'names' },
            mark: {
              type: 'text',
              baseline: 'top',
              lineHeight: 12,
              fontSize: 11,
              fontWeight: 'bold',
              color: INK,
              dy: 6,
            },
            encoding: { x, y: { value: { expr: 'height' } }, text: { field: 'name' } },
          },
        ],
      },
    );
  },

  table(sweep) {
    const { metric, cost } = sweep;
    const figures = [...new Set([metric, cost])];
    return {
      columns: ['place', ...axisLabels(sweep), ...figures.map(metricLabel)],
      rows: thinned(sweep.ranking, LINES_MAX, BEST_KEPT).map((i, place) => {
        const point = sweep.points[i]!;
        return [place + 1, ...point.values, ...figures.map(each => figureOf(point, each))];
      }),
    };
  },
};
