// The cluster over time: queue, batch, KV cache and workflows in flight, one time axis.
import type { RunResult, TimelinePoint } from '../../scenarios/formats/result.ts';
import { plural, showCount, showMs, showRatio } from '../numbers.ts';
import { thinned } from '../timeline.ts';
import { type Chart, chartSpec, INK, PALETTE, topLegend } from './chart.ts';
import { cursor, panel, panelAxis, saturationRows, shaded, stacked, timeX } from './panels.ts';

/** Drawn per pool: more than a screen has columns to show. */
const POINTS_PER_POOL_MAX = 700;
const POOLS_MAX = 6;

const COLOURS = [PALETTE.blue, PALETTE.vermilion, PALETTE.green, PALETTE.purple, PALETTE.orange, PALETTE.sky];

const TOOLTIP = [
  { field: 'pool', title: 'pool' },
  { field: 'clock', title: 'after' },
  { field: 'waitingRequests', title: 'queued' },
  { field: 'runningRequests', title: 'in the batch' },
  { field: 'kvUsedRatio', title: 'KV cache', format: '.0%' },
  { field: 'inFlightWorkflows', title: 'workflows in flight' },
];

/** The busiest pools, by their largest batch, in order of name. */
function drawnPools(timeline: readonly TimelinePoint[]): string[] {
  const busiest = new Map<string, number>();
  for (const { pool, runningRequests } of timeline) {
    busiest.set(pool, Math.max(busiest.get(pool) ?? 0, runningRequests));
  }
  return [...busiest]
    .sort(([a, one], [b, other]) => other - one || (a < b ? -1 : 1))
    .slice(0, POOLS_MAX)
    .map(([pool]) => pool)
    .sort();
}

const drawnPoints = (timeline: readonly TimelinePoint[]): TimelinePoint[] =>
  drawnPools(timeline).flatMap(pool =>
    thinned(
      timeline.filter(point => point.pool === pool),
      POINTS_PER_POOL_MAX,
    ),
  );

const peak = (
  points: readonly TimelinePoint[],
  heightOf: (point: TimelinePoint) => number,
): TimelinePoint | undefined =>
  points.reduce<TimelinePoint | undefined>(
    (best, point) => (best === undefined || heightOf(point) > heightOf(best) ? point : best),
    undefined,
  );

export const timelineChart: Chart<RunResult> = {
  id: 'timeline',
  howToRead:
    'All panels share the time axis, so look up and down at one instant. A queue that grows while the batch is flat ' +
    'means that the engine is full; when the KV cache is near 100 % it is full of context, else of compute. A pool ' +
    'adds up its replicas; KV use is their mean. Shaded: a pool was saturated. Peaks are kept when a long run is thinned.',

  title({ timeline }) {
    const queue = peak(timeline, point => point.waitingRequests);
    const kv = peak(timeline, point => point.kvUsedRatio);
    if (queue === undefined || kv === undefined) return 'The cluster over time';
    const kvText = `the KV cache peaks at ${showRatio(kv.kvUsedRatio)}`;
    return queue.waitingRequests === 0
      ? `No request ever waits in a queue, and ${kvText}`
      : `The queue peaks at ${plural(queue.waitingRequests, 'request')} after ${showMs(queue.atMs)}, and ${kvText}`;
  },

  spec({ timeline, durationMs, bottleneck }) {
    if (timeline.length === 0)
      return { absent: 'the run has no samples of the cluster (a live server without /metrics)' };
    if (timeline.every(({ atMs }) => atMs === timeline[0]!.atMs))
      return { absent: 'the cluster was sampled once only: the run was too short' };
    const pools = drawnPools(timeline);
    const points = drawnPoints(timeline);
    const panels = [
      { field: 'waitingRequests', title: 'Requests queued', format: '~s', area: true },
      { field: 'runningRequests', title: 'Requests in the batch', format: '~s', area: false },
      { field: 'kvUsedRatio', title: 'KV cache in use', format: '~%', area: false },
      { field: 'inFlightWorkflows', title: 'Workflows in flight', format: '~s', area: false },
    ] as const;
    const color = {
      field: 'pool',
      type: 'nominal',
      scale: { domain: pools, range: COLOURS.slice(0, pools.length) },
      legend: pools.length > 1 ? topLegend({ symbolType: 'stroke' }) : null,
    };
    return chartSpec(
      { points, saturation: saturationRows(bottleneck?.saturation) },
      {
        data: { name: 'points' },
        ...stacked(
          panels.map(({ field, title, format, area }, i) => {
            const x = timeX(i === panels.length - 1);
            const y = {
              field,
              type: 'quantitative',
              title: null,
              scale: { domain: [0, Math.max(1, ...points.map(point => point[field]))], nice: true },
              axis: panelAxis(format),
            };
            // Workflows in flight are the run's, the same at every pool.
            const shared = field === 'inFlightWorkflows';
            const lines = {
              mark: {
                type: area ? 'area' : 'line',
                interpolate: 'step-after',
                ...(area ? { line: { strokeWidth: 1.5 }, fillOpacity: 0.25 } : { strokeWidth: 1.5 }),
                ...(shared ? { color: INK } : {}),
                clip: true,
              },
              ...(shared ? { transform: [{ filter: { field: 'pool', equal: pools[0] } }] } : {}),
              encoding: { x, y: area ? { ...y, stack: null } : y, ...(shared ? {} : { color }) },
            };
            return panel(title, area ? 74 : 64, { layer: [shaded(x), lines, cursor(`at${i}`, x, TOOLTIP)] });
          }),
          durationMs,
        ),
      },
    );
  },

  table({ timeline }) {
    return {
      columns: ['at (ms)', 'pool', 'queued', 'in the batch', 'KV cache in use (0-1)', 'workflows in flight'],
      rows: drawnPoints(timeline).map(point => [
        point.atMs,
        point.pool,
        point.waitingRequests,
        point.runningRequests,
        point.kvUsedRatio,
        point.inFlightWorkflows,
      ]),
    };
  },
};

/** The pools of a run that the chart leaves out, for a note beside it. */
export function poolsLeftOut({ timeline }: RunResult): string | null {
  const count = new Set(timeline.map(({ pool }) => pool)).size - POOLS_MAX;
  return count > 0 ? `${showCount(count)} less busy pools are left out of this chart.` : null;
}
