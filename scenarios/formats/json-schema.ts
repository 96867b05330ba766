// The JSON Schemas of scenario and deployment files, for completion, hover and checks in an editor. They come from the
// zod schemas; what those leave to the parser (steps by verb, amounts by their keys, units) is spelled out here. Choices
// are if/then/else by the key that decides, so that an editor offers and refuses what belongs to that one choice.
import { z } from 'zod';
import { PLAIN_KEYS, SHAPES } from './amount.ts';
import { deploymentSchema } from './deployment.ts';
import { DIMENSIONS, type Dimension } from './quantity.ts';
import { scenarioSchema } from './scenario.ts';
import { amount, BRANCHES, duration, STEPS, share, tokens, VERBS, type Verb } from './steps.ts';

/** A JSON Schema of draft-07, the newest that every editor's YAML support knows. */
export interface JsonSchema {
  [keyword: string]: unknown;
}

const DRAFT = 'http://json-schema.org/draft-07/schema#';
const reference = (definition: string): JsonSchema => ({ $ref: `#/definitions/${definition}` });

/** The schema of the first condition that holds. */
function firstOf(choices: readonly (readonly [when: JsonSchema, then: JsonSchema])[], otherwise: JsonSchema) {
  return choices.reduceRight<JsonSchema>((rest, [when, then]) => ({ if: when, then, else: rest }), otherwise);
}

/** A mapping that has all these keys. */
const has = (...required: string[]): JsonSchema => ({ type: 'object', required });

// ---- quantities -----------------------------------------------------------------------------------------------

const NUMBER = String.raw`(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?`;

/** What parseScalar reads in a text, but for the upper bound of a ratio. */
function scalarPattern(dimension: Dimension): string {
  const { units, bare } = DIMENSIONS[dimension];
  const names = Object.keys(units).filter(unit => unit !== '');
  const unit = `(${names.join('|')})${bare ? '?' : ''}`;
  const currency = dimension === 'usd' || dimension === 'usdPerHour' ? String.raw`\$?` : '';
  return String.raw`\s*${currency}\+?(${NUMBER}\s*${unit}|0*\.?0+|0+\.)\s*`;
}

function quantityDefinition(dimension: Dimension): JsonSchema {
  const { expected } = DIMENSIONS[dimension];
  return {
    description: expected,
    ...written(dimension, `^${scalarPattern(dimension)}$`, `expected ${expected}`),
  };
}

/** Texts of a pattern; numbers, where no unit could be guessed wrong. */
function written(dimension: Dimension, pattern: string, message: string): JsonSchema {
  const text = { pattern, patternErrorMessage: message };
  if (!DIMENSIONS[dimension].bare) {
    return firstOf([[{ type: 'number' }, { enum: [0], errorMessage: message }]], { type: 'string', ...text });
  }
  return {
    type: ['number', 'string'],
    minimum: 0,
    ...(dimension === 'ratio' ? { maximum: 1 } : {}),
    ...text,
  };
}

const quantity = (dimension: Dimension): JsonSchema => reference(`quantity-${dimension}`);

/** Amounts: of tokens, of time, or of either, as parameters are. */
type AmountOf = 'tokens' | 'ms' | 'any';
const AMOUNTS: readonly AmountOf[] = ['tokens', 'ms', 'any'];

const PLAIN: JsonSchema = { type: ['number', 'string'], minimum: 0 };
const scalarOf = (of: AmountOf): JsonSchema => (of === 'any' ? PLAIN : quantity(of));

const amountOf = (of: string): JsonSchema =>
  reference(`amount-${AMOUNTS.find(each => each === of) ?? 'any'}`);

/** A scalar or an expression, or else a distribution: a mapping. */
function amountDefinition(of: AmountOf): JsonSchema {
  const scalar =
    of === 'any'
      ? PLAIN
      : written(
          of,
          String.raw`^\s*=|^${scalarPattern(of)}$`,
          `expected ${DIMENSIONS[of].expected}, or an expression that starts with =`,
        );
  return firstOf([[{ type: ['number', 'string', 'boolean'] }, scalar]], reference(`distribution-${of}`));
}

// ---- distributions --------------------------------------------------------------------------------------------

