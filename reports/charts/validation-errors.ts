// Validation: the error of each metric with its interval, inside or outside of its tolerance.
import type { ValidationResult, ValidationRow } from '../../scenarios/formats/validation.ts';
import { showRatio, showSignedRatio } from '../numbers.ts';
import { BAND, type Chart, chartSpec, FAINT, INK, PALETTE, PAPER, topLegend } from './chart.ts';

/** What the verdict rests on. */
const judged = ({ comparisons }: ValidationResult): readonly ValidationRow[] => comparisons[0]?.rows ?? [];

const worst = (rows: readonly ValidationRow[]): ValidationRow | undefined =>
  rows
    .filter(({ errorRatio }) => errorRatio !== null)
    .sort((a, b) => Math.abs(b.errorRatio!) - Math.abs(a.errorRatio!))[0];

export const validationErrors: Chart<ValidationResult> = {
  id: 'validation-errors',
  howToRead:
    'The dot is (predicted − measured) / measured: right of zero the prediction was too slow, left too fast. The whisker ' +
    'is its 95 % interval, drawn again and again from the sessions; the grey band is what the metric may be off by: its ' +
    'tolerance, or what repeats of the same run differ by where that is more.',

  title(validation) {
    const rows = judged(validation);
    const failed = rows.filter(({ pass }) => !pass);
    const largest = worst(rows);
    if (largest === undefined) return 'Error by metric';
    const text = `the largest error is ${showSignedRatio(largest.errorRatio)} (${largest.metric})`;
    return failed.length === 0
      ? `All ${rows.length} metrics are within tolerance; ${text}`
      : `${failed.length} of ${rows.length} metrics are out of tolerance; ${text}`;
  },

  spec(validation) {
    const errors = judged(validation)
      .filter(({ errorRatio }) => errorRatio !== null)
      .map(({ metric, errorRatio, ci95, limitRatio, pass }) => ({
        metric,
        errorRatio,
        low: ci95?.[0] ?? errorRatio,
        high: ci95?.[1] ?? errorRatio,
        from: -limitRatio,
        to: limitRatio,
        verdict: pass ? 'within tolerance' : 'outside',
        tolerance: `± ${showRatio(limitRatio)}`,
      }));
    if (errors.length === 0) return { absent: 'no metric has a relative error' };
    const y = {
      field: 'metric',
      type: 'nominal',
      sort: null,
      title: null,
      axis: { labelLimit: 130, domain: false, ticks: false },
    };
    const { symbolType: _, ...legend } = topLegend();
    const x = {
      type: 'quantitative',
      title: null,
      axis: { format: '+~%', tickCount: 6, grid: false },
      scale: { nice: true },
    };
    return chartSpec(
      { errors, zero: [{ at: 0 }] },
      {
        height: { step: 26 },
        data: { name: 'errors' },
        layer: [
          {
            mark: { type: 'bar', color: BAND, height: { band: 0.8 } },
            encoding: { y, x: { ...x, field: 'from' }, x2: { field: 'to' } },
          },
          {
            data: { name: 'zero' },
            mark: { type: 'rule', color: FAINT },
            encoding: { x: { ...x, field: 'at' } },
          },
          {
            mark: { type: 'rule', color: INK, strokeWidth: 1.5 },
            encoding: { y, x: { ...x, field: 'low' }, x2: { field: 'high' } },
          },
          {
            mark: { type: 'point', filled: true, size: 90, opacity: 1, stroke: PAPER, strokeWidth: 1.5 },
            encoding: {
              y,
              x: { ...x, field: 'errorRatio' },
              color: {
                field: 'verdict',
                type: 'nominal',
                scale: { domain: ['within tolerance', 'outside'], range: [PALETTE.green, PALETTE.vermilion] },
                legend,
              },
              shape: {
                field: 'verdict',
                type: 'nominal',
                scale: { domain: ['within tolerance', 'outside'], range: ['circle', 'diamond'] },
                legend,
              },
              tooltip: [
                { field: 'metric', title: 'metric' },
                { field: 'errorRatio', title: 'error', format: '+.1%' },
                { field: 'low', title: '95 % from', format: '+.1%' },
                { field: 'high', title: 'to', format: '+.1%' },
                { field: 'tolerance', title: 'may be off by' },
              ],
            },
          },
        ],
      },
    );
  },

  table(validation) {
    return {
      columns: [
        'metric',
        'unit',
        'predicted',
        'measured',
        'error (0-1)',
        '95 % from',
        '95 % to',
        'noise of repeats (0-1)',
        'tolerance (0-1)',
        'limit (0-1)',
        'pass',
      ],
      rows: judged(validation).map(row => [
        row.metric,
        row.unit,
        row.predicted,
        row.measured,
        row.errorRatio,
        row.ci95?.[0] ?? null,
        row.ci95?.[1] ?? null,
        row.noiseRatio,
        row.toleranceRatio,
        row.limitRatio,
        row.pass ? 'yes' : 'no',
      ]),
    };
  },
};
