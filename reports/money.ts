// What a run's money says about another month or other prices: GPUs of one's own against an API by the number of workflows
// a month, and which of the figures behind a cost moves it most. Sums of the ledger's parts; nothing is simulated here.
import type { ApiOffer, TokenPrice } from '../scenarios/formats/ledger.ts';
import type { RunResult, ServedWork } from '../scenarios/formats/result.ts';

/** A month, as clouds bill it. */
export const HOURS_PER_MONTH = 730;
const HOUR_MS = 3_600_000;

/** GPUs as they are bought: replicas of the only pool, else the deployment as a whole. */
export interface OwnGpus {
  /** What one is. */
  unit: 'replica' | 'deployment';
  unitUsdPerMonth: number;
  /** Workflows that one serves in a month at the run's mix, when it computes all the time. */
  unitWorkflowsPerMonth: number;
  /** Of what is paid for, GPUs that computed. */
  utilisation: number;
  /** How many the run had, on average. */
  units: number;
}

/** null: no GPU has a price, or no workflow completed. */
export function ownGpus({ cost, counts, durationMs, replicas }: RunResult): OwnGpus | null {
  if (cost === undefined || !(durationMs > 0) || counts.workflows.completed === 0) return null;
  const gpuUsd = cost.byComponent.gpu_work + cost.byComponent.gpu_idle;
  const { busy, paid } = cost.gpuSeconds;
  if (!(gpuUsd > 0 && busy > 0 && paid > 0)) return null;
  const utilisation = Math.min(1, busy / paid);
  const perMonth = (HOUR_MS / durationMs) * HOURS_PER_MONTH;
  const [only] = replicas?.length === 1 ? replicas : [];
  const units = only !== undefined && only.readyMean > 0 ? only.readyMean : 1;
  return {
    unit: only === undefined ? 'deployment' : 'replica',
    unitUsdPerMonth: (gpuUsd * perMonth) / units,
    unitWorkflowsPerMonth: (counts.workflows.completed * perMonth) / units / utilisation,
    utilisation,
    units,
  };
}

/** USD by list price of work of whose prompts such a share is found in a cache. */
export const usdOf = (work: ServedWork, price: TokenPrice, hitRatio: number): number =>
  (work.promptTokens * ((1 - hitRatio) * price.in + hitRatio * price.cachedIn) +
    work.outputTokens * price.out) /
  1e6;

export const hitRatioOf = ({ promptTokens, cachedTokens }: ServedWork): number =>
  promptTokens === 0 ? 0 : Math.min(1, cachedTokens / promptTokens);

/** Share of the prompt tokens that an API may find more or less often in its cache than our own servers. */
export const HIT_UNCERTAINTY = 0.2;

/** What the run's work on GPUs of one's own would cost at a price, USD per workflow. */
export interface Bought {
  offer: ApiOffer;
  usdPerWorkflow: number;
  /** With more and with fewer cache hits. */
  low: number;
  high: number;
  /** Workflows a month from which the GPUs cost less; null: never, not even when they are full. */
  breakEven: number | null;
  /** From which they cost less whatever the number: a unit more is dearer at first. */
  forGood: number | null;
}

/** Empty where nothing is known that could be bought. */
export function boughtInstead(result: RunResult, own: OwnGpus): Bought[] {
  const { hosting, counts } = result;
  if (hosting === undefined || hosting.own.calls === 0) return [];
  const hits = hitRatioOf(hosting.own);
  return hosting.offers.map(offer => {
    const at = (ratio: number): number =>
      usdOf(hosting.own, offer.price, Math.min(1, Math.max(0, ratio))) / counts.workflows.completed;
    const usdPerWorkflow = at(hits);
    return {
      offer,
      usdPerWorkflow,
      low: at(hits + HIT_UNCERTAINTY),
      high: at(hits - HIT_UNCERTAINTY),
      breakEven: breakEvenOf(own, usdPerWorkflow),
      forGood: forGoodOf(own, usdPerWorkflow),
    };
  });
}

/** One unit costs the same in every month; if it does not pay off full, more of them never do. */
export function breakEvenOf(
  { unitUsdPerMonth, unitWorkflowsPerMonth }: OwnGpus,
  usdPerWorkflow: number,
): number | null {
  if (!(usdPerWorkflow > 0)) return null;
  const workflows = unitUsdPerMonth / usdPerWorkflow;
  return workflows <= unitWorkflowsPerMonth ? workflows : null;
}

