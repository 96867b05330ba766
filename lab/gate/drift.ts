// How a baseline has moved over its last states: small steps that each passed may add up.
import type { Drift } from '../../reports/gate/report.ts';
import { mean } from '../../scenarios/base/statistics.ts';
import type { Baseline } from '../../scenarios/formats/baseline.ts';
import type { FigureBlocks } from '../../scenarios/formats/comparison.ts';
import { stateOf } from './baselines.ts';

/** Figures shown; the primary ones that moved most. */
const SHOWN_MAX = 6;

const meanOf = ({ values }: FigureBlocks): number | null => {
  const known = values.filter(value => value !== null);
  return known.length === 0 ? null : mean(known);
};

/** How far the ends are apart, as a share of the first. */
function moved({ means }: Drift): number {
  const known = means.filter(value => value !== null);
  const [first = 0] = known;
  return first === 0 ? 0 : Math.abs(((known.at(-1) ?? first) - first) / first);
}

/** Of the primary figures: their means in each state that is kept, the oldest first, and now. None without a history. */
export function driftOf(baseline: Baseline, now: readonly FigureBlocks[]): Drift[] {
  if (baseline.history.length === 0) return [];
  const states = [...baseline.history, stateOf(baseline)];
  return now
    .filter(({ isPrimary }) => isPrimary)
    .map(figure => ({
      label: figure.label,
      unit: figure.unit,
      means: [...states.map(({ means }) => means[figure.id] ?? null), meanOf(figure)],
    }))
    .filter(drift => moved(drift) > 0)
    .sort((a, b) => moved(b) - moved(a))
    .slice(0, SHOWN_MAX);
}
