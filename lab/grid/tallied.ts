// A simulation that is counted as it goes, bills of providers included: nothing it keeps grows with its calls.
import { costBasis } from '../../engines/cost-basis.ts';
import type { DeploymentSpec } from '../../engines/engine.ts';
import { isGoverned } from '../../gateway/govern.ts';
import { billOf, type Spent, targetOf } from '../../gateway/ledger/spent.ts';
import { TallyCollector } from '../../reports/tally/collect.ts';
import type { Plan } from '../../scenarios/formats/plan.ts';
import type { CallRecord, WorkflowRecord } from '../../scenarios/formats/record.ts';
import type { RunTally } from '../../scenarios/formats/tally.ts';
import type { Simulation } from '../../sim/simulate.ts';
import type { StartOptions } from '../../sim/start.ts';

/** What goes to `startSimulation`, and what it came to. */
export interface Tallied {
  readonly hears: Required<Pick<StartOptions, 'onCall' | 'onSession'>> & Pick<StartOptions, 'listener'>;
  of(simulation: Pick<Simulation, 'nowMs' | 'itlMs' | 'replicaSpans'>): RunTally;
}

/** Of calls and sessions planned within `judged`; bills and GPUs are those of the whole run. */
export function tallied(
  plan: Plan,
  deployment: DeploymentSpec,
  judged: { readonly fromMs: number; readonly toMs: number } = { fromMs: 0, toMs: Number.POSITIVE_INFINITY },
): Tallied {
  const tally = new TallyCollector(plan.assertions);
  const isJudged = ({ plannedMs }: { plannedMs: number }): boolean =>
    plannedMs >= judged.fromMs && plannedMs <= judged.toMs;
  const basis = costBasis(deployment, plan);
  const bill = (spent: Spent): void => {
    const price = basis.price(targetOf(spent), spent.model);
    if (price === null) return;
    const { input, cachedInput, cacheWrite, output } = billOf(spent, price);
    tally.billed(input + cachedInput + cacheWrite + output);
  };
  // A gateway pays for attempts; without one a call is the only attempt there is.
  const isBilledByAttempt = isGoverned(plan, deployment);
  const hears = {
    onCall(call: CallRecord): void {
      if (isJudged(call)) tally.onCall(call);
      if (!isBilledByAttempt) bill(call);
    },
    onSession(session: WorkflowRecord): void {
      if (isJudged(session)) tally.onSession(session);
    },
    ...(isBilledByAttempt ? { listener: { onAttempt: bill } } : {}),
  };
  return { hears, of: run => tally.tally(run.nowMs, run.replicaSpans(), run.itlMs) };
}
