// Hybrid routing over the runs of a page: what a share of calls bought from an API does to cost and to time.
import type { RunResult } from '../../scenarios/formats/result.ts';
import { apiShare } from '../money.ts';
import { showMs, showRatio, showUsd } from '../numbers.ts';
import { runNames } from '../run-names.ts';
import { type Chart, chartSpec, INK, PALETTE, PAPER, topLegend } from './chart.ts';

interface Point {
  name: string;
  /** Of the calls. */
  share: number;
  usd: number;
  p95Ms: number;
  /** Costs more and takes longer than another run. */
  place: 'frontier' | 'beaten';
  shown: string;
}

function pointsOf(runs: readonly RunResult[]): Point[] {
  const names = runNames(runs);
  const points = runs.flatMap((run, i) => {
    const share = apiShare(run);
    const usd = run.cost?.usdPer1000Workflows ?? null;
    const p95Ms = run.metrics.makespan?.p95;
    if (share === null || usd === null || p95Ms === undefined) return [];
    return [{ name: names[i]!, share, usd, p95Ms, shown: showMs(p95Ms) }];
  });
  return points.map(point => ({
    ...point,
    place: points.some(
      ({ usd, p95Ms }) =>
        usd <= point.usd && p95Ms <= point.p95Ms && (usd < point.usd || p95Ms < point.p95Ms),
    )
      ? 'beaten'
      : 'frontier',
  }));
}

/** Somebody buys a part of its calls, and another run another part. */
const isHybrid = (points: readonly Point[]): boolean => new Set(points.map(({ share }) => share)).size > 1;

export const hybridChart: Chart<readonly RunResult[]> = {
  id: 'hybrid',
  howToRead:
    'Each mark is a run: to the right more of its calls go to an API, upwards 1,000 workflows cost more; a larger mark ' +
    'takes longer (p95 of its workflows, written beside it). Blue marks are on the frontier of cost and time, grey ones ' +
    'cost more and take longer than another run. How good the answers are is not in it.',

  title(runs) {
    const points = pointsOf(runs).sort((a, b) => a.usd - b.usd);
    if (!isHybrid(points)) return 'Share of calls bought, cost and time';
    const [cheapest, dearest] = [points[0]!, points.at(-1)!];
    return `${showRatio(cheapest.share)} of calls at an API is cheapest, ${showUsd(cheapest.usd)} per 1,000 workflows (p95 ${cheapest.shown}); ${showRatio(dearest.share)} costs ${showUsd(dearest.usd)} (p95 ${dearest.shown})`;
  },

  spec(runs) {
    const points = pointsOf(runs);
    if (!isHybrid(points))
      return {
        absent: points.some(({ share }) => share > 0 && share < 1)
          ? 'one share is no choice: route more and less to the API, and put the runs on one page: windtunnel report A B C'
          : 'no run buys a part of its calls; windtunnel simulate hybrid-routing -d hybrid is one that does',
      };
    const widest = Math.min(1, 1.3 * Math.max(...points.map(({ share }) => share)));
    const place = { field: 'place', type: 'nominal' };
    const x = {
      field: 'share',
      type: 'quantitative',
      title: 'calls served by an API',
      scale: { domain: [-0.04 * widest, 1.04 * widest], nice: false },
      axis: { format: '~%', tickCount: 5, grid: false },
    };
    const y = {
      field: 'usd',
      type: 'quantitative',
      title: 'USD per 1,000 workflows',
      scale: { domain: [0, Math.max(...points.map(({ usd }) => usd)) * 1.2], nice: false },
      axis: { tickCount: 5, format: ',.3~r' },
    };
    return chartSpec(
      { points },
      {
        height: 320,
        layer: [
          {
            data: { name: 'points' },
            mark: { type: 'point', filled: true, opacity: 0.9, stroke: PAPER, strokeWidth: 1 },
            encoding: {
              x,
              y,
              size: {
                field: 'p95Ms',
                type: 'quantitative',
                scale: { rangeMin: 60, rangeMax: 600, zero: false },
                legend: null,
              },
              color: {
                ...place,
                scale: { domain: ['frontier', 'beaten'], range: [PALETTE.blue, PALETTE.grey] },
                legend: topLegend({ symbolType: undefined, symbolOpacity: 1 }),
              },
              shape: {
                ...place,
                scale: { domain: ['frontier', 'beaten'], range: ['circle', 'diamond'] },
                legend: topLegend({ symbolType: undefined, symbolOpacity: 1 }),
              },
              tooltip: [
                { field: 'name', title: 'run' },
                { field: 'share', title: 'calls at an API', format: '.0%' },
                { field: 'usd', title: 'USD per 1,000 workflows', format: ',.3~g' },
                { field: 'shown', title: 'workflow p95' },
              ],
            },
          },
          ...(['left', 'right'] as const).map(side => ({
            data: { name: 'points' },
            transform: [{ filter: `datum.share ${side === 'left' ? '<' : '>='} ${widest / 2}` }],
            mark: { type: 'text', align: side, dx: side === 'left' ? 14 : -14, fontSize: 11, color: INK },
            encoding: { x, y, text: { field: 'shown' } },
          })),
        ],
      },
    );
  },

  table(runs) {
    return {
      columns: ['run', 'calls at an API (0-1)', 'USD per 1,000 workflows', 'workflow p95 (ms)', 'place'],
      rows: pointsOf(runs).map(({ name, share, usd, p95Ms, place }) => [name, share, usd, p95Ms, place]),
    };
  },
};
