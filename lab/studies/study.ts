// What a study is: a claim of the field, the simulations that can tell, and a judgement of each part of the claim with its
// figure. One file a study, a line in index.ts.
import type { ChartSpec } from '../../reports/charts/chart.ts';
import { mean, pairedDifference } from '../../scenarios/base/statistics.ts';
import type { FigureName, RunFigures } from '../../scenarios/formats/grid.ts';
import type { CaseResult, GridCase } from '../grid/case.ts';

/** How thoroughly: quick for a look and for tests, whole for the page. */
export interface Scale {
  readonly isQuick: boolean;
}

/** A case, and where it stands among the others: whatever the study varies. */
export interface StudyCase<At> {
  readonly at: At;
  readonly of: GridCase;
}

export interface StudyRun<At> extends CaseResult {
  readonly at: At;
}

export type Verdict = 'confirmed' | 'partly' | 'contradicted';

export interface Claim {
  /** What is claimed, as a sentence. */
  readonly text: string;
  readonly verdict: Verdict;
  /** What we found, with its interval where it has one. */
  readonly figure: string;
}

export interface StudyTable {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export interface StudyChart {
  /** File name. */
  readonly id: string;
  /** The finding, one sentence with its numbers. */
  readonly title: string;
  readonly spec: ChartSpec;
}

export interface Findings {
  readonly claims: readonly Claim[];
  readonly tables: readonly StudyTable[];
  readonly charts: readonly StudyChart[];
  /** What this does not show. */
  readonly limits: readonly string[];
}

export interface Study<At = unknown> {
  readonly name: string;
  /** The claim as it is told, and who tells it. */
  readonly question: string;
  /** What is run to find out, in a few sentences. */
  readonly method: string;
  cases(scale: Scale): StudyCase<At>[];
  /** Of runs in the order of their cases. */
  judge(runs: readonly StudyRun<At>[]): Findings;
}

export const defineStudy = <At>(study: Study<At>): Study<At> => study;

/** A figure over the runs of several seeds: its mean, and half its 95 % interval; null where a run has none. */
export function overSeeds(
  runs: readonly RunFigures[],
  name: FigureName,
): { mean: number; half: number | null } | null {
  const values = runs.flatMap(run => run[name] ?? []);
  if (values.length === 0 || values.length < runs.length) return null;
  const { ci95 } = pairedDifference(values);
  return { mean: mean(values), half: ci95 === null ? null : (ci95[1] - ci95[0]) / 2 };
}

/** How much more of a figure than the runs of the same seeds beside it, relative to their mean; null where one has none. */
export function changeOf(
  runs: readonly RunFigures[],
  beside: readonly RunFigures[],
  name: FigureName,
): { mean: number; ci95: [number, number] | null } | null {
  const own = overSeeds(runs, name);
  const base = overSeeds(beside, name);
  if (own === null || base === null || base.mean === 0) return null;
  const { mean: middle, ci95 } = pairedDifference(runs.map((run, seed) => run[name]! - beside[seed]![name]!));
  return {
    mean: middle / base.mean,
    ci95: ci95 === null ? null : [ci95[0] / base.mean, ci95[1] / base.mean],
  };
}
