// `--max-load`: how much traffic can this deployment hold, what breaks first, and why?
import { drawn } from '../../../reports/charts/chart.ts';
import { showCount, showMs, showNumber, showRatio, showValue } from '../../../reports/numbers.ts';
import { type LoadPromises, loadPromisesChart } from '../../../reports/size/charts/load-promises.ts';
import type { Estimate } from '../../studies/estimate.ts';
import type { Evaluation } from '../evaluate.ts';
import { usedOf } from '../kept.ts';
import type { Asking, Question } from '../question.ts';
import { type Capacity, capacityOf, holdsToday, loadOf } from './capacity.ts';
import type { Limits, PoolPressure } from './limits-measure.ts';
import { evaluated, firstBroken, stretchAt } from './trial.ts';

const MEASURE = new URL('./limits-measure.ts', import.meta.url).href;

/** An interval over such a factor says nothing. */
const WIDE = 10;

/** `4.8 to 5.6 with 95 % confidence over 5 seeds`. */
export const intervalText = (found: Estimate | null, seeds: number, times = 1): string =>
  found?.ci95 == null
    ? 'of one seed, so nobody knows how sure'
    : found.ci95[1] > WIDE * found.ci95[0]
      ? `over ${seeds} seeds, which differ so much that more of them must say: --seeds 10`
      : `${showNumber(found.ci95[0] * times)} to ${showNumber(found.ci95[1] * times)} with 95 % confidence over ${seeds} seeds`;

export function loadPromises({ evaluator }: Pick<Asking, 'evaluator'>, capacity: Capacity): LoadPromises {
  const { assertions } = evaluator.plan;
  return {
    promises: capacity.today.promises.map(({ text }) => text),
    points: capacity.evaluations.map(evaluation => ({
      loadRatio: loadOf(evaluation),
      workflowsPerHour: evaluation.workflowsPerHour,
      used: evaluation.promises.map(({ value }, i) => usedOf(assertions[i]!, value)),
    })),
    heldRatio: capacity.loadRatio,
    brokenFirst: capacity.bad === null ? null : (firstBroken(capacity.bad)?.text ?? null),
  };
}

/** Replicas this full have no room for a burst. */
const FULL = { kv: 0.9, batch: 0.9, waited: 0.1 } as const;

/** Of the time a queue: what waits there does not end. */
const DROWNED = 0.9;

/** What is near its limit, the pool that is nearest first. */
export function whyOf({ pools, waitedRatio, preemptionsPerCall }: Limits, { deployment }: Asking): string {
  const batchOf = (pool: string): number =>
    deployment.pools.find(({ name }) => name === pool)?.limits.maxSequences ?? Number.POSITIVE_INFINITY;
  const nearness = (each: PoolPressure): number =>
    Math.max(each.kvUsedRatio, each.runningP95 / batchOf(each.pool), each.queuedRatio);
  const [nearest] = pools.toSorted((a, b) => nearness(b) - nearness(a));
  if (nearest === undefined) return 'nothing ran on own replicas: the limits are those of the APIs';
  const { pool, kvUsedRatio, runningMean, runningP95, queuedRatio } = nearest;
  const figures = `pool ${pool}: KV ${showRatio(kvUsedRatio)} used (p95), ${showNumber(runningMean)} of ${showCount(batchOf(pool))} sequences a replica, ${showRatio(queuedRatio)} of the time a queue; calls wait ${showRatio(waitedRatio)} of their time, ${showNumber(preemptionsPerCall)} preemptions a call`;
  if (kvUsedRatio >= FULL.kv) return `the KV cache is full (${figures})`;
  if (runningP95 >= FULL.batch * batchOf(pool)) return `the batch is full (${figures})`;
  if (waitedRatio >= FULL.waited) return `calls queue before the replicas (${figures})`;
  const budget = deployment.pools.find(({ name }) => name === pool)?.limits.maxBatchedTokens ?? 0;
  return `the length of steps, with room in KV cache and batch: more sequences at once make each longer, and so do prompts, up to ${showCount(budget)} tokens of them beside the decodes; a smaller max_num_batched_tokens shortens gaps (${figures})`;
}

type Traffic = Pick<Evaluation, 'workflowsPerHour' | 'callsPerSec'>;

const trafficText = ({ workflowsPerHour, callsPerSec }: Traffic): string =>
  `${showCount(workflowsPerHour)} workflows/h (${showNumber(callsPerSec)} calls/s)`;

