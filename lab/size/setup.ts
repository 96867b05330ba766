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
  /** Of each finalist; 1 where no seed changes anything. */
  readonly seeds: number;
  readonly notes: readonly string[];
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
      throw new UserError(
        `--${name}${Number.isNaN(value) ? '' : ` ${value}`}: expected a ${name === 'load' ? '' : 'whole '}number above 0`,
      );
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
  // A trace or a written plan is the same run whatever the seed: five of them would only look like certainty.
  const isDrawn = loaded.kind === 'scenario';
  const seeds = isDrawn ? options.seeds : 1;
  const rungs = rungsOf(pace, options.load, seeds);
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
    seeds,
    notes: [
      ...promises.notes,
      ...(isDrawn
        ? []
        : ['its sessions are given, so that no seed changes them: each figure is that of one run']),
      ...(isDrawn && seeds === 1 ? ['one seed: --seeds 5 says how sure'] : []),
    ],
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
