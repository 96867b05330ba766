// Cumulative curves of a trace on one axis: the frame that its charts of lengths, gaps and hits share.
import type { Cdf, Spread } from '../../scenarios/formats/trace-profile.ts';
import {
  type ChartSpec,
  type ChartTable,
  chartSpec,
  FAINT,
  PAPER,
  SHARE_AXIS,
  topLegend,
} from '../charts/chart.ts';

export interface Curve {
  name: string;
  colour: string;
  cdf: Cdf;
  spread: Spread | null;
}

const RULES = [0.5, 0.9, 0.99].map(share => ({ share, label: `p${Math.round(share * 100)}` }));
const MARKED = [0.5, 0.9, 0.99];

/** Curves that hold something. */
export const drawn = (curves: readonly Curve[]): Curve[] =>
  curves.filter(({ cdf, spread }) => cdf.length > 0 && (spread?.max ?? 0) > 0);

interface Axis {
  /** Vega-Lite scale and axis of the values. */
  scale: object;
  axis: object;
  title: string | null;
  /** A Vega expression that shows `datum.value`. */
  label: string;
  /** Values with a name of their own: a vertical line each. */
  marks?: readonly { value: number; label: string }[];
}

/** Curves that climb from 0 to 100 % of their samples; `isLog` leaves out what a log axis cannot show. */
export function curvesSpec(curves: readonly Curve[], axis: Axis, isLog: boolean): ChartSpec {
  const points = curves.flatMap(({ name, cdf }) => {
    const shown = isLog ? cdf.filter(([value]) => value > 0) : cdf;
    const under = shown.length < cdf.length ? (cdf[cdf.length - shown.length - 1]?.[1] ?? 0) : 0;
    const [first] = shown;
    const start = first === undefined ? [] : [{ name, value: first[0], share: under }];
    return [...start, ...shown.map(([value, share]) => ({ name, value, share }))];
  });
  const dots = curves.flatMap(({ name, cdf }) =>
    MARKED.flatMap(share => {
      const value = cdf.find(([, reached]) => reached >= share - 1e-9)?.[0];
      return value === undefined || (isLog && value <= 0) ? [] : [{ name, value, share }];
    }),
  );
  const x = { field: 'value', type: 'quantitative', scale: axis.scale, axis: axis.axis, title: axis.title };
  const y = SHARE_AXIS;
  const color = {
    field: 'name',
    type: 'nominal',
    scale: { domain: curves.map(({ name }) => name), range: curves.map(({ colour }) => colour) },
    legend: curves.length > 1 ? topLegend({ symbolType: 'stroke', symbolStrokeWidth: 3 }) : null,
  };
  const marks = axis.marks ?? [];
  const tooltip = [
    { field: 'name', title: 'what' },
    { field: 'shown', title: 'value' },
    { field: 'share', format: '.1%', title: 'share at or under' },
  ];
  return chartSpec(
    { points, dots, rules: RULES, marks },
    {
      height: 280,
      layer: [
        {
          data: { name: 'rules' },
          mark: { type: 'rule', strokeDash: [3, 3], color: FAINT, opacity: 0.45 },
          encoding: { y: { field: 'share', type: 'quantitative' } },
        },
        ...(marks.length === 0 ? [] : [markLines(x)]),
        {
          data: { name: 'points' },
          mark: { type: 'line', strokeWidth: 2.25, interpolate: 'step-after' },
          encoding: { x, y, color },
        },
        {
          data: { name: 'dots' },
          transform: [{ calculate: axis.label, as: 'shown' }],
          mark: { type: 'point', filled: true, size: 46, opacity: 1, stroke: PAPER, strokeWidth: 1.5 },
          encoding: { x, y, color, tooltip },
        },
        ...(marks.length === 0 ? [] : markNames(x)),
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
}

const markLines = (x: object): object => ({
  data: { name: 'marks' },
  mark: { type: 'rule', color: FAINT, strokeDash: [2, 4] },
  encoding: { x },
});

/** At the foot of their lines, where curves are low; on a border of paper, so that a curve behind them does no harm. */
const markNames = (x: object): object[] =>
  [{ stroke: PAPER, strokeWidth: 4, strokeJoin: 'round' }, {}].map(border => ({
    data: { name: 'marks' },
    mark: {
      type: 'text',
      angle: 270,
      align: 'left',
      baseline: 'bottom',
      dx: 6,
      dy: -3,
      fontSize: 10,
      color: FAINT,
      ...border,
    },
    encoding: { x, y: { datum: 0 }, text: { field: 'label' } },
  }));

/** Quantiles of each curve; `unit` stands behind the names of the columns. */
export const curvesTable = (curves: readonly Curve[], unit: string): ChartTable => ({
  columns: ['what', 'n', 'mean', 'p5', 'p25', 'p50', 'p75', 'p90', 'p99', 'max'].map((name, column) =>
    column < 2 ? name : `${name} (${unit})`,
  ),
  rows: curves.flatMap(({ name, spread }) =>
    spread === null
      ? []
      : [
          [
            name,
            spread.n,
            spread.mean,
            spread.p5,
            spread.p25,
            spread.p50,
            spread.p75,
            spread.p90,
            spread.p99,
            spread.max,
          ],
        ],
  ),
});
