// Which of the figures behind the cost moves it most: each a fifth lower and a fifth higher, the others as they are.
import type { RunResult } from '../../scenarios/formats/result.ts';
import { SWING_RATIO, type Swing, swingsOf } from '../money.ts';
import { showRatio, showSignedRatio, showUsd } from '../numbers.ts';
import { type Chart, chartSpec, FAINT, INK, PALETTE, topLegend } from './chart.ts';

const LOWER = `${showRatio(SWING_RATIO)} lower`;
const HIGHER = `${showRatio(SWING_RATIO)} higher`;

const costOf = ({ cost }: RunResult): number => cost?.usdPer1000Workflows ?? 0;

const signed = (usd: number): string => `${usd < 0 ? '−' : '+'}${showUsd(Math.abs(usd))}`;

/** A name's bars, and the room that their labels need. */
const barsOf = (swings: readonly Swing[]) =>
  swings.flatMap(({ what, lower, higher }) =>
    [
      { what, side: LOWER, usd: lower },
      { what, side: HIGHER, usd: higher },
    ].map(bar => ({ ...bar, zero: 0, shown: signed(bar.usd) })),
  );

export const costTornado: Chart<RunResult> = {
  id: 'cost-tornado',
  howToRead:
    'Each row is one figure behind the cost, a fifth lower (orange) and a fifth higher (blue) than in this run, all else ' +
    'as it is; the bar is how much dearer or cheaper 1,000 workflows get. The widest row is the figure to know best, or ' +
    'to work on. Own GPUs are taken to follow the work at the utilisation of this run; it is a sum, not a simulation.',

  title(result) {
    const [widest] = swingsOf(result);
    if (widest === undefined) return 'What moves the cost';
    const whole = costOf(result);
    const [one, other] = [widest.lower, widest.higher].sort((a, b) => a - b) as [number, number];
    return `What moves the cost most is ${widest.what}: a fifth less or more of it is ${showSignedRatio(one / whole)} to ${showSignedRatio(other / whole)}`;
  },

  spec(result) {
    const swings = swingsOf(result);
    if (swings.length === 0)
      return {
        absent:
          'no price is known of anything that was used, or no workflow completed: give the pools a price, such as --set pools.POOL.price=2.5/h',
      };
    const bars = barsOf(swings);
    const furthest = Math.max(...bars.map(({ usd }) => Math.abs(usd))) * 1.9;
    const y = {
      field: 'what',
      type: 'nominal',
      sort: swings.map(({ what }) => what),
      title: null,
      axis: { domain: false, ticks: false },
    };
    const x = {
      field: 'usd',
      type: 'quantitative',
      title: 'change of USD per 1,000 workflows',
      scale: { domain: [-furthest, furthest], nice: false },
      axis: { tickCount: 5, format: '+,.3~r', grid: false },
    };
    const [negative, positive] = ['datum.usd < 0', 'datum.usd >= 0'];
    return chartSpec(
      { bars, zero: [{ at: 0 }] },
      {
        height: { step: 30 },
        layer: [
          {
            data: { name: 'bars' },
            mark: { type: 'bar', height: { band: 0.62 } },
            encoding: {
              y,
              x,
              x2: { field: 'zero' },
              color: {
                field: 'side',
                type: 'nominal',
                scale: { domain: [LOWER, HIGHER], range: [PALETTE.orange, PALETTE.blue] },
                legend: topLegend(),
              },
              tooltip: [
                { field: 'what', title: 'figure' },
                { field: 'side', title: 'is' },
                { field: 'shown', title: 'change' },
              ],
            },
          },
          ...[
            { side: negative, align: 'right', dx: -5 },
            { side: positive, align: 'left', dx: 5 },
          ].map(({ side, align, dx }) => ({
            data: { name: 'bars' },
            transform: [{ filter: side }],
            mark: { type: 'text', align, dx, fontSize: 11, color: INK },
            encoding: { y, x, text: { field: 'shown' } },
          })),
          {
            data: { name: 'zero' },
            mark: { type: 'rule', color: FAINT },
            encoding: { x: { ...x, field: 'at' } },
          },
        ],
      },
    );
  },

  table(result) {
    return {
      columns: ['figure', `USD per 1,000 workflows when ${LOWER}`, `when ${HIGHER}`],
      rows: swingsOf(result).map(({ what, lower, higher }) => [
        what,
        costOf(result) + lower,
        costOf(result) + higher,
      ]),
    };
  },
};
