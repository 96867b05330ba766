// Vertical lines with a name on a chart of lines: today's traffic, the most that is held, a crossing.
import { type ChartSpec, FAINT } from '../../charts/chart.ts';

export interface Mark {
  readonly x: number;
  readonly label: string;
  /** On which side of the line its name stands. */
  readonly side: 'left' | 'right';
}

/** Names of several marks stand one below the other. */
const LINE_PX = 14;

export function withMarks(spec: ChartSpec, marks: readonly Mark[]): ChartSpec {
  const { datasets, layer, ...body } = spec as ChartSpec & { layer: object[] };
  const encoding = { x: { field: 'x', type: 'quantitative' } };
  const names = (side: Mark['side'], align: 'left' | 'right', dx: number) => ({
    data: { name: 'marks' },
    transform: [{ filter: `datum.side === '${side}'` }],
    mark: { type: 'text', align, baseline: 'top', dx, dy: 2, fontSize: 10, color: FAINT },
    encoding: {
      ...encoding,
      y: { field: 'placePx', type: 'quantitative', scale: null },
      text: { field: 'label' },
    },
  });
  return {
    ...body,
    datasets: { ...datasets, marks: marks.map((mark, i) => ({ ...mark, placePx: i * LINE_PX })) },
    layer: [
      { data: { name: 'marks' }, mark: { type: 'rule', color: FAINT, strokeDash: [3, 4] }, encoding },
      names('left', 'right', -5),
      names('right', 'left', 5),
      ...layer,
    ],
  };
}
