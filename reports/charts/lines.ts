// Lines against one variable, such as latency against load: the frame that comparisons over many runs share.
import { type ChartSpec, chartSpec, FAINT, PALETTE, topLegend } from './chart.ts';

export interface Line {
  name: string;
  points: readonly LinePoint[];
}

export interface LinePoint {
  x: number;
  /** Null: nothing to draw here. */
  y: number | null;
  /** An interval around it, drawn as a band. */
  low?: number | null;
  high?: number | null;
}

export interface LineAxis {
  title: string | null;
  scale?: object;
  /** Vega-Lite axis. */
  axis?: object;
  /** d3 format of tooltips, where no `label` says it in words. */
  format?: string;
  /** A Vega expression that shows a value, by the name of its field: `msLabel`. */
  label?: (value: string) => string;
}

/** A horizontal line with a name, such as a target. */
export interface LineRule {
  y: number;
  label: string;
}

const COLOURS = [
  PALETTE.blue,
  PALETTE.vermilion,
  PALETTE.green,
  PALETTE.orange,
  PALETTE.purple,
  PALETTE.sky,
  PALETTE.yellow,
];

/** Lines with a colour of their own; the others are thin and grey. */
export const COLOURED_LINES = COLOURS.length;

/** A logarithmic scale has no zero to leave out. */
const isLog = ({ scale }: LineAxis): boolean =>
  scale !== undefined && 'type' in scale && scale.type === 'log';

const shownAs = ({ label, format }: LineAxis, field: string, title: string) => ({
  transform: label === undefined ? [] : [{ calculate: label(`datum.${field}`), as: `${field}Shown` }],
  tooltip:
    label === undefined ? { field, title, format: format ?? '.3~g' } : { field: `${field}Shown`, title },
});

/**
 * One line each, the first ones in colour: so give the most telling first. `strong`, such as a baseline, is in ink and
 * dashed; without `points` only the lines are seen.
 */
export function linesSpec(
  lines: readonly Line[],
  axes: {
    x: LineAxis;
    y: LineAxis;
    rules?: readonly LineRule[];
    strong?: string;
    height?: number;
    points?: boolean;
  },
): ChartSpec {
  const { x, y, rules = [], strong, height = 300, points: hasPoints = true } = axes;
  const coloured = lines.filter(({ name }) => name !== strong).slice(0, COLOURS.length);
  const named = lines.filter(line => line.name === strong || coloured.includes(line));
  const rows = lines.flatMap(({ name, points }) =>
    points.filter(point => point.y !== null).map(point => ({ name, ...point })),
  );
  const isNamed = (line: { name: string }): boolean => named.some(({ name }) => name === line.name);
  const xEncoding = {
    field: 'x',
    type: 'quantitative',
    title: x.title,
    scale: { nice: false, ...(isLog(x) ? {} : { zero: false }), padding: 6, ...x.scale },
    axis: { grid: false, tickCount: 8, ...x.axis },
  };
  const yEncoding = {
    field: 'y',
    type: 'quantitative',
    title: y.title,
    scale: { nice: true, ...y.scale },
    axis: { tickCount: 5, ...y.axis },
  };
  const color = {
    field: 'name',
    type: 'nominal',
    scale: {
      domain: named.map(({ name }) => name),
      range: named.map(({ name }) =>
        name === strong ? PALETTE.grey : COLOURS[coloured.findIndex(each => each.name === name)],
      ),
    },
    legend:
      named.length > 1
        ? topLegend({
            symbolType: 'stroke',
            symbolStrokeWidth: 3,
            columns: { expr: `width < 480 ? 1 : ${named.some(({ name }) => name.length > 30) ? 2 : 3}` },
            labelLimit: 300,
            symbolOpacity: 1,
          })
        : null,
  };
  const shownX = shownAs(x, 'x', x.title ?? 'x');
  const shownY = shownAs(y, 'y', y.title ?? 'y');
  const tooltip = [{ field: 'name', title: 'what' }, shownX.tooltip, shownY.tooltip];
  const others = rows.filter(row => !isNamed(row));
  const banded = rows.filter(row => isNamed(row) && row.low != null && row.high != null);
  return chartSpec(
    { lines: rows.filter(isNamed), others, banded, rules },
    {
      height,
      layer: [
        ...(rules.length === 0
          ? []
          : [
              {
                data: { name: 'rules' },
                mark: { type: 'rule', strokeDash: [3, 4], color: FAINT },
                encoding: { y: { ...yEncoding, title: y.title } },
              },
              {
                data: { name: 'rules' },
                mark: {
                  type: 'text',
                  align: 'left',
                  baseline: 'bottom',
                  dx: 4,
                  dy: -3,
                  fontSize: 10,
                  color: FAINT,
                },
                encoding: { x: { value: 0 }, y: { ...yEncoding, title: y.title }, text: { field: 'label' } },
              },
            ]),
        ...(others.length === 0
          ? []
          : [
              {
                data: { name: 'others' },
                mark: { type: 'line', strokeWidth: 1, opacity: 0.45, color: FAINT },
                encoding: { x: xEncoding, y: yEncoding, detail: { field: 'name' } },
              },
            ]),
        ...(banded.length === 0
          ? []
          : [
              {
                data: { name: 'banded' },
                mark: { type: 'area', opacity: 0.16 },
                encoding: {
                  x: xEncoding,
                  y: { ...yEncoding, field: 'low' },
                  y2: { field: 'high' },
                  color,
                },
              },
            ]),
        {
          data: { name: 'lines' },
          mark: { type: 'line', strokeWidth: 2.25 },
          encoding: {
            x: xEncoding,
            y: yEncoding,
            color,
            ...(strong === undefined
              ? {}
              : {
                  strokeDash: {
                    condition: { test: `datum.name === ${JSON.stringify(strong)}`, value: [5, 4] },
                    value: [1, 0],
                  },
                }),
          },
        },
        {
          data: { name: 'lines' },
          transform: [...shownX.transform, ...shownY.transform],
          // A curve that is computed has no points of its own, but still tells what it is under the pointer.
          mark: { type: 'point', filled: true, size: hasPoints ? 30 : 40, opacity: hasPoints ? 1 : 0 },
          encoding: { x: xEncoding, y: yEncoding, color, tooltip },
        },
      ],
    },
  );
}
