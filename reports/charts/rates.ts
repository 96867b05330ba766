// What comes, what is done and what goes wrong over the time of the run: the panels under the cluster's.
import type { RatePoint, RunResult } from '../../scenarios/formats/result.ts';
import { plural, showMs, showNumber, showRatio } from '../numbers.ts';
import { type Chart, chartSpec, PALETTE, topLegend } from './chart.ts';
import { cursor, panel, panelAxis, saturationRows, shaded, stacked, timeX } from './panels.ts';

type Rate = Exclude<keyof RatePoint, 'atMs'>;

/** A line of a panel. */
interface Series {
  rate: Rate;
  name: string;
  colour: string;
}

const PANELS: readonly { title: string; format: string; series: readonly Series[] }[] = [
  {
    title: 'Calls per s',
    format: '~s',
    series: [
      { rate: 'callsWantedPerSec', name: 'calls wanted', colour: PALETTE.orange },
      { rate: 'callsDonePerSec', name: 'calls done', colour: PALETTE.blue },
    ],
  },
  {
    title: 'Sessions started per s',
    format: '~s',
    series: [{ rate: 'sessionsPerSec', name: 'sessions started', colour: PALETTE.purple }],
  },
  {
    title: 'Prompt tokens computed per s',
    format: '~s',
    series: [{ rate: 'prefillTokensPerSec', name: 'prefill', colour: PALETTE.sky }],
  },
  {
    title: 'Output tokens per s',
    format: '~s',
    series: [{ rate: 'decodeTokensPerSec', name: 'decode', colour: PALETTE.green }],
  },
  {
    title: 'Prompt tokens found in the cache',
    format: '~%',
    series: [{ rate: 'cacheHitRatio', name: 'cache hits', colour: PALETTE.grey }],
  },
  {
    title: 'Trouble per s',
    format: '~s',
    series: [
      { rate: 'preemptionsPerSec', name: 'preemptions', colour: PALETTE.yellow },
      { rate: 'errorsPerSec', name: 'errors', colour: PALETTE.vermilion },
      { rate: 'retriesPerSec', name: 'retries', colour: PALETTE.purple },
    ],
  },
];

/** Rates under one a second in full, others as `1.5k`. */
const RATE_LABEL = "abs(datum.value) < 1 ? format(datum.value, '.2~g') : format(datum.value, '~s')";

const heightOf = (rates: readonly RatePoint[], rate: Rate): number =>
  rates.reduce((most, point) => Math.max(most, point[rate] ?? 0), 0);

/** Slices joined by `step`: rates are per second, so their mean is the rate of the longer slice. */
export function joinedRates(rates: readonly RatePoint[], step: number): RatePoint[] {
  const merged: RatePoint[] = [];
  for (let from = 0; from < rates.length; from += step) {
    const slices = rates.slice(from, from + step);
    const meanOf = (rateOf: (point: RatePoint) => number): number =>
      slices.reduce((sum, point) => sum + rateOf(point), 0) / slices.length;
    const hits = slices.filter(({ cacheHitRatio }) => cacheHitRatio !== null);
    merged.push({
      atMs: slices[0]!.atMs,
      sessionsPerSec: meanOf(point => point.sessionsPerSec),
      callsWantedPerSec: meanOf(point => point.callsWantedPerSec),
      callsDonePerSec: meanOf(point => point.callsDonePerSec),
      prefillTokensPerSec: meanOf(point => point.prefillTokensPerSec),
      decodeTokensPerSec: meanOf(point => point.decodeTokensPerSec),
      cacheHitRatio:
        hits.length === 0
          ? null
          : hits.reduce((sum, { cacheHitRatio }) => sum + cacheHitRatio!, 0) / hits.length,
      preemptionsPerSec: meanOf(point => point.preemptionsPerSec),
      errorsPerSec: meanOf(point => point.errorsPerSec),
      retriesPerSec: meanOf(point => point.retriesPerSec),
    });
  }
  return merged;
}

/** Slices on a screen, and the calls that a slice has at least, on average: less is noise. */
const SLICES_MAX = 240;
const CALLS_MIN = 4;

/** The slices that are drawn. */
const drawnRates = ({ rates = [], counts }: RunResult): RatePoint[] =>
  joinedRates(
    rates,
    Math.ceil(
      Math.max(rates.length / SLICES_MAX, (CALLS_MIN * rates.length) / Math.max(1, counts.calls.planned)),
    ),
  );

