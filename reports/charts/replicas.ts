// Replicas that come and go, over time, and the calls that wanted them below, on one time axis.
import type { ReplicaRow, RunResult } from '../../scenarios/formats/result.ts';
import { comeAndGo, replicaText } from '../replicas.ts';
import { type Chart, chartSpec, INK, PALETTE, topLegend } from './chart.ts';
import { cursor, panel, panelAxis, stacked, timeX } from './panels.ts';

/** Drawn, a panel each: those that change most. */
const SETS_MAX = 4;

const COLOURS = { ready: PALETTE.blue, starting: PALETTE.orange } as const;

const TOOLTIP = [
  { field: 'set', title: 'replicas of' },
  { field: 'clock', title: 'after' },
  { field: 'ready', title: 'ready' },
  { field: 'starting', title: 'starting' },
  { field: 'inFlightCalls', title: 'calls in flight' },
];

const rangeOf = ({ readyMin, readyMax }: ReplicaRow): number => readyMax - readyMin;

/** In order of name. */
const drawnRows = ({ replicas = [] }: RunResult): ReplicaRow[] =>
  replicas
    .filter(comeAndGo)
    .sort((a, b) => rangeOf(b) - rangeOf(a) || (a.name < b.name ? -1 : 1))
    .slice(0, SETS_MAX)
    .sort((a, b) => (a.name < b.name ? -1 : 1));

export const replicasChart: Chart<RunResult> = {
  id: 'replicas',
  howToRead:
    'Blue replicas are ready (or finish what they have before they go), orange ones are paid for and still start. The ' +
    'line below is what they are there for: calls that were sent and have not ended, those included that wait at the ' +
    'gate or for a replica. Blue that follows the line late is a cold start or a slow autoscaler; blue that stays after ' +
    'it has fallen is paid for nothing.',

  title(run) {
    const rows = drawnRows(run);
    return rows.length === 0 ? 'Replicas over time' : rows.map(replicaText).join('; ');
  },

  spec(run) {
    const rows = drawnRows(run);
    if (rows.length === 0) return { absent: 'the number of replicas does not change' };
    const points = rows.flatMap(({ name, points: own }) => own.map(point => ({ set: name, ...point })));
    const replicas = points.flatMap(({ set, atMs, ready, starting }) => [
      { set, atMs, state: 'ready', order: 0, count: ready },
      { set, atMs, state: 'starting', order: 1, count: starting },
    ]);
    const pools = [...new Map(rows.map(row => [row.pool, row])).values()];
    const panels = [
      ...rows.map(({ name }) => ({ set: name, text: `Replicas of ${name}`, isDemand: false })),
      ...pools.map(({ pool, name }) => ({
        set: name,
        text: `Calls in flight or waiting${pools.length > 1 ? ` for ${pool}` : ''}`,
        isDemand: true,
      })),
    ];
    const y = (field: string, extra: object) => ({
      field,
      type: 'quantitative',
      title: null,
      axis: panelAxis('~s', { tickMinStep: 1 }),
      ...extra,
    });
    return chartSpec(
      { points, replicas },
      {
        ...stacked(
          panels.map(({ set, text, isDemand }, i) => {
            const ofSet = { filter: { field: 'set', equal: set } };
            const along = timeX(i === panels.length - 1);
            const drawn = isDemand
              ? {
                  data: { name: 'points' },
                  transform: [ofSet],
                  mark: { type: 'line', interpolate: 'step-after', strokeWidth: 1.5, color: INK, clip: true },
                  encoding: { x: along, y: y('inFlightCalls', {}) },
                }
              : {
                  data: { name: 'replicas' },
                  transform: [ofSet],
                  mark: { type: 'area', interpolate: 'step-after', fillOpacity: 0.75, clip: true },
                  encoding: {
                    x: along,
                    y: y('count', { stack: 'zero' }),
                    color: {
                      field: 'state',
                      type: 'nominal',
                      scale: { domain: Object.keys(COLOURS), range: Object.values(COLOURS) },
                      legend: topLegend(),
                    },
                    order: { field: 'order', type: 'quantitative' },
                  },
                };
            const under = cursor(`at${i}`, along, TOOLTIP, { data: { name: 'points' }, transform: [ofSet] });
            return panel(text, isDemand ? 64 : 74, { layer: [drawn, under] });
          }),
          Math.max(run.durationMs, ...points.map(({ atMs }) => atMs)),
        ),
      },
    );
  },

  table(run) {
    return {
      columns: ['at (ms)', 'replicas of', 'ready', 'starting', 'calls in flight or waiting'],
      rows: drawnRows(run).flatMap(({ name, points }) =>
        points.map(({ atMs, ready, starting, inFlightCalls }) => [
          atMs,
          name,
          ready,
          starting,
          inFlightCalls,
        ]),
      ),
    };
  },
};
