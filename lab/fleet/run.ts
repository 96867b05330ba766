// One run in parts, on threads: cells where they are asked for, else whatever shares nothing, else the whole.
import type { ReadyRun } from '../../engines/load.ts';
import { UserError } from '../../scenarios/base/errors.ts';
import type { LoadedScenario } from '../../scenarios/cli/load.ts';
import type { RunTally } from '../../scenarios/formats/tally.ts';
import type { TalliedParts } from '../../scenarios/formats/tally-result.ts';
import type { CaseResult, GridCase } from '../grid/case.ts';
import { type RunCases, runGrid } from '../grid/run-grid.ts';
import { partsApart, tieOf } from './apart.ts';
import { approximations, cellsOf, type RunPart } from './part.ts';
import { wholeTally } from './whole-tally.ts';

export interface FleetRun {
  readonly loaded: LoadedScenario;
  readonly ready: ReadyRun;
  /** The same run as a case. */
  readonly of: Omit<GridCase, 'part' | 'isTallied'>;
  /** Null: none are asked for. */
  readonly cells: number | null;
  readonly jobs?: number | undefined;
  /** Told after each part. */
  readonly onDone?: (done: number, parts: number) => void;
  /** In place of threads of this machine. */
  readonly runCases?: RunCases;
}

export interface FleetTally {
  readonly tally: RunTally;
  readonly parts: TalliedParts;
}

/** Throws what went wrong in a part. */
export async function runFleet(run: FleetRun): Promise<FleetTally> {
  const { ready, of, cells, jobs, onDone = () => {}, runCases = runGrid } = run;
  const { plan, deployment } = ready;
  const parts = cells === null ? apart(run) : cellsOf(cells, deployment);
  const cases = parts.map(part => ({ ...of, part, isTallied: true }));
  const outcomes = await runCases(cases, {
    jobs,
    onDone: (done, index, outcome) => {
      // Nothing is kept of a run that lacks a part.
      if (!outcome.ok) throw failure(outcome.failure, parts[index]!);
      onDone(done, parts.length);
    },
  });
  return {
    tally: wholeTally(outcomes as readonly CaseResult[]),
    parts:
      cells !== null && cells > 1
        ? { kind: 'cells', count: cells, isExact: false, notes: approximations(plan, deployment) }
        : {
            kind: 'apart',
            count: parts.length,
            isExact: true,
            notes: parts.length > 1 ? [] : wholeNotes(run),
          },
  };
}

function apart(run: FleetRun): RunPart[] {
  const { cohorts } = run.ready.plan;
  const parts = partsOf(run);
  if (parts.length > 1) return parts;
  const names = (list: readonly { readonly name: string }[]): string[] => list.map(({ name }) => name);
  return [{ kind: 'apart', cohorts: names(cohorts), pools: names(run.ready.deployment.pools) }];
}

const wholeOf = ({ loaded: { file, compiled }, ready }: FleetRun) =>
  file === null || compiled === null ? null : { ...ready, file, workflows: compiled.workflows };

function partsOf(run: FleetRun): RunPart[] {
  const whole = wholeOf(run);
  return whole === null ? [] : partsApart(whole);
}

function wholeNotes(run: FleetRun): string[] {
  const whole = wholeOf(run);
  const tie = whole === null || whole.deployment.pools.length < 2 ? null : tieOf(whole);
  return tie === null ? [] : [tie];
}

const failure = (
  { message, hint, exitCode }: { message: string; hint: string | null; exitCode: number },
  part: RunPart,
) =>
  new UserError(part.kind === 'cell' ? `cell ${part.cell + 1} of ${part.cells}: ${message}` : message, {
    hint,
    exitCode,
  });
