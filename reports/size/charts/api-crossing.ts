// Own replicas against APIs: what 1,000 workflows cost by how many come in a day, and where the lines cross.
import { type Chart, logTicks } from '../../charts/chart.ts';
import { type Line, linesSpec } from '../../charts/lines.ts';
import { showCount, showUsd } from '../../numbers.ts';
import { withMarks } from './marks.ts';

export interface ApiCrossing {
  readonly todayPerDay: number;
  /** Most that keeps the promises. */
  readonly heldPerDay: number;
  readonly own: readonly { readonly workflowsPerDay: number; readonly usdPer1000Workflows: number }[];
  /** What matters most first: the same model, then near ones. */
  readonly apis: readonly {
    readonly model: string;
    readonly relation: 'same' | 'used' | 'near';
    readonly usdPer1000Workflows: number;
    /** With more and with fewer cache hits. */
    readonly low: number;
    readonly high: number;
    /** Workflows a day from which own replicas cost less; null: not up to what they hold. */
    readonly crossingPerDay: number | null;
  }[];
}

const OWN = 'this deployment';
const ENDS = 2;

const nameOf = ({ model, relation }: ApiCrossing['apis'][number]): string =>
  relation === 'same' ? `${model} (the same model)` : model;

export const apiCrossingChart: Chart<ApiCrossing> = {
  id: 'size-break-even',
  howToRead:
    'To the right a day has more workflows. The blue line is what 1,000 of them cost on this deployment, paid for every ' +
    'hour: the more come, the less each costs. The others are the same tokens by the list price of an API; the band is 20 ' +
    'points more or fewer cache hits. Right of a crossing the deployment costs less. The line ends at what it holds.',

  title({ apis, todayPerDay }) {
    const best = apis[0];
    if (best === undefined) return 'This deployment against an API';
    return best.crossingPerDay === null
      ? `${nameOf(best)} costs less at any traffic that is held: ${showUsd(best.usdPer1000Workflows)} per 1,000 workflows`
      : `Break-even with ${nameOf(best)} at ${showCount(best.crossingPerDay)} workflows a day; today has ${showCount(todayPerDay)}`;
  },

  spec({ own, apis, todayPerDay }) {
    if (apis.length === 0) return { absent: 'no list price is known of a model like those served' };
    const [from, to] = [own[0]!.workflowsPerDay, own.at(-1)!.workflowsPerDay];
    const lines: Line[] = [
      { name: OWN, points: own.map(({ workflowsPerDay: x, usdPer1000Workflows: y }) => ({ x, y })) },
      ...apis.map(each => ({
        name: nameOf(each),
        points: Array.from({ length: ENDS }, (_, i) => ({
          x: i === 0 ? from : to,
          y: each.usdPer1000Workflows,
          low: each.low,
          high: each.high,
        })),
      })),
    ];
    const values = lines.flatMap(({ points }) => points.flatMap(({ y }) => y ?? []));
    const log = (ends: readonly number[], format: string) => ({
      scale: { type: 'log', nice: false },
      axis: { values: logTicks(ends), format },
    });
    const first = apis[0]!.crossingPerDay;
    return withMarks(
      linesSpec(lines, {
        x: { title: 'workflows a day', ...log([from, to], '~s'), format: ',.0f' },
        y: {
          title: 'USD per 1,000 workflows',
          ...log([Math.min(...values), Math.max(...values)], ',.12~g'),
          format: ',.2f',
        },
        points: false,
      }),
      [
        { x: todayPerDay, label: 'today', side: 'right' },
        ...(first === null || first < from || first > to
          ? []
          : [{ x: first, label: 'break-even', side: 'right' as const }]),
      ],
    );
  },

  table({ own, apis, heldPerDay }) {
    return {
      columns: [
        'what',
        'workflows a day',
        'USD per 1,000 workflows',
        'with more cache hits',
        'with fewer',
        'break-even (workflows a day)',
      ],
      rows: [
        ...own.map(({ workflowsPerDay, usdPer1000Workflows }) => [
          OWN,
          workflowsPerDay,
          usdPer1000Workflows,
          null,
          null,
          null,
        ]),
        ...apis.map(each => [
          nameOf(each),
          heldPerDay,
          each.usdPer1000Workflows,
          each.low,
          each.high,
          each.crossingPerDay,
        ]),
      ],
    };
  },
};
