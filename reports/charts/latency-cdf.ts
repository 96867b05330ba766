// Cumulative distributions of every latency on one log axis; their tails on a second one.
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
  topLegend,
} from './chart.ts';

/** In order of size, so that the legend reads like the curves. */
export const CDF_METRICS = [
  'itl',
  'tpot',
  'queue',
  'ttft',
  'e2e',
  'makespan',
] as const satisfies MetricName[];

export const METRIC_COLOURS = {
  itl: PALETTE.orange,
  tpot: PALETTE.yellow,
  queue: PALETTE.purple,
  ttft: PALETTE.sky,
  e2e: PALETTE.green,
  makespan: PALETTE.vermilion,
} as const;

/** What the vertical axis shows. */
const TAIL = 'tail';
const VIEWS = ['share at or under', TAIL] as const;

const QUANTILES = [0.1, 0.25, 0.5, 0.75, 0.9, 0.95] as const;
/** Marked percentiles, and the samples that each takes: ten beyond it, or it is the luck of a few. */
const RULES = [
  { share: 0.5, label: 'p50', samplesMin: 1 },
  { share: 0.9, label: 'p90', samplesMin: 10 },
  { share: 0.95, label: 'p95', samplesMin: 10 },
  { share: 0.99, label: 'p99', samplesMin: 1_000 },
  { share: 0.999, label: 'p99.9', samplesMin: 10_000 },
];

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
    'The time axis is logarithmic: each step to the right multiplies. Failed and cancelled calls are not in the curves. ' +
    'The tail shows the share that was slower, also in steps that multiply: 1 % is p99, 0.1 % is p99.9.',

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

  spec({ cdfs, metrics }) {
    const present = CDF_METRICS.filter(metric => (cdfs[metric]?.length ?? 0) > 0);
    if (present.length === 0)
      return { absent: 'no call and no workflow came back whole, so there is nothing to time' };
    const curves = present.flatMap(metric =>
      curveOf(cdfs[metric]!).map(([valueMs, share]) => ({ metric: METRIC_LABELS[metric], valueMs, share })),
    );
    const marks = present.flatMap(metric =>
      RULES.flatMap(({ share, label, samplesMin }) => {
        const valueMs = valueAtShare(cdfs[metric]!, share);
        return valueMs === null || valueMs <= 0 || (metrics[metric]?.n ?? 0) < samplesMin
          ? []
          : [{ metric: METRIC_LABELS[metric], valueMs, share, label }];
      }),
    );
    // Decades of the tail that there are samples for.
    const rarest = Math.min(1, ...curves.map(({ share }) => (share < 1 ? 1 - share : 1)));
    const decades = [0.1, 0.01, 1e-3, 1e-4, 1e-5, 1e-6].filter(share => share > rarest).length + 1;
    const inTail = `view === '${TAIL}'`;
    // On the tail's axis: how many decades of samples are faster.
    const height = {
      calculate: `${inTail} ? log(max(1 - datum.share, 1e-9)) / LN10 : datum.share`,
      as: 'height',
    };
    // p99 and p99.9 are a few pixels apart on the axis of shares.
    const apart = { expr: `${inTail} ? 0 : datum.label === 'p99.9' ? -7 : datum.label === 'p99' ? 1 : 0` };
    const notLast = { filter: `datum.share < 1 || !(${inTail})` };
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
    const y = {
      field: 'height',
      type: 'quantitative',
      scale: { domain: { expr: `${inTail} ? [${-decades}, 0] : [0, 1]` }, nice: false, zero: false },
      axis: {
        values: { expr: `${inTail} ? sequence(${-decades}, 0.5) : [0, 0.25, 0.5, 0.75, 1]` },
        labelExpr: `format(${inTail} ? pow(10, datum.value) : datum.value, '.4~%')`,
      },
      title: null,
    };
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
      { curves, marks, rules: RULES.filter(({ label }) => marks.some(mark => mark.label === label)) },
      {
        height: 300,
        params: [
          {
            name: 'view',
            value: VIEWS[0],
            bind: { input: 'radio', options: [...VIEWS], name: 'show' },
          },
        ],
        layer: [
          {
            data: { name: 'rules' },
            transform: [height],
            mark: { type: 'rule', strokeDash: [3, 4], color: FAINT, opacity: 0.45 },
            encoding: { y },
          },
          {
            data: { name: 'curves' },
            transform: [notLast, height],
            mark: { type: 'line', strokeWidth: 2.25, interpolate: 'step-after', clip: true },
            encoding: { x, y, color },
          },
          {
            data: { name: 'marks' },
            transform: [{ calculate: msLabel('datum.valueMs'), as: 'took' }, notLast, height],
            mark: { type: 'point', filled: true, size: 46, opacity: 1, stroke: PAPER, strokeWidth: 1.5 },
            encoding: { x, y, color, tooltip },
          },
          {
            data: { name: 'rules' },
            transform: [height],
            mark: {
              type: 'text',
              align: 'left',
              baseline: 'middle',
              dx: 6,
              dy: apart,
              fontSize: 10,
              color: FAINT,
            },
            encoding: {
              x: { value: { expr: 'width' } },
              y,
              text: { field: 'label' },
            },
          },
        ],
      },
    );
  },

  table({ cdfs, metrics }) {
    return {
      columns: [
        'metric',
        'samples',
        ...QUANTILES.map(q => `p${Math.round(q * 100)} (ms)`),
        'p99 (ms)',
        'p99.9 (ms)',
        'max (ms)',
      ],
      rows: CDF_METRICS.filter(metric => metrics[metric] !== undefined).map(metric => [
        METRIC_LABELS[metric],
        metrics[metric]!.n,
        ...QUANTILES.map(q => valueAtShare(cdfs[metric] ?? [], q)),
        metrics[metric]!.n < 1_000 ? null : metrics[metric]!.p99,
        metrics[metric]!.p999 ?? null,
        metrics[metric]!.max,
      ]),
    };
  },
};
