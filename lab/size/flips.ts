// What would have to be otherwise for the answer to change: each assumption with the value at which it flips.
import type { Gpu } from '../../engines/catalog.ts';
import { showRatio } from '../../reports/numbers.ts';
import type { Evaluation, Evaluator } from './evaluate.ts';
import { keeps } from './kept.ts';
import type { Stretch } from './traffic.ts';

export interface Flip {
  /** What was assumed. */
  readonly assumption: string;
  /** As it was taken, and where it flips. */
  readonly now: string;
  readonly at: string;
  /** From the one to the other, -0.3 to 0.53; null: it is no number. */
  readonly changeRatio: number | null;
  /** What the answer is then. */
  readonly becomes: string;
}

/** The cheapest on another GPU than the answer's. */
export interface OtherGpu {
  readonly name: string;
  readonly usdPerHour: number;
  /** It was left as dearer: it may cost more. */
  readonly isAtLeast: boolean;
}

export interface FlipOptions {
  readonly evaluator: Evaluator;
  readonly winner: Evaluation;
  /** Null: no other was looked at. */
  readonly otherGpu: OtherGpu | null;
  readonly gpu: Gpu | null;
  readonly pool: string;
  /** Times the traffic that the winner holds; null: nobody looked. */
  readonly holdsRatio: number | null;
  readonly breaksFirst: string | null;
  readonly stretch: Stretch;
  readonly seeds: number;
}

/** The nearest first: what is most likely to be wrong. */
export async function flipsOf(options: FlipOptions): Promise<Flip[]> {
  const flips = [
    trafficFlip(options),
    priceFlip(options),
    await speedFlip(options),
    await cacheFlip(options),
  ];
  return flips
    .filter(flip => flip !== null)
    .toSorted((a, b) => Math.abs(a.changeRatio ?? 1) - Math.abs(b.changeRatio ?? 1));
}

function trafficFlip({ holdsRatio, breaksFirst }: FlipOptions): Flip | null {
  if (holdsRatio === null || breaksFirst === null) return null;
  return {
    assumption: 'traffic',
    now: 'as in the scenario',
    at: `${holdsRatio.toFixed(2)} times`,
    changeRatio: holdsRatio - 1,
    becomes: `${breaksFirst} breaks: more replicas`,
  };
}

/** From which price of the winner's GPU another GPU is cheaper. */
function priceFlip({ winner, otherGpu }: FlipOptions): Flip | null {
  const { gpus, usdPerHour, choices } = winner.trial.candidate;
  if (otherGpu === null || usdPerHour === null || gpus === 0) return null;
  const [now, at] = [usdPerHour / gpus, otherGpu.usdPerHour / gpus];
  return {
    assumption: `price of ${choices.gpu}`,
    now: `$${now.toFixed(2)}/h`,
    at: `${otherGpu.isAtLeast ? 'at least ' : ''}$${at.toFixed(2)}/h`,
    changeRatio: at / now - 1,
    becomes: otherGpu.name,
  };
}

/** Steps this much slower, at most, are looked at. */
const SLOWEST = 0.5;
const PRECISION = 0.03;

/** How much slower than the model says the GPU may be. */
async function speedFlip({
  evaluator,
  winner,
  gpu,
  pool,
  stretch,
  seeds,
}: FlipOptions): Promise<Flip | null> {
  if (gpu === null) return null;
  const at = async (speed: number): Promise<Evaluation | null> => {
    const { candidate } = winner.trial;
    const figures = [
      `memory_bandwidth: ${(gpu.memoryBandwidthBytesPerSec * speed) / 1e9}GB/s`,
      ...(['bf16', 'fp8', 'fp4'] as const).flatMap(type => {
        const flops = gpu[`${type}DenseFlops`];
        return flops === null ? [] : [`${type}_tflops: ${(flops * speed) / 1e12}`];
      }),
    ];
    const set = [...candidate.deployment.set, `pools.${pool}.gpu_figures={ ${figures.join(', ')} }`];
    const [found] = await evaluator.evaluate([
      { candidate: { ...candidate, deployment: { ...candidate.deployment, set } }, stretch, seeds },
    ]);
    return found ?? null;
  };
  const holds = async (speed: number): Promise<boolean> => {
    const found = await at(speed);
    return found !== null && keeps(found);
  };
  if (await holds(SLOWEST)) return null;
  let [good, bad] = [1, SLOWEST];
  while (good - bad > PRECISION) {
    const middle = (good + bad) / 2;
    if (await holds(middle)) good = middle;
    else bad = middle;
  }
  return {
    assumption: 'speed of the GPU',
    now: 'as the step model says',
    at: `${((1 - good) * 100).toFixed(0)} % slower`,
    changeRatio: good - 1,
    becomes: 'a promise breaks: more replicas, or another GPU',
  };
}

/** Whether all of it rests on prefixes that calls share. */
async function cacheFlip({ evaluator, winner, pool, stretch, seeds }: FlipOptions): Promise<Flip | null> {
  const { candidate } = winner.trial;
  if ((winner.hitRatio ?? 0) < 0.05) return null;
  const set = [...candidate.deployment.set, `pools.${pool}.limits.enable_prefix_caching=false`];
  const [found] = await evaluator.evaluate([
    { candidate: { ...candidate, deployment: { ...candidate.deployment, set } }, stretch, seeds },
  ]);
  if (found == null || found.verdict === 'failed') return null;
  if (found.verdict !== 'broken') return null;
  return {
    assumption: 'prefix cache',
    now: `${showRatio(winner.hitRatio)} of prompt tokens hit`,
    at: 'none hit',
    changeRatio: -1,
    becomes: `${found.tightest?.text ?? 'a promise'} breaks: more replicas`,
  };
}
