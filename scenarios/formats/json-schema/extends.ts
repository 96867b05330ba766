// A file that `extends` another says only what differs: nothing is required of its mappings, and null removes. Lists and
// amounts replace as wholes, so what stands in them is whole.
import { removableAmountDefinitions } from './amounts.ts';
import type { Definitions, JsonSchema } from './node.ts';

const EXTENDED = '-extended';

const mapValues = (value: unknown, change: (each: JsonSchema) => JsonSchema): JsonSchema =>
  Object.fromEntries(Object.entries(value as Definitions).map(([key, each]) => [key, change(each)]));

/** The same with nothing required and with null, which removes, wherever mappings merge; lists replace, and stay. */
export function relaxed(node: JsonSchema): JsonSchema {
  const { required: _, minProperties: __, const: only, ...rest } = node;
  const made: JsonSchema = only === undefined ? rest : { ...rest, enum: [only] };
  if (made.type !== undefined) made.type = [...new Set([made.type, 'null'].flat())];
  if (made.enum !== undefined) made.enum = [...(made.enum as unknown[]), null];
  if (made.$ref !== undefined) made.$ref = `${made.$ref}${EXTENDED}`;
  if (made.properties !== undefined) made.properties = mapValues(made.properties, relaxed);
  for (const key of ['additionalProperties', 'then', 'else']) {
    if (typeof made[key] === 'object') made[key] = relaxed(made[key] as JsonSchema);
  }
  for (const key of ['anyOf', 'oneOf', 'allOf']) {
    if (Array.isArray(made[key])) made[key] = made[key].map(relaxed);
  }
  return made;
}

/** The definitions that relaxed schemas refer to. */
export function extendedDefinitions(all: Definitions): Definitions {
  const named = Object.entries(all).map(([name, each]) => [name, relaxed(each)] as const);
  const definitions = { ...Object.fromEntries(named), ...removableAmountDefinitions() };
  return Object.fromEntries(Object.entries(definitions).map(([name, each]) => [`${name}${EXTENDED}`, each]));
}
