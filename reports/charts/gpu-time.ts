// What the GPU time that was paid for went into: prompts, decoding, cold starts, idling.
import type { GpuTime, RunResult } from '../../scenarios/formats/result.ts';
import { showNumber, showRatio } from '../numbers.ts';
import { BAND, type Chart, chartSpec, PHASE_COLOURS, topLegend } from './chart.ts';

const PARTS = ['prefill', 'decode', 'cold', 'idle'] as const satisfies (keyof GpuTime)[];
const COLOURS: Record<keyof GpuTime, string> = {
  prefill: PHASE_COLOURS.prefill,
  decode: PHASE_COLOURS.decode,
  cold: PHASE_COLOURS.cold,
  idle: PHASE_COLOURS.other,
};
/** Text on a bar needs room. */
const LABELLED_SHARE_MIN = 0.07;

const paidOf = (time: GpuTime): number => PARTS.reduce((sum, part) => sum + time[part], 0);

const partsOf = ({ gpuTime }: RunResult) =>
  gpuTime === undefined
    ? []
    : PARTS.map((part, order) => ({
        part,
        order,
        gpuHours: gpuTime[part] / 3600,
        share: gpuTime[part] / (paidOf(gpuTime) || 1),
      }));

export const gpuTimeChart: Chart<RunResult> = {
  id: 'gpu-time',
  howToRead:
    'The bar is all GPU time that was paid for. Prefill computes prompts, decode generates; a step does both, so its ' +
    'time is split by the marginal time of each. Cold is from the wish for a replica until it was ready. What is left ' +
    'is idle: wide, it says that fewer GPUs would do; narrow, that any more work must wait.',

  title({ gpuTime }) {
    if (gpuTime === undefined) return 'What the GPUs did';
    const paid = paidOf(gpuTime) || 1;
    const busy = gpuTime.prefill + gpuTime.decode;
    const cold = gpuTime.cold > 0 ? `, ${showRatio(gpuTime.cold / paid)} cold starts` : '';
    const split = busy > 0 ? ` (${showRatio(gpuTime.prefill / busy)} of it prompts)` : '';
    return `The GPUs worked ${showRatio(busy / paid)} of the ${showNumber(paid / 3600)} GPU-hours that were paid for${split}${cold}`;
  },

  spec(result) {
    const parts = partsOf(result).filter(({ share }) => share > 0);
    if (parts.length === 0)
      return {
        absent: 'what GPUs did with their time is known of simulated pools only; simulate the same scenario',
      };
    const x = {
      field: 'share',
      type: 'quantitative',
      stack: 'zero',
      scale: { domain: [0, 1], nice: false },
      axis: { format: '~%', values: [0, 0.25, 0.5, 0.75, 1], grid: false },
      title: null,
    };
    const order = { field: 'order', type: 'quantitative' };
    const domain = parts.map(({ part }) => part);
    return chartSpec(
      { parts },
      {
        height: 46,
        data: { name: 'parts' },
        layer: [
          {
            mark: { type: 'bar', cornerRadius: 1, stroke: BAND, strokeWidth: 0.5 },
            encoding: {
              x,
              order,
              color: {
                field: 'part',
                type: 'nominal',
                scale: { domain, range: domain.map(part => COLOURS[part]) },
                legend: topLegend(),
              },
              tooltip: [
                { field: 'part', title: 'GPU time' },
                { field: 'share', format: '.1%', title: 'share' },
                { field: 'gpuHours', format: '.3~r', title: 'GPU-hours' },
              ],
            },
          },
          {
            // Kept where there is no room: labels stand on their own part of the stack.
            transform: [
              {
                calculate: `datum.share < ${LABELLED_SHARE_MIN} ? '' : format(datum.share, '.0%')`,
                as: 'label',
              },
            ],
            mark: { type: 'text', fontSize: 11, fontWeight: 600 },
            encoding: {
              x: { ...x, bandPosition: 0.5 },
              order,
              detail: { field: 'part' },
              text: { field: 'label', type: 'nominal' },
              color: {
                condition: { test: "indexof(['decode', 'idle'], datum.part) >= 0", value: '#ffffff' },
                value: '#14181f',
              },
            },
          },
        ],
      },
    );
  },

  table: result => ({
    columns: ['part', 'GPU-hours', 'share (0-1)'],
    rows: partsOf(result).map(({ part, gpuHours, share }) => [part, gpuHours, share]),
  }),
};
