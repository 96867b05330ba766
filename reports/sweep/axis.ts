// The axis of a metric in a chart: its title, scale and labels.
import { SWEEP_METRICS, type SweepMetric } from '../../scenarios/formats/sweep.ts';
import { logTicks, msAxis, msLabel } from '../charts/chart.ts';
import type { LineAxis } from '../charts/lines.ts';
import { isWide } from './space.ts';

interface MetricAxis extends LineAxis {
  readonly scale: object;
  readonly axis: object;
  readonly domain: readonly [number, number];
  /** Where a value stands, 0 to 1. */
  readonly shareOf: (value: number) => number;
}

/** Logarithmic where latencies or costs differ by more than ten times; shares end at 0 and 1. */
export function metricAxis(metric: SweepMetric, values: readonly number[]): MetricAxis {
  const { label: title, unit } = SWEEP_METRICS[metric];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const isLog = unit !== 'ratio' && values.length > 0 && isWide(values);
  const room = (high - low) * 0.06 || 0.01;
  const domain: [number, number] = isLog
    ? [low / 1.15, high * 1.15]
    : unit === 'ratio'
      ? [Math.max(0, low - room), Math.min(1, high + room)]
      : [Math.max(0, low - room), high + room];
  const scale = { ...(isLog ? { type: 'log' } : { zero: false }), domain, nice: false };
  const ticks = isLog ? { values: logTicks(domain), labelOverlap: 'greedy' } : {};
  const frame = { title, scale, domain, shareOf: (value: number): number => shareOf(value, domain, isLog) };
  switch (unit) {
    case 'ms':
      return { ...frame, axis: msAxis(ticks), label: msLabel };
    case 'ratio':
      return { ...frame, axis: { format: '~%' }, format: '.2%' };
    default:
      return { ...frame, axis: { format: ',.3~r', ...ticks }, format: ',.3~r' };
  }
}

function shareOf(value: number, [low, high]: readonly [number, number], isLog: boolean): number {
  const at = (each: number): number => (isLog ? Math.log10(each) : each);
  return (at(value) - at(low)) / (at(high) - at(low));
}
