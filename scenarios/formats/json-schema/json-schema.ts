// The JSON Schemas of scenario and deployment files, for completion, hover and checks in an editor. They come from the
// zod schemas; what those leave to the parser (steps by verb, amounts by their keys, units) is spelled out here. Choices
// are if/then/else by the key that decides, so that an editor offers and refuses what belongs to that one choice.
import { z } from 'zod';
import { deploymentSchema } from '../deployment/deployment.ts';
import { amount, duration, share, tokens } from '../fields.ts';
import type { Dimension } from '../quantity.ts';
import { scenarioSchema } from '../scenario.ts';
import { BRANCHES, STEPS, VERBS, type Verb } from '../steps.ts';
import { amountDefinitions, amountOf, quantity } from './amounts.ts';
import { extendedDefinitions, relaxed } from './extends.ts';
import { firstOf, has, type JsonSchema, reference, used, withShared } from './node.ts';

export type { JsonSchema } from './node.ts';

const DRAFT = 'http://json-schema.org/draft-07/schema#';

// ---- from zod -------------------------------------------------------------------------------------------------

const STEP_LIST: JsonSchema = { type: 'array', minItems: 1, items: reference('step') };

/** What stands for parts that the parser reads by itself. */
const PARTS: ReadonlyMap<z.core.$ZodType, JsonSchema> = new Map<z.core.$ZodType, JsonSchema>([
  [amount, amountOf('any')],
  [tokens, amountOf('tokens')],
  [duration, amountOf('ms')],
  [share, quantity('ratio')],
  [STEPS, STEP_LIST],
  [
    BRANCHES,
    { type: 'array', minItems: 1, items: firstOf([[{ type: 'array' }, STEP_LIST]], reference('step')) },
  ],
]);

const typesOf = ({ $ref, type, const: only, enum: some }: JsonSchema): string[] => {
  if (String($ref).includes('quantity-')) return ['number', 'string'];
  if (type !== undefined) return [type].flat() as string[];
  const fixed = only === undefined ? (some as unknown[] | undefined) : [only];
  return fixed === undefined ? [] : [...new Set(fixed.map(each => typeof each as string))];
};

/** Alternatives of different types become a choice by type, mappings last: what is still empty may become one. */
function byType(alternatives: readonly JsonSchema[]): JsonSchema | null {
  const types = alternatives.map(typesOf);
  if (types.some(each => each.length === 0) || new Set(types.flat()).size < types.flat().length) return null;
  const order = ['object', 'array'];
  const rank = (each: JsonSchema): number => 1 + order.toReversed().indexOf(typesOf(each)[0] ?? '');
  const sorted = alternatives.toSorted((a, b) => rank(a) - rank(b));
  const last = sorted.pop() as JsonSchema;
  return firstOf(
    sorted.map(each => [{ type: typesOf(each) }, each]),
    last,
  );
}

/** Alternatives that a key tells apart become a choice by that key. */
function byKey(alternatives: readonly JsonSchema[], key: string): JsonSchema | null {
  const constants = alternatives.map(
    each => (each.properties as Record<string, JsonSchema> | undefined)?.[key]?.const,
  );
  if (constants.includes(undefined)) return null;
  const named = { enum: constants, description: `one of ${constants.join(', ')}` };
  const open = alternatives.map(({ properties, ...rest }) => ({
    ...rest,
    properties: { ...(properties as object), [key]: named },
  }));
  return firstOf(
    open.map((each, index) => [{ ...has(key), properties: { [key]: { const: constants[index] } } }, each]),
    { type: 'object', required: [key], properties: { [key]: named } },
  );
}

/** Replaces what zod wrote in `node`, its description aside. */
function replace(node: JsonSchema, by: JsonSchema): void {
  const { description } = node;
  for (const key of Object.keys(node)) delete node[key];
  Object.assign(node, by, description === undefined ? {} : { description });
}

const MAX_INT = Number.MAX_SAFE_INTEGER;

/** The part that `schema` is, or is a copy of with another description. */
function partOf(schema: z.core.$ZodType): JsonSchema | undefined {
  for (let each: z.core.$ZodType | undefined = schema; each !== undefined; each = each._zod.parent) {
    const part = PARTS.get(each);
    if (part !== undefined) return part;
  }
  const { dimension, drawn } = (z.globalRegistry.get(schema) ?? {}) as Partial<Record<string, Dimension>>;
  if (drawn !== undefined) return amountOf(drawn);
  return dimension === undefined ? undefined : quantity(dimension);
}

