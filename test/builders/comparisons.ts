// Figures over blocks, and comparisons of them.
import { judgeFigures, overallVerdict } from '../../reports/compare/judge.ts';
import { headlineOf } from '../../reports/compare/words.ts';
import type {
  ComparisonResult,
  FigureBlocks,
  Pairing,
  RunComparison,
} from '../../scenarios/formats/comparison.ts';
import type { RunResult } from '../../scenarios/formats/result.ts';

/** `workflow p95`, which decides; lower is better. */
export const aFigure = (
  values: readonly (number | null)[],
  fields: Partial<FigureBlocks> = {},
): FigureBlocks => ({
  id: 'makespan.p95',
  label: 'workflow p95',
  unit: 'ms',
  better: 'lower',
  isPrimary: true,
  values,
  ...fields,
});

/** A candidate named `b` against `a`. */
export function aComparison(
  base: readonly FigureBlocks[],
  candidate: readonly FigureBlocks[],
  { pairing = 'seeds', name = 'b', ...rest }: { pairing?: Pairing } & Partial<RunComparison> = {},
): RunComparison {
  const figures = judgeFigures(base, candidate, { pairing, minEffectRatio: 0.01 });
  return {
    name,
    pairing,
    blocks: base[0]?.values.length ?? 0,
    figures,
    verdict: overallVerdict(figures),
    headline: headlineOf({ name, pairing, figures }, 'a'),
    firstDifference: null,
    explained: null,
    warnings: [],
    ...rest,
  };
}

export const aComparisonResult = (
  comparisons: readonly RunComparison[],
  runs: readonly RunResult[] = [],
): ComparisonResult => ({
  schemaVersion: 1,
  kind: 'comparison',
  baselineName: 'a',
  runs,
  comparisons,
  gate: null,
});
