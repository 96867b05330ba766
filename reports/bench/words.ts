// How a policy bench's figures and differences read, on a page and on a terminal.
import type { RunFigures } from '../../scenarios/formats/grid.ts';
import {
  atKnee,
  type ComparedFigure,
  type PolicyBenchResult,
  type PolicyCurve,
  type PolicyPoint,
} from '../../scenarios/formats/policy-bench.ts';
import { plural, showMs, showNumber, showRatio, showSignedRatio } from '../numbers.ts';

/** A difference relative to the baseline, with half its interval and a star where it is real: `−12 % ±3 *`. */
export function showDifference(
  { mean, difference }: PolicyPoint,
  name: ComparedFigure,
  { isRelative = true }: { isRelative?: boolean } = {},
): string {
  const found = difference?.[name];
  const own = mean[name];
  if (found === undefined || own === null) return '';
  const base = isRelative ? own - found.mean : 1;
  if (base === 0) return found.mean === 0 ? '0 %' : '';
  const half = found.ci95 === null ? null : (found.ci95[1] - found.ci95[0]) / 2 / base;
  const spread = half === null ? '' : ` ±${showRatio(half).replace(' %', '')}`;
  return `${showSignedRatio(found.mean / base)}${spread}${found.isReal ? ' *' : ''}`;
}

/** USD of a thousand good calls. */
export const usdPerThousandGood = ({ usd, goodCalls }: RunFigures): number | null =>
  usd === null || goodCalls === 0 ? null : (usd / goodCalls) * 1000;

export interface BenchColumn {
  name: string;
  cell(curve: PolicyCurve, bench: PolicyBenchResult): string;
}

const of = (figure: (mean: RunFigures) => string) => (curve: PolicyCurve, bench: PolicyBenchResult) =>
  figure(atKnee(curve, bench).mean);
const change = (name: ComparedFigure) => (curve: PolicyCurve, bench: PolicyBenchResult) =>
  showDifference(atKnee(curve, bench), name);

/** What a planner wants to know of each policy, the answer first. */
export const BENCH_COLUMNS: readonly BenchColumn[] = [
  {
    name: 'policy',
    cell: ({ policy }, { baseline }) => (policy === baseline ? `${policy} (baseline)` : policy),
  },
  {
    name: 'holds to',
    cell: ({ holdsToRatio }) => (holdsToRatio === null ? 'never' : showRatio(holdsToRatio)),
  },
  { name: 'good /s', cell: of(mean => showNumber(mean.goodputPerSec)) },
  { name: 'change', cell: change('goodputPerSec') },
  { name: 'workflow p50', cell: of(mean => showMs(mean.makespanMsP50)) },
  { name: 'p95', cell: of(mean => showMs(mean.makespanMsP95)) },
  { name: 'change', cell: change('makespanMsP95') },
  { name: 'TTFT p95', cell: of(mean => showMs(mean.ttftMsP95)) },
  { name: 'change', cell: change('ttftMsP95') },
  { name: 'hits', cell: of(mean => showRatio(mean.hitRatio)) },
  { name: 'waste', cell: of(mean => showRatio(mean.wasteRatio)) },
  { name: 'USD/1000', cell: of(mean => showNumber(usdPerThousandGood(mean) ?? Number.NaN)) },
  { name: 'Jain', cell: of(mean => (mean.fairnessRatio === null ? '–' : mean.fairnessRatio.toFixed(3))) },
];

/** The answer in a sentence. */
export function benchHeadline(bench: PolicyBenchResult): string {
  const { curves, baseline, slo, capacity } = bench;
  const best = curves[0]!;
  const base = curves.find(({ policy }) => policy === baseline)!;
  const target = `${showRatio(slo.targetRatio)} of calls good`;
  if (best.holdsToRatio === null) return `No policy keeps ${target} at any of these loads`;
  const rate = (ratio: number): string => `${showNumber(ratio * capacity.callsPerSec)} calls/s`;
  const holds = `${best.policy} keeps ${target} up to ${rate(best.holdsToRatio)}`;
  if (best === base) return `${holds}, and no other policy keeps it further`;
  if (base.holdsToRatio === null) return `${holds}; ${baseline} never does`;
  return `${holds}, ${baseline} up to ${rate(base.holdsToRatio)}`;
}

/** What the table shows and how it was made, for the lines under it. */
export function benchNotes(bench: PolicyBenchResult): string[] {
  const { kneeRatio, isKneeKept, capacity, slo, baseline, seeds, runs, callsMin, curves } = bench;
  const where = isKneeKept
    ? `the highest load at which a policy keeps ${showRatio(slo.targetRatio)} of calls good`
    : 'the lowest load, since no policy keeps the target';
  const tests = Math.max(0, curves.length - 1);
  return [
    `at ${showRatio(kneeRatio)} of capacity (${showNumber(kneeRatio * capacity.callsPerSec)} calls/s offered), ${where}; the other loads are in result.json and curves.csv`,
    `good: ended well, with ${slo.text}; holds to: load over capacity up to which ${showRatio(slo.targetRatio)} are`,
    `capacity: ${showNumber(capacity.callsPerSec)} calls/s, at which the throughput of ${baseline} saturates (${showNumber(capacity.loadFactor)} times the scenario's load)`,
    `change: against ${baseline}, paired by seed, ± half the 95 % interval; * real at 5 % after Holm's correction for ${tests} policies`,
    `hits: prompt tokens cached; waste: tokens computed again or for calls that failed; USD/1000: of a thousand good calls; Jain: (sum x)² / (n sum x²) of the tenants' shares x of good calls`,
    `${plural(runs, 'run')}: ${plural(seeds.length, 'seed')}, ${callsMin} calls or more each`,
  ];
}
