// Offered load against capacity, before anything runs: the work that open cohorts bring per second at their peak, in
// seconds of a replica whose batch is always full. A real batch is never that full, so what is above capacity here is
// above it in every run; what is just below will queue too.
import type { PoolSpec } from '../../engines/engine.ts';
import { decodeLoad } from '../../engines/step-load.ts';
import { peakPerSec } from '../../scenarios/arrivals/rate.ts';
import { parseScalar } from '../../scenarios/formats/quantity.ts';
import {
  defineLint,
  type Finding,
  percent,
  plural,
  shortCount,
  type WalkedCall,
} from '../../scenarios/lint/lint.ts';
import type { LabContext } from './context.ts';

export interface PoolLoad {
  readonly pool: string;
  /** Replica seconds of work per second, over the replicas there are: 1 is all they can do. */
  readonly utilizationRatio: number;
  /** KV tokens that calls in flight hold at a full batch (rate x holding time x tokens), over what fits. */
  readonly kvRatio: number;
  /** As many as the pool can have. */
  readonly replicas: number;
  /** Sequences of a full batch, and what bounds it. */
  readonly batch: number;
  readonly boundBy: 'kv' | 'sequences';
  /** Sessions started per second at the peak by the cohorts whose calls go here. */
  readonly sessionsPerSec: number;
  /** Index of the cohort that brings most of the work. */
  readonly cohort: number;
}

/** One call of the sample and how often its like comes. */
interface Arriving {
  readonly call: WalkedCall;
  readonly perSec: number;
  readonly uncachedTokens: number;
  readonly cohort: number;
}

/** Segments of these scopes are held once, whatever the batch. */
const SHARED_SCOPES = ['global', 'workflow', 'tenant', 'user'];

/** The load of every pool that open arrivals reach. */
export function offeredLoad(context: LabContext): PoolLoad[] {
  const { plan } = context;
  const byPool = new Map<PoolSpec, Arriving[]>();
  const rates = new Map<number, number>();
  for (const cohort of plan.cohorts) {
    if (cohort.kind !== 'open' || cohort.arrival.kind !== 'renewal') continue;
    const own = context.walks.filter(({ session }) => session.cohort === cohort.name);
    const rate = peakPerSec(cohort.arrival.rate, durationMs(context, cohort.index));
    rates.set(cohort.index, rate);
    for (const { calls } of own) {
      for (const call of calls) {
        const server = context.serverOf(call.model);
        if (server?.kind !== 'pool') continue;
        const arriving = byPool.get(server.pool) ?? [];
        byPool.set(server.pool, arriving);
        const uncachedTokens = call.promptTokens - call.cachedTokens;
        arriving.push({ call, perSec: rate / own.length, uncachedTokens, cohort: cohort.index });
      }
    }
  }
  return [...byPool].map(([pool, arriving]) => {
    const cohorts = new Set(arriving.map(each => each.cohort));
    const sessionsPerSec = [...cohorts].reduce((sum, index) => sum + (rates.get(index) ?? 0), 0);
    return {
      ...loadOf(pool, arriving, context),
      pool: pool.name,
      replicas: mostReplicas(pool),
      sessionsPerSec,
    };
  });
}

/** At the peak an autoscaler may have all of its replicas. */
const mostReplicas = ({ replicas, scaling }: PoolSpec): number => scaling?.max ?? replicas;

const durationMs = ({ file }: LabContext, index: number): number => {
  const raw = file.traffic[index]?.for;
  const parsed = raw === undefined ? null : parseScalar(raw, 'ms');
  return parsed !== null && 'value' in parsed ? parsed.value : Number.POSITIVE_INFINITY;
};

const sumOf = (rows: readonly Arriving[], value: (row: Arriving) => number): number =>
  rows.reduce((sum, row) => sum + value(row), 0);

