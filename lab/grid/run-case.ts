// Runs cases one after the other, in this thread. Files are read, compiled and checked once for as long as cases keep
// asking for them.
import { costBasis } from '../../engines/cost-basis.ts';
import type { DeploymentSpec } from '../../engines/engine.ts';
import { loadDeployment, type ReadyRun, readyRun } from '../../engines/load.ts';
import { ledgerOf } from '../../gateway/ledger/ledger.ts';
import { routingPolicies } from '../../gateway/routing/index.ts';
import { isPath, loadRouting } from '../../gateway/routing/outside.ts';
import { EXIT, UserError } from '../../scenarios/base/errors.ts';
import { type LoadedScenario, loadScenario } from '../../scenarios/cli/load.ts';
import { headerOf } from '../../scenarios/cli/run-options.ts';
import { InputIssues } from '../../scenarios/cli/terminal.ts';
import type { Plan } from '../../scenarios/formats/plan.ts';
import type { CallRecord, WorkflowRecord } from '../../scenarios/formats/record.ts';
import type { RunOutput } from '../../scenarios/formats/run.ts';
import { formatIssues } from '../../scenarios/formats/source.ts';
import { startSimulation } from '../../sim/start.ts';
import { partOf } from '../fleet/part.ts';
import {
  type CaseFailure,
  type CaseResult,
  changed,
  type GridCase,
  type Measure,
  type Outcome,
} from './case.ts';
import { FigureCollector } from './figures.ts';
import { agentsAt, atLoad, withBurst, withWindow } from './load-factor.ts';
import { addHits, type SegmentHits } from './segment-hits.ts';
import { tallied } from './tallied.ts';

/** Scenarios and pairs kept: cases come in order, so a few are asked for again and again. */
const KEPT = 4;
/** Instants between two looks at the clock of the loop. */
const SLICE = 10_000;
const SILENT = { json: true, quiet: true };

/** The last few values by key. */
class Recent<T> {
  private readonly values = new Map<string, T>();

  get(key: string, make: () => T): T {
    const known = this.values.get(key);
    const value = known ?? make();
    this.values.delete(key);
    this.values.set(key, value);
    const [oldest] = this.values.keys();
    if (this.values.size > KEPT && oldest !== undefined) this.values.delete(oldest);
    return value;
  }
}

interface Ready {
  readonly loaded: LoadedScenario;
  readonly ready: ReadyRun;
}

export class CaseRunner {
  private readonly scenarios = new Recent<LoadedScenario>();
  private readonly pairs = new Recent<Ready>();

  /** Never throws: what went wrong is the outcome. */
  async run(given: GridCase): Promise<Outcome> {
    try {
      return { ok: true, ...(await this.simulate(given)) };
    } catch (error) {
      return { ok: false, failure: failureOf(error) };
    }
  }

  private async simulate(given: GridCase): Promise<CaseResult> {
    const { loaded, ready } = this.ready(given);
    const whole = {
      plan: planOf(ready.plan, given),
      deployment: changed(ready.deployment, given.deployment.change ?? {}),
    };
    const { plan, deployment } = given.part === undefined ? whole : partOf(whole, given.part);
    const { policy } = deployment.routing;
    const evidence = deployment.pools.flatMap(pool => pool.evidence);
    const collector = new FigureCollector(plan, given.slos);
    const cohorts = given.isByCohort
      ? new Map(plan.cohorts.map(({ name }) => [name, new FigureCollector(plan)]))
      : null;
    const segments = new Map<string, SegmentHits>();
    const tally = given.isTallied === true ? tallied(plan, deployment, given.judged) : null;
    const simulation = startSimulation({
      plan,
      deployment,
      routing: isPath(policy) ? await loadRouting(policy) : null,
      poolOf: ready.poolOf,
      header: headerOf({
        world: 'sim',
        loaded,
        deployment,
        evidence,
        warnings: ready.warnings,
        startedAt: null,
      }),
      onCall(call: CallRecord) {
        collector.onCall(call);
        cohorts?.get(call.cohort)?.onCall(call);
        if (given.isBySegment === true) addHits(segments, call);
        tally?.hears.onCall(call);
      },
      onSession(session: WorkflowRecord) {
        collector.onSession(session);
        cohorts?.get(session.cohort)?.onSession(session);
        tally?.hears.onSession(session);
      },
      ...(tally?.hears.listener === undefined ? {} : { listener: tally.hears.listener }),
      keepRecords: given.measure !== undefined,
    });
    while (simulation.step(SLICE));
    const figuresOf = (each: FigureCollector) => each.figures(simulation.nowMs, simulation.replicaSpans());
    const measure = given.measure === undefined ? null : await measureOf(given.measure);
    return {
      figures: figuresOf(collector),
      ...(given.slos !== undefined && { keptRatios: collector.keptRatios() }),
      ...(given.isBySegment === true && { segments: Object.fromEntries(segments) }),
      ...(cohorts !== null && {
        cohorts: Object.fromEntries([...cohorts].map(([name, each]) => [name, figuresOf(each)])),
      }),
      ...(tally !== null && { tally: tally.of(simulation) }),
      ...(given.part !== undefined && {
        ran: { spans: simulation.replicaSpans(), durationMs: simulation.nowMs },
      }),
      ...(measure !== null && { measured: measure(withLedger(simulation.finish(), deployment, plan), plan) }),
    };
  }

  private ready({ scenario, deployment: { input, set = [] }, loadFactor }: GridCase): Ready {
    const base = this.scenarios.get(JSON.stringify(scenario), () =>
      loadScenario(scenario.input, scenario.options),
    );
    const agents = agentsAt(base, loadFactor);
    const key = JSON.stringify([scenario, input, set, agents]);
    return this.pairs.get(key, () => {
      const options = { ...scenario.options, set: [...(scenario.options.set ?? []), ...agents] };
      const loaded = agents.length === 0 ? base : loadScenario(scenario.input, options);
      return { loaded, ready: readyRun(loaded, loadDeployment(input, routingPolicies, set), SILENT) };
    });
  }
}

/** The part of the plan that is wanted, at its load, with its burst. */
function planOf(whole: Plan, { window, loadFactor, burst }: GridCase): Plan {
  const plan = atLoad(window === undefined ? whole : withWindow(whole, window), loadFactor);
  return burst === undefined ? plan : withBurst(plan, burst);
}

async function measureOf(module: string): Promise<Measure<unknown>> {
  const { default: measure } = (await import(module)) as { default: Measure<unknown> };
  return measure;
}

const withLedger = (run: RunOutput, deployment: DeploymentSpec, plan: Plan) => ({
  ...run,
  ledger: ledgerOf(run, costBasis(deployment, plan)),
});

function failureOf(error: unknown): CaseFailure {
  if (error instanceof InputIssues) {
    const message = error.groups
      .filter(({ issues }) => issues.length > 0)
      .map(({ issues, source }) => formatIssues(issues, source, { colour: false }))
      .join('\n');
    return { message, hint: null, exitCode: EXIT.badInput };
  }
  if (error instanceof UserError)
    return { message: error.message, hint: error.hint, exitCode: error.exitCode };
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { message, hint: 'this is our failure: please report it', exitCode: EXIT.internal };
}
