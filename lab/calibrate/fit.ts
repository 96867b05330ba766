// Fits the costs of the step form to measured times: non-negative least squares of relative errors over settings, each of
// which stands for the middle half of its repeats; errors far beyond the usual count less (Huber). Intervals by a wild
// bootstrap; a cost whose interval reaches 0 is left out and said so; the error to expect is that of
// settings that a fit has not seen. Pure.
import { extend, type Key, textKey, uniform } from '../../scenarios/base/key.ts';
import { deviation, mean, quantile } from '../../scenarios/base/statistics.ts';
import type { Kind } from './design.ts';
import { type Costs, type Counts, TERMS, type Term, timeMs } from './terms.ts';

/** One measured time. */
export interface Observation {
  kind: Kind;
  /** Equal names are repeats of one setting. */
  name: string;
  round: number;
  measuredMs: number;
  counts: Counts;
}

export interface TermFit {
  /** ms. */
  cost: number;
  /** 95 %; null where the term was left out. */
  ci95: [number, number] | null;
  /** Why it was left out; null: it was not. */
  dropped: string | null;
}

export interface KindError {
  kind: Kind;
  settings: number;
  observations: number;
  /** Mean absolute relative error of a setting, by a fit without that setting. */
  unseenRatio: number;
  /** The same by the fit on everything. */
  fittedRatio: number;
  /** Standard deviation of repeats over their mean, of the median setting; null without repeats. */
  noiseRatio: number | null;
}

export interface Fit {
  terms: Record<Term, TermFit>;
  costs: Costs;
  kinds: KindError[];
  /** By observation: (predicted - measured) / measured. */
  residuals: number[];
}

/** Huber's constant: 95 % of the efficiency of least squares where errors are normal. */
const HUBER = 1.345;
/** Errors below it are never called outliers. */
const SPREAD_MIN = 0.01;
/** What is left over beyond it is drawn as so much: times near 0 would outweigh all others. */
const MISFIT_MAX = 0.5;
const PASSES = 12;
const RESAMPLES = 200;

const zero = (): Record<Term, number> =>
  Object.fromEntries(TERMS.map(term => [term, 0])) as Record<Term, number>;

/** The costs of `terms`, by observations with a weight each. */
function solve(rows: readonly Observation[], weights: readonly number[], terms: readonly Term[]): Costs {
  const size = terms.length;
  const normal = Array.from({ length: size }, () => new Float64Array(size));
  const right = new Float64Array(size);
  for (const [r, { counts, measuredMs }] of rows.entries()) {
    const weight = weights[r]! / (measuredMs * measuredMs);
    for (let i = 0; i < size; i++) {
      const x = counts[terms[i]!];
      if (x === 0) continue;
      right[i]! += weight * x * measuredMs;
      for (let j = 0; j < size; j++) normal[i]![j]! += weight * x * counts[terms[j]!];
    }
  }
  const costs = zero();
  for (const [i, value] of nonNegative(normal, right).entries()) costs[terms[i]!] = value;
  return costs;
}

/**
 * Minimises x'Ax / 2 - b'x over x >= 0 (Lawson and Hanson's active set): terms come in one by one, and leave again where
 * the others drive them below 0.
 */
export function nonNegative(a: readonly Float64Array[], b: Float64Array): number[] {
  const size = b.length;
  // In units of each term, so that "no gradient left" means the same for all.
  const unit = Array.from({ length: size }, (_, i) => Math.sqrt(a[i]![i]!) || 1);
  const scaledA = a.map((row, i) => row.map((value, j) => value / (unit[i]! * unit[j]!)));
  const scaledB = b.map((value, i) => value / unit[i]!);
  let x = new Array<number>(size).fill(0);
  const inside = new Set<number>();
  const enough = 1e-10 * Math.max(...scaledB.map(Math.abs));
  for (let turn = 0; turn < 10 * size; turn++) {
    const gradient = scaledB.map((value, i) => value - scaledA[i]!.reduce((sum, y, j) => sum + y * x[j]!, 0));
    let next = -1;
    for (let i = 0; i < size; i++)
      if (
        !inside.has(i) &&
        a[i]![i]! > 0 &&
        gradient[i]! > enough &&
        (next < 0 || gradient[i]! > gradient[next]!)
      )
        next = i;
    if (next < 0) break;
    inside.add(next);
    for (;;) {
      const list = [...inside].sort((p, q) => p - q);
      const found = cholesky(scaledA, scaledB, list);
      if (found === null) {
        // It says nothing that the others do not.
        inside.delete(next);
        return x.map((value, i) => value / unit[i]!);
      }
      if (found.every(value => value > 0)) {
        x = new Array<number>(size).fill(0);
        for (const [k, i] of list.entries()) x[i] = found[k]!;
        break;
      }
      let step = 1;
      for (const [k, i] of list.entries())
        if (found[k]! <= 0) step = Math.min(step, x[i]! / (x[i]! - found[k]!));
      for (const [k, i] of list.entries()) {
        x[i] = x[i]! + step * (found[k]! - x[i]!);
        if (x[i]! <= 1e-14) {
          x[i] = 0;
          inside.delete(i);
        }
      }
    }
  }
  return x.map((value, i) => value / unit[i]!);
}

