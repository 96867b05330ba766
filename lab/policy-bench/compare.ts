// The runs of a bench as curves: means over seeds, differences to the baseline paired by seed, and the knee.
import { holm, mean, pairedDifference } from '../../scenarios/base/statistics.ts';
import type { FigureName, RunFigures } from '../../scenarios/formats/grid.ts';
import {
  COMPARED,
  type ComparedFigure,
  type FigureDifference,
  type PolicyCurve,
  type PolicyPoint,
} from '../../scenarios/formats/policy-bench.ts';

/** One policy's runs: a row for each load, in it a run for each seed. */
export interface PolicyRuns {
  policy: string;
  doc: string;
  options: Record<string, unknown>;
  figures: RunFigures[][];
}

/** A difference counts as real below this chance of one as large where there is none. */
const LEVEL = 0.05;

/** Means of every figure; null where a run has none. */
function meanFigures(runs: readonly RunFigures[]): RunFigures {
  const names = Object.keys(runs[0]!) as FigureName[];
  const means = names.map(name => {
    const values = runs.map(run => run[name]);
    return [name, values.includes(null) ? null : mean(values as number[])];
  });
  return Object.fromEntries(means) as RunFigures;
}

/** Of pairs that both have the figure; null of none. */
function differenceOf(own: readonly RunFigures[], base: readonly RunFigures[], name: ComparedFigure) {
  const pairs = own.flatMap((run, seed) => {
    const mine = run[name];
    const theirs = base[seed]![name];
    return mine === null || theirs === null ? [] : [mine - theirs];
  });
  return pairs.length === 0 ? null : pairedDifference(pairs);
}

/** Differences of every policy at one load, each figure's p values adjusted over the policies. */
function differencesAt(runs: readonly PolicyRuns[], base: PolicyRuns, load: number) {
  const byPolicy = runs.map((): Partial<Record<ComparedFigure, FigureDifference>> => ({}));
  for (const name of COMPARED) {
    const tested = runs.flatMap((each, row) => {
      const found = each === base ? null : differenceOf(each.figures[load]!, base.figures[load]!, name);
      return found === null ? [] : [{ row, ...found }];
    });
    const adjusted = holm(tested.map(({ p }) => p ?? 1));
    for (const [i, { row, mean: middle, ci95, p }] of tested.entries()) {
      const chance = p === null ? null : adjusted[i]!;
      byPolicy[row]![name] = { mean: middle, ci95, p: chance, isReal: chance !== null && chance < LEVEL };
    }
  }
  return byPolicy;
}

/** The load at which a falling share crosses the target, by a line between loads; null when it begins below. */
export function crossing(
  points: readonly { loadRatio: number; share: number | null }[],
  target: number,
): number | null {
  let last: { loadRatio: number; share: number } | null = null;
  for (const { loadRatio, share } of points) {
    if (share === null) break;
    if (share < target) {
      if (last === null) return null;
      const way = (last.share - target) / (last.share - share);
      return last.loadRatio + way * (loadRatio - last.loadRatio);
    }
    last = { loadRatio, share };
  }
  return last?.loadRatio ?? null;
}

/** Best first: who keeps the target furthest; of equals, who has more goodput, then the shorter workflows, at the knee. */
export function compare(
  runs: readonly PolicyRuns[],
  { baseline, loadRatios, targetRatio }: { baseline: string; loadRatios: number[]; targetRatio: number },
): { curves: PolicyCurve[]; kneeRatio: number; isKneeKept: boolean } {
  const base = runs.find(({ policy }) => policy === baseline) as PolicyRuns;
  const differences = loadRatios.map((_, load) => differencesAt(runs, base, load));
  const curves = runs.map((each, row): PolicyCurve => {
    const points = loadRatios.map(
      (loadRatio, load): PolicyPoint => ({
        loadRatio,
        mean: meanFigures(each.figures[load]!),
        difference: each === base ? null : differences[load]![row]!,
      }),
    );
    const { policy, doc, options } = each;
    const shares = points.map(({ loadRatio, mean: { sloRatio } }) => ({ loadRatio, share: sloRatio }));
    return { policy, doc, options, holdsToRatio: crossing(shares, targetRatio), points };
  });
  const kept = loadRatios.filter((_, load) =>
    curves.some(({ points }) => (points[load]!.mean.sloRatio ?? 0) >= targetRatio),
  );
  const kneeRatio = kept.at(-1) ?? loadRatios[0]!;
  const knee = loadRatios.indexOf(kneeRatio);
  const better = (a: PolicyCurve, b: PolicyCurve): number => {
    const [mine, theirs] = [a.points[knee]!.mean, b.points[knee]!.mean];
    return (
      (b.holdsToRatio ?? 0) - (a.holdsToRatio ?? 0) ||
      theirs.goodputPerSec - mine.goodputPerSec ||
      (mine.makespanMsP95 ?? 0) - (theirs.makespanMsP95 ?? 0) ||
      (a.policy < b.policy ? -1 : 1)
    );
  };
  return { curves: curves.toSorted(better), kneeRatio, isKneeKept: kept.length > 0 };
}
