// The plots of a calibration: what was predicted against what was measured, and what is left over.
import { type Chart, logTicks, msAxis, type PALETTE } from '../../reports/charts/chart.ts';
import { type PointGroup, scatterSpec } from '../../reports/charts/scatter.ts';
import { showRatio } from '../../reports/numbers.ts';
import { quantile } from '../../scenarios/base/statistics.ts';
import type { Calibration } from './calibration.ts';
import { KINDS, type Kind } from './design.ts';

const LOOKS: Readonly<Record<Kind, { colour: keyof typeof PALETTE; shape: PointGroup['shape'] }>> = {
  prefill: { colour: 'blue', shape: 'circle' },
  cached: { colour: 'green', shape: 'triangle-up' },
  decode: { colour: 'vermilion', shape: 'square' },
  mixed: { colour: 'orange', shape: 'diamond' },
};

interface Point {
  kind: Kind;
  name: string;
  measuredMs: number;
  predictedMs: number;
  errorRatio: number;
}

const pointsOf = ({ observations, fit }: Calibration): Point[] =>
  observations.map(({ kind, name, measuredMs }, i) => {
    const errorRatio = fit.residuals[i]!;
    return { kind, name, measuredMs, predictedMs: measuredMs * (1 + errorRatio), errorRatio };
  });

const groupsOf = (points: readonly Point[], at: (point: Point) => { x: number; y: number }): PointGroup[] =>
  KINDS.map(kind => ({
    name: kind,
    ...LOOKS[kind],
    points: points.filter(each => each.kind === kind).map(at),
  }));

const table: Chart<Calibration>['table'] = calibration => ({
  columns: ['experiment', 'setting', 'measured (ms)', 'predicted (ms)', 'error (0-1)'],
  rows: pointsOf(calibration).map(({ kind, name, measuredMs, predictedMs, errorRatio }) => [
    kind,
    name,
    measuredMs,
    predictedMs,
    errorRatio,
  ]),
});

const logMs = (values: readonly number[]) => ({
  scale: { type: 'log' },
  axis: msAxis({ values: logTicks(values) }),
});

export const predictedAgainstMeasured: Chart<Calibration> = {
  id: 'predicted-against-measured',
  howToRead:
    'Each point is one measured time and what the fitted costs say of it. On the diagonal they agree; points that lie ' +
    'off it together show what the form cannot say.',
  title: ({ fit: { residuals } }) =>
    `Half of the times are predicted within ${showRatio(quantile(residuals.map(Math.abs), 0.5))}`,
  spec(calibration) {
    const points = pointsOf(calibration);
    if (points.length === 0) return { absent: 'nothing was measured' };
    const values = points.flatMap(({ measuredMs, predictedMs }) => [measuredMs, predictedMs]);
    return scatterSpec(
      groupsOf(points, ({ measuredMs, predictedMs }) => ({ x: measuredMs, y: predictedMs })),
      { x: { title: 'measured', ...logMs(values) }, y: { title: 'predicted', ...logMs(values) } },
    );
  },
  table,
};

/** Errors beyond it lie on the edge: hiccups of a machine, not of the form. */
const EDGE = 0.5;

export const residuals: Chart<Calibration> = {
  id: 'residuals',
  howToRead:
    'The relative error of each time against what the fit says of it: above zero the fit is too slow, below too fast. A cloud ' +
    `around zero is noise; a slope or a bow is a cost that the form lacks. Errors beyond ${EDGE * 100} % lie on the edge.`,
  title({ fit: { kinds } }) {
    const worst = kinds.toSorted((a, b) => b.fittedRatio - a.fittedRatio)[0];
    return worst === undefined
      ? 'What is left over'
      : `The largest error is that of ${worst.kind}: ${showRatio(worst.fittedRatio)}`;
  },
  spec(calibration) {
    const points = pointsOf(calibration);
    if (points.length === 0) return { absent: 'nothing was measured' };
    return scatterSpec(
      groupsOf(points, ({ predictedMs, errorRatio }) => ({
        x: predictedMs,
        y: Math.max(-EDGE, Math.min(EDGE, errorRatio)),
      })),
      {
        x: { title: 'predicted', ...logMs(points.map(({ predictedMs }) => predictedMs)) },
        y: { title: null, scale: { domain: [-EDGE, EDGE] }, axis: { format: '+~%' } },
      },
    );
  },
  table,
};

export const CALIBRATION_CHARTS = [predictedAgainstMeasured, residuals] as const;
