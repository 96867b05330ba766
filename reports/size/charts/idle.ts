// To zero or warm: what a month costs by how much traffic there is, with replicas that may all go and with one that stays.
import { type Chart, logTicks } from '../../charts/chart.ts';
import { type Line, linesSpec } from '../../charts/lines.ts';
import { showNumber, showRatio, showUsd } from '../../numbers.ts';
import { withMarks } from './marks.ts';

export interface IdleCosts {
  /** By traffic, today's last. */
  readonly points: readonly {
    readonly workflowsPerHour: number;
    readonly zeroUsdPerMonth: number;
    readonly warmUsdPerMonth: number;
    /** Of the workflows from zero, those that wait for a replica to start. */
    readonly metRatio: number;
    readonly zeroMsP95: number | null;
    readonly warmMsP95: number | null;
    /** From zero. */
    readonly keepsPromises: boolean;
  }[];
  /** Traffic below which zero saves enough; null: at none, or at all that were looked at. */
  readonly paysBelowPerHour: number | null;
  readonly coldMs: number;
}

export const idleChart: Chart<IdleCosts> = {
  id: 'size-idle',
  howToRead:
    'To the right more workflows come in an hour. Blue is what a month costs when the pool may go to zero, orange-red with ' +
    'one replica that always stays. The gap is what sleep saves; it closes where workflows come too often for it to sleep.',

  title({ points, paysBelowPerHour }) {
    const least = points[0]!;
    if (paysBelowPerHour !== null)
      return `Scaling to zero pays below about ${showNumber(paysBelowPerHour)} workflows/h`;
    const saved = least.warmUsdPerMonth - least.zeroUsdPerMonth;
    return saved <= 0.005 * least.warmUsdPerMonth
      ? `Scaling to zero saves nothing from ${showNumber(least.workflowsPerHour)} workflows/h on`
      : `At ${showNumber(least.workflowsPerHour)} workflows/h scaling to zero saves ${showUsd(saved)} a month, and ${showRatio(least.metRatio)} of workflows meet a cold start`;
  },

  spec({ points, paysBelowPerHour }) {
    if (points.length < 2)
      return { absent: 'traffic that moves has one rate of its own: the table has its costs' };
    const line = (name: string, of: (point: (typeof points)[number]) => number): Line => ({
      name,
      points: points.map(point => ({ x: point.workflowsPerHour, y: of(point) })),
    });
    const rates = points.map(({ workflowsPerHour }) => workflowsPerHour);
    const spec = linesSpec(
      [
        line('scale to zero', each => each.zeroUsdPerMonth),
        line('one replica warm', each => each.warmUsdPerMonth),
      ],
      {
        x: {
          title: 'workflows/h',
          scale: { type: 'log' },
          axis: { values: logTicks(rates), format: '~s' },
          format: ',.3~r',
        },
        y: { title: 'USD a month', scale: { zero: true }, axis: { format: '~s' }, format: ',.0f' },
      },
    );
    return withMarks(spec, [
      { x: rates.at(-1)!, label: 'today', side: 'left' },
      ...(paysBelowPerHour === null
        ? []
        : [{ x: paysBelowPerHour, label: 'pays left of this', side: 'left' as const }]),
    ]);
  },

  table({ points }) {
    return {
      columns: [
        'workflows/h',
        'from zero (USD a month)',
        'one warm (USD a month)',
        'meet a cold start (0-1)',
        'workflow p95 from zero (ms)',
        'workflow p95 warm (ms)',
        'promises from zero',
      ],
      rows: points.map(each => [
        each.workflowsPerHour,
        each.zeroUsdPerMonth,
        each.warmUsdPerMonth,
        each.metRatio,
        each.zeroMsP95,
        each.warmMsP95,
        each.keepsPromises ? 'kept' : 'broken',
      ]),
    };
  },
};
