// GPUs over a live run, as a DCGM exporter showed them: load, memory, power, clock and heat, one time axis.
import type { GpuSample } from '../../scenarios/formats/measured.ts';
import type { RunResult } from '../../scenarios/formats/result.ts';
import { plural, showCount, showRatio } from '../numbers.ts';
import { type Chart, chartSpec, PALETTE, topLegend } from './chart.ts';
import { panel, panelAxis, stacked, timeX } from './panels.ts';

const GPUS_MAX = 8;
const COLOURS = [
  ...[PALETTE.blue, PALETTE.vermilion, PALETTE.green, PALETTE.purple],
  ...[PALETTE.orange, PALETTE.sky, PALETTE.yellow, PALETTE.grey],
];
const GIB = 2 ** 30;

const PANELS = [
  { field: 'utilization', title: 'Busy', format: '~%' },
  { field: 'memoryGib', title: 'Memory in use, GiB', format: '~s' },
  { field: 'powerW', title: 'Power, W', format: '~s' },
  { field: 'smClockMhz', title: 'SM clock, MHz', format: '~s' },
  { field: 'temperatureC', title: 'Temperature, °C', format: '~s' },
] as const;

const samplesOf = ({ measured }: RunResult): readonly GpuSample[] => measured?.gpus ?? [];
const namesOf = (samples: readonly GpuSample[]): string[] => [...new Set(samples.map(({ gpu }) => gpu))];

export const gpusChart: Chart<RunResult> = {
  id: 'gpus',
  howToRead:
    'What the GPUs said of themselves, one line each, once a second. “Busy” is the share of time with any kernel on the ' +
    'GPU, not how much of it was used: 100 % says that it never idled. A clock that falls under load while power is at its ' +
    'limit, or heat high, makes later requests slower than earlier ones.',

  title(result) {
    const samples = samplesOf(result);
    const busy = samples.map(({ utilization }) => utilization).filter(value => value !== null);
    if (busy.length === 0) return 'GPUs during the run';
    const mean = busy.reduce((sum, value) => sum + value, 0) / busy.length;
    return `${plural(namesOf(samples).length, 'GPU')}: busy ${showRatio(mean)} of the time`;
  },

  spec(result) {
    const samples = samplesOf(result);
    if (samples.length === 0)
      return { absent: 'no GPU was looked at; name a DCGM exporter with --gpu-metrics URL' };
    const names = namesOf(samples).slice(0, GPUS_MAX);
    const points = samples
      .filter(({ gpu }) => names.includes(gpu))
      .map(({ memoryUsedBytes, ...sample }) => ({
        ...sample,
        memoryGib: memoryUsedBytes === null ? null : memoryUsedBytes / GIB,
      }));
    const panels = PANELS.filter(({ field }) => points.some(point => point[field] !== null));
    const color = {
      field: 'gpu',
      type: 'nominal',
      scale: { domain: names, range: COLOURS.slice(0, names.length) },
      legend: names.length > 1 ? topLegend({ symbolType: 'stroke' }) : null,
    };
    return chartSpec(
      { points },
      {
        data: { name: 'points' },
        ...stacked(
          panels.map(({ field, title, format }, i) =>
            panel(title, 64, {
              transform: [{ filter: `datum.${field} !== null` }],
              mark: { type: 'line', interpolate: 'step-after', strokeWidth: 1.5, clip: true },
              encoding: {
                x: timeX(i === panels.length - 1),
                y: {
                  field,
                  type: 'quantitative',
                  title: null,
                  scale: { domain: [0, Math.max(1, ...points.map(point => point[field] ?? 0))], nice: true },
                  axis: panelAxis(format),
                },
                color,
              },
            }),
          ),
          result.durationMs,
        ),
      },
    );
  },

  table(result) {
    return {
      columns: [
        'at (ms)',
        'GPU',
        'busy (0-1)',
        'memory (bytes)',
        'power (W)',
        'SM clock (MHz)',
        'temperature (°C)',
      ],
      rows: samplesOf(result).map(
        ({ atMs, gpu, utilization, memoryUsedBytes, powerW, smClockMhz, temperatureC }) => [
          atMs,
          gpu,
          utilization,
          memoryUsedBytes,
          powerW,
          smClockMhz,
          temperatureC,
        ],
      ),
    };
  },
};

/** GPUs that the chart leaves out, for a note beside it. */
export function gpusLeftOut(result: RunResult): string | null {
  const count = namesOf(samplesOf(result)).length - GPUS_MAX;
  return count > 0 ? `${showCount(count)} more GPUs are in result.json.` : null;
}
