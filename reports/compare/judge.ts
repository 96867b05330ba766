// Whether a figure moved: its blocks on two sides, the test that fits how they belong together, and a verdict that
// needs both, evidence and a size worth caring for.
//
//   regressed, improved: the interval excludes 0 (p after Holm under 5 %) and the change is at least the minimum effect
//   unchanged:           the whole interval lies inside ± the minimum effect (equivalence)
//   inconclusive:        anything else, with how many more blocks would settle it
import {
  asBlocks,
  type Blocks,
  holm,
  mean,
  pairedDifference,
  rankSumShift,
  signedRankShift,
  studentBound,
} from '../../scenarios/base/statistics.ts';
import type { FigureBlocks, FigureComparison, Pairing, Verdict } from '../../scenarios/formats/comparison.ts';
import { knownBlocks } from './figures.ts';

const LEVEL = 0.05;
/** Blocks of a side unless told otherwise: see test/bench/compare-power.ts for what they find. */
export const DEFAULT_BLOCKS = 10;
/** A change under this share is none. */
export const MIN_EFFECT_RATIO = { sim: 0.01, live: 0.05 } as const;
/** More than this many further blocks are no plan. */
const MISSING_MAX = 1000;

export interface JudgeHow {
  readonly pairing: Pairing;
  readonly minEffectRatio: number;
}

/** The change of one figure before it is judged. */
interface Change {
  readonly ratio: number | null;
  readonly ci95: readonly [number, number] | null;
  readonly p: number | null;
  /** Where there is no ratio: which way the values themselves went. */
  readonly sign: number;
}

const NO_CHANGE: Change = { ratio: 0, ci95: [0, 0], p: null, sign: 0 };

type Pairs = readonly (readonly [base: number, candidate: number])[];

const pairsOf = (base: FigureBlocks, candidate: FigureBlocks): Pairs =>
  base.values.flatMap((value, i) => {
    const other = candidate.values[i] ?? null;
    return value === null || other === null ? [] : [[value, other] as const];
  });

/** The ratio of the means with its interval, linearised: what both sides share, such as a seed with more work, cancels. */
function pairedRatio(pairs: Pairs): Change {
  const base = mean(pairs.map(([value]) => value));
  const ratio = mean(pairs.map(([, value]) => value)) / base;
  const { ci95, p } = pairedDifference(pairs.map(([b, c]) => (c - ratio * b) / base + (ratio - 1)));
  return { ratio: ratio - 1, ci95, p, sign: ratio - 1 };
}

/**
 * Signed ranks: live blocks have hiccups, which Student's test takes for spread. Of a true 5 % at 3 % between blocks both
 * find some 90 %; with one block in twenty half as slow again, ranks find 62 % and Student's test 41 %, and its estimate is
 * off by 5 points instead of 2 (`npm run bench -- compare-power`).
 */
function interleaved(pairs: Pairs): Change {
  const base = mean(pairs.map(([value]) => value));
  const { shift, ci95, p } = signedRankShift(asBlocks(pairs.map(([b, c]) => (c - b) / base)));
  return { ratio: shift, ci95, p, sign: shift };
}

function apart(ones: Blocks, others: Blocks): Change {
  const scale = mean(ones);
  const relative = (values: Blocks): Blocks => asBlocks(values.map(value => value / scale));
  const { shift, ci95, p } = rankSumShift(relative(ones), relative(others));
  return { ratio: shift, ci95, p, sign: shift };
}

/** A baseline of 0 has no ratio to it: only whether the values moved. */
function fromNothing(ones: Blocks, others: Blocks, { pairing }: JudgeHow): Change {
  const { shift, p } = rankSumShift(ones, others);
  return { ratio: null, ci95: null, p: pairing === 'exact' ? 0 : p, sign: shift || mean(others) };
}

function changeOf(base: FigureBlocks, candidate: FigureBlocks, how: JudgeHow): Change {
  const [ones, others] = [knownBlocks(base), knownBlocks(candidate)];
  if (ones.length === 0 || others.length === 0) return { ratio: null, ci95: null, p: null, sign: 0 };
  if (how.pairing === 'identical' || [...ones, ...others].every(value => value === 0)) return NO_CHANGE;
  if (mean(ones) === 0) return fromNothing(ones, others, how);
  const pairs = pairsOf(base, candidate);
  const ratio = mean(others) / mean(ones) - 1;
  if (how.pairing === 'exact') return { ratio, ci95: [ratio, ratio], p: null, sign: ratio };
  if (how.pairing === 'apart' ? Math.min(ones.length, others.length) < 2 : pairs.length < 2)
    return { ratio, ci95: null, p: null, sign: ratio };
  switch (how.pairing) {
    case 'seeds':
      return pairedRatio(pairs);
    case 'interleaved':
      return interleaved(pairs);
    case 'apart':
      return apart(ones, others);
  }
}

/** Without chance in them. */
const CERTAIN: readonly Pairing[] = ['identical', 'exact'];

