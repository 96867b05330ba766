// `check`: what is wrong with the files, all at once; of good ones the unrolled shape before anything runs, what will not do
// what its author wants (lints), and what no run obeys yet.
import { writeFileSync } from 'node:fs';
import { type LoadedDeployment, loadDeployment, readyCheck, settle } from '../engines/load.ts';
import { hostedIssues } from '../engines/prepare.ts';
import { routingPolicies } from '../gateway/routing/index.ts';
import { EXIT, UserError } from '../scenarios/base/errors.ts';
import type { Issue } from '../scenarios/base/issue.ts';
import type { LoadedScenario } from '../scenarios/cli/load.ts';
import {
  deploymentSet,
  loadRun,
  type RunOptions,
  withOptionalDeployment,
} from '../scenarios/cli/run-options.ts';
import { type Command, InputIssues, issuesText, paint, printJson, say } from '../scenarios/cli/terminal.ts';
import { version } from '../scenarios/cli/version.ts';
import type { Plan } from '../scenarios/formats/plan.ts';
import { type SarifGroup, sarifOf } from '../scenarios/formats/sarif.ts';
import type { ScenarioFile } from '../scenarios/formats/scenario.ts';
import { issuesToJson, toYaml } from '../scenarios/formats/source.ts';
import { unbuiltParts } from '../scenarios/formats/unbuilt.ts';
import { idleLabels } from '../scenarios/lint/labels.ts';
import { plural } from '../scenarios/lint/lint.ts';
import { shapeText } from './check-text.ts';
import { CHECK_GATE_OPTIONS, type CheckGateOptions, gateShape, gateText } from './gate/check-gate.ts';
import { type LabContext, labContext } from './lint/context.ts';
import { lint } from './lint/index.ts';
import { offeredLoad } from './lint/offered-load.ts';

interface CheckOptions extends Omit<RunOptions, 'deployment' | 'reporter'>, CheckGateOptions {
  deployment: string | undefined;
  'print-resolved': boolean;
  sarif: string | undefined;
}

export const checkCommand: Command<CheckOptions> = {
  builder: yargs =>
    withOptionalDeployment(yargs)
      .option('strict', {
        type: 'boolean',
        default: false,
        describe: 'warnings fail (exit 104), as does an unreadable part of a trace',
      })
      .option('print-resolved', {
        type: 'boolean',
        default: false,
        describe: 'print the scenario as it will run: bases merged, --set applied',
      })
      .option('sarif', {
        type: 'string',
        nargs: 1,
        describe: 'write the findings as SARIF 2.1.0 to a file, or to - (stdout)',
      })
      .options(CHECK_GATE_OPTIONS)
      .group(Object.keys(CHECK_GATE_OPTIONS), 'Gate:')
      .example('$0 check job-scanner', 'the shape of a library scenario')
      .example('$0 check my.yaml -d my-cluster.yaml', 'both files: windows, prices, offered load')
      .example(
        '$0 check my.yaml --strict --sarif check.sarif',
        'in CI: warnings fail, findings for code scanning',
      )
      .example('$0 check my.yaml --gate --save', 'keep the shape: commit .windtunnel/baselines')
      .example('$0 check my.yaml --gate --max-increase 2%', 'in CI: exit 99 where it asks for more'),
  handler: async options => {
    refuseTwoDocuments(options);
    try {
      check(options);
    } catch (error) {
      if (error instanceof InputIssues && options.sarif !== undefined)
        writeSarif(options.sarif, error.groups);
      throw error;
    }
  },
};

/** stdout holds one document. */
function refuseTwoDocuments({ json, sarif, 'print-resolved': resolved }: CheckOptions): void {
  const given = [json && '--json', sarif === '-' && '--sarif -', resolved && '--print-resolved'].filter(
    Boolean,
  );
  if (given.length < 2) return;
  throw new UserError(`${given.join(' and ')} both write to stdout`, {
    hint: 'take one of them, or name a file for --sarif',
  });
}

/** Files without an error, and what is known of them. */
interface Checked {
  readonly loaded: LoadedScenario;
  readonly file: ScenarioFile;
  readonly context: LabContext;
  /** Warnings by file. */
  readonly groups: readonly SarifGroup[];
  /** Pools that stand in for other models. */
  readonly standIns: readonly string[];
}

/** files ─▶ errors, thrown ─▶ walked sessions ─▶ lints and what is not built ─▶ one document, or words */
function check(options: CheckOptions): void {
  // 1.
  const loaded = loadRun(options);
  const deployed =
    options.deployment === undefined
      ? null
      : loadDeployment(options.deployment, routingPolicies, deploymentSet(options.set));
  let standIns: readonly string[] = [];
  if (deployed === null) settle(loaded, errorsOf(loaded.issues), options);
  else ({ standIns } = readyCheck(onlyErrors(loaded), onlyErrors(deployed), options));
  // 2.
  const file = loaded.file as ScenarioFile;
  const plan = loaded.compiled?.plan as Plan;
  const workflows = loaded.compiled?.workflows ?? new Map();
  const context = labContext(file, { plan, workflows }, deployed?.deployment ?? null);
  // 3.
  const isOwn = (found: Issue): boolean => loaded.source.locate(found).file === loaded.source.file;
  const groups = warningsOf(loaded, deployed, lint(context, isOwn), plan);
  const isGood = !options.strict || groups.length === 0;
  // 4.
  if (options.sarif !== undefined) writeSarif(options.sarif, groups);
  const checked: Checked = { loaded, file, context, groups, standIns };
  if (options['print-resolved']) process.stdout.write(resolvedText(loaded, file, plan.name));
  else if (options.json) printJson({ ok: isGood, ...documentOf(checked) });
  else printWords(checked, options);
  if (!isGood) process.exitCode = EXIT.badInput;
  if (options.gate && isGood) gate(checked, options);
}