const KEY_WORDS: Record<string, string> = {
  median: 'half of the draws are below it',
  p90: '90 % of the draws are below it; gives sigma',
  sigma: 'deviation of the logarithm',
  mean: 'mean of the draws',
  sd: 'standard deviation',
  min: 'least value; draws are clamped to it',
  max: 'greatest value; draws are clamped to it',
  cv: 'coefficient of variation: deviation over mean',
  shape: 'shape parameter',
  scale: 'scale parameter',
  alpha: 'exponent of the tail: smaller is heavier',
  n: 'values from 1 to n',
  s: 'exponent: larger favours the small values',
  pareto: 'share of draws in the Pareto tail: 30%',
};

const SHAPE_WORDS: Record<string, string> = {
  lognormal: 'lognormal: { median: 216, p90: 899 }; long lengths and slow tools are like this',
  normal: 'normal: { mean: 14, sd: 4, min: 1 }',
  exponential: 'exponential: { dist: exponential, mean: 30s }',
  uniform: 'uniform: { dist: uniform, min: 1s, max: 5s }',
  gamma: 'gamma: { dist: gamma, mean: 30s, cv: 2 }, or shape and scale',
  weibull: 'Weibull: { dist: weibull, mean: 30s, cv: 2 }, or shape and scale',
  pareto: 'Pareto: { dist: pareto, min: 50, alpha: 1.5 }',
  zipf: 'Zipf: { dist: zipf, n: 100, s: 1.1 }',
  pareto_lognormal:
    'a Pareto tail on a lognormal: { dist: pareto_lognormal, pareto: 30%, min: 50, alpha: 1.5, median: 245, sigma: 1.2 }',
};

/** Keys of which a distribution needs one set. */
const NEEDS: Record<string, readonly (readonly string[])[]> = {
  lognormal: [
    ['median', 'p90'],
    ['median', 'sigma'],
    ['mean', 'sd'],
  ],
  normal: [['mean', 'sd']],
  exponential: [['mean']],
  uniform: [['min', 'max']],
  gamma: [
    ['mean', 'cv'],
    ['shape', 'scale'],
  ],
  weibull: [
    ['mean', 'cv'],
    ['shape', 'scale'],
  ],
  pareto: [['min', 'alpha']],
  zipf: [['n', 's']],
  pareto_lognormal: [['pareto', 'min', 'alpha', 'median', 'sigma']],
};

const needing = (sets: readonly (readonly string[])[]): JsonSchema =>
  sets.length === 1 ? { required: sets[0] } : { anyOf: sets.map(required => ({ required })) };

/** The value of one key of a distribution. */
function keyOf(key: string, of: AmountOf): JsonSchema {
  const value = PLAIN_KEYS.includes(key)
    ? quantity('count')
    : key === 'pareto'
      ? quantity('ratio')
      : scalarOf(of);
  return { ...value, description: KEY_WORDS[key] };
}

const keysFor = (keys: readonly string[], of: AmountOf): Record<string, JsonSchema> =>
  Object.fromEntries(keys.map(key => [key, keyOf(key, of)]));

const DIST: JsonSchema = {
  enum: Object.keys(SHAPES),
  description: 'name of the distribution; without it { median, p90 } is lognormal and { mean, sd } normal',
};
const WEIGHT: JsonSchema = { ...quantity('ratio'), description: 'its share of the draws: 90%' };

const values = (of: AmountOf, words: string): JsonSchema => ({
  type: 'array',
  minItems: 1,
  items: scalarOf(of),
  description: words,
});

/** Distributions that are made of values or of others, by the key that holds them. */
function blockKeys(of: AmountOf): Record<string, JsonSchema> {
  return {
    mixture: {
      type: 'array',
      minItems: 1,
      items: reference(`part-${of}`),
      description: 'weighted distributions: [ { weight: 90%, median: 300ms, p90: 1s }, … ]',
    },
    choice: {
      type: 'object',
      minProperties: 1,
      additionalProperties: quantity('ratio'),
      description: 'values and their weights: { 1: 56%, 2: 25%, 3: 19% }',
    },
    empirical: {
      ...firstOf([[{ type: 'array' }, values(of, 'measured values')]], {
        type: 'object',
        properties: {
          values: values(of, 'measured values'),
          weights: { type: 'array', items: quantity('count'), description: 'a weight for each value' },
          file: { type: 'string', description: 'a file of values, named from this one' },
          column: { type: 'string', description: 'the column of a CSV file' },
        },
        additionalProperties: false,
      }),
      description: 'measured values: [120, 340, 800], { values, weights } or { file }',
    },
  };
}

