// Plays a scenario on candidates and says whether promises are kept, how sure that is, and what it costs.
//
//   trials ─▶ cases (one a seed) ─▶ tallies ─▶ evaluations
import { judgeTally } from '../../reports/tally/judge.ts';
import { mean, pairedDifference } from '../../scenarios/base/statistics.ts';
import type { LoadedScenario, LoadOptions } from '../../scenarios/cli/load.ts';
import type { Assertion } from '../../scenarios/formats/assertion.ts';
import type { RunFigures } from '../../scenarios/formats/grid.ts';
import { NANOS_PER_USD } from '../../scenarios/formats/ledger.ts';
import type { Plan } from '../../scenarios/formats/plan.ts';
import { mergedTally, type RunTally } from '../../scenarios/formats/tally.ts';
import type { CaseFailure, CaseResult, GridCase, Outcome } from '../grid/case.ts';
import type { Burst } from '../grid/load-factor.ts';
import type { RunCases } from '../grid/run-grid.ts';
import { seedsFrom } from '../grid/seeds.ts';
import type { Candidate } from './candidate.ts';
import { isUpper, marginOf, roomTo, usedOf } from './kept.ts';
import { played, type Stretch } from './traffic.ts';

const HOUR_MS = 3_600_000;

export interface Trial {
  readonly candidate: Candidate;
  /** Of the scenario's own traffic; 1 by default. */
  readonly loadFactor?: number;
  readonly stretch: Stretch;
  /** How many seeds, from the scenario's own on: all candidates meet the same agents. */
  readonly seeds: number;
  readonly burst?: Burst;
  /** Overrides of the scenario beside its promises. */
  readonly set?: readonly string[];
  /** A module (URL) that reads each run as a whole, as in `GridCase`. */
  readonly measure?: string;
}

export interface PromiseKept {
  readonly text: string;
  readonly target: number;
  readonly unit: 'ms' | 'ratio' | 'count';
  /** Of all seeds together; null: nothing of the kind ran. */
  readonly value: number | null;
  /** Of each seed. */
  readonly bySeed: readonly (number | null)[];
  /** Of the mean over seeds, Student's; null of one seed. */
  readonly ci95: readonly [number, number] | null;
  /** Room to the target over the target: negative where it is broken. */
  readonly marginRatio: number;
  /** How much of it is used up: 1 at the target; null: nothing ran, or beyond all measure. */
  readonly usedRatio: number | null;
  /** `unsure`: kept by the value, and not by the whole interval. */
  readonly verdict: 'kept' | 'unsure' | 'broken';
}

export interface Evaluation {
  readonly trial: Trial;
  readonly verdict: 'kept' | 'unsure' | 'broken' | 'failed';
  readonly promises: readonly PromiseKept[];
  /** The one with the least room; null: it did not run. */
  readonly tightest: PromiseKept | null;
  /** GPUs and bills of providers; null where a price is missing. */
  readonly usdPerHour: number | null;
  readonly usdPer1000Workflows: number | null;
  readonly workflowsPerHour: number;
  readonly callsPerSec: number;
  readonly hitRatio: number | null;
  /** Of all seeds together; null: none ran. */
  readonly tally: RunTally | null;
  /** Of the first seed: the run as a whole, its start included. */
  readonly figures: RunFigures | null;
  /** CPU-bound work that it took: calls simulated over all seeds. */
  readonly callsSimulated: number;
  /** What the trial's `measure` answered, a value a seed. */
  readonly measured?: readonly unknown[];
  readonly failure: CaseFailure | null;
}

export interface EvaluatorOptions {
  readonly loaded: LoadedScenario;
  readonly plan: Plan;
  /** File, library entry or trace. */
  readonly input: string;
  readonly options: LoadOptions;
  /** Times the file's traffic: what load factors are counted from; 1 by default. */
  readonly trafficRatio?: number;
  /** Lines in words; each a promise. */
  readonly promises: readonly string[];
  readonly run: RunCases;
  readonly jobs?: number | undefined;
  readonly isStopped?: () => boolean;
  /** Told after each run: how many there were in all. */
  readonly onRun?: (runs: number) => void;
}

