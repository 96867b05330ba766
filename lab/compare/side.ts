// One side of a comparison: a run that was kept, a committed baseline, or inputs that were never run; and how simulated
// sides are made again, so that all of them come from this version and the same seeds.
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { readResult } from '../../reports/command.ts';
import { COMPARED_FIGURES, figuresOfBlocks, figuresOver } from '../../reports/compare/figures.ts';
import { holdsRunLog } from '../../reports/run-log.ts';
import { EXIT, UserError } from '../../scenarios/base/errors.ts';
import { commandLine } from '../../scenarios/cli/run-options.ts';
import { inputFiles, readInputs } from '../../scenarios/cli/stored-inputs.ts';
import { version } from '../../scenarios/cli/version.ts';
import type { Baseline } from '../../scenarios/formats/baseline.ts';
import type { FigureBlocks } from '../../scenarios/formats/comparison.ts';
import type { RunResult } from '../../scenarios/formats/result.ts';
import type { StoredInputs } from '../../scenarios/formats/stored-inputs.ts';
import type { GridCase } from '../grid/case.ts';
import { type GridOptions, runGrid } from '../grid/run-grid.ts';

export interface Side {
  readonly name: string;
  readonly world: 'sim' | 'live';
  /** Of the version that its figures are from. */
  readonly toolVersion: string;
  /** What it can be simulated from; null: nobody kept it. */
  readonly inputs: StoredInputs | null;
  /** Of the records of the first block; null: not known. */
  readonly digest: string | null;
  /** Seeds of a simulation, blocks of a live run, in the order of the figures' values. */
  readonly blocks: readonly (number | string)[];
  readonly figures: readonly FigureBlocks[];
  /** Of the first block; null: only figures were kept. */
  readonly result: RunResult | null;
}

/** A run folder. Figures of a live run are those of its slices of time; a simulation has none until it is `simulated`. */
export async function sideOfRun(path: string): Promise<Side> {
  if (holdsRunLog(path) && !existsSync(join(path, 'result.json'))) {
    throw new UserError(`the run in ${path} was cut off, or goes on still: it has no result yet`, {
      hint: `make it again; windtunnel report ${path} shows what there is of it`,
    });
  }
  const result = await readResult(path);
  if (result.kind === 'validation') {
    throw new UserError(`${path} is a validation, which holds a simulation against live runs already`, {
      hint: `compare its halves with others of their kind: ${join(path, 'sim')} or ${join(path, 'live')}`,
    });
  }
  if (result.verdict.status === 'interrupted') {
    throw new UserError(
      `the run in ${path} was cut off before its end, so its figures are not those of a run`,
      {
        hint: 'make it again',
      },
    );
  }
  const { header, digest } = result;
  const inputs = readInputs(path.endsWith('.json') ? resolve(path, '..') : path);
  const common = { name: nameOf(path), toolVersion: header.tool.version, inputs, digest, result };
  if (header.world === 'sim') return { ...common, world: 'sim', blocks: [], figures: [] };
  const ofBlocks = figuresOfBlocks(result);
  const figures = ofBlocks ?? figuresOver([result]);
  const count = figures[0]?.values.length ?? 0;
  const blocks =
    ofBlocks === null ? ['whole run'] : Array.from({ length: count }, (_, i) => `slice ${i + 1}`);
  return { ...common, world: 'live', blocks, figures };
}

const nameOf = (path: string): string => basename(resolve(path.replace(/\/result\.json$/, '')));

export function sideOfBaseline(baseline: Baseline): Side {
  const { name, world, toolVersion, inputs, digest, blocks, figures } = baseline;
  if (world === 'shape') {
    throw new UserError(`the baseline "${name}" is the shape of a scenario, not a run`, {
      hint: 'hold a scenario against it with windtunnel check SCENARIO --gate',
    });
  }
  return { name, world, toolVersion, inputs, digest, blocks, figures, result: null };
}

