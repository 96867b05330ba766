// Block 9 of the page: what settings do, where the runs of the page vary them.
import { isAbsent } from '../charts/chart.ts';
import { sweepChart } from '../charts/sweep.ts';
import type { Section } from './view.ts';

/** null: the runs vary nothing. */
export const sweepSection: Section = ({ runs, draw }) =>
  isAbsent(sweepChart.spec(runs)) ? null : draw(sweepChart, runs);
