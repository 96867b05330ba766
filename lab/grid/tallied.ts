// A simulation that is counted as it goes, bills of providers included: nothing it keeps grows with its calls.
import { costBasis } from '../../engines/cost-basis.ts';
import type { DeploymentSpec } from '../../engines/engine.ts';
import { isGoverned } from '../../gateway/govern.ts';
import { billOf, type Spent, targetOf } from '../../gateway/ledger/spent.ts';
import { TallyCollector } from '../../reports/tally/collect.ts';
import type { Plan } from '../../scenarios/formats/plan.ts';
import type { RunTally } from '../../scenarios/formats/tally.ts';
import type { Simulation } from '../../sim/simulate.ts';
import type { StartOptions } from '../../sim/start.ts';

/** What goes to `startSimulation`, and what it came to. */
export interface Tallied {
  readonly hears: Required<Pick<StartOptions, 'onCall' | 'onSession'>> & Pick<StartOptions, 'listener'>;
  of(simulation: Pick<Simulation, 'nowMs' | 'itlMs' | 'replicaSpans'>): RunTally;
}

export function tallied(plan: Plan, deployment: DeploymentSpec): Tallied {
  const tally = new TallyCollector(plan.assertions);
  const basis = costBasis(deployment, plan);
  const bill = (spent: Spent): void => {
    const price = basis.price(targetOf(spent), spent.model);
    if (price === null) return;
    const { input, cachedInput, cacheWrite, output } = billOf(spent, price);
    tally.billed(input + cachedInput + cacheWrite + output);
  };
  const { onSession } = tally;
  // A gateway pays for attempts; without one a call is the only attempt there is.
  const hears = isGoverned(plan, deployment)
    ? { onCall: tally.onCall, onSession, listener: { onAttempt: bill } }
    : {
        onCall: (call: Parameters<typeof tally.onCall>[0]): void => {
          tally.onCall(call);
          bill(call);
        },
        onSession,
      };
  return { hears, of: run => tally.tally(run.nowMs, run.replicaSpans(), run.itlMs) };
}
