// What `size` works with: the scenario with its promises, the evaluator, how long to look.
import { settle } from '../../engines/load.ts';
import { UserError } from '../../scenarios/base/errors.ts';
import type { LoadedScenario } from '../../scenarios/cli/load.ts';
import { loadOptionsOf, loadRun, type RunOptions } from '../../scenarios/cli/run-options.ts';
import type { Plan } from '../../scenarios/formats/plan.ts';
import type { RunCases } from '../grid/run-grid.ts';
import { type LabContext, labContext } from '../lint/context.ts';
import { Evaluator } from './evaluate.ts';
import { type Promises, promisesOf } from './promises.ts';
import { paceOf, rungsOf } from './rungs.ts';
import type { Rung } from './search.ts';
import { WEEK_MS } from './sustained.ts';
import { lastingRatio, played, type TrafficKind, trafficKind } from './traffic.ts';

export interface SetupOptions extends Omit<RunOptions, 'deployment' | 'routing' | 'strict'> {
  deployment: string | undefined;
  strict: boolean;
  slo: string[];
  load: number;
  seeds: number;
  jobs: number | undefined;
}

export interface Setup {
  readonly loaded: LoadedScenario;
  readonly plan: Plan;
  readonly context: LabContext;
  readonly promises: Promises;
  readonly evaluator: Evaluator;
  readonly kind: TrafficKind;
  readonly rungs: readonly [Rung, Rung, Rung];
  /** What the traffic brings, in an ideal world. */
  readonly callsPerSec: number;
  /** Of its peak, what lasts as long as finalists are looked at. */
  readonly lastingRatio: number;
}

export interface Running {
  readonly run: RunCases;
  readonly isStopped: () => boolean;
}

export function setupOf(options: SetupOptions, { run, isStopped }: Running): Setup {
  for (const name of ['seeds', 'load'] as const) {
    const value = options[name];
    if (!(value > 0 && (name === 'load' || Number.isInteger(value))))
      throw new UserError(`--${name} ${value}: expected a ${name === 'load' ? '' : 'whole '}number above 0`);
  }
  const first = loadRun(options);
  settle(first, first.issues, options);
  const promises = promisesOf(planOf(first), options.slo);
  // A deployment's own settings stay out of the scenario.
  const { set = [], ...loading } = loadOptionsOf({ ...options, deployment: options.deployment ?? '' });
  const loaded = loadRun({ ...options, set: [...set, `assert=${JSON.stringify(promises.lines)}`] });
  const plan = planOf(loaded);
  const context = contextOf(loaded, endless => loadRun({ ...options, set: [...set, ...endless] }));
  const pace = paceOf(context);
  const rungs = rungsOf(pace, options.load, options.seeds);
  return {
    loaded,
    plan,
    context,
    promises,
    evaluator: new Evaluator({
      loaded,
      plan,
      input: options.scenario,
      options: { ...loading, set },
      promises: promises.lines,
      trafficRatio: options.load,
      run,
      jobs: options.jobs,
      isStopped,
    }),
    kind: trafficKind(loaded, plan),
    rungs,
    callsPerSec: pace.callsPerSec * options.load,
    lastingRatio: lastingRatio(plan, Math.ceil(rungs[2].stretch.spanMs * options.load)),
  };
}

/** Walks of as many sessions as are played, where the file ends after a few. */
function contextOf(loaded: LoadedScenario, again: (set: readonly string[]) => LoadedScenario): LabContext {
  const { set } = played(loaded, planOf(loaded), { warmMs: 0, spanMs: WEEK_MS }, 1);
  const endless = set.length === 0 ? loaded : again(set);
  return labContext(endless.file!, { plan: planOf(endless), workflows: endless.compiled!.workflows }, null);
}

function planOf({ compiled }: LoadedScenario): Plan {
  if (compiled?.plan != null) return compiled.plan;
  throw new UserError('the scenario has no plan', { hint: '`windtunnel check` says what is wrong with it' });
}