export class Evaluator {
  private readonly options: EvaluatorOptions;
  private readonly known = new Map<string, Evaluation>();
  /** By case: a trial of more seeds runs the others only. */
  private readonly outcomes = new Map<string, Outcome>();
  /** Simulations that were run. */
  runs = 0;
  calls = 0;

  constructor(options: EvaluatorOptions) {
    this.options = options;
  }

  get plan(): Plan {
    return this.options.plan;
  }

  get loaded(): LoadedScenario {
    return this.options.loaded;
  }

  /** Deployments that were looked at. */
  get candidates(): number {
    return new Set([...this.known.values()].map(({ trial }) => trial.candidate.name)).size;
  }

  /** In the order of the trials; what was evaluated before is not run again. Null of those that an early end left out. */
  async evaluate(trials: readonly Trial[]): Promise<(Evaluation | null)[]> {
    const keys = trials.map(trial => JSON.stringify(trial));
    const fresh = [...new Map(trials.map((trial, i) => [keys[i]!, trial]))].filter(
      ([key]) => !this.known.has(key),
    );
    const cases = fresh.map(([, trial]) => this.casesOf(trial));
    await this.run(cases.flat());
    for (const [i, [key, trial]] of fresh.entries()) {
      const own = cases[i]!.map(each => this.outcomes.get(JSON.stringify(each)) ?? null);
      if (own.includes(null)) continue;
      const failed = own.find(outcome => outcome?.ok === false);
      const evaluation =
        failed?.ok === false
          ? failedTrial(trial, failed.failure)
          : evaluationOf(trial, own as CaseResult[], cases[i]![0]!, this.assertions);
      this.known.set(key, evaluation);
    }
    return keys.map(key => this.known.get(key) ?? null);
  }

  private async run(cases: readonly GridCase[]): Promise<void> {
    const fresh = [...new Map(cases.map(each => [JSON.stringify(each), each]))].filter(
      ([key]) => !this.outcomes.has(key),
    );
    const outcomes = await this.options.run(
      fresh.map(([, each]) => each),
      {
        jobs: this.options.jobs,
        isStopped: this.options.isStopped ?? (() => false),
        onDone: () => {
          this.runs += 1;
          this.options.onRun?.(this.runs);
        },
      },
    );
    for (const [i, [key]] of fresh.entries()) {
      const outcome = outcomes[i];
      if (outcome == null) continue;
      this.outcomes.set(key, outcome);
      if (outcome.ok) this.calls += outcome.figures.calls;
    }
  }

  /** The promises as the plans of the cases have them: lines first, then the SLOs of steps. */
  private get assertions(): readonly Assertion[] {
    return this.options.plan.assertions;
  }

  private casesOf({
    candidate,
    loadFactor = 1,
    stretch,
    seeds,
    burst,
    set = [],
    measure,
  }: Trial): GridCase[] {
    const { loaded, plan, input, options, promises, trafficRatio = 1 } = this.options;
    const times = loadFactor * trafficRatio;
    const { set: playedSet, ...clock } = played(loaded, plan, stretch, times);
    return seedsFrom(plan.seed, seeds).map(seed => ({
      scenario: {
        input,
        options: {
          ...options,
          seed,
          set: [...(options.set ?? []), `assert=${JSON.stringify(promises)}`, ...playedSet, ...set],
        },
      },
      deployment: candidate.deployment,
      loadFactor: times,
      isTallied: true,
      ...clock,
      ...(burst === undefined ? {} : { burst }),
      ...(measure === undefined ? {} : { measure }),
    }));
  }
}

const failedTrial = (trial: Trial, failure: CaseFailure): Evaluation => ({
  trial,
  verdict: 'failed',
  promises: [],
  tightest: null,
  usdPerHour: null,
  usdPer1000Workflows: null,
  workflowsPerHour: 0,
  callsPerSec: 0,
  hitRatio: null,
  tally: null,
  figures: null,
  callsSimulated: 0,
  failure,
});

