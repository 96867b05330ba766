// How a sweep's figures and points read, on a page and on a terminal.
import {
  SWEEP_METRICS,
  type SweepEffect,
  type SweepFigure,
  type SweepMetric,
  type SweepPoint,
  type SweepResult,
} from '../../scenarios/formats/sweep.ts';
import { plural, showCount, showMs, showNumber, showRatio, showUsd } from '../numbers.ts';

/** Shares near 1 differ in what they lack: `99.93 %`, not `100 %`. */
function showShare(share: number): string {
  const lack = 1 - share;
  if (lack <= 0 || lack >= 0.05) return showRatio(share);
  const decimals = Math.min(4, Math.max(1, Math.ceil(-Math.log10(lack)) - 2));
  return `${Math.min(100 - 10 ** -decimals, 100 * share).toFixed(decimals)} %`;
}

/** Two digits of a spread say enough. */
const showPercent = (share: number): string => `${showNumber(Number((100 * share).toPrecision(2)))} %`;

/** A value of a metric in its unit. */
export function showFigure(metric: SweepMetric, value: number | null): string {
  if (value === null) return '–';
  switch (SWEEP_METRICS[metric].unit) {
    case 'ms':
      return showMs(value);
    case 'ratio':
      return showShare(value);
    case 'usd':
      return showUsd(value);
    case 'perSec':
      return `${showNumber(value)} /s`;
    case 'gpuHours':
      return `${showNumber(value)} GPU-h`;
  }
}

/** With half of its interval over seeds, where there is one: `412 ms ± 9.1 ms`. */
export function showWithSpread(metric: SweepMetric, [value, low, high]: SweepFigure): string {
  const shown = showFigure(metric, value);
  if (value === null || low === null || high === null || low === high) return shown;
  const half = (high - low) / 2;
  const spread = SWEEP_METRICS[metric].unit === 'ratio' ? showPercent(half) : showFigure(metric, half);
  return `${shown} ± ${spread}`;
}

export const metricLabel = (metric: SweepMetric): string => SWEEP_METRICS[metric].label;

/** `99.1 % of calls within their SLO`, `call E2E p95 of 412 ms`. */
export function metricPhrase(metric: SweepMetric, value: number | null): string {
  const { label, unit } = SWEEP_METRICS[metric];
  const shown = showFigure(metric, value);
  if (unit === 'ratio') return `${shown} of ${label}`;
  if (unit === 'ms') return `a ${label} of ${shown}`;
  return unit === 'perSec'
    ? `${showNumber(value ?? Number.NaN)} ${label}`
    : `${shown.replace(/ GPU-h$/, '').replace(/ USD$/, '')} ${label}`;
}

/** `replicas` of `pools.edge.replicas`, unless another axis ends in it. */
export function axisLabel(name: string, names: readonly string[]): string {
  const short = (path: string): string => {
    const end = path.slice(path.lastIndexOf('.') + 1);
    const isAlone = names.flatMap(each => each.split(',')).filter(each => each.endsWith(end)).length === 1;
    return isAlone ? end : path;
  };
  return name.split(',').map(short).join('/');
}

export const axisLabels = ({ axes }: SweepResult): string[] => {
  const names = axes.map(({ name }) => name);
  return names.map(name => axisLabel(name, names));
};

/** `replicas 4, routing prefix-cache`. */
export function pointName(point: SweepPoint, sweep: SweepResult): string {
  const labels = axisLabels(sweep);
  return point.values.map((value, i) => `${labels[i]} ${value}`).join(', ');
}

const DESIGNS = { grid: 'a grid over', list: 'a list over', lhs: 'a Latin hypercube over' } as const;

/** `60 points, a grid over replicas, load; 3 seeds each, 180 runs`. */
export function designText(sweep: SweepResult): string {
  const { points, design, seeds, runs, runsPlanned } = sweep;
  const repeats = seeds.length > 1 ? `${plural(seeds.length, 'seed')} each, ` : '';
  const all =
    runs < runsPlanned ? `${showCount(runs)} of ${plural(runsPlanned, 'run')}` : plural(runs, 'run');
  return `${plural(points.length, 'point')}, ${DESIGNS[design]} ${axisLabels(sweep).join(', ')}; ${repeats}${all}`;
}

export const bestPoint = ({ ranking, points }: SweepResult): SweepPoint | null =>
  points[ranking[0] ?? -1] ?? null;

/** The answer in a sentence. */
export function sweepHeadline(sweep: SweepResult): string {
  const best = bestPoint(sweep);
  if (best === null) return 'No run came to anything: every one failed';
  const { metric, cost, points, assertions } = sweep;
  const holding = points.filter(({ holdsRatio, failures }) => holdsRatio === 1 && failures.length === 0);
  const among =
    assertions > 0 && holding.length > 0 && holding.length < points.length
      ? `the ${showCount(holding.length)} of ${plural(points.length, 'point')} that hold every assertion`
      : plural(points.length, 'point');
  const spent = best.metrics[cost][0];
  const at = spent === null || cost === metric ? '' : `, at ${metricPhrase(cost, spent)}`;
  return `Best of ${among}: ${pointName(best, sweep)} has ${metricPhrase(metric, best.metrics[metric][0])}${at}`;
}

/** The cheapest point that holds all; null without assertions. */
export function holdsText(sweep: SweepResult): string | null {
  const { assertions, cheapestThatHolds, points, cost, seeds } = sweep;
  if (assertions === 0) return null;
  const every = seeds.length > 1 ? ' with every seed' : '';
  const what = assertions === 1 ? 'the assertion' : `all ${assertions} assertions`;
  const found = points[cheapestThatHolds ?? -1];
  if (found === undefined) return `no point holds ${what}${every}`;
  const holding = points.filter(
    ({ holdsRatio, failures }) => holdsRatio === 1 && failures.length === 0,
  ).length;
  return `cheapest that holds ${what}${every}: ${pointName(found, sweep)}, at ${metricPhrase(cost, found.metrics[cost][0])} (${holding} of ${plural(points.length, 'point')} do)`;
}

/** `replicas matters most: it explains 81 % of the ranks, then load 12 %`; null: too few points. */
export function effectText(sweep: SweepResult): string | null {
  const known = sweep.effects.filter(({ explainedRatio }) => explainedRatio !== null);
  const [first, ...others] = known;
  if (first === undefined) return null;
  const names = sweep.axes.map(({ name }) => name);
  const share = ({ axis, explainedRatio }: SweepEffect): string =>
    `${axisLabel(axis, names)} ${showRatio(explainedRatio)}`;
  const rest = others.length === 0 ? '' : `, ${others.slice(0, 3).map(share).join(', ')}`;
  return `${axisLabel(first.axis, names)} matters most for ${metricLabel(sweep.metric)}: it explains ${showRatio(first.explainedRatio)} of the ranks${rest}`;
}

/** Points of which something failed: how many, and why the first one did; all of it where nothing else is there to say. */
export function failureText({ points, failedRuns, ranking }: SweepResult): string | null {
  const failed = points.filter(({ failures }) => failures.length > 0);
  const [first] = failed;
  if (first === undefined) return null;
  const { message, hint } = first.failures[0]!;
  const why = ranking.length === 0 ? [message, hint ?? ''].join('\n').trim() : message.split('\n')[0]!;
  return `${plural(failedRuns, 'run')} failed, at ${plural(failed.length, 'point')}; the first: ${why}`;
}

export const capital = (text: string): string => `${text[0]!.toUpperCase()}${text.slice(1)}`;
