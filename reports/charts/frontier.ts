// What the runs of a page trade against one another: tokens per GPU against tokens per user, and cost against time. Runs
// that no other one beats in both are the frontier.
import type { LatencyBound, RunResult } from '../../scenarios/formats/result.ts';
import { METRIC_LABELS } from '../metrics.ts';
import { showMs, showNumber, showUsd } from '../numbers.ts';
import { runNames } from '../run-names.ts';
import {
  BAND,
  type Chart,
  type ChartSpec,
  type ChartTable,
  chartSpec,
  FAINT,
  INK,
  msAxis,
  PALETTE,
} from './chart.ts';

/** GPUs that were paid for, on average over the run; null: not known. */
export function gpusOf({ cost, replicas, durationMs }: RunResult): number | null {
  if (!(durationMs > 0)) return null;
  const paid = cost?.gpuSeconds.paid ?? 0;
  const seconds = paid > 0 ? paid : 3600 * (replicas ?? []).reduce((sum, row) => sum + row.gpuHours, 0);
  return seconds > 0 ? seconds / (durationMs / 1000) : null;
}

/** Limits on one of these latencies, of all runs of the page, the tightest first. */
export const boundsOn = (
  runs: readonly RunResult[],
  metrics: readonly LatencyBound['metric'][],
): LatencyBound[] =>
  runs
    .flatMap(({ assertions }) => assertions.flatMap(({ bounds = [] }) => bounds))
    .filter(({ metric }) => metrics.includes(metric))
    .sort((a, b) => a.limitMs - b.limitMs);

/** `TPOT p95 ≤ 40 ms`. */
export const boundText = ({ metric, of, limitMs }: LatencyBound): string =>
  `${METRIC_LABELS[metric]}${of === 'each' ? '' : ` ${of}`} ≤ ${showMs(limitMs)}`;

interface Axis {
  title: string;
  /** d3 format of ticks, or how a value is shown. */
  axis: object;
  show: (value: number) => string;
  better: 'more' | 'less';
}

/** Two figures of each run. */
interface Trade {
  id: string;
  x: Axis;
  y: Axis;
  valuesOf: (run: RunResult) => { x: number; y: number } | null;
  /** The worst x or y that the assertions allow. */
  limitOf: (runs: readonly RunResult[]) => { x?: number; y?: number; label: string } | null;
  absent: string;
  titleOf: (best: Placed, points: readonly Placed[]) => string;
  howToRead: string;
}

interface Placed {
  name: string;
  x: number;
  y: number;
  xShown: string;
  yShown: string;
  place: 'frontier' | 'beaten';
  isFirst: boolean;
}

const isBetter = ({ better }: Axis, a: number, b: number): boolean => (better === 'more' ? a > b : a < b);

/** At least as good in both, and better in one. */
const beats = ({ x, y }: Trade, a: { x: number; y: number }, b: { x: number; y: number }): boolean =>
  !isBetter(x, b.x, a.x) && !isBetter(y, b.y, a.y) && (isBetter(x, a.x, b.x) || isBetter(y, a.y, b.y));

function placed(trade: Trade, runs: readonly RunResult[]): Placed[] {
  const names = runNames(runs);
  const points = runs.flatMap((run, i) => {
    const values = trade.valuesOf(run);
    return values === null ? [] : [{ name: names[i]!, isFirst: i === 0, ...values }];
  });
  return points.map(point => ({
    ...point,
    xShown: trade.x.show(point.x),
    yShown: trade.y.show(point.y),
    place: points.some(other => beats(trade, other, point)) ? 'beaten' : 'frontier',
  }));
}

/** From 0 with room for the points and the limit. */
const domainOf = (values: readonly number[]): [number, number] => [0, Math.max(...values) * 1.18];

/** Where a name may stand beside its mark, px. */
const SIDES = [
  { side: 'right', align: 'left', dx: 15, dy: 0 },
  { side: 'left', align: 'right', dx: -15, dy: 0 },
  { side: 'above', align: 'center', dx: 0, dy: -17 },
  { side: 'below', align: 'center', dx: 0, dy: 17 },
] as const;
const [WIDTH_PX, HEIGHT_PX, LETTER_PX, LINE_PX] = [560, 320, 6.2, 13];

