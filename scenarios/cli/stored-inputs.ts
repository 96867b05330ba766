// Keeps what a run is made of in its folder, and makes files of it again that every command takes.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { UserError } from '../base/errors.ts';
import type { CatalogModel } from '../formats/catalog.ts';
import { INPUTS_FILE, INPUTS_SCHEMA_VERSION, type StoredInputs } from '../formats/stored-inputs.ts';
import { findInput } from './library.ts';
import type { LoadedScenario } from './load.ts';
import type { RunOptions } from './run-options.ts';
import { selectionOf } from './trace-options.ts';

type Mapping = Record<string, unknown>;
const isMapping = (value: unknown): value is Mapping =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The same scenario with its traces named otherwise. */
function withTraces(value: unknown, named: (path: string) => string): unknown {
  if (!isMapping(value) || !Array.isArray(value.traffic)) return value;
  const traffic = value.traffic.map(cohort =>
    isMapping(cohort) && cohort.trace !== undefined
      ? { ...cohort, trace: [cohort.trace].flat().map(path => named(String(path))) }
      : cohort,
  );
  return { ...value, traffic };
}

/** Of a deployment: what it says, and the models that its folder adds. */
interface DeploymentInput {
  readonly name: string;
  readonly sha256: string;
  readonly value: unknown;
  readonly models: readonly CatalogModel[];
}

/** What a run is made of. */
export function inputsOf(
  loaded: LoadedScenario,
  deployment: DeploymentInput,
  options: Pick<RunOptions, 'scenario' | 'deployment' | 'routing'> & Parameters<typeof selectionOf>[0],
): StoredInputs {
  const { kind, file, compiled } = loaded;
  const problem =
    kind === 'plan'
      ? 'it ran a written plan, whose draws are fixed'
      : kind === 'trace' && selectionOf(options) !== null
        ? 'it ran a selection of a trace; write it down first: windtunnel import TRACE … --out FILE'
        : null;
  // A trace is named from the working folder already, a scenario's traces from its own.
  const folder = kind === 'trace' ? '.' : dirname(findInput(options.scenario, 'scenarios'));
  const here = (path: string): string => {
    const at = resolve(folder, path);
    const seen = relative('.', at);
    return isAbsolute(path) || seen === '' ? at : seen;
  };
  return {
    schemaVersion: INPUTS_SCHEMA_VERSION,
    kind: 'inputs',
    scenario: {
      name: compiled?.plan?.name ?? '',
      sha256: compiled?.plan?.sha256 ?? '',
      kind,
      // A trace named directly stands in its scenario as sessions that are read already.
      value:
        problem === null
          ? withTraces({ ...file, name: compiled?.plan?.name }, path =>
              here(kind === 'trace' ? options.scenario : path),
            )
          : null,
      problem,
      input: options.scenario,
    },
    deployment: { ...deployment, input: options.deployment },
    seed: compiled?.plan?.seed ?? 1,
    routing: options.routing ?? null,
  };
}

/** Written before a run starts: one that is killed can be made again as well. */
export function keepInputs(folder: string, inputs: StoredInputs): void {
  writeFileSync(join(folder, INPUTS_FILE), `${JSON.stringify(inputs, null, 1)}\n`);
}

/** What the run in a folder was made of; null: it was made by a version that did not keep it. */
export function readInputs(folder: string): StoredInputs | null {
  const path = join(folder, INPUTS_FILE);
  if (!existsSync(path)) return null;
  let inputs: StoredInputs;
  try {
    inputs = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new UserError(`${path} is not valid JSON: ${(error as Error).message}`, {
      hint: 'make the run again',
    });
  }
  if (inputs?.kind !== 'inputs' || inputs.schemaVersion !== INPUTS_SCHEMA_VERSION) {
    throw new UserError(`${path} is of another version of windtunnel`, { hint: 'make the run again' });
  }
  return inputs;
}

/** Files of the inputs in a folder, as `simulate` and a grid take them; of what cannot be made again a UserError. */
export function inputFiles(
  { scenario, deployment }: StoredInputs,
  folder: string,
): { scenario: string; deployment: string } {
  if (scenario.problem !== null) {
    throw new UserError(`the run of ${scenario.input} cannot be made again: ${scenario.problem}`, {
      hint: 'compare runs of a scenario file',
    });
  }
  mkdirSync(folder, { recursive: true });
  const write = (name: string, value: unknown): string => {
    const path = join(folder, name);
    writeFileSync(path, `${JSON.stringify(value, null, 1)}\n`);
    return path;
  };
  if (deployment.models.length > 0)
    write('windtunnel.catalog.json', { windtunnel: 1, models: deployment.models });
  const traces = withTraces(scenario.value, path => resolve(path));
  return { scenario: write('scenario.json', traces), deployment: write('deployment.json', deployment.value) };
}
