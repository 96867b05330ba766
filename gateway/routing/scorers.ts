// Scorers: each gives every replica in question a score from 0 to 1, and a router takes the highest weighted sum
// (llm-d's endpoint picker, BLIS's weighted policy). Formulas as in policies.md 2.2 and simulators.md 2.
import { UserError } from '../../scenarios/base/errors.ts';
import { numberOptions } from './options.ts';
import { lowestDrawn } from './picker.ts';
import type { RoutingArrival, RoutingView } from './policy.ts';

/** One decision: which of `rows` is to take `arrival`. */
export interface Question {
  readonly arrival: RoutingArrival;
  readonly view: RoutingView;
  /** The candidates, ascending: what no filter removed. */
  readonly rows: readonly number[];
  /** By row, tokens at the start of the prompt that are taken to be cached there. */
  readonly cachedTokens: readonly number[];
}

/** Writes the score of each of `rows`; others are not looked at. Hot: a few times a request. */
export type Scorer = (question: Question, scores: number[]) => void;

/** From the least of the column, 0, to the most, 1; all equal: 1. */
export function moreIsBetter(column: readonly number[], rows: readonly number[], scores: number[]): void {
  normalize(column, rows, scores, false);
}

/** From the most of the column, 0, to the least, 1; all equal: 1. */
export function fewerIsBetter(column: readonly number[], rows: readonly number[], scores: number[]): void {
  normalize(column, rows, scores, true);
}

function normalize(
  column: readonly number[],
  rows: readonly number[],
  scores: number[],
  isFewerBetter: boolean,
): void {
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  for (const row of rows) {
    min = Math.min(min, column[row]!);
    max = Math.max(max, column[row]!);
  }
  for (const row of rows) {
    const x = column[row]!;
    scores[row] = max === min ? 1 : (isFewerBetter ? max - x : x - min) / (max - min);
  }
}

/** Requests that wait in the engine, scraped: fewer is better. */
export const queue: Scorer = ({ view, rows }, scores) => fewerIsBetter(view.waiting, rows, scores);

/** Requests in the engine's batch, scraped: fewer is better. */
export const running: Scorer = ({ view, rows }, scores) => fewerIsBetter(view.running, rows, scores);

/** 1 - KV blocks in use over all, scraped. */
export const kv: Scorer = ({ view: { kvUsedRatio }, rows }, scores) => {
  for (const row of rows) scores[row] = 1 - kvUsedRatio[row]!;
};

/** Queues of so many requests and more score 0 [llm-d load_aware.go `QueueThresholdDefault`]. */
const QUEUE_MAX = 128;

/** 0.5 * (1 - min(queue, 128) / 128): an empty queue has 0.5, for nobody tells how much it could take. */
export const loadAware: Scorer = ({ view: { waiting }, rows }, scores) => {
  for (const row of rows) scores[row] = 0.5 * (1 - Math.min(waiting[row]!, QUEUE_MAX) / QUEUE_MAX);
};

/** (max - x) / max of the requests in hand, exact; 1 without any. */
export const activeRequest: Scorer = ({ view: { outstanding }, rows }, scores) => {
  let max = 0;
  for (const row of rows) max = Math.max(max, outstanding[row]!);
  for (const row of rows) scores[row] = max === 0 ? 1 : (max - outstanding[row]!) / max;
};

/** What BLIS calls effective load: waiting and running as scraped, and all in hand, which has both in it. */
export const effectiveLoad = ({ waiting, running, outstanding }: RoutingView, row: number): number =>
  waiting[row]! + running[row]! + outstanding[row]!;

/** 1 / (1 + waiting + running + in hand). */
export const loadBalance: Scorer = ({ view, rows }, scores) => {
  for (const row of rows) scores[row] = 1 / (1 + effectiveLoad(view, row));
};

/** vLLM's older rule between data-parallel ranks: 4 * waiting + running, fewer is better. */
export function vllmDp(): Scorer {
  const load: number[] = [];
  return ({ view: { waiting, running }, rows }, scores) => {
    for (const row of rows) load[row] = 4 * waiting[row]! + running[row]!;
    fewerIsBetter(load, rows, scores);
  };
}

/**
 * A call that is cached nowhere goes to the replica that has longest had no such call, so that caches grow evenly:
 * 1 - rank / (candidates - 1), those that never had one first, in order of rows. Others score 0.5.
 * The second function is told where the last call asked about went.
 */
export function noHitLru(): { scorer: Scorer; sent: (replicaId: number) => void } {
  /** By replica: number of its last cold call, from 1 on. */
  const lastCold: number[] = [];
  let coldCalls = 0;
  let isCold = false;
  return {
    scorer({ view: { ids }, rows, cachedTokens }, scores) {
      isCold = rows.every(row => cachedTokens[row] === 0);
      for (const row of rows) {
        if (!isCold) scores[row] = 0.5;
        else {
          const last = lastCold[ids[row]!] ?? 0;
          let rank = 0;
          for (const other of rows) {
            const theirs = lastCold[ids[other]!] ?? 0;
            if (theirs < last || (theirs === last && other < row)) rank += 1;
          }
          scores[row] = rows.length === 1 ? 1 : 1 - rank / (rows.length - 1);
        }
      }
    },
    sent(replicaId) {
      if (isCold) lastCold[replicaId] = ++coldCalls;
    },
  };
}

export interface Weighted {
  readonly scorer: Scorer;
  readonly weight: number;
}

/** Those scorers that have a weight, in the order of their table. */
export const weighted = <S extends string>(
  scorers: Record<S, Scorer>,
  weights: Partial<Record<S, number>>,
): Weighted[] =>
  (Object.keys(scorers) as S[]).flatMap(name => {
    const weight = weights[name];
    return weight === undefined ? [] : [{ scorer: scorers[name], weight }];
  });

/** Takes the row of the highest sum of weight * score, scores clamped to 0-1; of equal ones a drawn one. */
export function highestSum(parts: readonly Weighted[]): (question: Question) => number {
  const scores: number[] = [];
  const costs: number[] = [];
  return question => {
    const { rows, view, arrival } = question;
    costs.length = view.ids.length;
    for (let row = 0; row < costs.length; row++) costs[row] = Number.POSITIVE_INFINITY;
    for (const row of rows) costs[row] = 0;
    for (const { scorer, weight } of parts) {
      scorer(question, scores);
      for (const row of rows) costs[row]! -= weight * Math.min(1, Math.max(0, scores[row]!));
    }
    return lowestDrawn(costs, arrival.key);
  };
}

/** The option `weights` of a policy: by scorer; replaces `byDefault` as a whole. A scorer without one is not asked. */
export function scorerWeights<S extends string>(
  policy: string,
  option: unknown,
  scorers: readonly S[],
  byDefault: Partial<Record<S, number>>,
): Partial<Record<S, number>> {
  if (option === undefined) return byDefault;
  if (typeof option !== 'object' || option === null || Array.isArray(option))
    throw new UserError(`option weights of policy ${policy} is ${JSON.stringify(option)}`, {
      hint: `expected weights by scorer, such as ${JSON.stringify(byDefault)}`,
    });
  const unweighted = Object.fromEntries(scorers.map(name => [name, 0]));
  const given = numberOptions(`${policy} (weights)`, { ...option }, unweighted);
  const asked = Object.entries(given).filter(([, weight]) => weight > 0);
  if (asked.length > 0) return Object.fromEntries(asked) as Partial<Record<S, number>>;
  throw new UserError(`policy ${policy} has no scorer with a weight above 0`, {
    hint: `its scorers are ${scorers.join(', ')}`,
  });
}
