// Every chart of a sweep, in order of the page. A new one is a file beside this one and a line here.
import type { SweepResult } from '../../../scenarios/formats/sweep.ts';
import type { Chart } from '../../charts/chart.ts';
import { alongAxis } from './along-axis.ts';
import { heatMap } from './heat-map.ts';
import { parallel } from './parallel.ts';
import { pareto } from './pareto.ts';
import { sensitivity } from './sensitivity.ts';

export const SWEEP_CHARTS: readonly Chart<SweepResult>[] = [
  pareto,
  heatMap,
  sensitivity,
  alongAxis,
  parallel,
];
