// Self-hosted or API, as sums: what a call costs at list price, what a day of GPUs costs, and how many calls a day cost as
// much (policies.md §5.4).
import { listPrice } from '../../engines/catalog.ts';
import { invariant } from '../../scenarios/base/errors.ts';
import { callUsd } from '../prices.ts';

/** Tokens of a call; `cachedRatio` of its prompt is found in a cache. */
export interface CallShape {
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly cachedRatio: number;
}

/** The call of policies.md §5.4. */
export const USUAL: CallShape = { promptTokens: 3000, outputTokens: 500, cachedRatio: 0 };

/** GPUs that serve a model. */
export interface Setup {
  readonly name: string;
  readonly gpus: number;
  readonly usdPerGpuHour: number;
}

export const usdPerDay = ({ gpus, usdPerGpuHour }: Omit<Setup, 'name'>): number => 24 * gpus * usdPerGpuHour;

/** USD of a call at the list price of a model of the catalogue. */
export function apiUsd(model: string, shape: CallShape): number {
  const price = listPrice(model);
  invariant(price !== null, () => `the catalogue has no price of ${model}`);
  const { inputUsdPerMTok, outputUsdPerMTok, cacheReadUsdPerMTok } = price;
  return callUsd(shape, shape.cachedRatio * shape.promptTokens, {
    in: inputUsdPerMTok,
    cachedIn: cacheReadUsdPerMTok ?? inputUsdPerMTok,
    out: outputUsdPerMTok,
  });
}

/** Calls a day that cost at the API what the GPUs cost. */
export const breakEven = (model: string, setup: Omit<Setup, 'name'>, shape: CallShape = USUAL): number =>
  usdPerDay(setup) / apiUsd(model, shape);

/** USD a day for so many calls: as many such setups as the busiest hour needs, `peak` times the mean. */
export const hostedUsd = (
  callsPerDay: number,
  setup: Setup,
  { callsPerSec, peak }: { callsPerSec: number; peak: number },
): number => usdPerDay(setup) * Math.max(1, Math.ceil((callsPerDay * peak) / (callsPerSec * DAY_SEC)));

export const DAY_SEC = 86_400;
