// Models that rules name as a way out, and that nothing of the deployment serves.
import { fallbackNames } from '../../engines/contradictions.ts';
import type { InputPath } from '../../scenarios/base/issue.ts';
import type { BudgetRule, FallbackRule } from '../../scenarios/formats/rules.ts';
import { defineLint, type Finding } from '../../scenarios/lint/lint.ts';
import { eachStep } from '../../scenarios/workflows/program.ts';
import type { LabContext } from './context.ts';

export const unserved = defineLint('WT2019', function* (context: LabContext): Generator<Finding> {
  const { deployment, plan, workflows } = context;
  if (deployment === null) return;
  const names = [...deployment.pools, ...deployment.hosted].map(each => each.name);
  const finding = (model: string, why: string, path: InputPath): Finding[] =>
    context.serverOf(model) !== null
      ? []
      : [
          {
            path,
            message: `nothing of "${deployment.name}" serves "${model}", ${why}`,
            hint: `it has: ${names.join(', ')}`,
          },
        ];
  const standIns = (rule: FallbackRule | null, path: InputPath): Finding[] =>
    rule === null ? [] : fallbackNames(rule).flatMap(model => finding(model, 'which would stand in', path));
  const saving = (budget: BudgetRule | null, path: InputPath): Finding[] =>
    budget?.save.model == null
      ? []
      : finding(budget.save.model, 'to which calls go that save', [...path, 'save', 'model']);
  const found: Finding[] = [];
  for (const [name, { steps, rules }] of workflows) {
    found.push(...saving(rules.budget, ['workflows', name, 'budget']));
    eachStep(steps, step => {
      if (step.verb === 'llm') found.push(...standIns(step.rules.fallback, [...step.at, 'fallback']));
    });
  }
  for (const model of plan.modelsUsed)
    found.push(...standIns(plan.rules?.models.get(model)?.fallback ?? null, ['models', model, 'fallback']));
  for (const [tenant, { budget, userBudget }] of plan.rules?.tenants ?? [])
    found.push(
      ...saving(budget, ['tenants', tenant, 'budget']),
      ...saving(userBudget, ['tenants', tenant, 'user_budget']),
    );
  yield* found;
});
