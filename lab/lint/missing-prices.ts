// Money is asked for, and the price of a model is not known.
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
      yield {
        path: ['workflows', name, 'budget', 'usd'],
        message: `the budget counts USD, and no price of "${model}" is known`,
        hint: priceHint(model, plan.models.has(model)),
      };
    }
  }
  for (const model of plan.modelsUsed) {
    const server = context.serverOf(model);
    if (server?.kind !== 'hosted' || context.priceOf(model) !== null) continue;
    yield {
      path: ['models', model],
      message: `provider "${server.hosted.provider}" serves "${model}", and no price of it is known`,
      hint: `${priceHint(model, plan.models.has(model))}, or under the provider's models in the deployment`,
    };
  }
});

const priceHint = (model: string, isAlias: boolean): string =>
  `give ${isAlias ? `models.${model}.price` : `\`models: { ${model}: { model: ${model}, price: … } }\``}: { in: 0.15, cached_in: 0.015, out: 0.6 } in USD per million tokens`;
