// Whether a build may go on: promises of the scenario and figures against a baseline, one check each. Pure.

import type {
  FigureComparison,
  GateCheck,
  GateResult,
  RunComparison,
} from '../../scenarios/formats/comparison.ts';
import type { AssertionResult } from '../../scenarios/formats/result.ts';
import { betterOf } from '../assertions.ts';
import { showRatio, showSignedRatio, showValue } from '../numbers.ts';
import { changeText, shownValue } from './report.ts';

const NOTHING = { value: null, baseline: null, changeRatio: null, ci95: null } as const;

/** A promise that the scenario makes. One that judges nothing is no proof that it holds. */
export function assertionCheck({ text, value, unit, target, pass, at }: AssertionResult): GateCheck {
  return {
    ...NOTHING,
    name: `assert ${text}`,
    status: pass === null ? 'inconclusive' : pass ? 'pass' : 'fail',
    text:
      value === null
        ? `${text}: no such call ran, so there is nothing to judge`
        : `${text} came out at ${showValue(value, unit)}`,
    value,
    baseline: target,
    unit,
    better: betterOf({ text }) ?? 'higher',
    at: at ?? null,
  };
}

const STATUS = {
  improved: 'pass',
  unchanged: 'pass',
  regressed: 'fail',
  inconclusive: 'inconclusive',
} as const;

/** A figure against the baseline; only primary ones decide. */
export function figureCheck(figure: FigureComparison): GateCheck {
  const { id, label, unit, better, isPrimary, baseline, candidate, changeRatio, ci95, verdict } = figure;
  const missing =
    figure.blocksMissing === null ? '' : `; ${figure.blocksMissing} more blocks a side would settle it`;
  const from = `${shownValue(baseline, unit)} to ${shownValue(candidate, unit)}`;
  return {
    name: id,
    status: isPrimary ? STATUS[verdict] : 'info',
    text: `${label} ${verdict}: ${changeText(figure)}, ${from}${verdict === 'inconclusive' ? missing : ''}`,
    value: candidate,
    baseline,
    unit,
    better,
    changeRatio,
    ci95,
    at: null,
  };
}

/** What the work asks for before it runs: exact, so that any rise beyond what is allowed is one. */
export function shapeCheck(
  figure: Pick<FigureComparison, 'id' | 'label' | 'unit' | 'better'>,
  { baseline, value }: { baseline: number | null; value: number | null },
  allowedRatio: number,
): GateCheck {
  const { id, label, unit, better } = figure;
  const common = { name: id, value, baseline, unit, better, ci95: null, at: null };
  if (baseline === null || value === null) {
    const what = baseline === null ? 'is not in the baseline' : 'is not there any more';
    return { ...common, status: 'info', changeRatio: null, text: `${label} ${what}` };
  }
  const changeRatio = baseline === 0 ? (value === 0 ? 0 : null) : (value - baseline) / baseline;
  const worse = better === 'lower' ? value - baseline : baseline - value;
  const isWorse = worse > Math.abs(baseline) * allowedRatio;
  const moved = value === baseline ? 'as before' : `was ${shownValue(baseline, unit)}`;
  const by =
    changeRatio === null || changeRatio === 0
      ? ''
      : ` (${showSignedRatio(changeRatio)}${allowedRatio === 0 ? '' : `, allowed ${showRatio(allowedRatio)}`})`;
  return {
    ...common,
    status: isWorse ? 'fail' : 'pass',
    changeRatio,
    text: `${label} ${shownValue(value, unit)}, ${moved}${by}`,
  };
}

/** Worst first; `strict`: what is not settled does not pass. */
export function gateOf(
  checks: readonly GateCheck[],
  { strict = false } = {},
): GateResult & { status: GateStatus } {
  const order: Record<GateCheck['status'], number> = { fail: 0, inconclusive: 1, pass: 2, info: 3 };
  const sorted = checks.toSorted((a, b) => order[a.status] - order[b.status]);
  const has = (status: GateCheck['status']): boolean => checks.some(check => check.status === status);
  const status = has('fail') ? 'fail' : has('inconclusive') ? 'inconclusive' : 'pass';
  return { pass: status === 'pass' || (status === 'inconclusive' && !strict), status, checks: sorted };
}

export type GateStatus = 'pass' | 'fail' | 'inconclusive';

/** The checks of one comparison and of the candidate's own promises. */
export const comparisonChecks = (
  { figures }: Pick<RunComparison, 'figures'>,
  assertions: readonly AssertionResult[],
): GateCheck[] => [...assertions.map(each => assertionCheck(each)), ...figures.map(figureCheck)];
