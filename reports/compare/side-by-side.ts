// Runs on one page that nobody compared: what can be said of their summaries alone. Live runs have slices of time;
// simulations are one draw each, so that their differences are sizes without an interval.
import {
  COMPARISON_SCHEMA_VERSION,
  type ComparisonResult,
  type FigureBlocks,
} from '../../scenarios/formats/comparison.ts';
import type { RunResult } from '../../scenarios/formats/result.ts';
import { figuresOfBlocks, figuresOver } from './figures.ts';
import { judgeFigures, judgeLive, MIN_EFFECT_RATIO, overallVerdict } from './judge.ts';
import { headlineOf } from './words.ts';

/** `names` are of the runs; all are held against the first. null: there is one run only. */
export function sideBySide(runs: readonly RunResult[], names: readonly string[]): ComparisonResult | null {
  const [base, ...others] = runs;
  if (base === undefined || others.length === 0) return null;
  const comparisons = others.map((run, i) => {
    const name = names[i + 1]!;
    const isLive = base.header.world === 'live' && run.header.world === 'live';
    const [ones, theirs] = [base, run].map(each => (isLive ? figuresOfBlocks(each) : null));
    const sides: [readonly FigureBlocks[], readonly FigureBlocks[]] =
      ones && theirs ? [ones, theirs] : [figuresOver([base]), figuresOver([run])];
    const isSame = base.digest === run.digest && base.cost?.totalUsd === run.cost?.totalUsd;
    const pairing: 'identical' | 'apart' = isSame ? 'identical' : 'apart';
    const minEffectRatio = MIN_EFFECT_RATIO[isLive ? 'live' : 'sim'];
    const figures =
      pairing === 'apart'
        ? judgeLive(...sides, { pairing, minEffectRatio })
        : judgeFigures(...sides, { pairing, minEffectRatio });
    const blocks = Math.max(1, ...sides[0].map(({ values }) => values.length));
    return {
      name,
      pairing,
      blocks,
      figures,
      verdict: overallVerdict(figures),
      headline: headlineOf({ name, pairing, figures }, names[0]!),
      firstDifference: null,
      explained: null,
      warnings: [],
    };
  });
  return {
    schemaVersion: COMPARISON_SCHEMA_VERSION,
    kind: 'comparison',
    baselineName: names[0]!,
    runs,
    comparisons,
    gate: null,
  };
}
