// How full the pools of the best split are at the most that it holds: their promises, KV, batch and queue.
import type { FleetPoolUse, FleetResult } from '../../../scenarios/formats/size-fleet.ts';
import { type Chart, chartSpec, FAINT, INK, PALETTE, topLegend } from '../../charts/chart.ts';
import { plural, showRatio } from '../../numbers.ts';

const MEASURES = {
  'its tightest promise': { colour: PALETTE.blue, of: ({ promiseRatio }: FleetPoolUse) => promiseRatio },
  'KV blocks': { colour: PALETTE.green, of: ({ kvRatio }: FleetPoolUse) => kvRatio },
  'sequences of the batch': { colour: PALETTE.orange, of: ({ batchRatio }: FleetPoolUse) => batchRatio },
  'time with a queue': { colour: PALETTE.purple, of: ({ queuedRatio }: FleetPoolUse) => queuedRatio },
};

interface Row {
  readonly pool: string;
  readonly measure: string;
  readonly used: number;
  readonly shown: string;
}

/** Beyond it a bar says no more. */
const MOST = 2;

const rowsOf = ({ answer }: FleetResult): Row[] =>
  (answer?.pools ?? []).flatMap(({ pool, gpus, use }) =>
    use === null
      ? []
      : Object.entries(MEASURES).flatMap(([measure, { of }]) => {
          const used = of(use);
          return used === null
            ? []
            : [{ pool: `${pool}, ${plural(gpus, 'GPU')}`, measure, used, shown: showRatio(used) }];
        }),
  );

export const fleetPoolsChart: Chart<FleetResult> = {
  id: 'size-fleet-pools',
  howToRead:
    'Each group of bars is a pool of the answer under the most traffic that it holds: how much of the tightest promise of its own ' +
    'calls is used up, of its KV blocks and of the sequences that a replica may run (both p95), and how often calls queue. ' +
    'At the dotted line all of it is used. Pools that are about as near to their promises share the GPUs well.',

  title({ answer, tightest }) {
    const pools = (answer?.pools ?? []).filter(({ use }) => use?.promiseRatio != null);
    const [first] = pools.toSorted((a, b) => b.use!.promiseRatio! - a.use!.promiseRatio!);
    if (first === undefined)
      return tightest === null
        ? 'Nothing is known of the pools'
        : `Pool ${tightest.pool} comes to its limit first`;
    const others = pools.filter(each => each !== first);
    const rest = others.map(({ pool, use }) => `${pool} ${showRatio(use!.promiseRatio)}`).join(', ');
    return `Pool ${first.pool} is tightest: its calls use ${showRatio(first.use!.promiseRatio)} of ${first.use!.promise}${rest === '' ? '' : `; of theirs ${rest}`}`;
  },

  spec(result) {
    const bars = rowsOf(result).map(row => ({ ...row, drawn: Math.min(MOST, row.used) }));
    if (bars.length === 0) return { absent: 'no split holds any traffic, so there is none to look into' };
    const measures = Object.keys(MEASURES);
    const y = {
      field: 'pool',
      type: 'nominal',
      sort: [...new Set(bars.map(({ pool }) => pool))],
      title: null,
      scale: { paddingInner: 0.25 },
      axis: { domain: false, ticks: false, labelLimit: { expr: 'width < 420 ? 110 : 240' } },
    };
    const yOffset = { field: 'measure', sort: measures };
    const x = {
      field: 'drawn',
      type: 'quantitative',
      title: 'used',
      scale: { domain: [0, Math.max(1.2, ...bars.map(({ drawn }) => drawn * 1.15))], nice: false },
      axis: { tickCount: 5, format: '~%', grid: false },
    };
    return chartSpec(
      { bars, line: [{ at: 1 }] },
      {
        height: { step: 22, for: 'offset' },
        layer: [
          {
            data: { name: 'bars' },
            mark: { type: 'bar', height: { band: 0.8 } },
            encoding: {
              y,
              yOffset,
              x,
              color: {
                field: 'measure',
                type: 'nominal',
                scale: { domain: measures, range: Object.values(MEASURES).map(({ colour }) => colour) },
                legend: topLegend({ columns: { expr: 'width < 420 ? 1 : width < 560 ? 2 : 0' } }),
              },
              tooltip: [
                { field: 'pool', title: 'pool' },
                { field: 'measure', title: 'of' },
                { field: 'shown', title: 'used' },
              ],
            },
          },
          {
            data: { name: 'bars' },
            mark: { type: 'text', align: 'left', dx: 5, fontSize: 10, color: INK },
            encoding: { y, yOffset: { ...yOffset, bandPosition: 0.5 }, x, text: { field: 'shown' } },
          },
          {
            data: { name: 'line' },
            mark: { type: 'rule', strokeDash: [4, 4], color: FAINT },
            encoding: { x: { ...x, field: 'at' } },
          },
        ],
      },
    );
  },

  table: result => ({
    columns: ['pool', 'of', 'used'],
    rows: rowsOf(result).map(({ pool, measure, used }) => [pool, measure, used]),
  }),
};
