// Validation: the distributions of both worlds over each other.
import type { ValidationResult } from '../../scenarios/formats/result.ts';
import { METRIC_LABELS } from '../metrics.ts';
import { showRatio } from '../numbers.ts';
import { type Chart, chartSpec, logTicks, msAxis, topLegend } from './chart.ts';
import { CDF_METRICS, curveOf, METRIC_COLOURS, valueAtShare } from './latency-cdf.ts';

const WORLDS = ['live', 'sim'] as const;
const SHARES = [0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99] as const;

/** The largest relative distance between the two curves over p10 to p95. */
function widestGap({ sim, live }: ValidationResult) {
  let widest: { metric: (typeof CDF_METRICS)[number]; ratio: number } | null = null;
  for (const metric of CDF_METRICS) {
    for (const share of SHARES.filter(share => share <= 0.95)) {
      const simMs = valueAtShare(sim.cdfs[metric] ?? [], share);
      const liveMs = valueAtShare(live.cdfs[metric] ?? [], share);
      if (simMs === null || liveMs === null || liveMs === 0) continue;
      const ratio = Math.abs(simMs - liveMs) / liveMs;
      if (widest === null || ratio > widest.ratio) widest = { metric, ratio };
    }
  }
  return widest;
}

export const simAgainstLive: Chart<ValidationResult> = {
  id: 'sim-against-live',
  howToRead:
    'Colour is the metric; the solid line was measured on the live endpoint, the dashed one simulated. Where they lie ' +
    'on each other the simulation is right, not only on average but for the fast and the slow ones too. On a ' +
    'logarithmic axis equal distances are equal ratios.',

  title(validation) {
    const gap = widestGap(validation);
    return gap === null
      ? 'Simulated against live'
      : `From p10 to p95 the two worlds are at most ${showRatio(gap.ratio)} apart (${METRIC_LABELS[gap.metric]})`;
  },

  spec({ sim, live }) {
    const metrics = CDF_METRICS.filter(
      metric => sim.cdfs[metric] !== undefined && live.cdfs[metric] !== undefined,
    );
    if (metrics.length === 0) return { absent: 'the two runs have no metric in common' };
    const curves = metrics.flatMap(metric =>
      WORLDS.flatMap(world =>
        curveOf((world === 'sim' ? sim : live).cdfs[metric] ?? []).map(([valueMs, share]) => ({
          metric: METRIC_LABELS[metric],
          world,
          valueMs,
          share,
        })),
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
              domain: metrics.map(metric => METRIC_LABELS[metric]),
              range: metrics.map(metric => METRIC_COLOURS[metric]),
            },
            legend: topLegend({ symbolType: 'stroke', symbolStrokeWidth: 3 }),
          },
          strokeDash: {
            field: 'world',
            type: 'nominal',
            scale: {
              domain: WORLDS,
              range: [
                [1, 0],
                [5, 4],
              ],
            },
            legend: topLegend({ symbolType: 'stroke', symbolStrokeColor: '#8A919C' }),
          },
          strokeWidth: {
            condition: { test: "datum.world === 'live'", value: 2.5 },
            value: 2,
          },
        },
      },
    );
  },

  table({ sim, live }) {
    return {
      columns: ['metric', 'percentile', 'simulated (ms)', 'live (ms)', 'error (0-1)'],
      rows: CDF_METRICS.flatMap(metric =>
        SHARES.map(share => {
          const simMs = valueAtShare(sim.cdfs[metric] ?? [], share);
          const liveMs = valueAtShare(live.cdfs[metric] ?? [], share);
          const error = simMs === null || liveMs === null || liveMs === 0 ? null : (simMs - liveMs) / liveMs;
          return [METRIC_LABELS[metric], `p${Math.round(share * 100)}`, simMs, liveMs, error];
        }),
      ),
    };
  },
};
