// A matrix of ratios, such as who slows whom: a cell's colour says better or worse, its strength by how much, and the
// number stands inside.
import { type ChartSpec, chartSpec, INK, PALETTE } from './chart.ts';

export interface MatrixCell {
  row: string;
  column: string;
  /** 1: no difference; above 1 is worse. Null: nothing to draw here. */
  ratio: number | null;
  /** What the cell says. */
  text: string;
}

/** A ratio of this much, or its inverse, has the full colour. */
const FULL = 2;

/** Rows and columns in the order of their first cells. */
export function matrixSpec(
  cells: readonly MatrixCell[],
  { rowTitle, columnTitle }: { rowTitle: string; columnTitle: string },
): ChartSpec {
  const orderOf = (field: 'row' | 'column') => [...new Set(cells.map(cell => cell[field]))];
  const drawn = cells.flatMap(({ ratio, ...cell }) =>
    ratio === null
      ? []
      : [
          {
            ...cell,
            kind: ratio > 1 ? 'worse' : 'better',
            strength: Math.min(1, Math.max(ratio, 1 / ratio) - 1) / (FULL - 1),
          },
        ],
  );
  const y = {
    field: 'row',
    type: 'nominal',
    sort: orderOf('row'),
    title: rowTitle,
    axis: { domain: false, ticks: false, labelLimit: 160 },
  };
  const x = {
    field: 'column',
    type: 'nominal',
    sort: orderOf('column'),
    title: columnTitle,
    axis: { orient: 'top', domain: false, ticks: false, labelAngle: 0, labelLimit: 110 },
  };
  return chartSpec(
    { cells: drawn },
    {
      height: { step: 34 },
      layer: [
        {
          data: { name: 'cells' },
          mark: { type: 'rect', cornerRadius: 2 },
          encoding: {
            x,
            y,
            color: {
              field: 'kind',
              type: 'nominal',
              scale: { domain: ['better', 'worse'], range: [PALETTE.blue, PALETTE.vermilion] },
              legend: null,
            },
            opacity: {
              field: 'strength',
              type: 'quantitative',
              scale: { domain: [0, 1], range: [0.06, 0.75] },
              legend: null,
            },
            tooltip: [
              { field: 'row', title: rowTitle },
              { field: 'column', title: columnTitle },
              { field: 'text', title: 'ratio' },
            ],
          },
        },
        {
          data: { name: 'cells' },
          mark: { type: 'text', fontSize: 12, color: INK },
          encoding: { x, y, text: { field: 'text' } },
        },
      ],
    },
  );
}
