// Demand against capacity: traffic that grows, what today's deployment holds, and the replicas that each month needs.
import { type Chart, type ChartSpec, chartSpec, FAINT, INK, PALETTE } from '../../charts/chart.ts';
import { panel, panelAxis } from '../../charts/panels.ts';
import { plural, showCount, showNumber, showRatio } from '../../numbers.ts';

export interface GrowthMonths {
  /** A month, compound. */
  readonly growthRatio: number;
  /** From now, 0, on. */
  readonly months: readonly {
    readonly month: number;
    readonly workflowsPerHour: number;
    /** Fewest that keep the promises; null: none, or nobody looked. */
    readonly replicas: number | null;
    readonly usdPerMonth: number | null;
  }[];
  readonly replicasNow: number;
  /** What today's deployment holds. */
  readonly heldWorkflowsPerHour: number;
  /** Null: not as far as was looked. */
  readonly breaksAtMonths: number | null;
}

const HEIGHTS = { traffic: 200, replicas: 110 } as const;

export const growthChart: Chart<GrowthMonths> = {
  id: 'size-growth',
  howToRead:
    'Above, traffic as it grows (blue) against what today’s deployment holds (dotted); where they cross, a promise breaks. ' +
    'Below, the fewest replicas that keep every promise in each month; bars in orange are more than there are today.',

  title({ months, replicasNow, breaksAtMonths, growthRatio }) {
    const last = months.at(-1)!;
    const growing = `With ${showRatio(growthRatio)} a month`;
    if (breaksAtMonths === null || breaksAtMonths > last.month)
      return `${growing} today’s ${plural(replicasNow, 'replica')} ${replicasNow === 1 ? 'lasts' : 'last'} beyond month ${last.month}`;
    const then = last.replicas === null ? 'more than were tried' : plural(last.replicas, 'replica');
    return `${growing} today’s ${plural(replicasNow, 'replica')} ${replicasNow === 1 ? 'lasts' : 'last'} ${showNumber(breaksAtMonths)} months; month ${last.month} needs ${then}`;
  },

  spec({ months, replicasNow, heldWorkflowsPerHour }): ChartSpec | { absent: string } {
    if (months.length < 2) return { absent: 'one month is no growth' };
    const x = {
      field: 'month',
      type: 'ordinal',
      title: null,
      axis: { labelAngle: 0, labelOverlap: 'greedy' },
    };
    const demand = {
      field: 'workflowsPerHour',
      type: 'quantitative',
      title: null,
      scale: { zero: true },
      axis: panelAxis('~s', { tickCount: 4 }),
    };
    const hasReplicas = months.some(({ replicas }) => replicas !== null);
    const traffic = {
      layer: [
        {
          data: { name: 'held' },
          mark: { type: 'rule', strokeDash: [3, 4], color: FAINT },
          encoding: { y: { ...demand, field: 'y' } },
        },
        {
          data: { name: 'held' },
          mark: {
            type: 'text',
            align: 'left',
            baseline: 'bottom',
            dx: 4,
            dy: -3,
            fontSize: 10,
            color: FAINT,
          },
          encoding: { x: { value: 0 }, y: { ...demand, field: 'y' }, text: { field: 'label' } },
        },
        {
          data: { name: 'months' },
          mark: {
            type: 'line',
            strokeWidth: 2.25,
            color: PALETTE.blue,
            point: { filled: true, size: 30, color: PALETTE.blue },
          },
          encoding: {
            x: { ...x, axis: { ...x.axis, labels: false, ticks: false } },
            y: demand,
            tooltip: [
              { field: 'month', title: 'month' },
              { field: 'workflowsPerHour', title: 'workflows/h', format: ',.0f' },
            ],
          },
        },
      ],
    };
    const replicas = {
      field: 'replicas',
      type: 'quantitative',
      title: null,
      scale: { zero: true },
      axis: panelAxis('d', { tickMinStep: 1 }),
    };
    const bars = {
      layer: [
        {
          data: { name: 'months' },
          mark: { type: 'bar' },
          encoding: {
            x: { ...x, title: 'months from now' },
            y: replicas,
            color: {
              condition: { test: `datum.replicas > ${replicasNow}`, value: PALETTE.orange },
              value: PALETTE.sky,
            },
            tooltip: [
              { field: 'month', title: 'month' },
              { field: 'replicas', title: 'replicas needed' },
              { field: 'usdPerMonth', title: 'USD a month', format: ',.0f' },
            ],
          },
        },
        {
          data: { name: 'months' },
          mark: { type: 'text', baseline: 'bottom', dy: -2, fontSize: 10, color: INK },
          encoding: { x: { ...x, title: 'months from now' }, y: replicas, text: { field: 'replicas' } },
        },
      ],
    };
    return chartSpec(
      {
        months,
        held: [
          { y: heldWorkflowsPerHour, label: `today’s deployment holds ${showCount(heldWorkflowsPerHour)}` },
        ],
      },
      hasReplicas
        ? {
            vconcat: [
              panel('workflows/h', HEIGHTS.traffic, traffic),
              panel('replicas needed', HEIGHTS.replicas, bars),
            ],
            spacing: 14,
          }
        : { height: HEIGHTS.traffic, ...traffic },
    );
  },

  table({ months }) {
    return {
      columns: ['month', 'workflows/h', 'replicas needed', 'USD a month'],
      rows: months.map(({ month, workflowsPerHour, replicas, usdPerMonth }) => [
        month,
        workflowsPerHour,
        replicas,
        usdPerMonth,
      ]),
    };
  },
};
