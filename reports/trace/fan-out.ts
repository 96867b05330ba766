// How many calls or sub-agents start together where work fans out.
import type { TraceProfile } from '../../scenarios/formats/trace-profile.ts';
import { type Chart, chartSpec, INK, PALETTE } from '../charts/chart.ts';
import { fanOutFinding, sentence } from './findings.ts';

export const fanOut: Chart<TraceProfile> = {
  id: 'fan-out',
  title: profile => sentence(fanOutFinding(profile)),
  howToRead:
    'A bar says how often work fanned out to that many calls or sub-agents that wait for the same point: they arrive at ' +
    'the server together, and what they share is best shared then. A width of 1 is a sub-agent that runs alone.',
  spec({ fanOut: { widths } }) {
    if (widths.length === 0) return { absent: 'each call waits for the one before it: nothing fans out' };
    const rows = widths.map(([width, spawns]) => ({ width, spawns }));
    const y = {
      field: 'width',
      type: 'ordinal',
      title: null,
      axis: { labelExpr: "datum.label + ' wide'", domain: false, ticks: false },
    };
    const x = {
      field: 'spawns',
      type: 'quantitative',
      title: 'times',
      axis: { format: 'd', tickMinStep: 1, tickCount: 5 },
    };
    return chartSpec(
      { rows },
      {
        height: { step: rows.length > 16 ? 16 : 26 },
        data: { name: 'rows' },
        layer: [
          {
            mark: { type: 'bar', color: PALETTE.blue, cornerRadiusEnd: 1, height: { band: 0.7 } },
            encoding: {
              x,
              y,
              tooltip: [
                { field: 'width', title: 'width' },
                { field: 'spawns', title: 'times', format: ',' },
              ],
            },
          },
          {
            mark: { type: 'text', align: 'left', dx: 5, fontSize: 11, fontWeight: 600, color: INK },
            encoding: { x, y, text: { field: 'spawns', format: ',' } },
          },
        ],
      },
    );
  },
  table: ({ fanOut: { widths } }) => ({
    columns: ['started together', 'times'],
    rows: widths.map(([width, spawns]) => [width, spawns]),
  }),
};
