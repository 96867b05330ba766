// Points in the plane of two variables, such as the cost of calls against their time, in groups told apart by colour and
// shape.
import { type ChartSpec, chartSpec, PALETTE, topLegend } from './chart.ts';
import type { LineAxis } from './lines.ts';

export interface PointGroup {
  readonly name: string;
  readonly colour: keyof typeof PALETTE;
  /** Vega's name of a symbol. */
  readonly shape: 'circle' | 'cross' | 'diamond' | 'triangle-up' | 'square';
  readonly points: readonly { readonly x: number; readonly y: number }[];
}

/** Area, px²: thin shapes need more of it. */
const SIZES: Record<PointGroup['shape'], number> = {
  circle: 16,
  cross: 60,
  diamond: 50,
  'triangle-up': 40,
  square: 30,
};

/** Groups in this order, the last one on top. */
export function scatterSpec(groups: readonly PointGroup[], axes: { x: LineAxis; y: LineAxis }): ChartSpec {
  const { x, y } = axes;
  const names = groups.map(({ name }) => name);
  const legend = topLegend({ columns: 2, labelLimit: 300, symbolType: undefined, symbolOpacity: 1 });
  const axisOf = (field: 'x' | 'y', { title, scale, axis }: LineAxis) => ({
    field,
    type: 'quantitative',
    title,
    scale: { nice: false, padding: 6, ...scale },
    axis: { tickCount: 6, ...(field === 'x' ? { grid: false } : {}), ...axis },
  });
  return chartSpec(
    {
      points: groups.flatMap(({ name, shape, points }) =>
        points.map(point => ({ name, ...point, size: SIZES[shape] })),
      ),
    },
    {
      height: 320,
      data: { name: 'points' },
      mark: { type: 'point', filled: true, opacity: 0.75 },
      encoding: {
        x: axisOf('x', x),
        y: axisOf('y', y),
        color: {
          field: 'name',
          type: 'nominal',
          scale: { domain: names, range: groups.map(({ colour }) => PALETTE[colour]) },
          legend,
        },
        shape: {
          field: 'name',
          type: 'nominal',
          scale: { domain: names, range: groups.map(({ shape }) => shape) },
        },
        size: { field: 'size', type: 'quantitative', scale: null, legend: null },
        tooltip: [
          { field: 'name', title: 'what' },
          { field: 'x', title: x.title ?? 'x', format: '.3~g' },
          { field: 'y', title: y.title ?? 'y', format: '.3~g' },
        ],
      },
    },
  );
}