/**
 * A distribution, by the key that tells which. A part of a mixture has a weight beside it; clamps stand beside the
 * whole.
 */
function distributionDefinition(of: AmountOf, isPart: boolean): JsonSchema {
  const extra: Record<string, JsonSchema> = isPart ? { weight: WEIGHT } : keysFor(['min', 'max'], of);
  const mapping = (
    description: string | undefined,
    properties: Record<string, JsonSchema>,
    more: JsonSchema,
  ) => ({
    type: 'object',
    description,
    properties: { ...properties, ...extra },
    additionalProperties: false,
    ...more,
    ...(isPart ? { allOf: [{ required: ['weight'] }] } : {}),
  });
  const shape = (kind: string): JsonSchema =>
    mapping(
      SHAPE_WORDS[kind],
      { dist: DIST, ...keysFor(SHAPES[kind] ?? [], of) },
      needing(NEEDS[kind] ?? []),
    );
  const block = blockKeys(of);
  const all = ['median', 'p90', 'mean', 'sd', 'sigma', 'min', 'max'];
  return firstOf(
    [
      ...Object.entries(block).map(
        ([key, value]) => [has(key), mapping(undefined, { [key]: value }, { required: [key] })] as const,
      ),
      ...Object.keys(SHAPES).map(
        kind => [{ ...has('dist'), properties: { dist: { const: kind } } }, shape(kind)] as const,
      ),
      [has('median'), shape('lognormal')],
      [has('mean', 'sd'), shape('normal')],
    ],
    mapping('a distribution', { dist: DIST, ...keysFor(all, of), ...block }, { required: ['dist'] }),
  );
}

const amountDefinitions = (): Record<string, JsonSchema> => ({
  ...Object.fromEntries(
    AMOUNTS.flatMap(of => [
      [`amount-${of}`, amountDefinition(of)],
      [`distribution-${of}`, distributionDefinition(of, false)],
      [`part-${of}`, distributionDefinition(of, true)],
    ]),
  ),
  ...Object.fromEntries(
    (Object.keys(DIMENSIONS) as Dimension[]).map(each => [`quantity-${each}`, quantityDefinition(each)]),
  ),
});

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

// ---- definitions ----------------------------------------------------------------------------------------------

type Definitions = Record<string, JsonSchema>;

/** The definitions that `schema` leads to. */
function used(schema: JsonSchema, all: Definitions): Definitions {
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
function withShared(schema: JsonSchema & { definitions: Definitions }): JsonSchema {
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

// ---- files that extend others ---------------------------------------------------------------------------------

const EXTENDED = '-extended';

const mapValues = (value: unknown, change: (each: JsonSchema) => JsonSchema): JsonSchema =>
  Object.fromEntries(Object.entries(value as Definitions).map(([key, each]) => [key, change(each)]));

/** The same with nothing required and with null, which removes, wherever mappings merge; lists replace, and stay. */
function relaxed(node: JsonSchema): JsonSchema {
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

/** Some keys of a distribution, whichever it is: the file below has the rest. */
const anyDistribution = (of: AmountOf): JsonSchema =>
  relaxed({
    type: 'object',
    properties: { dist: DIST, ...keysFor([...new Set(Object.values(SHAPES).flat())], of), ...blockKeys(of) },
    additionalProperties: false,
  });

function extendedDefinitions(all: Definitions): Definitions {
  const named = Object.entries(all).map(([name, each]) => [`${name}${EXTENDED}`, relaxed(each)] as const);
  const distributions = AMOUNTS.map(of => [`distribution-${of}${EXTENDED}`, anyDistribution(of)] as const);
  return Object.fromEntries([...named, ...distributions]);
}

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
