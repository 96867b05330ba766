// `compare --gate`: the promises of a run and its figures against a baseline decide whether a build goes on.
import { comparisonChecks, type GateStatus, gateOf } from '../../reports/gate/gate.ts';
import { countText, driftText, type GateReport, MARKS } from '../../reports/gate/report.ts';
import { EXIT } from '../../scenarios/base/errors.ts';
import { commandLine } from '../../scenarios/cli/run-options.ts';
import { version } from '../../scenarios/cli/version.ts';
import type { Baseline } from '../../scenarios/formats/baseline.ts';
import type {
  ComparisonResult,
  FigureBlocks,
  GateCheck,
  RunComparison,
} from '../../scenarios/formats/comparison.ts';
import { REPORTER_OPTION } from '../../scenarios/formats/reporters.ts';
import type { Side } from '../compare/side.ts';
import { driftOf } from './drift.ts';

export interface GateOptions {
  gate: boolean;
  baseline: string | undefined;
  strict: boolean;
  confirm: boolean;
  reporter: string[];
}

export const GATE_OPTIONS = {
  gate: {
    type: 'boolean',
    default: false,
    describe: 'exit 99 where a primary figure regressed or a promise of the scenario is broken',
  },
  baseline: {
    type: 'string',
    nargs: 1,
    describe: "with --gate: a committed baseline in the first run's place [the scenario's name]",
  },
  strict: { type: 'boolean', default: false, describe: 'with --gate: what is not settled exits with 3' },
  confirm: {
    type: 'boolean',
    default: true,
    describe: 'with --gate: a live regression is replayed once more before it fails; --no-confirm: not',
  },
  reporter: REPORTER_OPTION,
} as const;

/** A gate over one comparison, for terminal, page, files and exit code. */
export interface Gated {
  readonly comparison: ComparisonResult;
  readonly report: GateReport;
  readonly exitCode: number;
}

/** The exit code of what is not settled where --strict asks. */
const exitOf = (status: GateStatus, strict: boolean): number => {
  if (status === 'fail') return EXIT.failed;
  return status === 'inconclusive' && strict ? EXIT.notValid : EXIT.ok;
};

/** A name in front of each check, where several runs are judged. */
const checksOf = ({ comparisons, runs }: ComparisonResult): GateCheck[] =>
  comparisons.flatMap((compared, i) => {
    const result = runs.length === comparisons.length ? runs[i] : runs[i + 1];
    const checks = comparisonChecks(compared, result?.assertions ?? []);
    return comparisons.length === 1
      ? checks
      : checks.map(check => ({ ...check, name: `${compared.name}: ${check.name}` }));
  });

/** Judges a comparison; `baseline` is the committed one, where there is one. */
export function gated(
  comparison: ComparisonResult,
  { baseline, strict }: { baseline: Baseline | null; strict: boolean },
): Gated {
  const { status, checks, pass } = gateOf(checksOf(comparison), { strict });
  const candidate = comparison.runs.at(-1);
  const world = candidate?.header.world === 'live' ? 'live' : 'simulated';
  const [first] = comparison.comparisons;
  const report: GateReport = {
    name: baseline?.name ?? candidate?.header.scenario.name ?? comparison.baselineName,
    what:
      candidate === undefined
        ? comparison.baselineName
        : `${candidate.header.scenario.name} @ ${candidate.header.deployment.name}, ${world}, against ${comparison.baselineName}`,
    status,
    headline: headlineOf(comparison, checks),
    checks,
    drift: baseline === null ? [] : driftOf(baseline, nowOf(first)),
    warnings: comparison.comparisons.flatMap(({ warnings }) => warnings),
    command: commandLine(),
    toolVersion: version,
    seed: candidate?.header.seed ?? null,
    digest: candidate?.digest ?? null,
  };
  return { comparison: { ...comparison, gate: { pass, checks } }, report, exitCode: exitOf(status, strict) };
}

/** What broke, before what only moved. */
function headlineOf({ comparisons }: ComparisonResult, checks: readonly GateCheck[]): string {
  const broken = checks.find(({ status, name }) => status === 'fail' && name.includes('assert '));
  const said = comparisons.map(({ headline }) => headline).join('; ');
  return broken === undefined ? said : `${broken.text}; ${said}`;
}

const nowOf = (compared: RunComparison | undefined): FigureBlocks[] =>
  (compared?.figures ?? []).map(({ id, label, unit, better, isPrimary, candidate }) => ({
    id,
    label,
    unit,
    better,
    isPrimary,
    values: [candidate],
  }));

/** Whether a figure that decides regressed in a live run, so that a second run has to say it, too. */
export const needsConfirming = (
  comparison: ComparisonResult,
  sides: readonly Pick<Side, 'world'>[],
): boolean =>
  sides.some(({ world }) => world === 'live') &&
  comparison.comparisons.some(({ verdict }) => verdict === 'regressed');

/** A regression counts where both runs show it; else the figure is not settled. */
export function confirmedBy(first: RunComparison, second: RunComparison): RunComparison {
  const figures = first.figures.map(figure => {
    if (figure.verdict !== 'regressed') return figure;
    const again = second.figures.find(({ id }) => id === figure.id);
    return again?.verdict === 'regressed' ? figure : { ...figure, verdict: 'inconclusive' as const };
  });
  const isConfirmed = figures.some(({ isPrimary, verdict }) => isPrimary && verdict === 'regressed');
  const lost = first.figures.filter(
    ({ id, verdict, isPrimary }) =>
      isPrimary && verdict === 'regressed' && figures.find(each => each.id === id)?.verdict !== 'regressed',
  );
  const said =
    lost.length === 0
      ? 'a second run shows the same'
      : `a second run does not show it: ${lost.map(({ label }) => label).join(', ')}`;
  return {
    ...first,
    figures,
    verdict: isConfirmed ? 'regressed' : 'inconclusive',
    headline: `${first.headline}; ${said}`,
  };
}

const CHECKS_SHOWN = 10;

/** Said under the comparison: what decided. */
export function gateLines({ report, comparison }: Gated, written: readonly string[]): string {
  const telling = report.checks.filter(({ status }) => status === 'fail' || status === 'inconclusive');
  const word = { pass: 'GATE PASSED', fail: 'GATE FAILED', inconclusive: 'GATE NOT SETTLED' }[report.status];
  const shown = telling.slice(0, CHECKS_SHOWN).map(({ status, text }) => `  ${MARKS[status]} ${text}`);
  const left = telling.length - shown.length;
  return [
    `${comparison.gate?.pass === true ? MARKS.pass : MARKS.fail} ${word}  ${countText(report.checks)}`,
    ...shown,
    ...(left > 0 ? [`    and ${left} more`] : []),
    ...report.drift.slice(0, 3).map(each => `  ${driftText(each)}`),
    ...written.map(path => `  wrote ${path}`),
  ].join('\n');
}
