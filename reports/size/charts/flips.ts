// What would have to be otherwise for the answer to change, the nearest first.
import type { SizedFlip, SizeResult } from '../../../scenarios/formats/size.ts';
import { type Chart, chartSpec, FAINT, INK, PALETTE } from '../../charts/chart.ts';
import { showSignedRatio } from '../../numbers.ts';

const barsOf = (flips: readonly SizedFlip[]) =>
  flips.flatMap(({ assumption, at, becomes, changeRatio }) =>
    changeRatio === null
      ? []
      : [{ assumption, at, becomes, change: Math.max(-1, Math.min(2, changeRatio)), zero: 0, shown: at }],
  );

export const flipsChart: Chart<SizeResult> = {
  id: 'size-flips',
  howToRead:
    'Each row is one assumption, and how far it may move before the answer is another one. A short bar is an assumption to ' +
    'be sure of; what has no bar within sight was moved and changed nothing.',

  title({ flips }) {
    const [first] = flips;
    if (first === undefined) return 'Nothing that was moved changes the answer';
    const moved = first.changeRatio === null ? '' : ` (${showSignedRatio(first.changeRatio)})`;
    return `The answer flips first by the ${first.assumption}, at ${first.at}${moved}: ${first.becomes}`;
  },

  spec({ flips }) {
    const bars = barsOf(flips);
    if (bars.length === 0) return { absent: 'nothing that was moved changes the answer' };
    const furthest = Math.max(0.1, ...bars.map(({ change }) => Math.abs(change))) * 1.6;
    const y = {
      field: 'assumption',
      type: 'nominal',
      sort: bars.map(({ assumption }) => assumption),
      title: null,
      axis: { domain: false, ticks: false, labelLimit: { expr: 'width < 420 ? 130 : 240' } },
    };
    const x = {
      field: 'change',
      type: 'quantitative',
      title: 'change from what was assumed',
      scale: { domain: [-furthest, furthest], nice: false },
      axis: { tickCount: 5, format: '+~%', grid: false },
    };
    return chartSpec(
      { bars, zero: [{ at: 0 }] },
      {
        height: { step: 30 },
        layer: [
          {
            data: { name: 'bars' },
            mark: { type: 'bar', height: { band: 0.6 }, color: PALETTE.blue },
            encoding: {
              y,
              x,
              x2: { field: 'zero' },
              tooltip: [
                { field: 'assumption', title: 'assumption' },
                { field: 'at', title: 'flips at' },
                { field: 'becomes', title: 'then it is' },
              ],
            },
          },
          ...[
            { test: 'datum.change < 0', align: 'right', dx: -5 },
            { test: 'datum.change >= 0', align: 'left', dx: 5 },
          ].map(({ test, align, dx }) => ({
            data: { name: 'bars' },
            transform: [{ filter: test }],
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

  table: ({ flips }) => ({
    columns: ['assumption', 'assumed', 'flips at', 'change', 'then'],
    rows: flips.map(({ assumption, now, at, changeRatio, becomes }) => [
      assumption,
      now,
      at,
      changeRatio,
      becomes,
    ]),
  }),
};
