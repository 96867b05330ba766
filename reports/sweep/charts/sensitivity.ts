// How much each setting matters: in a grid, what its other values do at the best point; in a sample, how strongly its
// values and the metric rank together.
import { SWEEP_METRICS, type SweepEffect, type SweepResult } from '../../../scenarios/formats/sweep.ts';
import {
  type Chart,
  type ChartSpec,
  type ChartTable,
  chartSpec,
  FAINT,
  INK,
  PALETTE,
  PAPER,
} from '../../charts/chart.ts';
import { showNumber } from '../../numbers.ts';
import { metricAxis } from '../axis.ts';
import { figureOf } from '../space.ts';
import { axisLabel, bestPoint, metricLabel, showFigure } from '../words.ts';

/** Intervals that are drawn on one axis; of more values the outermost ones. */
const VALUES_MAX = 12;

const nameIn = (sweep: SweepResult, { axis }: SweepEffect): string =>
  axisLabel(
    axis,
    sweep.axes.map(({ name }) => name),
  );

const isAroundBest = ({ effects }: SweepResult): boolean =>
  effects.some(({ neighbours }) => neighbours.length > 0);

/** Effects at the best point, the furthest first. */
function swingsOf(sweep: SweepResult) {
  const best = bestPoint(sweep);
  const value = best === null ? null : figureOf(best, sweep.metric);
  if (value === null) return null;
  const swings = sweep.effects
    .filter(({ neighbours }) => neighbours.length > 0)
    .map(effect => ({
      axis: nameIn(sweep, effect),
      own: best!.values[sweep.axes.findIndex(({ name }) => name === effect.axis)]!,
      neighbours: effect.neighbours,
      furthest: effect.neighbours.reduce((most, each) =>
        Math.abs(each.metric - value) > Math.abs(most.metric - value) ? each : most,
      ),
    }))
    .sort((a, b) => Math.abs(b.furthest.metric - value) - Math.abs(a.furthest.metric - value));
  return { value, swings };
}

function aroundBest(sweep: SweepResult): ChartSpec | { absent: string } {
  const found = swingsOf(sweep);
  if (found === null) return { absent: 'no point has the metric' };
  const { value, swings } = found;
  const points = swings.flatMap(({ axis, neighbours }) =>
    neighbours.map(({ value: at, metric, difference, ci95 }) => {
      const middle = metric - difference;
      return {
        axis,
        at,
        metric,
        low: ci95 === null ? metric : middle + ci95[0],
        high: ci95 === null ? metric : middle + ci95[1],
        shown: showFigure(sweep.metric, metric),
      };
    }),
  );
  const { scale, axis, title, domain, shareOf } = metricAxis(sweep.metric, [
    value,
    ...points.map(({ metric }) => metric),
  ]);
  const bars = swings.map(({ axis: name, own, neighbours, furthest }) => {
    const metrics = [value, ...neighbours.map(({ metric }) => metric)];
    return {
      axis: name,
      low: Math.min(...metrics),
      high: Math.max(...metrics),
      end: furthest.metric,
      // Over the bar, towards where there is room.
      side: shareOf(furthest.metric) < 0.45 ? 'left' : 'right',
      label: `${own} → ${furthest.value}`,
    };
  });
  const y = {
    field: 'axis',
    type: 'nominal',
    sort: swings.map(each => each.axis),
    title: null,
    axis: { domain: false, ticks: false, labelLimit: 150 },
  };
  const x = {
    field: 'metric',
    type: 'quantitative',
    title,
    scale,
    axis: { grid: false, tickCount: 5, ...axis },
  };
  const few =
    points.length > VALUES_MAX * swings.length
      ? []
      : points.flatMap(point =>
          point.low < point.high ? [{ ...point, low: Math.max(point.low, domain[0]) }] : [],
        );
  return chartSpec(
    { bars, points, whiskers: few, best: [{ metric: value }] },
    {
      height: { step: 46 },
      layer: [
        {
          data: { name: 'bars' },
          mark: { type: 'bar', height: 10, opacity: 0.35, color: PALETTE.blue, cornerRadius: 2 },
          encoding: { y, x: { ...x, field: 'low' }, x2: { field: 'high' } },
        },
        {
          data: { name: 'whiskers' },
          mark: { type: 'rule', color: INK, strokeWidth: 1.2, clip: true },
          encoding: { y, x: { ...x, field: 'low' }, x2: { field: 'high' } },
        },
        {
          data: { name: 'best' },
          mark: { type: 'rule', color: FAINT, strokeDash: [4, 3] },
          encoding: { x },
        },
        {
          data: { name: 'points' },
          mark: {
            type: 'point',
            filled: true,
            size: 60,
            opacity: 1,
            color: PALETTE.vermilion,
            stroke: PAPER,
            strokeWidth: 1,
          },
          encoding: {
            y,
            x,
            tooltip: [
              { field: 'axis', title: 'setting' },
              { field: 'at', title: 'is' },
              { field: 'shown', title: metricLabel(sweep.metric) },
            ],
          },
        },
        ...(['left', 'right'] as const).map(side => ({
          data: { name: 'bars' },
          transform: [{ filter: `datum.side === '${side}'` }],
          mark: {
            type: 'text',
            align: side,
            dy: -13,
            fontSize: 10,
            color: INK,
          },
          encoding: { y, x: { ...x, field: 'end' }, text: { field: 'label' } },
        })),
      ],
    },
  );
}

