// Validation: the distributions of both worlds over each other.
import type { Cdf, Comparison, ValidationResult } from '../../scenarios/formats/validation.ts';
import { showRatio } from '../numbers.ts';
import { timeLabel, worldsOf } from '../worlds.ts';
import { type Chart, chartSpec, logTicks, msAxis, PALETTE, topLegend } from './chart.ts';
import { curveOf, METRIC_COLOURS, valueAtShare } from './latency-cdf.ts';

/** In order of size. Token gaps are in the table of latencies: TPOT is what calls are judged by. */
const METRICS = ['tpot', 'ttft', 'e2e', 'makespan'] as const;
const COLOURS = { ...METRIC_COLOURS, tpot: PALETTE.orange };
const SHARES = [0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99] as const;

interface Curves {
  metric: (typeof METRICS)[number];
  predicted: Cdf;
  measured: Cdf;
}

const curvesOf = ({ cdfs }: Pick<Comparison, 'cdfs'>): Curves[] =>
  METRICS.flatMap(metric => (cdfs[metric] === undefined ? [] : [{ metric, ...cdfs[metric] }]));

const decidingCurves = ({ comparisons }: ValidationResult): Curves[] =>
  comparisons[0] === undefined ? [] : curvesOf(comparisons[0]);

/** The largest relative distance between two curves over p10 to p95. */
function widestGap(all: readonly Curves[]) {
  let widest: { metric: Curves['metric']; ratio: number } | null = null;
  for (const { metric, predicted, measured } of all) {
    for (const share of SHARES.filter(share => share <= 0.95)) {
      const predictedMs = valueAtShare(predicted, share);
      const measuredMs = valueAtShare(measured, share);
      if (predictedMs === null || measuredMs === null || measuredMs === 0) continue;
      const ratio = Math.abs(predictedMs - measuredMs) / measuredMs;
      if (widest === null || ratio > widest.ratio) widest = { metric, ratio };
    }
  }
  return widest;
}

export const simAgainstLive: Chart<ValidationResult> = {
  id: 'sim-against-live',
  howToRead:
    'Colour is the metric; the solid line was measured, the dashed one predicted. Where they lie on each other the ' +
    'prediction is right, not only on average but for the fast and the slow ones too. On a logarithmic axis equal ' +
    'distances are equal ratios.',

  title(validation) {
    const gap = widestGap(decidingCurves(validation));
    return gap === null
      ? 'Predicted against measured distributions'
      : `From p10 to p95 the two worlds are at most ${showRatio(gap.ratio)} apart (${timeLabel(gap.metric)})`;
  },

  spec(validation) {
    const all = decidingCurves(validation);
    const metrics = all.map(({ metric }) => metric);
    if (metrics.length === 0) return { absent: 'the two worlds have no distribution in common' };
    const [predicted, measured] = worldsOf(validation);
    const curves = all.flatMap(each =>
      (
        [
          [predicted, each.predicted],
          [measured, each.measured],
        ] as const
      ).flatMap(([world, cdf]) =>
        curveOf(cdf).map(([valueMs, share]) => ({ metric: timeLabel(each.metric), world, valueMs, share })),
      ),
    );
    return chartSpec(
      { curves },
      {
        height: 300,
        data: { name: 'curves' },
        mark: { type: 'line', interpolate: 'step-after' },
        encoding: {
          x: {
            field: 'valueMs',
            type: 'quantitative',
            scale: { type: 'log', nice: false, padding: 4 },
            axis: msAxis({
              grid: false,
              values: logTicks(curves.map(({ valueMs }) => valueMs)),
              labelOverlap: 'greedy',
              labelSeparation: 6,
            }),
            title: null,
          },
          y: {
            field: 'share',
            type: 'quantitative',
            scale: { domain: [0, 1] },
            axis: { format: '~%', values: [0, 0.25, 0.5, 0.75, 0.95] },
            title: null,
          },
          color: {
            field: 'metric',
            type: 'nominal',
            scale: {
              domain: metrics.map(timeLabel),
              range: metrics.map(metric => COLOURS[metric]),
            },
            legend: topLegend({ symbolType: 'stroke', symbolStrokeWidth: 3 }),
          },
          strokeDash: {
            field: 'world',
            type: 'nominal',
            scale: {
              domain: [measured, predicted],
              range: [
                [1, 0],
                [5, 4],
              ],
            },
            legend: topLegend({ symbolType: 'stroke', symbolStrokeColor: '#8A919C' }),
          },
          strokeWidth: {
            condition: { test: `datum.world === ${JSON.stringify(measured)}`, value: 2.5 },
            value: 2,
          },
        },
      },
    );
  },

  table(validation) {
    const [predicted, measured] = worldsOf(validation);
    return {
      columns: ['metric', 'percentile', `${predicted} (ms)`, `${measured} (ms)`, 'error (0-1)'],
      rows: decidingCurves(validation).flatMap(each =>
        SHARES.map(share => {
          const predictedMs = valueAtShare(each.predicted, share);
          const measuredMs = valueAtShare(each.measured, share);
          const isKnown = predictedMs !== null && measuredMs !== null && measuredMs !== 0;
          const error = isKnown ? (predictedMs - measuredMs) / measuredMs : null;
          return [timeLabel(each.metric), `p${Math.round(share * 100)}`, predictedMs, measuredMs, error];
        }),
      ),
    };
  },
};
