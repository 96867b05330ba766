// The breakers of a run: one for each target under each rule.
import type { BreakerRule } from '../../scenarios/formats/rules.ts';
import { Breaker } from './breaker.ts';

export class Breakers {
  /**
   * By rule as an object, the quick way; and by what it says: two rules that say the same share their
   * breakers.
   */
  private readonly byRule = new WeakMap<BreakerRule, Map<string, Breaker>>();
  private readonly byText = new Map<string, Map<string, Breaker>>();

  /** The breaker of a target under a rule; made at first use. */
  of(target: string, rule: BreakerRule): Breaker {
    const targets = this.byRule.get(rule) ?? this.targetsOf(rule);
    let breaker = targets.get(target);
    if (breaker === undefined) {
      breaker = new Breaker(rule);
      targets.set(target, breaker);
    }
    return breaker;
  }

  private targetsOf(rule: BreakerRule): Map<string, Breaker> {
    const text = JSON.stringify(rule);
    const targets = this.byText.get(text) ?? new Map<string, Breaker>();
    this.byText.set(text, targets);
    this.byRule.set(rule, targets);
    return targets;
  }
}
