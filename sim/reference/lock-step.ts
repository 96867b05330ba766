// Data-parallel ranks that step together: experts are spread over the ranks, so each layer waits for all of them. A
// step is as long as the slowest rank's; a rank without work runs a dummy batch of one token meanwhile.
// vLLM v1/engine/core.py, DPEngineCoreProc. Rule: every rank has as many steps in flight.
import { decodeLoad } from '../../engines/step-load.ts';
import { invariant } from '../../scenarios/base/errors.ts';
import type { Stepper } from './rank-group.ts';
import type { Replica } from './replica.ts';
import { newPlan, type StepPlan } from './scheduler.ts';

const dummyStep = ({ limits }: Replica): StepPlan => ({
  ...newPlan(limits.maxBatchedTokens),
  load: decodeLoad(1, 1),
});

export class LockStep implements Stepper {
  private readonly ranks: readonly Replica[];

  constructor(ranks: readonly Replica[]) {
    this.ranks = ranks;
  }

  get canBegin(): boolean {
    return this.ranks.some(rank => rank.canBegin);
  }

  beginStep(atNs: number): number | null {
    const { ranks } = this;
    const decided = ranks.map(rank => (rank.canBegin ? rank.decide(atNs) : null));
    if (decided.every(plan => plan === null)) return null;
    const plans = decided.map((plan, rank) => plan ?? dummyStep(ranks[rank]!));
    const stepNs = Math.max(...plans.map((plan, rank) => ranks[rank]!.stepNs(plan)));
    const [endNs, ...others] = plans.map((plan, rank) => ranks[rank]!.start(atNs, plan, stepNs));
    invariant(
      others.every(ns => ns === endNs),
      () => `ranks of ${ranks[0]!.name} end one step at different times`,
    );
    return endNs!;
  }

  endStep(atNs: number): void {
    for (const rank of this.ranks) rank.endStep(atNs);
  }
}