/** So many times what it is: what one short run happened to bring differs from that. */
const timesOf = ({ workflowsPerHour, callsPerSec }: Traffic, ratio: number): Traffic => ({
  workflowsPerHour: ratio * workflowsPerHour,
  callsPerSec: ratio * callsPerSec,
});

async function ask(asking: Asking): ReturnType<Question['ask']> {
  const { candidate, seeds, evaluator } = asking;
  const capacity = await capacityOf(asking);
  const { today, good, bad, loadRatio, bySeed } = capacity;
  const looked = [good, bad].filter(each => each !== null);
  const measured = await evaluated(
    asking,
    looked.map(each => ({
      candidate,
      loadFactor: loadOf(each),
      stretch: stretchAt(asking, loadOf(each)),
      seeds: 1,
      measure: MEASURE,
    })),
  );
  const limits = measured.map(each => each.measured![0] as Limits);
  const atBad = bad === null ? null : limits.at(-1)!;
  const broken = bad === null ? null : firstBroken(bad);
  const data = loadPromises(asking, capacity);

  const lines: string[] = [
    `Today: ${trafficText(today)}; ${today.tightest === null ? 'no promise has a value' : `tightest is ${today.tightest.text} at ${showValue(today.tightest.value, today.tightest.unit)}`}.`,
  ];
  if (broken !== null)
    lines.push(
      `Breaks first: ${broken.text} is ${showValue(broken.value, broken.unit)} at ${showNumber(loadOf(bad!))} times the traffic.`,
    );
  if (atBad !== null) lines.push(`Why: ${whyOf(atBad, asking)}.`);
  const drowned =
    good === null ? undefined : limits[0]!.pools.find(({ queuedRatio }) => queuedRatio >= DROWNED);
  if (drowned !== undefined)
    lines.push(
      `Beware: at that load pool ${drowned.pool} has a queue ${showRatio(drowned.queuedRatio)} of the time, which no promise minds; one on ttft or e2e would.`,
    );
  const knee = kneeOf(capacity);
  if (knee !== null)
    lines.push(
      `The knee is at about ${showNumber(knee)} times: from there the tightest promise loses room faster than traffic grows.`,
    );
  lines.push(
    `Assumed: arrivals of the same kind, only faster (agents of closed cohorts: more of them), the same mix, steady for ${showMs(asking.stretch.warmMs + asking.stretch.spanMs)}; step times are a model (see the evidence of a run).`,
  );
  const title =
    good === null
      ? `It cannot keep its promises at any traffic: ${broken?.text ?? 'a promise'} is ${broken === null ? 'broken' : showValue(broken.value, broken.unit)} even at ${showNumber(loadOf(bad!))} times today's`
      : `It holds ${bad === null ? 'at least ' : ''}${trafficText(timesOf(today, loadRatio))}: ${showNumber(loadRatio)} times today's traffic (${intervalText(bySeed, seeds)})${loadRatio >= 1 && !holdsToday(capacity) ? ", so today's is not surely held" : ''}${broken === null ? '' : `; then ${broken.text} breaks`}`;
  return {
    title,
    lines,
    data: {
      loadRatio,
      loadRatioCi95: bySeed?.ci95 ?? null,
      ...timesOf(today, loadRatio),
      workflowsPerHourToday: today.workflowsPerHour,
      brokenFirst: broken?.text ?? null,
      kneeRatio: knee,
      limits: atBad,
      loads: data.points,
      promises: data.promises,
      runs: evaluator.runs,
    },
    charts: [drawn(loadPromisesChart, data)],
    isMet: holdsToday(capacity),
  };
}

/** The load from which what is used of the tightest promise grows faster than the load; null: nowhere. */
function kneeOf({ evaluations, bad }: Capacity): number | null {
  const index = bad?.promises.findIndex(({ text }) => text === firstBroken(bad)?.text) ?? -1;
  if (index < 0) return null;
  const points = evaluations.flatMap(evaluation => {
    const { value, target } = evaluation.promises[index]!;
    return value === null || value <= 0 || target <= 0 ? [] : [{ load: loadOf(evaluation), value }];
  });
  // Loads nearer to each other than this differ by chance.
  const apart = points.filter((point, i) => i === 0 || point.load >= 1.2 * points[i - 1]!.load);
  for (let i = 1; i < apart.length; i++) {
    const [a, b] = [apart[i - 1]!, apart[i]!];
    if (Math.log(b.value / a.value) > Math.log(b.load / a.load)) return a.load;
  }
  return null;
}

export const maxLoad: Question = {
  name: 'max-load',
  describe: 'how much traffic it holds, what breaks first and why',
  isFlag: true,
  ask,
};
