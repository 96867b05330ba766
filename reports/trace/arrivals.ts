// Sessions and calls that arrive, over the time of the trace.
import type { TraceProfile } from '../../scenarios/formats/trace-profile.ts';
import { type Chart, chartSpec, clockLabel, PALETTE, topLegend } from '../charts/chart.ts';
import { arrivalFinding, sentence } from './findings.ts';

const SERIES = [
  { name: 'calls', colour: PALETTE.sky },
  { name: 'sessions', colour: PALETTE.blue },
] as const;

/** Round steps of a clock, from a second to a week. */
const STEPS_MS = [
  ...[1, 2, 5, 10, 20, 30].map(seconds => seconds * 1000),
  ...[1, 2, 5, 10, 20, 30].map(minutes => minutes * 60_000),
  ...[1, 2, 6, 12, 24, 48, 168].map(hours => hours * 3_600_000),
];
const TICKS_MAX = 7;

/** Round instants up to `endMs`. */
function ticksOf(endMs: number): number[] {
  const step = STEPS_MS.find(each => endMs / each <= TICKS_MAX) ?? endMs / TICKS_MAX;
  return Array.from({ length: Math.floor(endMs / step) + 1 }, (_, tick) => tick * step);
}

/** Rates per bin; the last bin is seldom whole and left out where there are others. */
function ratesOf({ arrivals }: TraceProfile) {
  if (arrivals === null) return [];
  const { binMs, sessionBins, callBins } = arrivals;
  const bins = sessionBins.length > 3 ? sessionBins.length - 1 : sessionBins.length;
  return Array.from({ length: bins }, (_, bin) => ({
    atMs: bin * binMs,
    endMs: (bin + 1) * binMs,
    sessions: ((sessionBins[bin] ?? 0) * 1000) / binMs,
    calls: ((callBins[bin] ?? 0) * 1000) / binMs,
  }));
}

export const arrivals: Chart<TraceProfile> = {
  id: 'arrivals',
  title: profile => sentence(arrivalFinding(profile)),
  howToRead:
    'Arrivals per second in equal bins of time. A session counts when its first call arrives; the calls of all sessions ' +
    'lie behind it. Sessions of single calls have one curve. The CV of the times between arrivals is 1 for a Poisson ' +
    'process: above it they come in bursts, which queues feel long before the mean rate does.',
  spec(profile) {
    const rates = ratesOf(profile);
    if (profile.arrivals === null)
      return {
        absent: 'the sessions have no common clock: a run starts them as its --concurrent or arrival says',
      };
    if (rates.length < 2) return { absent: 'everything arrives within a second' };
    const series = profile.calls === profile.sessions ? SERIES.slice(1) : SERIES;
    const points = series.flatMap(({ name }) => [
      ...rates.map(rate => ({ name, atMs: rate.atMs, perSec: rate[name] })),
      { name, atMs: rates.at(-1)!.endMs, perSec: rates.at(-1)![name] },
    ]);
    return chartSpec(
      { points },
      {
        height: 220,
        data: { name: 'points' },
        mark: { type: 'area', line: { strokeWidth: 1.5 }, opacity: 0.35, interpolate: 'step-after' },
        encoding: {
          x: {
            field: 'atMs',
            type: 'quantitative',
            title: null,
            scale: { nice: false },
            axis: {
              labelExpr: clockLabel,
              grid: false,
              values: ticksOf(rates.at(-1)!.endMs),
              labelOverlap: 'greedy',
            },
          },
          y: {
            field: 'perSec',
            type: 'quantitative',
            stack: null,
            title: 'per second',
            axis: { tickCount: 4 },
          },
          color: {
            field: 'name',
            type: 'nominal',
            scale: { domain: series.map(({ name }) => name), range: series.map(({ colour }) => colour) },
            legend: series.length > 1 ? topLegend({ symbolOpacity: 1 }) : null,
          },
        },
      },
    );
  },
  table: profile => ({
    columns: ['from (s)', 'to (s)', 'sessions (per s)', 'calls (per s)'],
    rows: ratesOf(profile).map(({ atMs, endMs, sessions, calls }) => [
      atMs / 1000,
      endMs / 1000,
      sessions,
      calls,
    ]),
  }),
};