/** Inputs that nobody has run yet. */
export const sideOfInputs = (name: string, inputs: StoredInputs): Side => ({
  name,
  world: 'sim',
  toolVersion: version,
  inputs,
  digest: null,
  blocks: [],
  figures: [],
  result: null,
});

const SUMMARY = new URL('./summary-measure.ts', import.meta.url).href;

/** The inputs as a case of a grid; `folder` is where their files are. */
export function caseOf(
  files: { scenario: string; deployment: string },
  { routing }: StoredInputs,
  seed: number | string,
  measure: string,
): GridCase {
  const change = routing === null ? {} : { change: { routing: { policy: routing, options: {} } } };
  return {
    scenario: { input: files.scenario, options: { seed } },
    deployment: { input: files.deployment, ...change },
    loadFactor: 1,
    measure,
  };
}

/** Gives files of the inputs for as long as `use` takes. */
export async function withFiles<T>(
  inputs: readonly StoredInputs[],
  use: (files: readonly { scenario: string; deployment: string }[]) => Promise<T>,
): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'windtunnel-compare-'));
  try {
    return await use(inputs.map((each, i) => inputFiles(each, join(folder, String(i)))));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The summary of each seed; shorter where somebody stopped it. A simulation that fails throws what it said. */
export async function simulatedRuns(
  inputs: StoredInputs,
  seeds: readonly (number | string)[],
  options: GridOptions = {},
): Promise<RunResult[]> {
  const outcomes = await withFiles([inputs], ([files]) =>
    runGrid(
      seeds.map(seed => caseOf(files!, inputs, seed, SUMMARY)),
      options,
    ),
  );
  const runs: RunResult[] = [];
  for (const outcome of outcomes) {
    if (outcome === null) break;
    if (!outcome.ok) {
      const { message, hint, exitCode } = outcome.failure;
      throw new UserError(
        `${inputs.scenario.name} @ ${inputs.deployment.name} cannot be simulated: ${message}`,
        {
          hint:
            hint ??
            'traces and routing policies are looked for from the folder that windtunnel is started in',
          exitCode,
        },
      );
    }
    runs.push(outcome.measured as RunResult);
  }
  return runs;
}

/** Fills blocks and figures by simulating the side's inputs with these seeds, in this version. */
export async function simulated(
  side: Side,
  seeds: readonly (number | string)[],
  jobs?: number,
  options: Omit<GridOptions, 'jobs'> = {},
): Promise<Side> {
  const { inputs } = side;
  if (inputs === null) {
    throw new UserError(`what ${side.name} was made of is not known: it has no inputs.json`, {
      hint: 'it was made by an older version: make it again, then compare',
    });
  }
  // Of a trace no seed decides anything.
  const own = inputs.scenario.kind === 'scenario' ? seeds : seeds.slice(0, 1);
  const runs = await simulatedRuns(inputs, own, { ...options, jobs });
  const [first] = runs;
  if (first === undefined)
    throw new UserError('interrupted before anything could be compared', { exitCode: EXIT.interrupted });
  return {
    ...side,
    toolVersion: version,
    digest: first.digest,
    blocks: own.slice(0, runs.length),
    figures: figuresOver(runs),
    // A thread of a grid does not know who asked for it.
    result: { ...first, header: { ...first.header, command: side.result?.header.command ?? commandLine() } },
  };
}

/** Figures named as primary; an unknown name is a UserError. */
export function primaryOf(names: readonly string[], most: number): readonly string[] {
  const known = COMPARED_FIGURES.map(({ id }) => id);
  const unknown = names.find(name => !known.includes(name));
  if (unknown !== undefined)
    throw new UserError(`--primary: there is no figure "${unknown}"`, { hint: `known: ${known.join(', ')}` });
  if (names.length === 0 || names.length > most) {
    throw new UserError(`--primary names ${names.length} figures: expected 1 to ${most}`, {
      hint: 'each further one makes all of them harder to prove; the others are shown anyway',
    });
  }
  return names;
}