function rewrite({ zodSchema, jsonSchema }: { zodSchema: z.core.$ZodType; jsonSchema: JsonSchema }): void {
  const node = jsonSchema;
  const part = partOf(zodSchema);
  if (part !== undefined) {
    replace(node, part);
    return;
  }
  const alternatives = (node.anyOf ?? node.oneOf) as JsonSchema[] | undefined;
  const chosen =
    alternatives === undefined
      ? null
      : zodSchema instanceof z.ZodDiscriminatedUnion
        ? byKey(alternatives, zodSchema.def.discriminator)
        : byType(alternatives);
  if (chosen !== null) replace(node, chosen);
  // The bounds of a whole number that zod adds say nothing to a reader.
  if (node.maximum === MAX_INT) delete node.maximum;
  if (node.minimum === -MAX_INT) delete node.minimum;
}

function fromZod(schema: z.core.$ZodType): JsonSchema {
  const made = z.toJSONSchema(schema, {
    target: 'draft-7',
    io: 'input',
    unrepresentable: 'any',
    reused: 'inline',
    override: context => rewrite(context as Parameters<typeof rewrite>[0]),
  });
  const { $schema: _, '~standard': __, ...rest } = made as JsonSchema;
  return plainReferences(rest);
}

/** zod wraps a reference in `allOf` to describe it; every editor reads the description beside it. */
function plainReferences<T>(node: T): T {
  if (typeof node !== 'object' || node === null) return node;
  if (Array.isArray(node)) return node.map(plainReferences) as T;
  const { allOf, ...rest } = node as JsonSchema;
  const [only] = (allOf ?? []) as JsonSchema[];
  const merged =
    only?.$ref === undefined || Object.keys(rest).some(key => key !== 'description')
      ? node
      : { ...only, ...rest };
  return Object.fromEntries(Object.entries(merged).map(([key, each]) => [key, plainReferences(each)])) as T;
}

// ---- steps ----------------------------------------------------------------------------------------------------

/** What a verb does, for the list that an editor offers. */
const VERB_WORDS: Record<Verb, string> = {
  llm: 'one call of a model',
  tool: 'runs a tool that stands under `tools`',
  human: 'a person thinks, and may write',
  wait: 'time passes',
  parallel: 'different branches at the same time',
  map: 'the same steps for each of many, at the same time',
  repeat: 'passes one after the other on the same thread',
  branch: 'one of several cases, by weight or by condition',
  agent: 'another workflow as a sub-agent',
  try: 'steps, and what runs instead when they fail',
  compact: 'summarises the thread, which then goes on from the summary',
};

/** A step by its verb. Without one, the verbs are offered. */
function stepDefinition(): JsonSchema {
  const verbs = Object.keys(VERBS) as Verb[];
  const menu: JsonSchema = {
    type: 'object',
    title: 'step',
    description: 'a step: one verb and its keys',
    properties: Object.fromEntries(verbs.map(verb => [verb, { description: VERB_WORDS[verb] }])),
    additionalProperties: false,
    minProperties: 1,
  };
  return firstOf(
    [
      [{ type: 'string' }, { type: 'string', description: 'a tool that stands under `tools`' }],
      ...verbs.map(verb => [has(verb), reference(`step-${verb}`)] as const),
    ],
    menu,
  );
}

const stepDefinitions = (): Record<string, JsonSchema> => ({
  step: stepDefinition(),
  ...Object.fromEntries(
    (Object.keys(VERBS) as Verb[]).map(verb => [
      `step-${verb}`,
      { ...fromZod(VERBS[verb]), title: `step: ${verb}`, description: VERB_WORDS[verb] },
    ]),
  ),
});

// ---- the two files --------------------------------------------------------------------------------------------

function file(title: string, schema: z.core.$ZodType): JsonSchema {
  const strict = fromZod(schema);
  const definitions = { ...stepDefinitions(), ...amountDefinitions() };
  const root = firstOf([[has('extends'), relaxed(strict)]], strict);
  const whole = { ...root, definitions: used(root, { ...definitions, ...extendedDefinitions(definitions) }) };
  return { $schema: DRAFT, title, ...withShared(whole) };
}

/** The JSON Schema of a scenario file, draft-07. */
export const scenarioJsonSchema = (): JsonSchema => file('Windtunnel scenario', scenarioSchema);

/** The JSON Schema of a deployment file, draft-07. */
export const deploymentJsonSchema = (): JsonSchema => file('Windtunnel deployment', deploymentSchema);
