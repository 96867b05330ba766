// What each reporter is told of a gate. A new format is one file, one line here, and its name in
// scenarios/formats/reporters.ts.
import type { ReporterName } from '../../scenarios/formats/reporters.ts';
import { githubCommands } from './github.ts';
import { actionBenchmark, bencher } from './history.ts';
import { junit } from './junit.ts';
import { markdown } from './markdown.ts';
import { openMetrics } from './openmetrics.ts';
import type { GateReport } from './report.ts';

export const REPORTERS: Record<ReporterName, (report: GateReport) => string> = {
  json: report => `${JSON.stringify(report, null, 1)}\n`,
  junit,
  markdown,
  github: githubCommands,
  'benchmark-smaller': actionBenchmark('lower'),
  'benchmark-bigger': actionBenchmark('higher'),
  bencher,
  openmetrics: openMetrics,
};
