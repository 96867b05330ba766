// Cumulative distributions of TTFT, ITL, call E2E and workflow time on one log axis.
import type { MetricName, RunResult } from '../../scenarios/formats/result.ts';
import { METRIC_LABELS } from '../metrics.ts';
import { showMs, showNumber } from '../numbers.ts';
import {
  type Chart,
  chartSpec,
  FAINT,
  logTicks,
  msAxis,
  msLabel,
  PALETTE,
  PAPER,
  SHARE_AXIS,
  topLegend,
} from './chart.ts';

/** In order of size, so that the legend reads like the curves. */
export const CDF_METRICS = ['itl', 'ttft', 'e2e', 'makespan'] as const satisfies MetricName[];

export const METRIC_COLOURS = {
  itl: PALETTE.orange,
  ttft: PALETTE.sky,
  e2e: PALETTE.green,
  makespan: PALETTE.vermilion,
} as const;

const QUANTILES = [0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99] as const;
const RULES = [0.5, 0.9, 0.95, 0.99].map(share => ({ share, label: `p${Math.round(share * 100)}` }));

/** The first point of a cumulative distribution at or past a share. */
export const valueAtShare = (cdf: readonly [number, number][], share: number): number | null =>
  cdf.find(([, reached]) => reached >= share - 1e-9)?.[0] ?? null;

/** What a log axis can show of a distribution, from where it leaves the ground. */
export function curveOf(cdf: readonly [number, number][]): [valueMs: number, share: number][] {
  const points = cdf.filter(([valueMs]) => valueMs > 0);
  const first = points[0];
  return first === undefined ? [] : [[first[0], 0], ...points];
}

export const latencyCdf: Chart<RunResult> = {
  id: 'latency-cdf',
  howToRead:
    'Each curve climbs from 0 to 100 % of its samples: a point says what share was at least that fast. The dashed ' +
    'lines mark percentiles; where a curve crosses p95, 95 % were faster. Steep is steady, a long flat top is a tail. ' +
    'The time axis is logarithmic: each step to the right multiplies. Failed and cancelled calls are not in the curves.',

  title({ metrics }) {
    const { makespan, ttft } = metrics;
    if (makespan !== undefined && makespan.n > 1) {
      const times = showNumber(makespan.p95 / makespan.p50);
      return `Workflows take ${showMs(makespan.p50)} at the median and ${showMs(makespan.p95)} at p95, ${times} times as long`;
    }
    return ttft === undefined
      ? 'No call came back whole'
      : `The first token takes ${showMs(ttft.p50)} at the median and ${showMs(ttft.p95)} at p95`;
  },

  spec({ cdfs }) {
    const present = CDF_METRICS.filter(metric => (cdfs[metric]?.length ?? 0) > 0);
    if (present.length === 0)
      return { absent: 'no call and no workflow came back whole, so there is nothing to time' };
    const curves = present.flatMap(metric =>
      curveOf(cdfs[metric]!).map(([valueMs, share]) => ({ metric: METRIC_LABELS[metric], valueMs, share })),
    );
    const marks = present.flatMap(metric =>
      RULES.flatMap(({ share, label }) => {
        const valueMs = valueAtShare(cdfs[metric]!, share);
        return valueMs === null || valueMs <= 0
          ? []
          : [{ metric: METRIC_LABELS[metric], valueMs, share, label }];
      }),
    );
    const x = {
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
    };
    const y = SHARE_AXIS;
    const color = {
      field: 'metric',
      type: 'nominal',
      scale: {
        domain: present.map(metric => METRIC_LABELS[metric]),
        range: present.map(metric => METRIC_COLOURS[metric]),
      },
      legend: topLegend({ symbolType: 'stroke', symbolStrokeWidth: 3 }),
    };
    const tooltip = [
      { field: 'metric', title: 'metric' },
      { field: 'took', title: 'took' },
      { field: 'share', format: '.1%', title: 'share at or under' },
    ];
    return chartSpec(
      { curves, marks, rules: RULES },
      {
        height: 300,
        layer: [
          {
            data: { name: 'rules' },
            mark: { type: 'rule', strokeDash: [3, 4], color: FAINT, opacity: 0.45 },
            encoding: { y: { field: 'share', type: 'quantitative' } },
          },
          {
            data: { name: 'curves' },
            mark: { type: 'line', strokeWidth: 2.25, interpolate: 'step-after' },
            encoding: { x, y, color },
          },
          {
            data: { name: 'marks' },
            transform: [{ calculate: msLabel('datum.valueMs'), as: 'took' }],
            mark: { type: 'point', filled: true, size: 46, opacity: 1, stroke: PAPER, strokeWidth: 1.5 },
            encoding: { x, y, color, tooltip },
          },
          {
            data: { name: 'rules' },
            mark: { type: 'text', align: 'left', baseline: 'middle', dx: 6, fontSize: 10, color: FAINT },
            encoding: {
              x: { value: { expr: 'width' } },
              y: { field: 'share', type: 'quantitative' },
              text: { field: 'label' },
            },
          },
        ],
      },
    );
  },

  table({ cdfs, metrics }) {
    return {
      columns: ['metric', 'samples', ...QUANTILES.map(q => `p${Math.round(q * 100)} (ms)`), 'max (ms)'],
      rows: CDF_METRICS.filter(metric => metrics[metric] !== undefined).map(metric => [
        METRIC_LABELS[metric],
        metrics[metric]!.n,
        ...QUANTILES.map(q => (q === 0.99 ? metrics[metric]!.p99 : valueAtShare(cdfs[metric] ?? [], q))),
        metrics[metric]!.max,
      ]),
    };
  },
};
