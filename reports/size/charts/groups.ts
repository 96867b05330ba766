// The cheapest that each choice of GPU, parallelism, shape and router comes to, beside the answer.
import type { SizedGroup, SizeResult } from '../../../scenarios/formats/size.ts';
import { type Chart, PALETTE, roomForLabels } from '../../charts/chart.ts';
import { showSignedRatio, showUsd } from '../../numbers.ts';
import { barsSpec } from './bars.ts';

const ROWS_MAX = 16;

interface Row {
  readonly name: string;
  readonly usd: number;
  readonly shown: string;
  readonly isAnswer: boolean;
}

/** Cheapest first; those that were left before they were settled are not there. */
function rowsOf({ groups, answer }: SizeResult): Row[] {
  const isKept = ({ best }: SizedGroup): boolean => best?.usdPerHour != null;
  return groups
    .filter(isKept)
    .map(({ best }) => best!)
    .toSorted((a, b) => a.usdPerHour! - b.usdPerHour!)
    .slice(0, ROWS_MAX)
    .map(best => ({
      name: best.name,
      usd: best.usdPerHour!,
      shown: `$${best.usdPerHour!.toFixed(2)}`,
      isAnswer: best.name === answer?.name,
    }));
}

export const groupsChart: Chart<SizeResult> = {
  id: 'size-groups',
  howToRead:
    'Each bar is the cheapest deployment of its kind that keeps the promises, by USD an hour; the darker bar is the answer. ' +
    'Kinds that cost a quarter more than the best in short runs were looked at no further, so their bars are those of short runs.',

  title(result) {
    const [first, second] = rowsOf(result);
    if (first === undefined) return 'No kind of deployment keeps every promise';
    if (second === undefined) return `${first.name} is the only kind of deployment that was settled`;
    return `${first.name} costs ${showUsd(first.usd)}/h; the next kind, ${second.name}, ${second.usd === first.usd ? 'as much' : showSignedRatio(second.usd / first.usd - 1)}`;
  },

  spec(result) {
    const bars = rowsOf(result);
    if (bars.length === 0) return { absent: 'nothing keeps every promise: see what came closest' };
    return barsSpec({
      bars,
      name: { field: 'name', limitsPx: [120, 320] },
      x: {
        field: 'usd',
        type: 'quantitative',
        title: 'USD an hour',
        scale: roomForLabels(bars.map(({ usd }) => usd)),
        axis: { tickCount: { expr: 'width < 260 ? 3 : 5' }, format: '$,.12~g', grid: false },
      },
      color: { condition: { test: 'datum.isAnswer', value: PALETTE.blue }, value: PALETTE.sky },
      tooltip: [
        { field: 'name', title: 'deployment' },
        { field: 'shown', title: 'costs' },
      ],
      stepPx: 26,
    });
  },

  table: result => ({
    columns: ['deployment', 'USD an hour'],
    rows: rowsOf(result).map(({ name, usd }) => [name, usd]),
  }),
};
