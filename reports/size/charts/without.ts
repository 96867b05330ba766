// A fault in the midst of a stretch: how near the promises are to their targets, with it and without.
import {
  BAND,
  type Chart,
  type ChartSpec,
  chartSpec,
  clockLabel,
  FAINT,
  logTicks,
  PALETTE,
  topLegend,
} from '../../charts/chart.ts';
import { showNumber, showRatio } from '../../numbers.ts';

export interface WithoutParts {
  readonly what: string;
  /** Calls without an answer over those that come while it fails, beyond the usual. */
  readonly lostCallRatio: number;
  /** Ms of the run: what is shown, and when it fails within. */
  readonly when: {
    readonly beginMs: number;
    readonly fromMs: number;
    readonly toMs: number;
    readonly endMs: number;
  };
  /** Of the promise that is nearest to its target then: 1 at the target, more where it is broken. */
  readonly points: readonly {
    readonly atMs: number;
    readonly usual: number | null;
    readonly without: number | null;
  }[];
  /** Each promise: of its target, before, during and after; `usual`: during, had nothing failed. */
  readonly promises: readonly {
    readonly text: string;
    readonly before: number | null;
    readonly during: number | null;
    readonly after: number | null;
    readonly usual: number | null;
  }[];
}

const SIDES = { without: PALETTE.vermilion, usual: PALETTE.blue } as const;
const NAMES = { without: 'with the failure', usual: 'had nothing failed' } as const;

export const withoutChart: Chart<WithoutParts> = {
  id: 'size-without',
  howToRead:
    'To the right is time; the shaded part is the failure. The lines are the promise that is nearest to its target in that ' +
    'moment, 1 at the target and above it where it is broken, of calls and workflows that begin then: orange-red with the ' +
    'failure, blue the same agents had nothing failed. Recovery is when the two meet again.',

  title({ what, promises, lostCallRatio }) {
    const worst = promises
      .filter(({ during }) => during !== null)
      .toSorted((a, b) => b.during! - a.during!)[0];
    const lost = lostCallRatio > 0 ? `; ${showRatio(lostCallRatio)} of calls get no answer` : '';
    if (worst === undefined) return `Nothing was answered without ${what}`;
    return worst.during! > 1
      ? `Without ${what}, ${worst.text} is at ${showNumber(worst.during!)} times its target${lost}`
      : `Without ${what} the nearest promise, ${worst.text}, is at ${showRatio(worst.during!)} of its target${lost}`;
  },

  spec({ points, when }): ChartSpec | { absent: string } {
    const rows = points.flatMap(point =>
      (['usual', 'without'] as const).flatMap(side => {
        const used = point[side];
        return used === null || used <= 0 ? [] : [{ atMs: point.atMs, side: NAMES[side], used }];
      }),
    );
    if (rows.length < 2) return { absent: 'too little ran to draw: a longer stretch has more' };
    const values = [1, ...rows.map(({ used }) => used)];
    const range = [Math.min(...values) / 1.2, Math.max(...values) * 1.2];
    const x = {
      field: 'atMs',
      type: 'quantitative',
      title: null,
      scale: { nice: false, domain: [when.beginMs, when.endMs] },
      axis: {
        labelExpr: clockLabel,
        tickCount: { expr: 'ceil(width / 75)' },
        grid: false,
        labelOverlap: true,
      },
    };
    const y = {
      field: 'used',
      type: 'quantitative',
      title: 'of the promise',
      scale: { type: 'log', nice: false, domain: range },
      axis: { values: logTicks(range), format: '~%' },
    };
    const color = {
      field: 'side',
      type: 'nominal',
      scale: { domain: [NAMES.without, NAMES.usual], range: [SIDES.without, SIDES.usual] },
      legend: topLegend({ symbolType: 'stroke', symbolStrokeWidth: 3, labelLimit: 300 }),
    };
    return chartSpec(
      {
        rows,
        failure: [{ fromMs: when.fromMs, toMs: when.toMs }],
        target: [{ used: 1, label: 'broken above' }],
      },
      {
        height: 260,
        layer: [
          {
            data: { name: 'failure' },
            mark: { type: 'rect', color: BAND, opacity: 0.7 },
            encoding: { x: { ...x, field: 'fromMs' }, x2: { field: 'toMs' } },
          },
          {
            data: { name: 'target' },
            mark: { type: 'rule', strokeDash: [3, 4], color: FAINT },
            encoding: { y },
          },
          {
            data: { name: 'target' },
            mark: {
              type: 'text',
              align: 'left',
              baseline: 'bottom',
              dx: 4,
              dy: -3,
              fontSize: 10,
              color: FAINT,
            },
            encoding: { x: { value: 0 }, y, text: { field: 'label' } },
          },
          { data: { name: 'rows' }, mark: { type: 'line', strokeWidth: 2.25 }, encoding: { x, y, color } },
          {
            data: { name: 'rows' },
            mark: { type: 'point', filled: true, size: 40, opacity: 0 },
            encoding: {
              x,
              y,
              color,
              tooltip: [
                { field: 'side', title: 'what' },
                { field: 'used', title: 'of the promise', format: '.3~%' },
              ],
            },
          },
        ],
      },
    );
  },

  table({ promises }) {
    return {
      columns: ['promise', 'of its target before', 'during', 'after', 'during, had nothing failed'],
      rows: promises.map(({ text, before, during, after, usual }) => [text, before, during, after, usual]),
    };
  },
};