interface Box {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

const overlap = (a: Box, b: Box): boolean =>
  a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;

/** Names where there is room for them: the first run's, then the frontier's; the table has all. */
function named(points: readonly Placed[], xMax: number, yMax: number) {
  const at = ({ x, y }: Placed) => ({ x: (x / xMax) * WIDTH_PX, y: (1 - y / yMax) * HEIGHT_PX });
  const boxOf = (x: number, y: number, wide: number, high: number): Box => ({
    left: x - wide / 2,
    right: x + wide / 2,
    top: y - high / 2,
    bottom: y + high / 2,
  });
  const marks = points.map(point => boxOf(at(point).x, at(point).y, 14, 14));
  const taken: Box[] = [];
  const rank = ({ isFirst, place }: Placed): number => (isFirst ? 0 : place === 'frontier' ? 1 : 2);
  const inOrder = points
    .map((point, i) => ({ point, i }))
    .sort((a, b) => rank(a.point) - rank(b.point) || a.i - b.i);
  return inOrder.flatMap(({ point, i }) => {
    const { x, y } = at(point);
    const wide = Math.min(0.42 * WIDTH_PX, point.name.length * LETTER_PX);
    // Towards the middle first: a narrow page has no room outside.
    const sides = x > WIDTH_PX / 2 ? [SIDES[1], SIDES[0], SIDES[2], SIDES[3]] : SIDES;
    for (const { side, align, dx, dy } of sides) {
      const shift = align === 'left' ? wide / 2 : align === 'right' ? -wide / 2 : 0;
      const box = boxOf(x + dx + shift, y + dy, wide, LINE_PX);
      const isInside = box.left >= 0 && box.right <= WIDTH_PX && box.top >= 0 && box.bottom <= HEIGHT_PX;
      if (!isInside || [...taken, ...marks.filter((_, j) => j !== i)].some(each => overlap(each, box)))
        continue;
      taken.push(box);
      return [{ name: point.name, x: point.x, y: point.y, side }];
    }
    return [];
  });
}

function tradeSpec(trade: Trade, runs: readonly RunResult[]): ChartSpec | { absent: string } {
  const points = placed(trade, runs);
  if (points.length === 0) return { absent: trade.absent };
  const limit = trade.limitOf(runs);
  const [xs, ys] = [points.map(({ x }) => x), points.map(({ y }) => y)];
  const [xDomain, yDomain] = [
    domainOf([...xs, ...(limit?.x === undefined ? [] : [limit.x])]),
    domainOf([...ys, ...(limit?.y === undefined ? [] : [limit.y])]),
  ];
  const axisOf = (field: 'x' | 'y', axis: Axis, domain: [number, number]) => ({
    field,
    type: 'quantitative',
    title: axis.title,
    scale: { domain, nice: false, zero: false },
    axis: { tickCount: 5, ...axis.axis, ...(field === 'x' ? { grid: false } : {}) },
  });
  const x = axisOf('x', trade.x, xDomain);
  const y = axisOf('y', trade.y, yDomain);
  const front = points.filter(({ place }) => place === 'frontier').sort((a, b) => a.x - b.x);
  const allowed =
    limit === null
      ? []
      : [
          {
            x: limit.x === undefined || trade.x.better === 'less' ? xDomain[0] : limit.x,
            x2: limit.x === undefined || trade.x.better === 'more' ? xDomain[1] : limit.x,
            y: limit.y === undefined || trade.y.better === 'less' ? yDomain[0] : limit.y,
            y2: limit.y === undefined || trade.y.better === 'more' ? yDomain[1] : limit.y,
            label: limit.label,
          },
        ];
  const place = { field: 'place', type: 'nominal', legend: null };
  return chartSpec(
    { points, front, allowed, named: named(points, xDomain[1], yDomain[1]) },
    {
      height: 320,
      layer: [
        {
          data: { name: 'allowed' },
          mark: { type: 'rect', color: BAND, opacity: 0.9 },
          encoding: { x, x2: { field: 'x2' }, y, y2: { field: 'y2' } },
        },
        {
          data: { name: 'allowed' },
          mark: {
            type: 'text',
            align: trade.x.better === 'more' ? 'right' : 'left',
            baseline: trade.y.better === 'more' ? 'top' : 'bottom',
            dx: trade.x.better === 'more' ? -6 : 6,
            dy: trade.y.better === 'more' ? 6 : -6,
            fontSize: 10,
            color: FAINT,
          },
          encoding: {
            x: { ...x, field: trade.x.better === 'more' ? 'x2' : 'x' },
            y: { ...y, field: trade.y.better === 'more' ? 'y2' : 'y' },
            text: { field: 'label' },
          },
        },
        {
          data: { name: 'front' },
          mark: { type: 'line', color: PALETTE.blue, strokeWidth: 1.5, strokeDash: [4, 3] },
          encoding: { x, y, order: { field: 'x', type: 'quantitative' } },
        },
        {
          data: { name: 'points' },
          transform: [{ filter: 'datum.isFirst' }],
          mark: { type: 'point', shape: 'circle', size: 340, strokeWidth: 1.5, stroke: INK, filled: false },
          encoding: { x, y },
        },
        {
          data: { name: 'points' },
          mark: { type: 'point', filled: true, size: 90, opacity: 1 },
          encoding: {
            x,
            y,
            color: {
              ...place,
              scale: { domain: ['frontier', 'beaten'], range: [PALETTE.blue, PALETTE.grey] },
            },
            shape: { ...place, scale: { domain: ['frontier', 'beaten'], range: ['circle', 'diamond'] } },
            tooltip: [
              { field: 'name', title: 'run' },
              { field: 'xShown', title: trade.x.title },
              { field: 'yShown', title: trade.y.title },
              { field: 'place', title: 'place' },
            ],
          },
        },
        ...SIDES.map(({ side, align, dx, dy }) => ({
          data: { name: 'named' },
          transform: [{ filter: `datum.side === '${side}'` }],
          mark: {
            type: 'text',
            align,
            dx,
            dy,
            baseline: 'middle',
            fontSize: 11,
            limit: { expr: 'max(70, width * 0.42)' },
            color: INK,
          },
          encoding: { x, y, text: { field: 'name' } },
        })),
      ],
    },
  );
}

const tradeTable = (trade: Trade, runs: readonly RunResult[]): ChartTable => ({
  columns: ['run', trade.x.title, trade.y.title, 'place'],
  rows: placed(trade, runs).map(({ name, x, y, place }) => [name, x, y, place]),
});

function tradeTitle(trade: Trade, runs: readonly RunResult[], fallback: string): string {
  const points = placed(trade, runs);
  const first = points.find(({ isFirst }) => isFirst) ?? points[0];
  return first === undefined ? fallback : trade.titleOf(first, points);
}

/** `; it is on the frontier, with 1 of the 3 others`, or who is better. */
function standing(trade: Trade, first: Placed, points: readonly Placed[]): string {
  if (points.length === 1) return '';
  const better = points.find(other => beats(trade, other, first));
  const front = points.filter(({ place }) => place === 'frontier').length;
  return better === undefined
    ? `; it is on the frontier, with ${front - 1} of the ${points.length - 1} others`
    : `; ${better.name} is at least as good in both (${better.xShown}, ${better.yShown})`;
}

const chartOf = (trade: Trade, fallback: string): Chart<readonly RunResult[]> => ({
  id: trade.id,
  howToRead: trade.howToRead,
  title: runs => tradeTitle(trade, runs, fallback),
  spec: runs => tradeSpec(trade, runs),
  table: runs => tradeTable(trade, runs),
});

const perSec = (value: number): string => `${showNumber(value)} tokens/s`;

const speed: Trade = {
  id: 'frontier',
  x: { title: 'output tokens/s per user', axis: { format: ',.3~r' }, show: perSec, better: 'more' },
  y: { title: 'output tokens/s per GPU', axis: { format: '~s' }, show: perSec, better: 'more' },
  valuesOf(run) {
    const gpus = gpusOf(run);
    const { tpot } = run.metrics;
    const outputTokens = run.hosting?.own.outputTokens ?? run.tokens.output;
    if (gpus === null || tpot === undefined || !(tpot.p50 > 0) || outputTokens === 0) return null;
    return { x: 1000 / tpot.p50, y: outputTokens / (run.durationMs / 1000) / gpus };
  },
  limitOf(runs) {
    const [tightest] = boundsOn(runs, ['tpot', 'itl']);
    if (tightest === undefined || !(tightest.limitMs > 0)) return null;
    const x = 1000 / tightest.limitMs;
    return { x, label: boundText(tightest) };
  },
  absent:
    'no run says how many GPUs it had, or none gave a token gap: simulate pools of GPUs, or give the pools of a live deployment a gpu and replicas',
  titleOf(first, points) {
    return `${first.name} gives ${first.yShown} per GPU while each user sees ${first.xShown}${standing(speed, first, points)}`;
  },
  howToRead:
    'Each mark is a run. To the right its users read faster (1 over the median time per output token), upwards each GPU ' +
    'puts out more, so that a token costs less. Blue circles on the dashed line are the frontier: to gain in one they ' +
    'give up in the other. Grey diamonds are beaten in both by another run. The ring is the first run of the page; the ' +
    'shaded part is what its targets for the time per token allow.',
};

const cost: Trade = {
  id: 'frontier-cost',
  x: {
    title: 'USD per 1,000 workflows',
    axis: { format: ',.3~r' },
    show: value => showUsd(value),
    better: 'less',
  },
  y: {
    title: 'workflow p95',
    axis: msAxis(),
    show: value => showMs(value),
    better: 'less',
  },
  valuesOf({ cost, metrics }) {
    if (cost?.usdPer1000Workflows == null || cost.usdPer1000Workflows === 0 || metrics.makespan === undefined)
      return null;
    return { x: cost.usdPer1000Workflows, y: metrics.makespan.p95 };
  },
  limitOf(runs) {
    // A limit on the median is none on the slowest twentieth.
    const [tightest] = boundsOn(runs, ['makespan']).filter(({ of }) => !['p50', 'mean'].includes(of));
    return tightest === undefined ? null : { y: tightest.limitMs, label: boundText(tightest) };
  },
  absent:
    'no run has both a price and a completed workflow: give the pools a price, such as --set pools.POOL.price=2.5/h',
  titleOf(first, points) {
    return `${first.name} takes ${first.yShown} for a workflow (p95) at ${first.xShown} per 1,000${standing(cost, first, points)}`;
  },
  howToRead:
    'Each mark is a run: to the left a thousand workflows cost less, below the slowest twentieth of them ends sooner. Blue ' +
    'circles on the dashed line are the frontier; grey diamonds cost more and take longer than another run. The ring is ' +
    'the first run of the page, the shaded part what its target for the time of a workflow allows.',
};

export const frontier = chartOf(speed, 'Tokens per GPU against tokens per user');
export const frontierCost = chartOf(cost, 'Cost against time');
