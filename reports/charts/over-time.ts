// Validation against a record: a figure over the time of the run in every world that has it. Was the incident reproduced?
import type { SeriesComparison, SeriesPoint, ValidationResult } from '../../scenarios/formats/validation.ts';
import { unbroken } from '../numbers.ts';
import { WORLD_WORDS } from '../worlds.ts';
import { type Chart, clockLabel, msAxis, msLabel } from './chart.ts';
import { type LineAxis, linesSpec } from './lines.ts';

const Y_AXES: Record<SeriesComparison['unit'], LineAxis> = {
  ms: { title: null, axis: msAxis(), label: msLabel },
  count: { title: null, format: '.3~r' },
  ratio: { title: null, axis: { format: '~%' }, format: '.0%' },
};

const LINES = ['measured', 'predicted', 'live'] as const satisfies (keyof SeriesPoint)[];

const nameOf = ({ metric, predicted, measured }: SeriesComparison, line: (typeof LINES)[number]): string =>
  `${metric}, ${WORLD_WORDS[line === 'measured' ? measured : line === 'predicted' ? predicted : 'live']}`;

/** The chart of the `row`-th figure. */
export const overTime = (row: number): Chart<ValidationResult> => ({
  id: `over-time-${row}`,
  howToRead:
    'Each point is the figure over the stretch of time that ends there. Where the lines rise together the incident was ' +
    'reproduced; where one stays flat it was not. Gaps are stretches with too few calls.',
  title: ({ series }) => {
    const { sentence } = series[row]!.incident;
    return unbroken(sentence.charAt(0).toUpperCase() + sentence.slice(1));
  },
  spec({ series }) {
    const { points, unit } = series[row]!;
    const lines = LINES.filter(line => points.some(point => point[line] !== null)).map(line => ({
      name: nameOf(series[row]!, line),
      points: points.map(point => ({ x: point.atMs, y: point[line] })),
    }));
    if (lines.length === 0) return { absent: 'no stretch of the run has enough calls' };
    return linesSpec(lines, {
      x: {
        title: null,
        axis: { labelExpr: clockLabel, labelOverlap: true },
        label: value => clockLabel.replaceAll('datum.value', value),
      },
      y: Y_AXES[unit],
    });
  },
  table({ series }) {
    const { points, unit } = series[row]!;
    return {
      columns: ['until (ms of the run)', ...LINES.map(line => `${nameOf(series[row]!, line)} (${unit})`)],
      rows: points.map(point => [point.atMs, ...LINES.map(line => point[line])]),
    };
  },
});
