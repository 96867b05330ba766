// Charts of an answer, in the order of its page. A new one is a file beside this and a line here.
import type { SizeResult } from '../../../scenarios/formats/size.ts';
import type { Chart } from '../../charts/chart.ts';
import { checksChart } from './checks.ts';
import { flipsChart } from './flips.ts';
import { groupsChart } from './groups.ts';
import { trialsChart } from './trials.ts';

export const SIZE_CHARTS: readonly Chart<SizeResult>[] = [trialsChart, groupsChart, checksChart, flipsChart];
