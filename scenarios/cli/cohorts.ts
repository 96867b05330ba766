// ServeGen data named on the command line: a generator, which becomes a scenario of cohorts, not sessions.
import { writeFileSync } from 'node:fs';
import { UserError } from '../base/errors.ts';
import { toYaml } from '../formats/source.ts';
import { readServegen } from '../importers/servegen/read.ts';
import type { CohortImport, CohortReport } from '../importers/servegen/servegen.ts';
import { selectionOf, type TraceOptions } from './trace-options.ts';

/** The cohorts of these paths; of the trace options only a window by elapsed time has a meaning here. */
export function importCohorts(paths: readonly string[], options: TraceOptions): CohortImport {
  const selection = selectionOf(options);
  const refused = (
    ['max-context', 'sample-sessions', 'gap-cap', 'anonymize', 'block-size', 'jitter-quantum'] as const
  ).find(each => options[each] !== undefined);
  if (refused !== undefined) {
    throw new UserError(`--${refused} is for recorded sessions, and ServeGen draws requests`, {
      hint: 'leave it out; --from and --to take a part of the data',
    });
  }
  const { from, to } = selection?.window ?? { from: null, to: null };
  for (const moment of [from, to]) {
    if (moment !== null && !('elapsedMs' in moment))
      throw new UserError('ServeGen data has no clock', { hint: 'count from its start: --from 6h --to 12h' });
  }
  return readServegen(paths, {
    ...(from !== null && 'elapsedMs' in from ? { fromMs: from.elapsedMs } : {}),
    ...(to !== null && 'elapsedMs' in to ? { toMs: to.elapsedMs } : {}),
  });
}

/** Writes the scenario as YAML or JSON, by the name of the file. */
export function writeScenario(path: string, scenario: unknown): void {
  if (!/\.(ya?ml|json)$/.test(path)) {
    throw new UserError(`--out ${path}: cohorts make a scenario, not a plan`, {
      hint: 'name it .yaml or .json',
    });
  }
  const text = path.endsWith('.json') ? `${JSON.stringify(scenario, null, 1)}\n` : toYaml(scenario);
  try {
    writeFileSync(path, text);
  } catch (error) {
    throw new UserError(`cannot write ${path}: ${(error as Error).message}`, {
      hint: 'choose another --out',
    });
  }
}

export function cohortText(report: CohortReport): string {
  const number = (value: number, digits = 0): string =>
    value.toLocaleString('en-US', { maximumFractionDigits: digits });
  const hours = number(report.spanMs / 3_600_000, 1);
  const reasoning =
    report.reasoningRatio === null ? '' : ` (${number(report.reasoningRatio * 100, 1)} % of it reasoning)`;
  return [
    `${report.format}: ${report.clients} clients, ${hours} h in ${report.windows} windows, ${report.busyWindows} of them with requests`,
    `  requests  ${number(report.expectedRequests)} expected, ${number(report.meanPerSec, 3)} a second, ${number(report.peakPerSec, 3)} in the busiest window`,
    `  bursts    gaps with a CV of ${number(report.fittedCv, 2)} as fitted and drawn, ${number(report.measuredCv, 2)} as measured`,
    `  lengths   mean prompt ${number(report.meanInputTokens)} tokens, mean output ${number(report.meanOutputTokens)}${reasoning}`,
    ...report.notes.map(note => `  note      ${note}`),
  ].join('\n');
}
