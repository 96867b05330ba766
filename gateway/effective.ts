// Which rules a call obeys: its step's own, which the compiler filled from its workflow, else the gateway's.
import {
  type BreakerRule,
  type GatewaySpec,
  type HedgeRule,
  NO_RULES,
  type RetryRule,
  type StepRules,
  type TimeoutRule,
} from '../scenarios/formats/rules.ts';

export interface Effective {
  readonly step: StepRules;
  readonly timeout: TimeoutRule | null;
  readonly retry: RetryRule | null;
  readonly hedge: HedgeRule | null;
  readonly breaker: BreakerRule | null;
}

/** Rules by step: steps are few, calls are many. */
export class EffectiveRules {
  private readonly spec: GatewaySpec;
  private readonly known = new Map<StepRules, Effective>();

  constructor(spec: GatewaySpec) {
    this.spec = spec;
  }

  of(rules: StepRules | undefined): Effective {
    const step = rules ?? NO_RULES;
    const known = this.known.get(step);
    if (known !== undefined) return known;
    const { timeout, retry, hedge, breaker } = this.spec;
    const effective = {
      step,
      timeout: step.timeout ?? timeout,
      retry: step.retry ?? retry,
      hedge: step.hedge ?? hedge,
      breaker: step.breaker ?? breaker,
    };
    this.known.set(step, effective);
    return effective;
  }
}
