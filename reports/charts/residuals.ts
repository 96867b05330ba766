// Validation: the error over the time of the run. Right on average can be too fast before a wave of load and too slow in it.
import type { ResidualPoint, ValidationResult } from '../../scenarios/formats/validation.ts';
import { showMs, showSignedRatio } from '../numbers.ts';
import { timeLabel, worldsOf } from '../worlds.ts';
import { type Chart, clockLabel } from './chart.ts';
import { linesSpec } from './lines.ts';

const METRICS = ['e2e', 'ttft', 'tpot'] as const satisfies ResidualPoint['metric'][];

const residualsOf = ({ comparisons }: Pick<ValidationResult, 'comparisons'>): readonly ResidualPoint[] =>
  comparisons[0]?.residuals ?? [];

export const residualsChart: Chart<ValidationResult> = {
  id: 'residuals',
  howToRead:
    'Each mark is a slice of the run, at the time for which its calls were planned: the mean of the calls that both worlds ' +
    'have, predicted against measured. Above zero the prediction was too slow then, below too fast. A line that stays ' +
    'level is a bias that could be calibrated away; one that moves with the load is a mechanism that is not modelled.',

  title(validation) {
    const points = residualsOf(validation);
    const worst = points.toSorted((a, b) => Math.abs(b.errorRatio) - Math.abs(a.errorRatio))[0];
    if (worst === undefined) return 'Error over time';
    const own = points.filter(({ metric }) => metric === worst.metric).map(({ errorRatio }) => errorRatio);
    return `Over the run the error of ${timeLabel(worst.metric)} goes from ${showSignedRatio(Math.min(...own))} to ${showSignedRatio(Math.max(...own))}, furthest off at ${showMs(worst.atMs)}`;
  },

  spec(validation) {
    const points = residualsOf(validation);
    if (points.length < 2)
      return {
        absent:
          'too few calls are in both worlds at the same time: five in each of two slices are needed, so send more sessions',
      };
    return linesSpec(
      METRICS.map(metric => ({
        name: timeLabel(metric),
        points: points
          .filter(point => point.metric === metric)
          .map(({ atMs, errorRatio }) => ({ x: atMs, y: errorRatio })),
      })).filter(line => line.points.length > 0),
      {
        x: {
          title: null,
          axis: { labelExpr: clockLabel, labelOverlap: true },
          label: value => clockLabel.replaceAll('datum.value', value),
        },
        y: { title: 'error', axis: { format: '+~%' }, format: '+.1%' },
        rules: [{ y: 0, label: 'as measured' }],
        height: 240,
      },
    );
  },

  table(validation) {
    const [predicted, measured] = worldsOf(validation);
    return {
      columns: [
        'latency',
        'at (ms of the run)',
        'calls',
        `mean, ${predicted} (ms)`,
        `mean, ${measured} (ms)`,
        'error (0-1)',
      ],
      rows: residualsOf(validation).map(point => [
        timeLabel(point.metric),
        point.atMs,
        point.pairs,
        point.predictedMs,
        point.measuredMs,
        point.errorRatio,
      ]),
    };
  },
};
