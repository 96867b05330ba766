// What rules of the scenario and the deployment a tool without a gateway does not obey: named one by one, so that nobody
// believes that they were tried.
import type { DeploymentSpec } from '../../engines/engine.ts';
import type { Plan } from '../../scenarios/formats/plan.ts';
import type { StepRules, ToolRules, WorkflowRules } from '../../scenarios/formats/rules.ts';

/** Rules of the leaves and workflows that an export has met. */
export class MetRules {
  private readonly names = new Set<string>();

  step(rules: StepRules | undefined, keepsRetries: boolean): void {
    if (rules === undefined) return;
    const { hedge, breaker, fallback, timeout, retry, allow } = rules;
    const found = { hedges: hedge, breakers: breaker, fallbacks: fallback, 'allow lists': allow };
    this.add(found);
    if (timeout?.ttftMs != null) this.names.add('TTFT timeouts');
    if (!keepsRetries) this.add({ retries: retry, timeouts: timeout });
  }

  tool({ timeout, retry, consentMs, allow, store, runtime }: ToolRules): void {
    this.add({
      'timeouts of tools': timeout,
      'retries of tools': retry,
      consent: consentMs,
      'allow lists of tools': allow,
      stores: store,
      'runtimes of tools': runtime,
    });
  }

  workflow(rules: WorkflowRules | undefined): void {
    if (rules === undefined) return;
    const { budget, cancel, timeoutMs, checkpoint, restarts } = rules;
    this.add({
      'budgets of workflows': budget,
      'users who leave': cancel,
      'timeouts of workflows': timeoutMs,
      checkpoints: checkpoint,
      restarts,
    });
  }

  /** Those, and what the files say of a gateway; null: nothing is lost. */
  lost(plan: Plan, deployment: DeploymentSpec): string | null {
    this.files(plan, deployment);
    if (this.names.size === 0) return null;
    return `rules of a gateway that it does not obey: ${[...this.names].join(', ')}`;
  }

  private files({ rules, faults = [], crashes = [] }: Plan, deployment: DeploymentSpec): void {
    const { gateway, admission, toolRuntimes, stores, places } = deployment;
    if (gateway !== null) {
      const { anomalies, classifier, destinations, hedge, breaker, allow, timeout } = gateway;
      const { budgets, limits, choose, fallback, quality, agents } = gateway;
      this.add({
        anomalies,
        classifier,
        destinations,
        hedges: hedge,
        breakers: breaker,
        'allow lists': allow,
      });
      this.add({ budgets: budgets[0], limits: limits[0], 'choice of models': choose[0] });
      this.add({ 'limits of sub-agents': agents.max ?? agents.depth, 'TTFT timeouts': timeout?.ttftMs });
      if (fallback.size > 0) this.names.add('fallbacks');
      if (quality.size > 0) this.names.add('quality of answers');
    }
    for (const { budget, userBudget, limit, residency } of rules?.tenants.values() ?? [])
      this.add({ 'budgets of tenants': budget ?? userBudget, 'limits of tenants': limit, residency });
    for (const { limit, fallback } of rules?.models.values() ?? [])
      this.add({ 'limits of models': limit, fallbacks: fallback });
    for (const cancel of rules?.cohorts.values() ?? []) this.add({ 'users who leave': cancel });
    if (faults.length + crashes.length > 0) this.names.add('faults');
    if (admission.policy !== 'always') this.names.add(`admission (${admission.policy})`);
    this.add({ 'runtimes of tools': toolRuntimes[0], stores: stores[0], 'links between places': places });
  }

  private add(found: Readonly<Record<string, unknown>>): void {
    for (const [name, rule] of Object.entries(found)) if (rule != null) this.names.add(name);
  }
}
