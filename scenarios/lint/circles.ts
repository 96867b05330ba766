// Models that stand in for one another in a circle.
import { defineLint, type Finding } from './lint.ts';

export const circles = defineLint('WT2020', function* ({ plan }): Generator<Finding> {
  const models = plan.rules?.models ?? new Map();
  const told = new Set<string>();
  function* visit(model: string, way: readonly string[]): Generator<Finding> {
    const begin = way.indexOf(model);
    if (begin >= 0) {
      const circle = way.slice(begin);
      const name = circle.toSorted().join(' ');
      if (told.size < told.add(name).size)
        yield {
          path: ['models', circle[0] as string, 'fallback'],
          message: `${[...circle, model].join(' -> ')}: when all of them fail, nothing is left to try`,
          hint: 'let one of them end the chain',
        };
      return;
    }
    const fallback = models.get(model)?.fallback;
    if (fallback == null) return;
    const next = [...fallback.general, ...fallback.contextLength, ...fallback.contentPolicy];
    for (const each of new Set(next)) yield* visit(each, [...way, model]);
  }
  for (const model of models.keys()) yield* visit(model, []);
});
