// A scenario simulated, and held against what was measured.
//
//   1. simulate   2. replay, with repeats   3. compare each world with each   4. the verdict   5. one page for all
import { join } from 'node:path';
import type { ReadyRun } from '../../engines/load.ts';
import type { RoutingPolicy } from '../../gateway/routing/policy.ts';
import type { LiveOptions } from '../../loadgen/live-options.ts';
import { publish, publishValidation } from '../../reports/publish.ts';
import { EXIT, UserError } from '../../scenarios/base/errors.ts';
import type { LoadedScenario } from '../../scenarios/cli/load.ts';
import { type CommonOptions, printJson, say } from '../../scenarios/cli/terminal.ts';
import { parseScalar } from '../../scenarios/formats/quantity.ts';
import type { RunResult } from '../../scenarios/formats/result.ts';
import type { RunOutput } from '../../scenarios/formats/run.ts';
import type { Moment } from '../../scenarios/formats/selection.ts';
import {
  type Comparison,
  type SeriesComparison,
  VALIDATION_SCHEMA_VERSION,
  type ValidationResult,
} from '../../scenarios/formats/validation.ts';
import { runSimulation } from '../../sim/command.ts';
import { againstMetrics } from './against-metrics.ts';
import { compareWorlds } from './compare.ts';
import { clockOf } from './incident.ts';
import type { Tolerances } from './judged.ts';
import { liveRuns } from './live.ts';
import type { MetricSeries } from './prometheus.ts';
import { recordedRun, wallClockOf, withRecord } from './recorded-run.ts';
import { recordedSeries } from './series.ts';
import { verdictOf } from './verdict.ts';

/** How the measured half is made and judged. */
export interface ValidateHow extends CommonOptions, LiveOptions {
  deployment: string;
  emulate: boolean;
  /** Live runs of the plan. */
  repeats: number;
  tolerance: string | undefined;
  'tail-tolerance'?: string | undefined;
  'count-tolerance': string | undefined;
}

const ratioOption = (name: string, raw: string | undefined, fallback: number): number => {
  if (raw === undefined) return fallback;
  const parsed = parseScalar(raw, 'ratio');
  if ('value' in parsed) return parsed.value;
  throw new UserError(`--${name}: ${parsed.error}`, { hint: parsed.hint });
};

function tolerancesOf(options: ValidateHow): Tolerances {
  const timeRatio = ratioOption('tolerance', options.tolerance, options.emulate ? 0.03 : 0.1);
  return {
    timeRatio,
    tailRatio: ratioOption('tail-tolerance', options['tail-tolerance'], 2 * timeRatio),
    countRatio: ratioOption('count-tolerance', options['count-tolerance'], options.emulate ? 0 : 0.02),
  };
}

export interface ValidateInput {
  loaded: LoadedScenario;
  ready: ReadyRun;
  options: ValidateHow;
  out: string;
  /** In place of the deployment's: a policy from outside. */
  routing?: RoutingPolicy | null;
  /** Whether the plan is sent to servers. */
  replays?: boolean;
  /** Start of the window that was cut out of a trace. */
  from?: Moment | null;
  /** The trace's own latencies decide. */
  isAgainstRecord?: boolean;
  /** What Prometheus kept decides; `startedMs` null: the run's start on its clock is not said. */
  metrics?: { series: readonly MetricSeries[]; startedMs: number | null } | null;
}

/** Runs the worlds, writes `out/sim`, `out/live`, … and the page of all; returns the exit code. */
export async function validate(input: ValidateInput): Promise<number> {
  const { loaded, ready, options, out, routing = null, replays = true } = input;
  const tolerances = tolerancesOf(options);
  // 1.
  const sim = await runSimulation(loaded, ready, options, { routing });
  // Written before the live runs, which may take long or be cut off.
  const simulated = await publish(sim, { out: join(out, 'sim') });
  if (sim.interrupted) {
    say(options, simulated.summaryText);
    return EXIT.interrupted;
  }
  // Bad input is better told now than after the live runs.
  const compareKept = keptWorld(input, sim, tolerances);
  // 2.
  const runs = replays ? await liveRuns({ loaded, ready, options, out, routing, sim }) : [];
  // 3.
  const live = runs.map(({ output }) => output).filter(({ valid }) => valid);
  const { comparisons: kept, series, warnings } = compareKept?.(live) ?? NOTHING;
  const simulatedAgainstLive = () =>
    compareWorlds({ world: 'sim', runs: [sim] }, { world: 'live', runs: live }, tolerances);
  const comparisons = live.length === 0 ? kept : [...kept, simulatedAgainstLive()];
  // 4.
  const repeats = runs.map(({ folder, output: { valid, invalidReason } }) => ({
    folder,
    valid,
    invalidReason,
  }));
  const [comparison = null] = comparisons;
  const verdict = verdictOf({ comparison, series, live, repeats });
  const validation: ValidationResult = {
    schemaVersion: VALIDATION_SCHEMA_VERSION,
    kind: 'validation',
    sim: simulated.result as RunResult,
    live: (runs.find(({ output }) => output.valid) ?? runs[0])?.result ?? null,
    repeats,
    comparisons,
    series,
    verdict,
    warnings,
    pass: comparison?.pass ?? false,
  };
  // 5.
  const published = await publishValidation(validation, { out });
  if (options.json) printJson(validation);
  say(options, published.summaryText);
  return runs.some(({ output }) => output.interrupted) ? EXIT.interrupted : published.exitCode;
}

interface Compared {
  readonly comparisons: Comparison[];
  readonly series: SeriesComparison[];
  readonly warnings: string[];
}

const NOTHING: Compared = { comparisons: [], series: [], warnings: [] };

/** Holds the simulation, and live runs where there are any, against what others measured; null: nobody did. */
function keptWorld(
  { loaded, from = null, isAgainstRecord = false, metrics = null }: ValidateInput,
  sim: RunOutput,
  tolerances: Tolerances,
): ((live: readonly RunOutput[]) => Compared) | null {
  const epochMs = (): number | null => wallClockOf(loaded, sim.workflows, from);
  if (metrics !== null) {
    const compared = againstMetrics(sim, metrics.series, metrics.startedMs ?? epochMs(), tolerances);
    return () => compared;
  }
  if (!isAgainstRecord) return null;
  const { records, warnings } = recordedRun(loaded, sim);
  const record = { world: 'recorded' as const, runs: [records] };
  const simulated = withRecord(sim, records);
  const comparison = compareWorlds({ world: 'sim', runs: [simulated] }, record, tolerances);
  const clock = clockOf(epochMs(), sim.durationMs);
  return live => {
    const replayed = live.map(run => withRecord(run, records));
    const calls = {
      predicted: simulated.calls,
      measured: records.calls,
      live: replayed.flatMap(run => run.calls),
    };
    return {
      comparisons: [
        comparison,
        ...(live.length === 0 ? [] : [compareWorlds({ world: 'live', runs: replayed }, record, tolerances)]),
      ],
      series: recordedSeries(calls, clock),
      warnings: [...warnings],
    };
  };
}
