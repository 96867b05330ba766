// A measure for the grid: the summary of the run, as its folder would have it.
import { sha256 } from '../../reports/publish.ts';
import { summarise } from '../../reports/summary.ts';
import type { RunResult } from '../../scenarios/formats/result.ts';
import type { Measure } from '../grid/case.ts';

const summary: Measure<RunResult> = run => summarise(run, sha256);

export default summary;
