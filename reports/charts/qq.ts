// Validation: quantile against quantile. Where a distribution is right, its marks lie on the line from end to end.
import type { TimeMetric, ValidationResult } from '../../scenarios/formats/validation.ts';
import { showRatio, showSignedRatio } from '../numbers.ts';
import { timeLabel, worldsOf } from '../worlds.ts';
import {
  BAND,
  type Chart,
  chartSpec,
  FAINT,
  logTicks,
  msAxis,
  msLabel,
  PALETTE,
  PAPER,
  topLegend,
} from './chart.ts';
import { valueAtShare } from './latency-cdf.ts';

const METRICS = ['tpot', 'ttft', 'e2e', 'makespan'] as const satisfies TimeMetric[];
const LOOK: Record<(typeof METRICS)[number], { colour: string; shape: string }> = {
  tpot: { colour: PALETTE.orange, shape: 'triangle-up' },
  ttft: { colour: PALETTE.sky, shape: 'diamond' },
  e2e: { colour: PALETTE.green, shape: 'circle' },
  makespan: { colour: PALETTE.vermilion, shape: 'square' },
};
/** Every twentieth, and the tail. */
const SHARES: readonly number[] = [...Array.from({ length: 19 }, (_, i) => (i + 1) / 20), 0.99];
/** Beside the line on which both are equal. */
export const NEAR_RATIO = 0.1;

interface Point {
  metric: string;
  kind: (typeof METRICS)[number];
  quantile: string;
  predictedMs: number;
  measuredMs: number;
  errorRatio: number;
}

function pointsOf({ comparisons }: Pick<ValidationResult, 'comparisons'>): Point[] {
  const cdfs = comparisons[0]?.cdfs ?? {};
  return METRICS.flatMap(kind => {
    const curves = cdfs[kind];
    if (curves === undefined) return [];
    return SHARES.flatMap((share): Point[] => {
      const predictedMs = valueAtShare(curves.predicted, share);
      const measuredMs = valueAtShare(curves.measured, share);
      if (predictedMs === null || measuredMs === null || !(Math.min(predictedMs, measuredMs) > 0)) return [];
      const errorRatio = (predictedMs - measuredMs) / measuredMs;
      const quantile = `p${Math.round(share * 100)}`;
      return [{ metric: timeLabel(kind), kind, quantile, predictedMs, measuredMs, errorRatio }];
    });
  });
}

/** The line on which both are equal, and the band beside it, as marks of a log-log plot. */
export function equalMarks(range: [number, number], x: object, y: object) {
  const ends = range.map(at => ({ at, low: at * (1 - NEAR_RATIO), high: at * (1 + NEAR_RATIO) }));
  return {
    ends,
    layers: [
      {
        data: { name: 'equal' },
        mark: { type: 'area', color: BAND, opacity: 0.8, clip: true },
        encoding: { x: { ...x, field: 'at' }, y: { ...y, field: 'low' }, y2: { field: 'high' } },
      },
      {
        data: { name: 'equal' },
        mark: { type: 'line', color: FAINT, strokeDash: [4, 4], strokeWidth: 1 },
        encoding: { x: { ...x, field: 'at' }, y: { ...y, field: 'at' } },
      },
    ],
  };
}

export const qqChart: Chart<ValidationResult> = {
  id: 'qq',
  howToRead:
    'Each mark is one quantile of a latency, p5 at the lower left to p99: across as measured, upwards as predicted. On the ' +
    'dashed line they are equal; the grey band is ± 10 %. Marks that leave the band at the upper end only are a wrong ' +
    'tail; marks beside it in parallel are a bias that is the same for fast and for slow calls.',

  title(validation) {
    const points = pointsOf(validation);
    const worst = points.toSorted((a, b) => Math.abs(b.errorRatio) - Math.abs(a.errorRatio))[0];
    if (worst === undefined) return 'Quantile against quantile';
    const near = points.filter(({ errorRatio }) => Math.abs(errorRatio) <= NEAR_RATIO).length;
    return `${showRatio(near / points.length)} of the quantiles are within ± ${showRatio(NEAR_RATIO)}; the furthest off is ${worst.quantile} of ${worst.metric}, by ${showSignedRatio(worst.errorRatio)}`;
  },

  spec(validation) {
    const points = pointsOf(validation);
    if (points.length === 0)
      return { absent: 'the two worlds have no distribution in common: no call came back whole in both' };
    const values = points.flatMap(({ predictedMs, measuredMs }) => [predictedMs, measuredMs]);
    const range: [number, number] = [Math.min(...values) / 1.15, Math.max(...values) * 1.15];
    const [predicted, measured] = worldsOf(validation);
    const axis = { type: 'quantitative', scale: { type: 'log', domain: range, nice: false } };
    const ticks = { values: logTicks(range), labelOverlap: 'greedy', labelSeparation: 6 };
    const x = { ...axis, axis: msAxis({ ...ticks, grid: false }), title: measured };
    const y = { ...axis, axis: msAxis(ticks), title: predicted };
    const shown = METRICS.filter(metric => points.some(({ kind }) => kind === metric));
    const { symbolType: _, ...legend } = topLegend({ symbolOpacity: 1 });
    const equal = equalMarks(range, x, y);
    const scale = (range: string[]) => ({ domain: shown.map(timeLabel), range });
    return chartSpec(
      { points, equal: equal.ends },
      {
        height: 380,
        layer: [
          ...equal.layers,
          {
            data: { name: 'points' },
            transform: [
              { calculate: msLabel('datum.predictedMs'), as: 'predictedShown' },
              { calculate: msLabel('datum.measuredMs'), as: 'measuredShown' },
            ],
            mark: { type: 'point', filled: true, size: 45, opacity: 0.9, stroke: PAPER, strokeWidth: 0.5 },
            encoding: {
              x: { ...x, field: 'measuredMs' },
              y: { ...y, field: 'predictedMs' },
              color: {
                field: 'metric',
                type: 'nominal',
                scale: scale(shown.map(metric => LOOK[metric].colour)),
                legend,
              },
              shape: {
                field: 'metric',
                type: 'nominal',
                scale: scale(shown.map(metric => LOOK[metric].shape)),
                legend,
              },
              tooltip: [
                { field: 'metric', title: 'latency' },
                { field: 'quantile', title: 'quantile' },
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
      columns: ['latency', 'quantile', `${predicted} (ms)`, `${measured} (ms)`, 'error (0-1)'],
      rows: pointsOf(validation).map(point => [
        point.metric,
        point.quantile,
        point.predictedMs,
        point.measuredMs,
        point.errorRatio,
      ]),
    };
  },
};