/** Solves the rows and columns `list` of a symmetric system; null where they are not independent. */
function cholesky(a: readonly Float64Array[], b: Float64Array, list: readonly number[]): number[] | null {
  const size = list.length;
  const low = Array.from({ length: size }, () => new Float64Array(size));
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = a[list[i]!]![list[j]!]!;
      for (let k = 0; k < j; k++) sum -= low[i]![k]! * low[j]![k]!;
      if (i !== j) low[i]![j] = sum / low[j]![j]!;
      else if (sum < 1e-9) return null;
      else low[i]![i] = Math.sqrt(sum);
    }
  }
  const x = new Array<number>(size).fill(0);
  for (let i = 0; i < size; i++) {
    let sum = b[list[i]!]!;
    for (let k = 0; k < i; k++) sum -= low[i]![k]! * x[k]!;
    x[i] = sum / low[i]![i]!;
  }
  for (let i = size - 1; i >= 0; i--) {
    for (let k = i + 1; k < size; k++) x[i]! -= low[k]![i]! * x[k]!;
    x[i]! /= low[i]![i]!;
  }
  return x;
}

const errorOf = ({ counts, measuredMs }: Observation, costs: Costs): number =>
  (timeMs(counts, costs) - measuredMs) / measuredMs;

/** Their usual size, by the median: a standard deviation where errors are normal. */
const spreadOf = (errors: readonly number[]): number =>
  Math.max(SPREAD_MIN, 1.4826 * quantile(errors.map(Math.abs), 0.5));

/** What the repeats of a setting agree on: the mean of the middle half; of two the shorter, as hiccups only ever add. */
function settled(repeats: readonly Observation[]): Observation {
  const order = repeats.toSorted((a, b) => a.measuredMs - b.measuredMs);
  const half = Math.floor((order.length - 1) / 2);
  const quarter = Math.floor(order.length / 4);
  const middle = order.length < 4 ? [order[half]!] : order.slice(quarter, order.length - quarter);
  const meanOf = (of: (row: Observation) => number): number => mean(middle.map(of));
  const counts = Object.fromEntries(TERMS.map(term => [term, meanOf(row => row.counts[term])]));
  return { ...order[0]!, measuredMs: meanOf(row => row.measuredMs), counts: counts as Record<Term, number> };
}

/** Repeats by setting. */
type Settings = readonly (readonly Observation[])[];

const settingsOf = (rows: readonly Observation[]): Observation[][] => [
  ...Map.groupBy(rows, ({ name }) => name).values(),
];

/** Costs of `terms` by iterated weights. Each kind has the same say, whatever it has of settings. */
function robust(rows: readonly Observation[], terms: readonly Term[]): Costs {
  const inKind = Map.groupBy(rows, ({ kind }) => kind);
  const share = rows.map(({ kind }) => 1 / inKind.get(kind)!.length);
  let costs = solve(rows, share, terms);
  for (let pass = 0; pass < PASSES; pass++) {
    const errors = rows.map(row => Math.abs(errorOf(row, costs)));
    const spread = spreadOf(errors);
    const weights = errors.map(
      (error, i) => share[i]! * Math.min(1, (HUBER * spread) / Math.max(error, 1e-12)),
    );
    costs = solve(rows, weights, terms);
  }
  return costs;
}

/**
 * Every setting stays, as no other may tell a cost; its repeats are drawn again, and what is left over of them takes
 * either sign (wild bootstrap), so that both noise and misfit show as width. Outliers as far as the fit hears of them.
 */
