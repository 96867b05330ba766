// One latency of several runs over each other.
import type { MetricName, RunResult } from '../../scenarios/formats/result.ts';
import { METRIC_LABELS } from '../metrics.ts';
import { showMs, showSignedRatio } from '../numbers.ts';
import {
  type Chart,
  chartSpec,
  FAINT,
  logTicks,
  msAxis,
  msLabel,
  PALETTE,
  SHARE_AXIS,
  topLegend,
} from './chart.ts';
import { curveOf, valueAtShare } from './latency-cdf.ts';

/** Runs with their names, the baseline first. */
export interface NamedRuns {
  readonly runs: readonly RunResult[];
  readonly names: readonly string[];
}

/** The most telling first. */
export const OVERLAID_METRICS = ['makespan', 'ttft', 'e2e', 'itl'] as const satisfies MetricName[];

const COLOURS = [
  PALETTE.blue,
  PALETTE.vermilion,
  PALETTE.green,
  PALETTE.orange,
  PALETTE.purple,
  PALETTE.sky,
  PALETTE.grey,
  PALETTE.yellow,
];
/** The baseline is solid. */
const DASHES = [
  [1, 0],
  [6, 3],
  [2, 2],
  [8, 3, 2, 3],
];
const SHARES = [0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99] as const;

interface Curve {
  readonly name: string;
  readonly cdf: [number, number][];
}

const curvesOf = ({ runs, names }: NamedRuns, metric: MetricName): Curve[] =>
  runs
    .flatMap(({ cdfs }, i) => (cdfs[metric] === undefined ? [] : [{ name: names[i]!, cdf: cdfs[metric] }]))
    .slice(0, COLOURS.length);

const atP95 = ({ cdf }: Curve): number => valueAtShare(cdf, 0.95) ?? Number.NaN;

/** Of one metric. */
export const overlaidCdf = (metric: (typeof OVERLAID_METRICS)[number]): Chart<NamedRuns> => ({
  id: `overlaid-cdf-${metric}`,
  howToRead:
    'A curve for each run: a point says what share was at least that fast. Further left is faster; where two curves ' +
    'cross, one run is better for the quick ones and the other for the slow ones. The solid line is the baseline. On a ' +
    'logarithmic axis equal distances are equal ratios.',

  title(sides) {
    const [base, ...others] = curvesOf(sides, metric);
    const label = METRIC_LABELS[metric];
    if (base === undefined || others.length === 0) return `${label}: one run alone has it`;
    const far = others.reduce((a, b) =>
      Math.abs(atP95(b) - atP95(base)) > Math.abs(atP95(a) - atP95(base)) ? b : a,
    );
    const change = (share: number): string => {
      const [was, is] = [valueAtShare(base.cdf, share), valueAtShare(far.cdf, share)];
      return was === null || is === null || was === 0 ? '–' : showSignedRatio(is / was - 1);
    };
    return `${label} p95 is ${showMs(atP95(base))} in ${base.name} and ${showMs(atP95(far))} in ${far.name} (${change(0.95)}; median ${change(0.5)})`;
  },

  spec(sides) {
    const curves = curvesOf(sides, metric);
    if (curves.length < 2)
      return { absent: `fewer than two runs have a distribution of ${METRIC_LABELS[metric]}` };
    const points = curves.flatMap(({ name, cdf }) =>
      curveOf(cdf).map(([valueMs, share]) => ({ run: name, valueMs, share })),
    );
    if (points.length === 0) return { absent: `${METRIC_LABELS[metric]} is 0 in all of them` };
    const domain = curves.map(({ name }) => name);
    const legend = topLegend({ symbolType: 'stroke', symbolStrokeWidth: 3, labelLimit: 260 });
    return chartSpec(
      { points, rules: [0.5, 0.95].map(share => ({ share, label: `p${100 * share}` })) },
      {
        height: 240,
        layer: [
          {
            data: { name: 'rules' },
            mark: { type: 'rule', strokeDash: [3, 4], color: FAINT, opacity: 0.45 },
            encoding: { y: { field: 'share', type: 'quantitative' } },
          },
          {
            data: { name: 'points' },
            transform: [{ calculate: msLabel('datum.valueMs'), as: 'took' }],
            mark: { type: 'line', strokeWidth: 2.25, interpolate: 'step-after' },
            encoding: {
              x: {
                field: 'valueMs',
                type: 'quantitative',
                scale: { type: 'log', nice: false, padding: 4 },
                axis: msAxis({
                  grid: false,
                  values: logTicks(points.map(({ valueMs }) => valueMs)),
                  labelOverlap: 'greedy',
                  labelSeparation: 6,
                }),
                title: null,
              },
              y: SHARE_AXIS,
              color: { field: 'run', type: 'nominal', scale: { domain, range: COLOURS }, legend },
              strokeDash: {
                field: 'run',
                type: 'nominal',
                scale: { domain, range: domain.map((_, i) => DASHES[i === 0 ? 0 : 1 + ((i - 1) % 3)]) },
                legend,
              },
            },
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

  table(sides) {
    const curves = curvesOf(sides, metric);
    return {
      columns: ['percentile', ...curves.map(({ name }) => `${name} (ms)`)],
      rows: SHARES.map(share => [
        `p${Math.round(share * 100)}`,
        ...curves.map(({ cdf }) => valueAtShare(cdf, share)),
      ]),
    };
  },
});
