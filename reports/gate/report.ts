// What a gate has to say, whoever it says it to: the formats beside this file render it. Pure.
import type { GateCheck } from '../../scenarios/formats/comparison.ts';
import { showNumber, showRatio, showSignedRatio, showUsd, showValue } from '../numbers.ts';

export interface GateReport {
  /** The baseline's, or the scenario's where nothing was compared. */
  readonly name: string;
  /** `deep-research @ 2xh100, simulated`. */
  readonly what: string;
  readonly status: 'pass' | 'fail' | 'inconclusive';
  /** One sentence: the answer. */
  readonly headline: string;
  readonly checks: readonly GateCheck[];
  /** Means of the primary figures over the last baselines, the oldest first, and now. */
  readonly drift: readonly Drift[];
  readonly warnings: readonly string[];
  /** The command that did it. */
  readonly command: string;
  readonly toolVersion: string;
  readonly seed: number | string | null;
  readonly digest: string | null;
}

export interface Drift {
  readonly label: string;
  readonly unit: string;
  readonly means: readonly (number | null)[];
}

export const MARKS = { pass: '✓', fail: '✗', inconclusive: '?', info: '·' } as const;

/** A value of a check in its unit. */
export function shownValue(value: number | null, unit: string): string {
  if (value === null) return '–';
  if (unit === 'usd') return showUsd(value);
  if (unit === 'ms' || unit === 'ratio' || unit === 'count' || unit === 'perSec' || unit === 'tokensPerSec')
    return showValue(value, unit);
  return `${showNumber(value)}${unit === '' ? '' : ` ${unit}`}`;
}

/** `+12 % [+9 %, +15 %]`. */
export function changeText({ changeRatio, ci95 }: Pick<GateCheck, 'changeRatio' | 'ci95'>): string {
  if (changeRatio === null) return '–';
  if (changeRatio === 0 && (ci95 === null || (ci95[0] === 0 && ci95[1] === 0))) return 'equal';
  const range = ci95 === null ? '' : ` [${ci95.map(showSignedRatio).join(', ')}]`;
  return `${showSignedRatio(changeRatio)}${range}`;
}

const BLOCKS = '▁▂▃▄▅▆▇█';

/** A line of blocks, the lowest value lowest; gaps where there is none. */
export function sparkline(values: readonly (number | null)[]): string {
  const known = values.filter(value => value !== null);
  const low = Math.min(...known);
  const span = Math.max(...known) - low;
  return values
    .map(value => {
      if (value === null) return ' ';
      if (span === 0) return BLOCKS[3];
      return BLOCKS[Math.min(BLOCKS.length - 1, Math.floor(((value - low) / span) * BLOCKS.length))];
    })
    .join('');
}

/** From the oldest baseline that is kept to now. */
export function driftText({ label, unit, means }: Drift): string {
  const known = means.filter(value => value !== null);
  const [first] = known;
  const last = known.at(-1);
  if (first === undefined || last === undefined) return `${label}: no values`;
  const moved = first === 0 ? '' : ` (${showSignedRatio((last - first) / first)} over ${known.length})`;
  return `${sparkline(means)} ${label} ${shownValue(last, unit)}${moved}`;
}

/** `2 of 14 checks failed`. */
export function countText(checks: readonly GateCheck[]): string {
  const judged = checks.filter(({ status }) => status !== 'info');
  const failed = judged.filter(({ status }) => status === 'fail').length;
  const open = judged.filter(({ status }) => status === 'inconclusive').length;
  if (judged.length === 0) return 'nothing was judged';
  const rest = open === 0 ? '' : `, ${open} inconclusive`;
  return failed === 0 && open === 0
    ? `all ${judged.length} checks pass`
    : `${failed} of ${judged.length} checks failed${rest}`;
}

/** The share of judged checks that pass, for who wants one number. */
export const passShare = (checks: readonly GateCheck[]): string => {
  const judged = checks.filter(({ status }) => status !== 'info');
  return showRatio(judged.filter(({ status }) => status === 'pass').length / Math.max(1, judged.length));
};
