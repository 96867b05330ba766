// Names that are defined and that nothing of the traffic uses.
import { mentions, parseExpression } from '../base/expression.ts';
import { usedNames } from '../formats/unbuilt.ts';
import { defineLint, type Finding } from './lint.ts';

/** Section of the file, and what one of its entries is called. */
const SECTIONS = { models: 'model', prefixes: 'prefix', tools: 'tool', params: 'parameter' } as const;

export const unused = defineLint(
  'WT2004',
  function* ({ file, plan }): Generator<Finding> {
    const used = usedNames(file);
    const texts = textsOf(file);
    const uses = {
      models: new Set([...plan.modelsUsed, ...alternatives(file)]),
      prefixes: used.prefixes,
      tools: used.tools,
      params: paramsIn(texts),
    };
    for (const [section, word] of Object.entries(SECTIONS) as [keyof typeof SECTIONS, string][]) {
      for (const name of Object.keys(file[section] ?? {})) {
        if (uses[section].has(name)) continue;
        yield {
          path: [section, name],
          atKey: true,
          message: `nothing that runs uses the ${word} "${name}"`,
          hint:
            section === 'params'
              ? `write =${name} where it should count, or take it out`
              : 'use it, or take it out',
        };
      }
    }
  },
  { ownFileOnly: true },
);

/** Every text of the file. */
function textsOf(node: unknown): string[] {
  if (typeof node === 'string') return [node];
  if (typeof node !== 'object' || node === null) return [];
  return Object.values(node).flatMap(textsOf);
}

/** Parameters that expressions name; conditions may be written without their `=`. */
function paramsIn(texts: readonly string[]): Set<string> {
  const names = new Set<string>();
  for (const text of texts) {
    const parsed = parseExpression(text.trim().replace(/^=/, ''));
    if ('error' in parsed) continue;
    mentions(parsed.expression, (what, name) => {
      if (what === 'name') names.add(name);
    });
  }
  return names;
}

/** Models that stand in for others: under `fallback` and `allow`. */
function alternatives(node: unknown): string[] {
  if (typeof node !== 'object' || node === null) return [];
  return Object.entries(node).flatMap(([key, value]) =>
    key === 'fallback' || key === 'allow' ? textsOf(value) : alternatives(value),
  );
}
