// A node of a JSON Schema, how choices are written in one, and what becomes a definition.

/** A JSON Schema of draft-07, the newest that every editor's YAML support knows. */
export interface JsonSchema {
  [keyword: string]: unknown;
}

export const reference = (definition: string): JsonSchema => ({ $ref: `#/definitions/${definition}` });

/** The schema of the first condition that holds. */
export function firstOf(
  choices: readonly (readonly [when: JsonSchema, then: JsonSchema])[],
  otherwise: JsonSchema,
) {
  return choices.reduceRight<JsonSchema>((rest, [when, then]) => ({ if: when, then, else: rest }), otherwise);
}

/** A mapping that has all these keys. */
export const has = (...required: string[]): JsonSchema => ({ type: 'object', required });

export type Definitions = Record<string, JsonSchema>;

/** The definitions that `schema` leads to. */
export function used(schema: JsonSchema, all: Definitions): Definitions {
  const found = new Set<string>();
  const look = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return;
    const name = String((node as JsonSchema).$ref ?? '').replace('#/definitions/', '');
    if (name !== '' && !found.has(name)) {
      found.add(name);
      look(all[name]);
    }
    for (const each of Object.values(node)) look(each);
  };
  look(schema);
  return Object.fromEntries(Object.entries(all).filter(([name]) => found.has(name)));
}

/** Parts shorter than this are as readable in their place. */
const SHARED_CHARACTERS = 300;

/** Parts that appear several times, such as budgets, become definitions under the name of their key. */
export function withShared(schema: JsonSchema & { definitions: Definitions }): JsonSchema {
  const times = new Map<string, number>();
  const names = new Map<string, string>();
  const definitions: Definitions = {};
  const bodyOf = ({ description: _, ...body }: JsonSchema): JsonSchema => body;
  /** Calls `visit` for each value of a key; it gives what stands there instead. */
  const walk = (node: unknown, visit: (key: string, value: JsonSchema) => JsonSchema): unknown => {
    if (typeof node !== 'object' || node === null) return node;
    if (Array.isArray(node)) return node.map(each => walk(each, visit));
    const entries = Object.entries(node).map(([keyword, value]): [string, unknown] => [
      keyword,
      keyword === 'properties'
        ? Object.fromEntries(
            Object.entries(value as Definitions).map(([key, each]) => [key, visit(key, each)]),
          )
        : walk(value, visit),
    ]);
    return Object.fromEntries(entries);
  };
  const count = (_: string, value: JsonSchema): JsonSchema => {
    const text = JSON.stringify(bodyOf(value));
    times.set(text, (times.get(text) ?? 0) + 1);
    return walk(value, count) as JsonSchema;
  };
  const share = (key: string, value: JsonSchema): JsonSchema => {
    const text = JSON.stringify(bodyOf(value));
    if (text.length < SHARED_CHARACTERS || (times.get(text) ?? 0) < 2)
      return walk(value, share) as JsonSchema;
    let name = names.get(text);
    if (name === undefined) {
      const taken = new Set([...names.values(), ...Object.keys(schema.definitions)]);
      for (let n = 1; name === undefined || taken.has(name); n++) name = n === 1 ? key : `${key}-${n}`;
      names.set(text, name);
      definitions[name] = walk(bodyOf(value), share) as JsonSchema;
    }
    return {
      ...reference(name),
      ...(value.description === undefined ? {} : { description: value.description }),
    };
  };
  walk(schema, count);
  const { definitions: own, ...root } = walk(schema, share) as JsonSchema & { definitions: Definitions };
  return { ...root, definitions: { ...own, ...definitions } };
}