/** Spearman's of an axis of numbers; else how much of the ranks its groups explain, as a correlation without a sign. */
function ranked(sweep: SweepResult) {
  return sweep.effects.flatMap(effect => {
    const { rankCorrelation, rankCi95, explainedRatio } = effect;
    if (rankCorrelation !== null)
      return [
        {
          axis: nameIn(sweep, effect),
          r: rankCorrelation,
          low: rankCi95?.[0] ?? rankCorrelation,
          high: rankCi95?.[1] ?? rankCorrelation,
          kind: 'numbers',
        },
      ];
    if (explainedRatio === null) return [];
    const r = Math.sqrt(explainedRatio);
    return [{ axis: nameIn(sweep, effect), r, low: r, high: r, kind: 'words' }];
  });
}

function byRank(sweep: SweepResult): ChartSpec | { absent: string } {
  const rows = ranked(sweep).map(row => ({ ...row, zero: 0, shown: showNumber(row.r) }));
  if (rows.length === 0) return { absent: 'fewer than four points have the metric, or it never changes' };
  const y = {
    field: 'axis',
    type: 'nominal',
    sort: null,
    title: null,
    axis: { domain: false, ticks: false, labelLimit: 150 },
  };
  const x = {
    field: 'r',
    type: 'quantitative',
    title: `rank correlation with ${metricLabel(sweep.metric)}`,
    scale: { domain: [-1, 1] },
    axis: { grid: false, tickCount: 5 },
  };
  return chartSpec(
    { rows, whiskers: rows.filter(({ low, high }) => low < high), zero: [{ r: 0 }] },
    {
      height: { step: 34 },
      layer: [
        {
          data: { name: 'rows' },
          mark: { type: 'bar', height: 14, opacity: 0.75 },
          encoding: {
            y,
            x,
            x2: { field: 'zero' },
            color: {
              field: 'kind',
              type: 'nominal',
              scale: { domain: ['numbers', 'words'], range: [PALETTE.blue, PALETTE.grey] },
              legend: null,
            },
            tooltip: [
              { field: 'axis', title: 'setting' },
              { field: 'shown', title: 'rank correlation' },
            ],
          },
        },
        {
          data: { name: 'whiskers' },
          mark: { type: 'rule', color: INK, strokeWidth: 1.5 },
          encoding: { y, x: { ...x, field: 'low' }, x2: { field: 'high' } },
        },
        { data: { name: 'zero' }, mark: { type: 'rule', color: FAINT }, encoding: { x } },
      ],
    },
  );
}

function byRankTable(sweep: SweepResult): ChartTable {
  return {
    columns: ['setting', 'rank correlation (-1 to 1)', '95 % from', '95 % to', 'of'],
    rows: ranked(sweep).map(({ axis, r, low, high, kind }) => [
      axis,
      r,
      ...(low < high ? [low, high] : [null, null]),
      kind === 'numbers' ? "numbers (Spearman's)" : 'words (root of the explained share, no sign)',
    ]),
  };
}

export const sensitivity: Chart<SweepResult> = {
  id: 'sensitivity',
  howToRead:
    'Of a grid: each row is one setting, changed alone from its value at the best point (the dashed line) to each of its ' +
    'other values (dots); the widest row is the one to get right, and the label names its best and its furthest value. ' +
    'Whiskers are the 95 % interval of the difference to the best point, paired by seed. Of a sample of points: the rank ' +
    "correlation (Spearman's) of each setting with the metric over all points, with Fisher's 95 % interval; to the right " +
    'the metric grows with the setting. Grey: values that are no numbers, so only how strongly, not in which direction.',

  title(sweep) {
    const { metric } = sweep;
    if (isAroundBest(sweep)) {
      const found = swingsOf(sweep);
      const [widest] = found?.swings ?? [];
      if (found === null || widest === undefined) return 'What each setting does';
      const { axis, own, furthest } = widest;
      return `Around the best point ${axis} does most: from ${own} to ${furthest.value} ${metricLabel(metric)} goes from ${showFigure(metric, found.value)} to ${showFigure(metric, furthest.metric)}`;
    }
    const [first] = ranked(sweep).sort((a, b) => Math.abs(b.r) - Math.abs(a.r));
    if (first === undefined) return 'What each setting does';
    const worse = SWEEP_METRICS[metric].better === 'lower' ? first.r > 0 : first.r < 0;
    const how =
      first.kind === 'words' ? 'goes with' : worse ? 'gets worse with more' : 'gets better with more';
    return `${metricLabel(metric)} ${how} ${first.axis}: a rank correlation of ${showNumber(first.r)} over ${sweep.ranking.length} points`;
  },

  spec: sweep => (isAroundBest(sweep) ? aroundBest(sweep) : byRank(sweep)),

  table(sweep) {
    const found = isAroundBest(sweep) ? swingsOf(sweep) : null;
    if (found === null) return byRankTable(sweep);
    return {
      columns: [
        'setting',
        'value',
        metricLabel(sweep.metric),
        'difference to the best',
        '95 % from',
        '95 % to',
      ],
      rows: found.swings.flatMap(({ axis, neighbours }) =>
        neighbours.map(({ value, metric, difference, ci95 }) => [
          axis,
          value,
          metric,
          difference,
          ci95?.[0] ?? null,
          ci95?.[1] ?? null,
        ]),
      ),
    };
  },
};
