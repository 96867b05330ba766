// What comparisons of live runs find and what they invent: blocks of made-up runs that vary by 3 %, half of it chance and
// half a drift that the next block inherits, judged as `windtunnel compare` judges them.

import { PRIMARY_FIGURES } from '../../reports/compare/figures.ts';
import { DEFAULT_BLOCKS, judgeLive, MIN_EFFECT_RATIO, overallVerdict } from '../../reports/compare/judge.ts';
import { normalQuantile } from '../../scenarios/base/distributions.ts';
import { extend, type Key, seedKey, uniform } from '../../scenarios/base/key.ts';
import { asBlocks, pairedDifference, signedRankShift } from '../../scenarios/base/statistics.ts';
import type { FigureBlocks } from '../../scenarios/formats/comparison.ts';
import type { Figure } from './figure.ts';

const PAIRS = 200;
const VARIATION = 0.03;
/** Of a block's drift, what the next one inherits. */
const INHERITED = 0.7;

const normal = (key: Key): number => normalQuantile(uniform(key));

/** Relative noise of successive blocks: independent and inherited parts of equal size. */
function noise(key: Key, count: number): number[] {
  const half = VARIATION * Math.SQRT1_2;
  let drift = normal(extend(key, -1));
  return Array.from({ length: count }, (_, i) => {
    if (i > 0) drift = INHERITED * drift + Math.sqrt(1 - INHERITED ** 2) * normal(extend(key, i, 1));
    return half * (normal(extend(key, i, 2)) + drift);
  });
}

type Arrangement = 'interleaved' | 'apart';

/** Places of the baseline's blocks and of the candidate's among all, in order of time. */
function placesOf(arrangement: Arrangement): [number[], number[]] {
  const rounds = Array.from({ length: DEFAULT_BLOCKS }, (_, i) => i);
  if (arrangement === 'apart') return [rounds, rounds.map(i => i + DEFAULT_BLOCKS)];
  // A B B A
  return [rounds.map(i => 2 * i + (i % 2)), rounds.map(i => 2 * i + 1 - (i % 2))];
}

/** A pair of runs whose candidate is slower by `slowerRatio`; one in `hiccupEvery` blocks is half as slow again. */
function pairOf(
  key: Key,
  arrangement: Arrangement,
  { slowerRatio, hiccupEvery = 0 }: { slowerRatio: number; hiccupEvery?: number },
): [FigureBlocks[], FigureBlocks[]] {
  const places = placesOf(arrangement);
  const sides = places.map((own, side) =>
    PRIMARY_FIGURES.map((id, row): FigureBlocks => {
      const figureKey = extend(key, row);
      const all = noise(figureKey, 2 * DEFAULT_BLOCKS);
      const values = own.map(place => {
        const isHiccup = hiccupEvery > 0 && uniform(extend(figureKey, place, 3)) < 1 / hiccupEvery;
        return 1000 * (1 + all[place]!) * (side === 1 ? 1 + slowerRatio : 1) * (isHiccup ? 1.5 : 1);
      });
      return { id, label: id, unit: 'ms', better: 'lower', isPrimary: true, values };
    }),
  );
  return [sides[0]!, sides[1]!];
}

interface Case {
  slowerRatio: number;
  hiccupEvery?: number;
}

/** Share of pairs with a verdict that somebody would act on. */
function actedOn(name: string, arrangement: Arrangement, how: Case, pairs = PAIRS): number {
  const root = seedKey(`compare-power/${name}/${arrangement}`);
  let acted = 0;
  for (let i = 0; i < pairs; i++) {
    const [base, candidate] = pairOf(extend(root, i), arrangement, how);
    const judged = judgeLive(base, candidate, {
      pairing: arrangement,
      minEffectRatio: MIN_EFFECT_RATIO.live,
    });
    const verdict = overallVerdict(judged);
    const isActed =
      how.slowerRatio > 0 ? verdict === 'regressed' : verdict === 'regressed' || verdict === 'improved';
    if (isActed) acted += 1;
  }
  return acted / pairs;
}

type Test = (differences: number[]) => { size: number; p: number | null };

/** Of pairs of one figure that took turns and differ by 5 %, with hiccups: how often a test sees it, and how far off it is. */
function seenBy(test: Test): { ratio: number; errorRatio: number } {
  const root = seedKey('compare-power/tests');
  const how = { slowerRatio: 0.05, hiccupEvery: 20 };
  const pairs = 10 * PAIRS;
  let seen = 0;
  let squares = 0;
  for (let i = 0; i < pairs; i++) {
    const [[base], [candidate]] = pairOf(extend(root, i), 'interleaved', how);
    const { size, p } = test(base!.values.map((value, row) => (candidate!.values[row]! - value!) / 1000));
    if ((p ?? 1) < 0.05) seen += 1;
    squares += (size - how.slowerRatio) ** 2;
  }
  return { ratio: seen / pairs, errorRatio: Math.sqrt(squares / pairs) };
}

export function comparePower(): Figure {
  const percent = (ratio: number): string => `${(100 * ratio).toFixed(1)} %`;
  const alarms = actedOn('same', 'interleaved', { slowerRatio: 0 });
  const alarmsApart = actedOn('same', 'apart', { slowerRatio: 0 });
  const found = actedOn('slower', 'interleaved', { slowerRatio: 0.1 });
  const foundApart = actedOn('slower', 'apart', { slowerRatio: 0.1 });
  const foundRough = actedOn('rough', 'interleaved', { slowerRatio: 0.1, hiccupEvery: 20 });
  const ranks = seenBy(differences => {
    const { shift, p } = signedRankShift(asBlocks(differences));
    return { size: shift, p };
  });
  const student = seenBy(differences => {
    const { mean, p } = pairedDifference(differences);
    return { size: mean, p };
  });
  return {
    value: 100 * alarms,
    unit: '% A/A alarms',
    detail:
      `${PAIRS} pairs of ${DEFAULT_BLOCKS} blocks that vary by 3 %: in turns ${percent(alarms)} of equal runs alarm and ${percent(found)} of ` +
      `10 % regressions are found (${percent(foundRough)} where one block in 20 is half as slow again); one run after the other ` +
      `${percent(alarmsApart)} and ${percent(foundApart)}; a 5 % with such blocks: signed ranks see ${percent(ranks.ratio)}, off by ` +
      `${percent(ranks.errorRatio)}, Student's test ${percent(student.ratio)}, off by ${percent(student.errorRatio)}`,
  };
}