function verdictOf(
  { ratio, ci95, sign }: Change,
  chance: number | null,
  { better, minEffectRatio, pairing }: { better: 'lower' | 'higher' } & JudgeHow,
): Verdict {
  const moved: Verdict = sign > 0 === (better === 'lower') ? 'regressed' : 'improved';
  if (ratio === null) return chance !== null && chance < LEVEL ? moved : 'inconclusive';
  if (CERTAIN.includes(pairing))
    return Math.abs(ratio) >= minEffectRatio && ratio !== 0 ? moved : 'unchanged';
  if (ci95 === null) return 'inconclusive';
  const [low, high] = ci95;
  const isReal = (low > 0 || high < 0) && (chance ?? 1) < LEVEL;
  if (isReal && Math.abs(ratio) >= minEffectRatio) return moved;
  return low >= -minEffectRatio && high <= minEffectRatio ? 'unchanged' : 'inconclusive';
}

/** Further blocks a side until the interval, which narrows with their root, leaves 0 or fits inside the minimum effect. */
function missingOf(
  { ratio, ci95 }: Change,
  { blocks, tests, minEffectRatio }: { blocks: number; tests: number; minEffectRatio: number },
): number {
  if (ratio === null || ci95 === null) return Math.max(1, DEFAULT_BLOCKS - blocks);
  const size = Math.abs(ratio);
  const room = size >= minEffectRatio ? size : minEffectRatio - size;
  const stricter =
    size >= minEffectRatio
      ? studentBound(1 - LEVEL / tests, blocks - 1) / studentBound(1 - LEVEL, blocks - 1)
      : 1;
  const half = Math.max(ci95[1] - ratio, ratio - ci95[0]) * stricter;
  if (room === 0) return MISSING_MAX;
  return Math.min(MISSING_MAX, Math.max(1, Math.ceil(blocks * (half / room) ** 2) - blocks));
}

const meanOf = (figure: FigureBlocks): number | null => {
  const known = knownBlocks(figure);
  return known.length === 0 ? null : mean(known);
};

/**
 * Every figure that either side has, in the order of the baseline. `minEffectOf` may raise the minimum effect of a figure
 * above that of all.
 */
export function judgeFigures(
  base: readonly FigureBlocks[],
  candidate: readonly FigureBlocks[],
  how: JudgeHow & { readonly minEffectOf?: (figure: FigureBlocks) => number },
): FigureComparison[] {
  const ids = new Set(base.map(({ id }) => id));
  const changes = [...base, ...candidate.filter(({ id }) => !ids.has(id))].map(figure => {
    const nothing = { ...figure, values: [] };
    const [one, other] = [base, candidate].map(side => side.find(({ id }) => id === figure.id) ?? nothing);
    return { figure, base: one!, candidate: other!, change: changeOf(one!, other!, how) };
  });
  const tested = changes.filter(({ figure, change }) => figure.isPrimary && change.p !== null);
  const adjusted = holm(tested.map(({ change }) => change.p!));
  return changes.map(each => {
    const { figure, change } = each;
    const test = tested.indexOf(each);
    const pValue = test < 0 ? change.p : adjusted[test]!;
    const minEffectRatio = how.minEffectOf?.(each.base) ?? how.minEffectRatio;
    const verdict = verdictOf(change, pValue, { ...how, better: figure.better, minEffectRatio });
    const blocks = Math.min(knownBlocks(each.base).length, knownBlocks(each.candidate).length);
    const { values: _, ...named } = figure;
    return {
      ...named,
      baseline: meanOf(each.base),
      candidate: meanOf(each.candidate),
      changeRatio: change.ratio,
      ci95: change.ci95,
      pValue,
      minEffectRatio,
      verdict,
      blocksMissing:
        verdict === 'inconclusive' && blocks > 0
          ? missingOf(change, { blocks, tests: Math.max(1, tested.length), minEffectRatio })
          : null,
    };
  });
}

/** How live blocks of one side differ among themselves: one half against the other, as a share of their mean. */
function noiseFloor(base: FigureBlocks, pairing: 'interleaved' | 'apart'): number {
  const known = knownBlocks(base);
  // Blocks that took turns are split in turns; blocks of one run by time, since the other run was at another time.
  const isFirst = (i: number): boolean => (pairing === 'interleaved' ? i % 2 === 0 : i < known.length / 2);
  const halves = [true, false].map(first => asBlocks(known.filter((_, i) => isFirst(i) === first)));
  const middle = mean(known);
  if (halves.some(half => half.length < 2) || middle === 0) return 0;
  return Math.abs(rankSumShift(halves[0]!, halves[1]!).shift / middle);
}

/** The same of live blocks: what the baseline's own blocks differ by is no change either. */
export const judgeLive = (
  base: readonly FigureBlocks[],
  candidate: readonly FigureBlocks[],
  { pairing, minEffectRatio }: JudgeHow & { readonly pairing: 'interleaved' | 'apart' },
): FigureComparison[] =>
  judgeFigures(base, candidate, {
    pairing,
    minEffectRatio,
    minEffectOf: figure => Math.max(minEffectRatio, noiseFloor(figure, pairing)),
  });

/** The worst of the primary figures; nothing to judge is not settled. */
export function overallVerdict(figures: readonly FigureComparison[]): Verdict {
  const primary = figures.filter(({ isPrimary }) => isPrimary).map(({ verdict }) => verdict);
  if (primary.length === 0) return 'inconclusive';
  const order: readonly Verdict[] = ['regressed', 'inconclusive', 'improved', 'unchanged'];
  return order.find(verdict => primary.includes(verdict))!;
}
