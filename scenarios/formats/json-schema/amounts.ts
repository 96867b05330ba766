// The JSON Schema of quantities and amounts: what quantity.ts and amount.ts read, as an editor can check it.
import { ALTERNATIVES, PLAIN_KEYS, SHAPES } from '../amount.ts';
import { DIMENSIONS, type Dimension } from '../quantity.ts';
import { firstOf, has, type JsonSchema, reference } from './node.ts';

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

export const quantity = (dimension: Dimension): JsonSchema => reference(`quantity-${dimension}`);

/** Amounts: of tokens, of time, or of either, as parameters are. */
type AmountOf = 'tokens' | 'ms' | 'any';
const AMOUNTS: readonly AmountOf[] = ['tokens', 'ms', 'any'];

const PLAIN: JsonSchema = { type: ['number', 'string'], minimum: 0 };
const scalarOf = (of: AmountOf): JsonSchema => (of === 'any' ? PLAIN : quantity(of));

export const amountOf = (of: string): JsonSchema =>
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

/** At most one key of each list. */
function notBoth(lists: readonly (readonly string[])[]): JsonSchema {
  const pairs = lists.flatMap(keys =>
    keys.flatMap((key, index) => keys.slice(index + 1).map(other => ({ required: [key, other] }))),
  );
  return pairs.length === 0 ? {} : { not: { anyOf: pairs } };
}

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
      { dist: reference('dist'), ...keysFor(SHAPES[kind] ?? [], of) },
      { ...needing(NEEDS[kind] ?? []), ...notBoth(ALTERNATIVES[kind] ?? []) },
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
    mapping(
      'a distribution',
      { dist: reference('dist'), ...keysFor(all, of), ...block },
      { required: ['dist'] },
    ),
  );
}

export const amountDefinitions = (): Record<string, JsonSchema> => ({
  dist: DIST,
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

/** What has become of a key that is still empty: the keys of any distribution are offered. */
const emptyAmount = (of: AmountOf): JsonSchema => ({
  type: 'null',
  properties: {
    dist: reference('dist'),
    ...keysFor(['median', 'p90', 'mean', 'sd', 'min', 'max'], of),
    ...blockKeys(of),
  },
});

/** The same where null removes what another file has. */
export const removableAmountDefinitions = (): Record<string, JsonSchema> =>
  Object.fromEntries(
    AMOUNTS.map(of => [
      `amount-${of}`,
      firstOf([[{ not: { type: 'null' } }, reference(`amount-${of}`)]], emptyAmount(of)),
    ]),
  );