/** So many units that the next one, though nearly empty, does not cost more than what it replaces. */
function forGoodOf(own: OwnGpus, usdPerWorkflow: number): number | null {
  const first = breakEvenOf(own, usdPerWorkflow);
  const savedUsd = usdPerWorkflow * own.unitWorkflowsPerMonth - own.unitUsdPerMonth;
  return first === null || !(savedUsd > 0)
    ? null
    : first * Math.max(1, Math.ceil(own.unitUsdPerMonth / savedUsd - 1e-9));
}

/** As many units as the month's workflows fill, at least one; USD. */
export const ownUsdPerMonth = (own: OwnGpus, workflows: number): number =>
  own.unitUsdPerMonth * Math.max(1, Math.ceil(workflows / own.unitWorkflowsPerMonth - 1e-9));

/** How a cost moves when one figure behind it is a fifth lower or higher. */
export interface Swing {
  what: string;
  /** Change of the USD per 1,000 workflows. */
  lower: number;
  higher: number;
}

export const SWING_RATIO = 0.2;

/**
 * The widest first. GPUs are taken to follow the work at the run's utilisation; without the split of their time
 * (`gpuTime`), hits and lengths move only what an API bills.
 */
export function swingsOf({ cost, hosting, gpuTime }: RunResult): Swing[] {
  if (cost?.usdPer1000Workflows == null || !(cost.totalUsd > 0)) return [];
  const scale = cost.usdPer1000Workflows / cost.totalUsd;
  const of = (...parts: (keyof typeof cost.byComponent)[]): number =>
    scale * parts.reduce((sum, part) => sum + cost.byComponent[part], 0);
  const gpus = of('gpu_work', 'gpu_idle');
  const [input, cached, written, output] = [
    of('api_input'),
    of('api_cached_input'),
    of('api_cache_write'),
    of('api_output'),
  ];
  const { busy, paid } = cost.gpuSeconds;
  const utilisation = paid > 0 ? Math.min(1, busy / paid) : 0;
  const worked = (gpuTime?.prefill ?? 0) + (gpuTime?.decode ?? 0);
  const share = (seconds: number | undefined): number => (worked > 0 ? (seconds ?? 0) / worked : 0);
  const ownHits = hosting === undefined ? 0 : hitRatioOf(hosting.own);
  const apiHits = hosting === undefined ? 0 : hitRatioOf(hosting.api);
  const scaledHits = (hits: number, by: number): number => Math.min(1, hits * by);
  /** What is computed of a prompt, against the run's. */
  const computed = (hits: number, by: number): number =>
    hits >= 1 ? 1 : (1 - scaledHits(hits, by)) / (1 - hits);

  const changes: [what: string, change: (by: number) => number][] = [
    ['GPU price', by => gpus * (by - 1)],
    [
      'GPU utilisation',
      by => (utilisation > 0 ? gpus * (utilisation / Math.min(1, utilisation * by) - 1) : 0),
    ],
    ['API price', by => (input + cached + written + output) * (by - 1)],
    [
      'cache hits',
      by =>
        gpus * share(gpuTime?.prefill) * (computed(ownHits, by) - 1) +
        (input + written) * (computed(apiHits, by) - 1) +
        (apiHits > 0 ? cached * (scaledHits(apiHits, by) / apiHits - 1) : 0),
    ],
    ['output length', by => (gpus * share(gpuTime?.decode) + output) * (by - 1)],
  ];
  return changes
    .map(([what, change]) => ({ what, lower: change(1 - SWING_RATIO), higher: change(1 + SWING_RATIO) }))
    .filter(({ lower, higher }) => Math.max(Math.abs(lower), Math.abs(higher)) > 1e-9)
    .sort((a, b) => spread(b) - spread(a) || (a.what < b.what ? -1 : 1));
}

const spread = ({ lower, higher }: Swing): number => Math.abs(higher - lower);

/** Of the calls that were served, those that an API did; null: not known, or none. */
export function apiShare({ hosting }: RunResult): number | null {
  if (hosting === undefined) return null;
  const calls = hosting.own.calls + hosting.api.calls;
  return calls === 0 ? null : hosting.api.calls / calls;
}
