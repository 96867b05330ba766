// A run's share of the page: what grows with the run is thinned to a budget that all runs of the page have together, so
// that no page is larger than 1.5 MB.
import type { Exemplar, ReplicaRow, RunResult } from '../../scenarios/formats/result.ts';
import { joinedRates } from '../charts/rates.ts';
import { evenly, mostTelling } from '../exemplars.ts';
import { thinned, thinnedBy } from '../timeline.ts';

/** Over all runs and pools. */
const TIMELINE_POINTS_MAX = 8_000;
const RATE_POINTS_MAX = 2_500;
const REPLICA_POINTS_MAX = 4_000;
const BARS_MAX = 5_000;
const CDF_POINTS_MAX = 8_000;
const GPU_SAMPLES_MAX = 4_000;
/** However many runs there are. */
const POINTS_MIN = 40;
const LABELLED_BARS_MIN = 30;

const shareOf = (most: number, parts: number): number => Math.max(POINTS_MIN, Math.floor(most / parts));

function timelineShare({ timeline }: RunResult, runs: number): RunResult['timeline'] {
  const pools = [...Map.groupBy(timeline, ({ pool }) => pool).values()];
  const limit = shareOf(TIMELINE_POINTS_MAX, runs * pools.length);
  return pools.flatMap(points => thinned(points, limit));
}

const fewerBars = (exemplar: Exemplar, limit: number): Exemplar => ({
  ...exemplar,
  bars: mostTelling(exemplar.bars, limit),
  barsLeftOut: exemplar.barsLeftOut + Math.max(0, exemplar.bars.length - limit),
});

/** The labelled ones first, with at most half of the bars; of the samples as many as fit, evenly. */
function exemplarShare({ exemplars }: RunResult, runs: number): Exemplar[] {
  const budget = Math.floor(BARS_MAX / runs);
  const labelled = exemplars.filter(({ label }) => label !== 'sample');
  const samples = exemplars.filter(({ label }) => label === 'sample');
  const each = Math.max(LABELLED_BARS_MIN, Math.floor(budget / 2 / Math.max(1, labelled.length)));
  const first = labelled.map(exemplar => fewerBars(exemplar, each));
  const used = first.reduce((sum, { bars }) => sum + bars.length, 0);
  const sampled = samples.reduce((sum, { bars }) => sum + bars.length, 0);
  const share = Math.min(1, Math.max(0, budget - used) / Math.max(1, sampled));
  return [...first, ...evenly(samples, Math.floor(samples.length * share))];
}

function cdfShare({ cdfs }: RunResult, runs: number): RunResult['cdfs'] {
  const limit = shareOf(CDF_POINTS_MAX, runs * Math.max(1, Object.keys(cdfs).length));
  return Object.fromEntries(Object.entries(cdfs).map(([metric, points]) => [metric, evenly(points, limit)]));
}

function replicaShare(replicas: readonly ReplicaRow[], runs: number): ReplicaRow[] {
  const limit = shareOf(REPLICA_POINTS_MAX, runs * Math.max(1, replicas.length));
  return replicas.map(row => ({
    ...row,
    points: thinnedBy(row.points, limit, [
      ({ ready }) => ready,
      ({ ready }) => -ready,
      ({ starting }) => starting,
      ({ inFlightCalls }) => inFlightCalls,
    ]),
  }));
}

/** The run as one of `runs` on a page. */
export function pageShare(run: RunResult, runs: number): RunResult {
  const { rates, measured, replicas } = run;
  return {
    ...run,
    timeline: timelineShare(run, runs),
    exemplars: exemplarShare(run, runs),
    cdfs: cdfShare(run, runs),
    ...(rates === undefined
      ? {}
      : { rates: joinedRates(rates, Math.ceil(rates.length / shareOf(RATE_POINTS_MAX, runs))) }),
    ...(replicas === undefined ? {} : { replicas: replicaShare(replicas, runs) }),
    ...(measured === undefined
      ? {}
      : { measured: { ...measured, gpus: evenly(measured.gpus, shareOf(GPU_SAMPLES_MAX, runs)) } }),
  };
}