function drawnAgain(settings: Settings, costs: Costs, key: Key): Observation[] {
  const errors = settings.map(repeats => errorOf(settled(repeats), costs));
  const most = Math.min(MISFIT_MAX, 3 * spreadOf(errors));
  return settings.map((repeats, s) => {
    const drawn = settled(
      repeats.map((_, i) => repeats[Math.floor(uniform(extend(key, s, i)) * repeats.length)]!),
    );
    const expectedMs = timeMs(drawn.counts, costs);
    const left = Math.max(-most, Math.min(most, drawn.measuredMs / expectedMs - 1));
    const sign = uniform(extend(key, s, -1)) < 0.5 ? 1 : -1;
    return { ...drawn, measuredMs: expectedMs * Math.max(0.05, 1 + sign * left) };
  });
}

function intervals(settings: Settings, terms: readonly Term[], costs: Costs): Map<Term, [number, number]> {
  const key = textKey('calibrate/bootstrap');
  const draws = Array.from({ length: RESAMPLES }, (_, i) =>
    robust(drawnAgain(settings, costs, extend(key, i)), terms),
  );
  return new Map(
    terms.map(term => {
      const values = draws.map(each => each[term]);
      return [term, [quantile(values, 0.025), quantile(values, 0.975)]];
    }),
  );
}

/** Share of all measured time that a term stands for. */
function shareOf(rows: readonly Observation[], costs: Costs, term: Term): number {
  const total = rows.reduce((sum, { measuredMs }) => sum + measuredMs, 0);
  return rows.reduce((sum, { counts }) => sum + counts[term] * costs[term], 0) / total;
}

/** Never left out: a step without it costs nothing. */
const NEEDED: readonly Term[] = ['base'];

export function fitCosts(rows: readonly Observation[]): Fit {
  const dropped = new Map<Term, string>();
  let terms = TERMS.filter(term => rows.some(({ counts }) => counts[term] > 0));
  for (const term of TERMS) if (!terms.includes(term)) dropped.set(term, 'no experiment has it');
  const settings = settingsOf(rows);
  const told = settings.map(settled);
  let costs = robust(told, terms);
  let found = intervals(settings, terms, costs);
  for (;;) {
    const spans = terms.filter(term => found.get(term)![0] <= 0 && !NEEDED.includes(term));
    if (spans.length === 0) break;
    const least = spans.reduce((a, b) => (shareOf(rows, costs, b) < shareOf(rows, costs, a) ? b : a));
    dropped.set(least, 'its interval reaches 0: these experiments do not tell it from the other costs');
    terms = terms.filter(term => term !== least);
    costs = robust(told, terms);
    found = intervals(settings, terms, costs);
  }
  const termFits = Object.fromEntries(
    TERMS.map(term => [
      term,
      { cost: costs[term], ci95: found.get(term) ?? null, dropped: dropped.get(term) ?? null },
    ]),
  ) as Record<Term, TermFit>;
  return {
    terms: termFits,
    costs,
    kinds: kindErrors(settings, terms, costs),
    residuals: rows.map(row => errorOf(row, costs)),
  };
}

/** How well each setting is predicted by all the others. */
function kindErrors(all: Settings, terms: readonly Term[], costs: Costs): KindError[] {
  const settings = all.map(repeats => {
    const others = all.filter(each => each !== repeats);
    const blind = others.length === 0 ? costs : robust(others.map(settled), terms);
    const row = settled(repeats);
    const off = (by: Costs): number => Math.abs(errorOf(row, by));
    return { kind: row.kind, repeats, unseen: off(blind), fitted: off(costs) };
  });
  return [...Map.groupBy(settings, ({ kind }) => kind)].map(([kind, list]) => {
    const noises = list.flatMap(({ repeats }) => noiseOf(repeats, costs) ?? []);
    return {
      kind,
      settings: list.length,
      observations: list.reduce((sum, { repeats }) => sum + repeats.length, 0),
      unseenRatio: mean(list.map(({ unseen }) => unseen)),
      fittedRatio: mean(list.map(({ fitted }) => fitted)),
      noiseRatio: noises.length === 0 ? null : quantile(noises, 0.5),
    };
  });
}

/** Deviation of repeats beside their mean, seen beside what the fit expects of each; null of one. */
function noiseOf(repeats: readonly Observation[], costs: Costs): number | null {
  if (repeats.length < 2) return null;
  const values = repeats.map(({ measuredMs, counts }) => measuredMs / timeMs(counts, costs));
  return deviation(values) / mean(values);
}