/** The length of a slice, ms. */
const sliceMs = (rates: readonly RatePoint[]): number =>
  rates.length < 2 ? 0 : rates[1]!.atMs - rates[0]!.atMs;

export const ratesChart: Chart<RunResult> = {
  id: 'rates',
  howToRead:
    'What happened in each slice of the run, per second; the time axis is that of the chart above. Where more calls are ' +
    'wanted than done, work piles up. Prefill that rises while output falls means that long prompts hold decoding back. ' +
    'Cache hits that fall under load are evictions or a router that spreads sessions.',

  title(run) {
    const { counts } = run;
    const rates = drawnRates(run);
    const wanted = heightOf(rates, 'callsWantedPerSec');
    if (wanted === 0) return 'Rates over time';
    const done = showNumber(heightOf(rates, 'callsDonePerSec'));
    const hits = rates.map(({ cacheHitRatio }) => cacheHitRatio).filter(ratio => ratio !== null);
    const cache =
      hits.length === 0
        ? plural(counts.preemptions, 'preemption')
        : `cache hits range from ${showRatio(Math.min(...hits))} to ${showRatio(Math.max(...hits))}`;
    return `At most ${showNumber(wanted)} calls a second are wanted and ${done} done (over ${showMs(sliceMs(rates))} each); ${cache}`;
  },

  spec(run) {
    const { durationMs, bottleneck } = run;
    const rates = drawnRates(run);
    if (rates.length < 2) return { absent: 'the run has no rates (it is too short, or of an older version)' };
    const shown = PANELS.map(panel => ({
      ...panel,
      series: panel.series.filter(({ rate }) => heightOf(rates, rate) > 0),
    })).filter(({ series }) => series.length > 0);
    const all = shown.flatMap(({ series }) => series);
    // A line that is alone in its panel is named by its title.
    const named = shown.flatMap(({ series }) => (series.length > 1 ? series : []));
    const points = rates.map(point => ({
      atMs: point.atMs,
      ...Object.fromEntries(all.map(({ rate, name }) => [name, point[rate]])),
    }));
    const color = {
      field: 'series',
      type: 'nominal',
      scale: { domain: named.map(({ name }) => name), range: named.map(({ colour }) => colour) },
      legend: topLegend({ symbolType: 'stroke', symbolStrokeWidth: 3 }),
    };
    return chartSpec(
      { points, saturation: saturationRows(bottleneck?.saturation) },
      {
        data: { name: 'points' },
        ...stacked(
          shown.map(({ title, format, series }, i) => {
            const x = timeX(i === shown.length - 1);
            const most = Math.max(...series.map(({ rate }) => heightOf(rates, rate)));
            const lines = {
              transform: [{ fold: series.map(({ name }) => name), as: ['series', 'value'] }],
              mark: {
                type: 'line',
                interpolate: 'step-after',
                strokeWidth: 1.5,
                clip: true,
                ...(series.length === 1 ? { color: series[0]!.colour } : {}),
              },
              encoding: {
                x,
                y: {
                  field: 'value',
                  type: 'quantitative',
                  title: null,
                  scale: { domain: [0, format === '~%' ? 1 : most], nice: true },
                  axis: panelAxis(format, format === '~%' ? {} : { labelExpr: RATE_LABEL }),
                },
                ...(series.length === 1 ? {} : { color }),
              },
            };
            const tooltip = [
              { field: 'clock', title: 'from' },
              ...series.map(({ name, rate }) => ({
                field: name,
                title: name,
                format: rate === 'cacheHitRatio' ? '.0%' : '.3~s',
              })),
            ];
            return panel(title, 56, { layer: [shaded(x), lines, cursor(`at${i}`, x, tooltip)] });
          }),
          durationMs,
        ),
      },
    );
  },

  table(run) {
    const rates = drawnRates(run);
    const all = PANELS.flatMap(({ series }) => series).filter(({ rate }) => heightOf(rates, rate) > 0);
    return {
      columns: [
        `from (ms, slices of ${showMs(sliceMs(rates))})`,
        ...all.map(({ rate, name }) => (rate === 'cacheHitRatio' ? `${name} (0-1)` : `${name} (per s)`)),
      ],
      rows: rates.map(point => [point.atMs, ...all.map(({ rate }) => point[rate])]),
    };
  },
};
