// Who a gate reports to. A new format is one file and one line here.
import { githubCommands } from './github.ts';
import { actionBenchmark, bencher } from './history.ts';
import { junit } from './junit.ts';
import { markdown } from './markdown.ts';
import { openMetrics } from './openmetrics.ts';
import type { GateReport } from './report.ts';

export interface Reporter {
  readonly doc: string;
  /** Where it writes unless `NAME=PATH` says otherwise; null: to stdout. */
  readonly file: string | null;
  render(report: GateReport): string;
}

export const REPORTERS = {
  json: {
    doc: 'every check as JSON',
    file: 'gate.json',
    render: report => `${JSON.stringify(report, null, 1)}\n`,
  },
  junit: { doc: 'JUnit XML: GitLab, Jenkins, test viewers', file: 'junit.xml', render: junit },
  markdown: { doc: 'a comment for a pull request', file: 'gate.md', render: markdown },
  github: {
    doc: "GitHub's annotations on stdout, and the step's summary; by itself inside GitHub Actions",
    file: null,
    render: githubCommands,
  },
  'benchmark-smaller': {
    doc: 'github-action-benchmark, customSmallerIsBetter',
    file: 'benchmark-smaller.json',
    render: actionBenchmark('lower'),
  },
  'benchmark-bigger': {
    doc: 'github-action-benchmark, customBiggerIsBetter',
    file: 'benchmark-bigger.json',
    render: actionBenchmark('higher'),
  },
  bencher: { doc: 'Bencher Metric Format', file: 'bencher.json', render: bencher },
  openmetrics: {
    doc: 'OpenMetrics text: GitLab metrics, Prometheus',
    file: 'metrics.txt',
    render: openMetrics,
  },
} as const satisfies Record<string, Reporter>;

export type ReporterName = keyof typeof REPORTERS;