function loadOf(
  pool: PoolSpec,
  arriving: readonly Arriving[],
  { file }: LabContext,
): Pick<PoolLoad, 'utilizationRatio' | 'kvRatio' | 'batch' | 'boundBy' | 'cohort'> {
  const { limits, step } = pool;
  const replicas = mostReplicas(pool);
  const shared = new Set(
    Object.entries(file.prefixes ?? {})
      .filter(
        ([, { scope, retention }]) => SHARED_SCOPES.includes(scope ?? 'global') && retention !== 'ephemeral',
      )
      .map(([name]) => name),
  );
  const privateTokens = ({ parts, outputTokens }: WalkedCall): number =>
    parts.reduce((sum, { segment, tokens }) => sum + (shared.has(segment) ? 0 : tokens), 0) +
    outputTokens / 2;
  /** The first token of an answer comes with the prompt. */
  const decoded = ({ call }: Arriving): number => Math.max(0, call.outputTokens - 1);

  const decodedPerSec = sumOf(arriving, row => row.perSec * decoded(row));
  const prefilledPerSec = sumOf(arriving, row => row.perSec * row.uncachedTokens);
  const perDecoded = (value: (call: WalkedCall) => number): number =>
    decodedPerSec === 0
      ? sumOf(arriving, row => row.perSec * value(row.call)) / sumOf(arriving, row => row.perSec)
      : sumOf(arriving, row => row.perSec * decoded(row) * value(row.call)) / decodedPerSec;
  const contextTokens = perDecoded(call => call.promptTokens + call.outputTokens / 2);
  const heldTokens = Math.max(limits.blockTokens, perDecoded(privateTokens));

  const kvTokens = limits.kvBlocks * limits.blockTokens;
  const fits = Math.floor(kvTokens / heldTokens);
  const most = Math.min(limits.maxSequences, limits.maxBatchedTokens);
  const batch = Math.max(1, Math.min(most, fits));
  const decode = decodeLoad(batch, Math.round(batch * contextTokens));
  const decodeNs = step.stepNs(decode);
  // What a prompt adds to steps that decode anyway: the rest of the token budget, filled.
  const chunk = Math.max(1, limits.maxBatchedTokens - batch);
  const pairsPerToken =
    sumOf(
      arriving,
      ({ call, perSec, uncachedTokens: n }) => perSec * n * (call.promptTokens - n + (n + 1) / 2),
    ) / Math.max(1e-12, prefilledPerSec);
  const prompts = Math.ceil((chunk * sumOf(arriving, row => row.perSec)) / Math.max(1e-12, prefilledPerSec));
  const mixedNs = step.stepNs({
    ...decode,
    prefills: prompts,
    prefillTokens: chunk,
    prefillContextTokens: Math.round(prompts * contextTokens),
    prefillPairs: Math.round(chunk * pairsPerToken),
    samples: batch + prompts,
  });
  const prefillNs = Math.max(0, mixedNs - decodeNs) / chunk;

  const workNs = (row: Arriving): number =>
    row.uncachedTokens * prefillNs + (decoded(row) * decodeNs) / batch;
  const heldNs = (row: Arriving): number => row.uncachedTokens * prefillNs + decoded(row) * decodeNs;
  const byCohort = new Map<number, number>();
  for (const row of arriving)
    byCohort.set(row.cohort, (byCohort.get(row.cohort) ?? 0) + row.perSec * workNs(row));
  const [heaviest = [0]] = [...byCohort].sort((a, b) => b[1] - a[1] || a[0] - b[0]);
  const inFlight = sumOf(arriving, row => (row.perSec * heldNs(row) * privateTokens(row.call)) / 1e9);
  return {
    utilizationRatio: sumOf(arriving, row => row.perSec * workNs(row)) / 1e9 / replicas,
    kvRatio: inFlight / (replicas * kvTokens),
    batch,
    boundBy: fits < most ? 'kv' : 'sequences',
    cohort: heaviest[0],
  };
}

/** A rate in the unit that reads best. */
export function shortRate(perSec: number): string {
  if (perSec >= 0.1) return `${Number(perSec.toPrecision(3))}/s`;
  if (perSec * 60 >= 0.1) return `${Number((perSec * 60).toPrecision(3))}/min`;
  return `${Number((perSec * 3600).toPrecision(3))}/h`;
}

export const overload = defineLint('WT2013', function* (context: LabContext): Generator<Finding> {
  for (const load of offeredLoad(context)) {
    if (load.utilizationRatio < 1) continue;
    const { pool, utilizationRatio, sessionsPerSec, replicas, batch, boundBy } = load;
    const bound =
      boundBy === 'kv' ? `, ${shortCount(batch)} sequences at once, which is what its KV cache holds` : '';
    const needed = Math.ceil(replicas * utilizationRatio);
    yield {
      path: ['traffic', load.cohort, 'arrival'],
      message:
        `at its peak this traffic is ${percent(utilizationRatio)} of what pool "${pool}" can do with a full batch` +
        `${bound}: ${shortRate(sessionsPerSec)} sessions, where it could hold ${shortRate(sessionsPerSec / utilizationRatio)}`,
      hint:
        `at least ${plural(needed, 'replica')} instead of ${replicas}, or a lower rate` +
        (boundBy === 'kv'
          ? '; a larger KV cache (precision.kv: fp8, tensor_parallel) lets more run at once'
          : ''),
    };
  }
});
