// `check --gate`: the unrolled shape against its baseline. No deployment and no run are needed, and there is no noise.
import { gateOf, shapeCheck } from '../../reports/gate/gate.ts';
import { countText, driftText, type GateReport, MARKS } from '../../reports/gate/report.ts';
import { EXIT, UserError } from '../../scenarios/base/errors.ts';
import { commandLine } from '../../scenarios/cli/run-options.ts';
import { paint } from '../../scenarios/cli/terminal.ts';
import { version } from '../../scenarios/cli/version.ts';
import type { Baseline } from '../../scenarios/formats/baseline.ts';
import type { FigureBlocks } from '../../scenarios/formats/comparison.ts';
import { REPORTER_OPTION, reportersOf } from '../../scenarios/formats/reporters.ts';
import type { WorkflowShape } from '../shape.ts';
import { findBaseline, readBaseline, withHistory, writeBaseline } from './baselines.ts';
import { driftOf } from './drift.ts';
import { shapeFigures } from './shape.ts';
import { tell } from './tell.ts';

export interface CheckGateOptions {
  gate: boolean;
  save: boolean;
  name: string | undefined;
  'max-increase': string;
  reporter: string[];
}

export const CHECK_GATE_OPTIONS = {
  gate: {
    type: 'boolean',
    default: false,
    describe: 'compare the shape with its baseline: exit 99 where it asks for more',
  },
  save: { type: 'boolean', default: false, describe: 'with --gate: make this shape the baseline' },
  name: { type: 'string', nargs: 1, describe: "the baseline's name [the scenario's]" },
  'max-increase': {
    type: 'string',
    nargs: 1,
    default: '0%',
    describe: 'how much more than the baseline is allowed',
  },
  reporter: REPORTER_OPTION,
} as const;

/** Beside the baseline of runs, which may have the same name. */
const shapeName = (name: string): string => `${name}.shape`;

function allowedRatio(text: string): number {
  const percent = /^(\d+(?:\.\d+)?)\s*%$/.exec(text);
  if (percent !== null) return Number(percent[1]) / 100;
  throw new UserError(`--max-increase ${text}: expected a percentage`, { hint: 'e.g. --max-increase 2%' });
}

interface ShapeGate {
  readonly report: GateReport;
  readonly exitCode: number;
  /** Files that were written. */
  readonly written: readonly string[];
}

/** Saves the shape, or holds it against the baseline; says it to everyone but the terminal. */
export function gateShape(
  shapes: readonly WorkflowShape[],
  { scenario, seed }: { scenario: string; seed: number | string },
  options: CheckGateOptions & { strict: boolean },
  write: (text: string) => void,
): ShapeGate {
  const reporters = reportersOf(options.reporter, process.env);
  const allowed = allowedRatio(options['max-increase']);
  const name = shapeName(options.name ?? scenario.replace(/[^\w.@-]+/g, '-'));
  const figures = shapeFigures(shapes);
  if (options.save) return saved(name, scenario, seed, figures);
  const baseline = readBaseline(name, 'windtunnel check SCENARIO --gate --save');
  const checks = shapeChecks(baseline.figures, figures, allowed);
  const { status, checks: sorted, pass } = gateOf(checks, options);
  const failed = sorted.filter(check => check.status === 'fail');
  const report: GateReport = {
    name,
    what: `the shape of ${scenario}`,
    status,
    headline:
      failed.length === 0
        ? `${scenario} asks for no more than its baseline`
        : `${scenario} asks for more: ${failed[0]!.text}${failed.length > 1 ? `, and ${failed.length - 1} more` : ''}`,
    checks: sorted,
    drift: driftOf(baseline, figures),
    warnings:
      baseline.toolVersion === version
        ? []
        : [
            `the baseline was saved by version ${baseline.toolVersion}, this is ${version}: their walks may differ`,
          ],
    command: commandLine(),
    toolVersion: version,
    seed,
    digest: null,
  };
  return { report, exitCode: pass ? EXIT.ok : EXIT.failed, written: tell(report, reporters, write) };
}

function shapeChecks(before: readonly FigureBlocks[], now: readonly FigureBlocks[], allowed: number) {
  const gone = before.filter(({ id }) => !now.some(figure => figure.id === id));
  const only = (figures: readonly FigureBlocks[], id: string): number | null =>
    figures.find(figure => figure.id === id)?.values[0] ?? null;
  return [...now, ...gone].map(figure =>
    shapeCheck(figure, { baseline: only(before, figure.id), value: only(now, figure.id) }, allowed),
  );
}

function saved(
  name: string,
  scenario: string,
  seed: number | string,
  figures: readonly FigureBlocks[],
): ShapeGate {
  const fresh: Pick<Baseline, 'name' | 'world' | 'inputs' | 'digest' | 'blocks' | 'figures'> = {
    name,
    world: 'shape',
    inputs: null,
    digest: null,
    blocks: [seed],
    figures,
  };
  const path = writeBaseline(withHistory(fresh, findBaseline(name)));
  const report: GateReport = {
    name,
    what: `the shape of ${scenario}`,
    status: 'pass',
    headline: `saved ${path}: ${figures.length} figures; commit it`,
    checks: [],
    drift: [],
    warnings: [],
    command: commandLine(),
    toolVersion: version,
    seed,
    digest: null,
  };
  return { report, exitCode: EXIT.ok, written: [path] };
}

const CHECKS_SHOWN = 12;

/** The answer first, then what failed, then what moved. */
export function gateText({ report, written }: Pick<ShapeGate, 'report' | 'written'>): string {
  const { status, headline, checks, drift, warnings } = report;
  const style = status === 'pass' ? 'green' : status === 'fail' ? 'red' : 'yellow';
  const word = status === 'pass' ? '✓ PASSED' : status === 'fail' ? '✗ FAILED' : '? INCONCLUSIVE';
  const telling = checks.filter(
    check => check.status !== 'info' && (check.status !== 'pass' || check.changeRatio !== 0),
  );
  const shown = telling.slice(0, CHECKS_SHOWN).map(check => `  ${MARKS[check.status]} ${check.text}`);
  const left = telling.length - shown.length;
  return [
    `${paint(style, word)}  ${headline}`,
    ...shown,
    ...(left > 0 ? [`    and ${left} more, in the reporters' files`] : []),
    ...(checks.length === 0 ? [] : [`  ${countText(checks)}`]),
    ...drift.slice(0, 4).map(each => `  ${driftText(each)}`),
    ...warnings.map(text => `  ! ${text}`),
    ...written.map(path => `  wrote ${path}`),
  ].join('\n');
}
