// Money is asked for, and the price of a model is not known. (A provider without a price is an error: WT1201.)
import { defineLint, type Finding } from '../../scenarios/lint/lint.ts';
import { eachStep } from '../../scenarios/workflows/program.ts';
import type { LabContext } from './context.ts';

export const missingPrices = defineLint('WT2016', function* (context: LabContext): Generator<Finding> {
  const { file, plan, workflows } = context;
  for (const [name, workflow] of workflows) {
    if (file.workflows?.[name]?.budget?.usd === undefined) continue;
    const models = new Set<string>();
    eachStep(workflow.steps, step => {
      if (step.verb === 'llm' || step.verb === 'compact') models.add(step.model);
    });
    for (const model of models) {
      if (context.priceOf(model) !== null) continue;
      const where = plan.models.has(model) ? `models.${model}` : 'an alias of it under `models`';
      yield {
        path: ['workflows', name, 'budget', 'usd'],
        message: `the budget counts USD, and no price of "${model}" is known`,
        hint: `give ${where} a price in USD per million tokens: { in: 0.15, cached_in: 0.015, out: 0.6 }`,
      };
    }
  }
});