/** Said last: what a build waits for. */
function gate({ context: { plan, shapes } }: Checked, options: CheckOptions): void {
  const toStderr = options.json || options.sarif === '-';
  const write = (text: string): void => void (toStderr ? process.stderr : process.stdout).write(text);
  const gated = gateShape(shapes, { scenario: plan.name, seed: plan.seed }, options, write);
  write(`\n${gateText(gated)}\n`);
  process.exitCode = gated.exitCode;
}

const documentOf = ({ loaded, context, groups, standIns }: Checked) => ({
  name: context.plan.name,
  seed: context.plan.seed,
  sessions: context.plan.sessionCount,
  shapes: context.shapes,
  loads: context.deployment === null ? null : offeredLoad(context),
  imports: loaded.imports,
  notes: standIns,
  issues: groups.flatMap(({ issues, source }) => issuesToJson(issues, source)),
});

/** The shape first, then the warnings: what is read last is what there is to do. */
function printWords({ loaded, file, context, groups, standIns }: Checked, options: CheckOptions): void {
  const toStderr = options.sarif === '-';
  const stream = toStderr ? process.stderr : process.stdout;
  const { plan, shapes, deployment } = context;
  const words = shapeText({
    plan,
    shapes,
    deployment: deployment === null ? null : { name: deployment.name, loads: offeredLoad(context) },
    labels: idleLabels(file, deployment?.gateway ?? null),
    standIns,
    width: stream.isTTY === true ? stream.columns : Number.POSITIVE_INFINITY,
  });
  const warnings = groups.flatMap(group => group.issues);
  const more =
    warnings.length === 0
      ? ''
      : `\n\n${warningText(loaded, groups, stream)}\n${summary(warnings, options.strict)}`;
  say({ json: toStderr, quiet: options.quiet }, `${words}${more}`);
}

const errorsOf = (issues: readonly Issue[]): Issue[] => issues.filter(each => each.severity === 'error');

/** Warnings are told with the lints, in one place. */
const onlyErrors = <T extends { readonly issues: readonly Issue[] }>(loaded: T): T => ({
  ...loaded,
  issues: errorsOf(loaded.issues),
});

const isWarning = (found: Issue): boolean => found.severity === 'warning';

const asWarning = (found: Issue): Issue => ({ ...found, severity: 'warning' });

/** Everything that is worth a word in files that are good, by file. */
function warningsOf(
  loaded: LoadedScenario,
  deployed: LoadedDeployment | null,
  lints: readonly Issue[],
  plan: Plan,
): SarifGroup[] {
  const deployment = deployed?.deployment ?? null;
  const hosted = deployment === null ? [] : hostedIssues(plan, deployment);
  const own = loaded.issues.filter(isWarning);
  const unbuilt = loaded.file === null ? [] : unbuiltParts(loaded.file);
  const ofScenario = [...own, ...[...unbuilt, ...hosted].map(asWarning), ...lints];
  const groups: SarifGroup[] = [{ issues: ofScenario, source: loaded.source }];
  if (deployed !== null) {
    const issues = [...deployed.issues.filter(isWarning), ...deployed.unbuilt.map(asWarning)];
    groups.push({ issues, source: deployed.source });
  }
  return groups.filter(({ issues }) => issues.length > 0);
}

/** A trace has no lines of ours to point at. */
const warningText = (
  loaded: LoadedScenario,
  groups: readonly SarifGroup[],
  stream: NodeJS.WriteStream,
): string =>
  groups
    .map(({ issues, source }) =>
      loaded.kind === 'trace' && source === loaded.source
        ? issues
            .map(({ code, message, hint }) => `${code} ${message}${hint === null ? '' : `\n  hint: ${hint}`}`)
            .join('\n\n')
        : issuesText(issues, source, stream),
    )
    .join('\n\n');

function summary(warnings: readonly Issue[], strict: boolean): string {
  const unbuilt = warnings.filter(each => each.code === 'WT1008').length;
  const some = unbuilt === warnings.length ? '' : `for ${unbuilt} of them `;
  const refused = unbuilt === 0 ? '' : `; ${some}a run refuses these files`;
  return `\n${paint('yellow', plural(warnings.length, 'warning'))}${refused}${strict ? ' (--strict: exit 104)' : ''}`;
}

function writeSarif(path: string, groups: readonly SarifGroup[]): void {
  const text = `${JSON.stringify(sarifOf(groups, version), null, 1)}\n`;
  if (path === '-') {
    process.stdout.write(text);
    return;
  }
  try {
    writeFileSync(path, text);
  } catch (error) {
    throw new UserError(`cannot write ${path}: ${(error as Error).message}`, {
      hint: 'choose another --sarif',
    });
  }
}

/** The scenario with what it extends and what --set put there, under the name that its runs have. */
function resolvedText(loaded: LoadedScenario, { windtunnel, ...rest }: ScenarioFile, name: string): string {
  if (loaded.kind === 'scenario') return toYaml({ windtunnel, name, ...rest });
  throw new UserError(
    `${loaded.input} is ${loaded.kind === 'plan' ? 'a written plan' : 'a trace'}, not a scenario`,
    {
      hint: '`windtunnel plan` or `windtunnel import --out` writes the sessions as they will run',
    },
  );
}
