// GPUs of one's own against an API: what a month costs by how many workflows it has.
import type { RunResult } from '../../scenarios/formats/result.ts';
import {
  type Bought,
  boughtInstead,
  breakEvenOf,
  HIT_UNCERTAINTY,
  hitRatioOf,
  type OwnGpus,
  ownGpus,
  ownUsdPerMonth,
} from '../money.ts';
import { plural, showCount, showRatio, showUsd } from '../numbers.ts';
import { type Chart, type ChartSpec, logTicks } from './chart.ts';
import { type Line, linesSpec } from './lines.ts';

interface Sides {
  own: OwnGpus;
  bought: Bought[];
}

function sidesOf(result: RunResult): Sides | null {
  const own = ownGpus(result);
  if (own === null) return null;
  const bought = boughtInstead(result, own);
  return bought.length === 0 ? null : { own, bought };
}

/** Points of a curve over the decades that matter. */
const POINTS = 60;
/** Beyond so many units a step is not seen any more. */
const STEPS_DRAWN = 24;

/** From well below the first break-even, or a full unit, to well above the last. */
function rangeOf({ own, bought }: Sides): [number, number] {
  const marks = [own.unitWorkflowsPerMonth, ...bought.flatMap(({ breakEven }) => breakEven ?? [])];
  return [Math.min(...marks) / 10, Math.max(...marks) * 10];
}

/** Evenly on a logarithmic axis. */
const spaced = ([low, high]: [number, number]): number[] =>
  Array.from({ length: POINTS + 1 }, (_, i) => low * (high / low) ** (i / POINTS));

/** Both sides of each step, so that it is drawn upright. */
function stairs(own: OwnGpus, range: [number, number]): { x: number; y: number }[] {
  const edges = Array.from({ length: STEPS_DRAWN }, (_, i) => (i + 1) * own.unitWorkflowsPerMonth);
  return [...spaced(range), ...edges.flatMap(edge => [edge, edge * 1.000_001])]
    .filter(x => x >= range[0] && x <= range[1])
    .sort((a, b) => a - b)
    .map(x => ({ x, y: ownUsdPerMonth(own, x) }));
}

const OWN = 'own GPUs';

/** By its last name; what the deployment buys already says so. */
const nameOf = ({ offer }: Bought): string =>
  `${offer.model}${offer.relation === 'same' ? ' (the same model)' : offer.relation === 'used' ? ' (used here)' : ''}`;

const months = (workflows: number): string => {
  const digits = 10 ** Math.max(0, Math.floor(Math.log10(Math.max(1, workflows))) - 1);
  return showCount(Math.round(workflows / digits) * digits);
};

export const breakEvenChart: Chart<RunResult> = {
  id: 'break-even',
  howToRead:
    'To the right a month has more workflows. The blue line is what the GPUs of this run cost: a step up is one more ' +
    'replica (of several pools: one more of the whole deployment), bought when those before are full at the run’s own ' +
    'batch sizes and an even load; peaks need more, larger batches less; a new replica is nearly empty, so the lines may cross more than once. The other lines are what the same tokens cost ' +
    'by the list price of an API; the band is a cache hit share 20 points higher or lower than here. Where the blue line ' +
    'is lower, own GPUs are cheaper. Answers of another model are not the same answers.',

  title(result) {
    const sides = sidesOf(result);
    if (sides === null) return 'Own GPUs against an API';
    const { own, bought } = sides;
    const best = bought.find(({ offer }) => offer.relation === 'same') ?? bought[0]!;
    const { model } = best.offer;
    if (best.breakEven === null) {
      const full = own.unitUsdPerMonth / own.unitWorkflowsPerMonth;
      return `At list price ${model} is cheaper at any volume: ${showUsd(1000 * best.usdPerWorkflow)} per 1,000 workflows, own GPUs ${showUsd(1000 * full)} when full`;
    }
    const [early, late] = [breakEvenOf(own, best.high), breakEvenOf(own, best.low)];
    const spread = `${months(early ?? best.breakEven)} ${late === null ? 'or never' : `to ${months(late)}`} by cache hits`;
    const good =
      best.forGood === null
        ? '; not once and for all'
        : best.forGood > best.breakEven * 1.05
          ? `; for good from ${months(best.forGood)}`
          : '';
    return `Own GPUs cost less than ${model} from about ${months(best.breakEven)} workflows a month on (${spread})${good}`;
  },

  spec(result): ChartSpec | { absent: string } {
    const own = ownGpus(result);
    if (own === null)
      return {
        absent:
          'no price is known of GPUs that served it, or no workflow completed: give the pools a price, such as --set pools.POOL.price=2.5/h',
      };
    const sides = sidesOf(result);
    if (sides === null)
      return {
        absent:
          'no list price is known of a model like those served; windtunnel catalog prices lists what is known, and a provider in the deployment adds one',
      };
    const range = rangeOf(sides);
    const lines: Line[] = [
      { name: OWN, points: stairs(own, range) },
      ...sides.bought.map(each => ({
        name: nameOf(each),
        points: spaced(range).map(x => ({
          x,
          y: each.usdPerWorkflow * x,
          low: each.low * x,
          high: each.high * x,
        })),
      })),
    ];
    const values = lines.flatMap(({ points }) => points.flatMap(({ y }) => y ?? []));
    const log = (ends: readonly number[], digits: string) => ({
      scale: { type: 'log' },
      axis: { values: decades(ends), format: digits },
    });
    return linesSpec(lines, {
      x: { title: 'workflows a month', ...log(range, '~s'), format: ',.0f' },
      y: { title: 'USD a month', ...log([Math.min(...values), Math.max(...values)], '~s'), format: ',.2f' },
      points: false,
    });
  },

  table(result) {
    const sides = sidesOf(result);
    return {
      columns: [
        'what',
        'USD per 1,000 workflows',
        'with more cache hits',
        'with fewer',
        'own GPUs cost less from (workflows a month)',
        'and for good from',
        'list price of',
      ],
      rows:
        sides === null
          ? []
          : [
              [
                `${OWN}, one ${sides.own.unit} full`,
                (1000 * sides.own.unitUsdPerMonth) / sides.own.unitWorkflowsPerMonth,
                null,
                null,
                null,
                null,
                null,
              ],
              ...sides.bought.map(each => [
                nameOf(each),
                1000 * each.usdPerWorkflow,
                1000 * each.low,
                1000 * each.high,
                each.breakEven,
                each.forGood,
                each.offer.asOf,
              ]),
            ],
    };
  },
};

/** Whole decades where there are many of them. */
const decades = (ends: readonly number[]): number[] => {
  const ticks = logTicks(ends);
  return ticks.length > 7
    ? ticks.filter(tick => Number.isInteger(Math.round(1e9 * Math.log10(tick)) / 1e9))
    : ticks;
};

/** What one unit is, and what it can do. null: nothing to compare. */
export function breakEvenNote(result: RunResult): string | null {
  const sides = sidesOf(result);
  if (sides === null) return null;
  const { own } = sides;
  const hits = hitRatioOf(result.hosting!.own);
  const what = own.unit === 'replica' ? 'replica' : 'deployment like this one';
  return `One ${what} costs ${showUsd(own.unitUsdPerMonth)} a month and serves about ${plural(Math.round(own.unitWorkflowsPerMonth), 'workflow')} when full; in this run GPUs computed ${showRatio(own.utilisation)} of the time. ${showRatio(hits)} of the prompt tokens came from a cache; an API is taken to find as many, ± ${Math.round(100 * HIT_UNCERTAINTY)} points.`;
}
