// Validation: every step's mean latencies, predicted against measured, with the line on which they are equal.
import type {
  GroupComparison,
  TimeComparison,
  ValidationResult,
} from '../../scenarios/formats/validation.ts';
import { showSignedRatio } from '../numbers.ts';
import { timeLabel, worldsOf } from '../worlds.ts';
import { type Chart, chartSpec, logTicks, msAxis, msLabel, PALETTE, PAPER, topLegend } from './chart.ts';
import { equalMarks } from './qq.ts';

const METRICS = ['tpot', 'ttft', 'e2e', 'makespan'] as const;
const COLOURS: Record<(typeof METRICS)[number], string> = {
  tpot: PALETTE.orange,
  ttft: PALETTE.sky,
  e2e: PALETTE.green,
  makespan: PALETTE.vermilion,
};
const SHAPES: Record<(typeof METRICS)[number], string> = {
  tpot: 'triangle-up',
  ttft: 'diamond',
  e2e: 'circle',
  makespan: 'square',
};

interface Point {
  name: string;
  metric: string;
  predictedMs: number;
  measuredMs: number;
  /** Where the measured value would lie at the ends of the error's interval. */
  fromMs: number;
  toMs: number;
  errorRatio: number;
}

/** Steps, and workflows or all where there are no steps to show; what is not above 0 has no place on a log axis. */
function pointsOf({ comparisons }: ValidationResult): Point[] {
  const groups = comparisons[0]?.groups ?? [];
  const of = (kind: GroupComparison['kind'], metrics: readonly string[]) =>
    groups
      .filter(group => group.kind === kind)
      .flatMap(group =>
        group.times.filter(({ metric }) => metrics.includes(metric)).flatMap(time => pointOf(group, time)),
      );
  const workflows = of('workflow', ['makespan']);
  return [
    ...of('step', ['tpot', 'ttft', 'e2e']),
    ...(workflows.length > 0 ? workflows : of('all', ['makespan'])),
  ];
}

function pointOf({ kind, name }: GroupComparison, { metric, mean }: TimeComparison): Point[] {
  const { predictedMs, measuredMs, errorRatio, ci95 } = mean;
  if (
    predictedMs === null ||
    measuredMs === null ||
    errorRatio === null ||
    !(Math.min(predictedMs, measuredMs) > 0)
  )
    return [];
  const [low, high] = ci95 ?? [errorRatio, errorRatio];
  return [
    {
      name: kind === 'all' ? 'all sessions' : name,
      metric: timeLabel(metric),
      predictedMs,
      measuredMs,
      fromMs: predictedMs / (1 + high),
      toMs: predictedMs / (1 + low),
      errorRatio,
    },
  ];
}

export const predictedAgainstMeasured: Chart<ValidationResult> = {
  id: 'predicted-against-measured',
  howToRead:
    'Each mark is the mean of one step: to the right it was slower when measured, upwards slower when predicted. On the ' +
    'dashed line both are equal, within the grey band to ± 10 %; above it the prediction was too slow, below too fast. The bar is where the measured mean ' +
    'lies, were other sessions drawn (95 %). Marks that climb in one order keep the ranking of steps even off the line.',

  title(validation) {
    const points = pointsOf(validation);
    const worst = points.toSorted((a, b) => Math.abs(b.errorRatio) - Math.abs(a.errorRatio))[0];
    if (worst === undefined) return 'Predicted against measured, step by step';
    const rank = validation.comparisons[0]?.rank;
    const order =
      rank == null
        ? ''
        : `; the order of ${rank.count} ${rank.of} is ${rank.kept ? 'kept' : 'not kept'} (Kendall ${rank.tau.toFixed(2)})`;
    return `The furthest off is ${worst.metric} of ${worst.name}, by ${showSignedRatio(worst.errorRatio)}${order}`;
  },

  spec(validation) {
    const points = pointsOf(validation);
    if (points.length === 0) return { absent: 'no step has a latency in both worlds' };
    const values = points.flatMap(({ predictedMs, fromMs, toMs }) => [predictedMs, fromMs, toMs]);
    const [low, high] = [Math.min(...values) / 1.15, Math.max(...values) * 1.15];
    const [predicted, measured] = worldsOf(validation);
    const metrics = METRICS.filter(metric => points.some(point => point.metric === timeLabel(metric)));
    const domain = metrics.map(timeLabel);
    const axis = { type: 'quantitative', scale: { type: 'log', domain: [low, high], nice: false } };
    const ticks = { values: logTicks([low, high]), labelOverlap: 'greedy', labelSeparation: 6 };
    const x = { ...axis, axis: msAxis({ ...ticks, grid: false }), title: measured };
    const y = { ...axis, axis: msAxis(ticks), title: predicted };
    const { symbolType: _, ...legend } = topLegend({ symbolOpacity: 1 });
    const color = {
      field: 'metric',
      type: 'nominal',
      scale: { domain, range: metrics.map(metric => COLOURS[metric]) },
      legend,
    };
    const equal = equalMarks([low, high], x, y);
    return chartSpec(
      { points, equal: equal.ends },
      {
        height: 380,
        layer: [
          ...equal.layers,
          {
            data: { name: 'points' },
            mark: { type: 'rule', strokeWidth: 1.5, opacity: 0.6 },
            encoding: {
              x: { ...x, field: 'fromMs' },
              x2: { field: 'toMs' },
              y: { ...y, field: 'predictedMs' },
              color,
            },
          },
          {
            data: { name: 'points' },
            transform: [
              { calculate: msLabel('datum.predictedMs'), as: 'predictedShown' },
              { calculate: msLabel('datum.measuredMs'), as: 'measuredShown' },
            ],
            mark: { type: 'point', filled: true, size: 80, opacity: 1, stroke: PAPER, strokeWidth: 1 },
            encoding: {
              x: { ...x, field: 'measuredMs' },
              y: { ...y, field: 'predictedMs' },
              color,
              shape: {
                field: 'metric',
                type: 'nominal',
                scale: { domain, range: metrics.map(metric => SHAPES[metric]) },
                legend,
              },
              tooltip: [
                { field: 'name', title: 'of' },
                { field: 'metric', title: 'latency' },
                { field: 'predictedShown', title: predicted },
                { field: 'measuredShown', title: measured },
                { field: 'errorRatio', title: 'error', format: '+.1%' },
              ],
            },
          },
        ],
      },
    );
  },

  table(validation) {
    const [predicted, measured] = worldsOf(validation);
    return {
      columns: [
        'of',
        'latency',
        `mean, ${predicted} (ms)`,
        `mean, ${measured} (ms)`,
        'error (0-1)',
        '95 % from (ms)',
        '95 % to (ms)',
      ],
      rows: pointsOf(validation).map(point => [
        point.name,
        point.metric,
        point.predictedMs,
        point.measuredMs,
        point.errorRatio,
        point.fromMs,
        point.toMs,
      ]),
    };
  },
};
