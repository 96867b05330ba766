// What each combination of GPUs, TP, shapes and router holds, each with the best split that was found for it.
import type { FleetResult } from '../../../scenarios/formats/size-fleet.ts';
import { type Chart, PALETTE, roomForLabels } from '../../charts/chart.ts';
import { plural, showNumber, showSignedRatio } from '../../numbers.ts';
import { barsSpec } from './bars.ts';

const ROWS_MAX = 16;

interface Row {
  readonly name: string;
  readonly held: number;
  readonly shown: string;
  readonly runs: string;
  readonly isAnswer: boolean;
}

function rowsOf({ combinations }: FleetResult): Row[] {
  return combinations
    .filter(({ loadRatio }) => loadRatio > 0)
    .toSorted((a, b) => b.loadRatio - a.loadRatio || (a.left === null ? -1 : 1))
    .slice(0, ROWS_MAX)
    .map(({ name, loadRatio, gpus, rung, left }) => ({
      name,
      held: loadRatio,
      shown: `${showNumber(loadRatio)}x, ${gpus.join(' + ')}`,
      runs: rung ?? 'none',
      isAnswer: left === null,
    }));
}

export const fleetCombinationsChart: Chart<FleetResult> = {
  id: 'size-fleet-combinations',
  howToRead:
    'Each bar is one way to use the GPUs: what each pool runs on, and the router. Its length is the most traffic that it ' +
    'held with every promise kept, in multiples of today’s; behind it stand the GPUs of each pool. The darker bar is ' +
    'the answer. Those that were out early were raised no further, so their bars are what they held at least.',

  title(result) {
    const [first, second] = rowsOf(result).toSorted((a, b) => Number(b.isAnswer) - Number(a.isAnswer));
    if (first === undefined) return 'No use of these GPUs keeps every promise';
    if (second === undefined)
      return `${first.name} holds ${showNumber(first.held)} times today’s traffic, and nothing else holds any`;
    return `${first.name} holds ${showNumber(first.held)} times today’s traffic; the next, ${second.name}, ${showSignedRatio(second.held / first.held - 1)}`;
  },

  spec(result) {
    const bars = rowsOf(result);
    if (bars.length === 0)
      return { absent: `none of ${plural(result.combinations.length, 'combination')} holds any traffic` };
    return barsSpec({
      bars,
      name: { field: 'name', limitsPx: [150, 330] },
      x: {
        field: 'held',
        type: 'quantitative',
        title: 'times today’s traffic',
        scale: roomForLabels([1, ...bars.map(({ held }) => held)]),
        axis: { tickCount: 5, format: ',.12~g', grid: false },
      },
      color: { condition: { test: 'datum.isAnswer', value: PALETTE.blue }, value: PALETTE.sky },
      tooltip: [
        { field: 'name', title: 'combination' },
        { field: 'shown', title: 'holds' },
        { field: 'runs', title: 'looked at in runs' },
      ],
      stepPx: 28,
      lineAt: 1,
    });
  },

  table: ({ combinations }) => ({
    columns: ['combination', 'held, times today’s traffic', 'GPUs of its pools', 'runs', 'why no further'],
    rows: combinations.map(({ name, loadRatio, gpus, rung, left }) => [
      name,
      loadRatio,
      gpus.join(' + '),
      rung,
      left,
    ]),
  }),
};