function evaluationOf(
  trial: Trial,
  results: readonly CaseResult[],
  { judged }: GridCase,
  assertions: readonly Assertion[],
): Evaluation {
  const tallies = results.map(({ tally }) => tally!) as [RunTally, ...RunTally[]];
  const pooled = mergedTally(tallies);
  const promises = promisesOf(assertions, tallies, pooled);
  const spanMs =
    judged === undefined
      ? mean(tallies.map(({ durationUs }) => durationUs / 1000))
      : judged.toMs - judged.fromMs;
  const perHour = (count: number): number => (count / results.length / spanMs) * HOUR_MS;
  const workflowsPerHour = perHour(pooled.sessions.completed);
  const usdPerHour = costPerHour(trial.candidate, tallies);
  const { looked, cached } = pooled.tokens;
  return {
    trial,
    verdict: worst(promises),
    promises,
    tightest: promises.reduce<PromiseKept | null>(
      (least, each) => (least === null || each.marginRatio < least.marginRatio ? each : least),
      null,
    ),
    usdPerHour,
    usdPer1000Workflows:
      usdPerHour === null || workflowsPerHour === 0 ? null : (usdPerHour / workflowsPerHour) * 1000,
    workflowsPerHour,
    callsPerSec: perHour(pooled.calls.ok) / 3600,
    hitRatio: looked === 0 ? null : cached / looked,
    tally: pooled,
    figures: results[0]!.figures,
    callsSimulated: results.reduce((sum, { figures }) => sum + figures.calls, 0),
    ...(trial.measure === undefined ? {} : { measured: results.map(({ measured }) => measured) }),
    failure: null,
  };
}

/** GPUs at their price, or as the run paid for them; and what providers bill, over the time of the run. */
function costPerHour({ usdPerHour }: Candidate, tallies: readonly RunTally[]): number | null {
  const hours = tallies.reduce((sum, { durationUs }) => sum + durationUs, 0) / 1000 / HOUR_MS;
  if (hours === 0) return usdPerHour;
  const api = tallies.reduce((sum, { apiNanos }) => sum + apiNanos, 0) / NANOS_PER_USD / hours;
  if (usdPerHour !== null) return usdPerHour + api;
  if (tallies.some(({ gpuNanos }) => gpuNanos === null)) return null;
  return tallies.reduce((sum, { gpuNanos }) => sum + gpuNanos!, 0) / NANOS_PER_USD / hours + api;
}

function promisesOf(
  assertions: readonly Assertion[],
  tallies: readonly RunTally[],
  pooled: RunTally,
): PromiseKept[] {
  const bySeed = tallies.map(tally => judgeTally(assertions, tally));
  return judgeTally(assertions, pooled).map(({ text, value, target, unit }, i) => {
    const assertion = assertions[i]!;
    const { op } = assertion;
    const values = bySeed.map(results => results[i]!.value);
    const known = values.flatMap(each => each ?? []);
    const ci95 = known.length < 2 ? null : intervalOf(known);
    const isKept = (each: number): boolean => {
      const room = roomTo(assertion, each);
      return op === '<' || op === '>' ? room > 0 : room >= 0;
    };
    const worstEnd = ci95 === null ? value : isUpper(assertion) ? ci95[1] : ci95[0];
    return {
      text,
      target,
      unit,
      value,
      bySeed: values,
      ci95,
      marginRatio: marginOf(assertion, value),
      usedRatio: usedOf(assertion, value),
      verdict: value === null ? 'kept' : !isKept(value) ? 'broken' : isKept(worstEnd!) ? 'kept' : 'unsure',
    };
  });
}

/** Student's, over seeds; no time and no rate is below 0. */
function intervalOf(values: number[]): readonly [number, number] | null {
  const { ci95 } = pairedDifference(values);
  return ci95 && [Math.max(0, ci95[0]), ci95[1]];
}

const worst = (promises: readonly PromiseKept[]): 'kept' | 'unsure' | 'broken' =>
  promises.some(({ verdict }) => verdict === 'broken')
    ? 'broken'
    : promises.some(({ verdict }) => verdict === 'unsure')
      ? 'unsure'
      : 'kept';
