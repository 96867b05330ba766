// Amounts: what a scenario may write where a number of tokens, a duration or a count is asked for. A scalar with its
// unit, a distribution (`{ median, p90 }` is lognormal), or an expression that starts with `=`.
import {
  type Distribution,
  empiricalOf,
  gammaOf,
  lognormalOf,
  lognormalSigma,
  meanOf,
  quantile,
  WEIBULL_SHAPES,
  weibullOf,
  weibullShape,
  zipfOf,
} from '../base/distributions.ts';
import { type Expression, mentions, parseExpression } from '../base/expression.ts';
import { type InputPath, type Issue, issue } from '../base/issue.ts';
import { type Dimension, parseScalar } from './quantity.ts';
import { didYouMean, show } from './suggest.ts';

/** A parsed amount, in the base unit of its dimension (tokens, ms, count, ratio), clamped to [min, max]. */
export type Amount =
  | { readonly kind: 'draw'; readonly of: Distribution; readonly min: number; readonly max: number }
  | {
      readonly kind: 'expression';
      readonly expression: Expression;
      readonly min: number;
      readonly max: number;
    };

/** An amount that needs nothing but chance. */
export type DrawnAmount = Extract<Amount, { kind: 'draw' }>;

export const constant = (value: number): DrawnAmount => ({
  kind: 'draw',
  of: { kind: 'constant', value },
  min: 0,
  max: Number.POSITIVE_INFINITY,
});

/** Keys of each distribution that is named by `dist`, or by its keys alone. */
export const SHAPES: Record<string, readonly string[]> = {
  lognormal: ['median', 'p90', 'sigma', 'mean', 'sd'],
  normal: ['mean', 'sd'],
  exponential: ['mean'],
  uniform: ['min', 'max'],
  gamma: ['mean', 'cv', 'shape', 'scale'],
  weibull: ['mean', 'cv', 'shape', 'scale'],
  pareto: ['min', 'alpha'],
  zipf: ['n', 's'],
  pareto_lognormal: ['min', 'alpha', 'median', 'sigma', 'pareto'],
};
/** Keys of which a distribution takes one: a second would count for nothing. */
export const ALTERNATIVES: Record<string, readonly (readonly string[])[]> = {
  lognormal: [
    ['median', 'mean'],
    ['p90', 'sigma', 'sd'],
  ],
  gamma: [
    ['mean', 'shape'],
    ['cv', 'scale'],
  ],
  weibull: [
    ['mean', 'shape'],
    ['cv', 'scale'],
  ],
};
/** Keys that are plain numbers whatever the amount is of. */
export const PLAIN_KEYS = ['sigma', 'cv', 'shape', 'alpha', 's', 'n'];
/** Distributions that start at their own `min`. */
const OWN_MIN = ['uniform', 'pareto', 'pareto_lognormal'];
const BLOCKS = ['mixture', 'choice', 'empirical'] as const;
const ZIPF_MAX = 1_000_000;
/** Least and greatest coefficient of variation, and shape by kind: beyond, draws are too alike or too skewed to be exact. */
export const CVS = [0.01, 1000] as const;
const SHAPES_WITHIN = { gamma: [1e-6, 1e4], weibull: WEIBULL_SHAPES } as const;
/** The share of draws that must be numbers a computer can hold. */
const TAIL = 0.9999;

/** Parses an amount; every problem is pushed to `issues` and null is returned. */
export function parseAmount(
  raw: unknown,
  dimension: Dimension,
  path: InputPath,
  issues: Issue[],
): Amount | null {
  if (typeof raw === 'string' && raw.trimStart().startsWith('=')) {
    const text = raw.trim().slice(1);
    const parsed = parseExpression(text);
    if ('error' in parsed) {
      issues.push(
        issue(path, 'WT1007', `in ${show(`=${text}`)}: ${parsed.error.message}`, parsed.error.hint),
      );
      return null;
    }
    return { kind: 'expression', expression: parsed.expression, min: 0, max: Number.POSITIVE_INFINITY };
  }
  if (typeof raw === 'object' && raw !== null && !Array.isArray(raw)) {
    return parseObject(raw as Record<string, unknown>, dimension, path, issues);
  }
  const value = scalar(raw, dimension, path, issues);
  return value === null ? null : constant(value);
}

/** An amount where nothing has run yet that an expression could speak of. */
export function plainAmount(
  raw: unknown,
  path: InputPath,
  issues: Issue[],
  dimension: Dimension = 'ms',
): DrawnAmount | null {
  const amount = parseAmount(raw, dimension, path, issues);
  if (amount === null || amount.kind === 'draw') return amount;
  const hint = 'write a duration or a distribution, such as { median: 20s, p90: 60s }';
  issues.push(issue(path, 'WT1005', 'an expression cannot stand here', hint));
  return null;
}

function scalar(raw: unknown, dimension: Dimension, path: InputPath, issues: Issue[]): number | null {
  const parsed = parseScalar(raw, dimension);
  if ('value' in parsed) return parsed.value;
  issues.push(issue(path, 'WT1006', parsed.error, parsed.hint));
  return null;
}

function parseObject(
  raw: Record<string, unknown>,
  dimension: Dimension,
  path: InputPath,
  issues: Issue[],
): Amount | null {
  const before = issues.length;
  const clamp = (key: 'min' | 'max', fallback: number): number =>
    raw[key] === undefined ? fallback : (scalar(raw[key], dimension, [...path, key], issues) ?? fallback);
  const of = parseDistribution(raw, dimension, path, issues);
  const min = OWN_MIN.includes(String(raw.dist)) ? 0 : clamp('min', 0);
  const max = raw.dist === 'uniform' ? Number.POSITIVE_INFINITY : clamp('max', Number.POSITIVE_INFINITY);
  if (min > max) issues.push(issue([...path, 'min'], 'WT1005', `min ${raw.min} is above max ${raw.max}`));
  return of === null || issues.length > before ? null : { kind: 'draw', of, min, max };
}

function parseDistribution(
  raw: Record<string, unknown>,
  dimension: Dimension,
  path: InputPath,
  issues: Issue[],
): Distribution | null {
  const block = BLOCKS.find(each => each in raw);
  if (block !== undefined) {
    const good = onlyKeys(raw, [block, 'min', 'max'], block, path, issues);
    const of = PARSE_BLOCK[block](raw, dimension, path, issues);
    return good ? of : null;
  }
  const kind = raw.dist === undefined ? guessKind(raw) : String(raw.dist);
  if (kind === null || !Object.hasOwn(SHAPES, kind)) {
    const hint = kind === null ? null : didYouMean(kind, [...Object.keys(SHAPES), ...BLOCKS]);
    const message =
      kind === null
        ? 'not a number, a distribution or an expression'
        : `unknown distribution ${show(raw.dist)}`;
    issues.push(
      issue(path, 'WT1005', message, hint ?? 'write 216, { median: 216, p90: 899 } or =tokens(prev)'),
    );
    return null;
  }
  const shape = SHAPES[kind] as readonly string[];
  const part: Record<string, number> = {};
  let good = onlyKeys(raw, [...shape, 'dist', 'min', 'max'], kind, path, issues);
  for (const key of shape) {
    if (raw[key] === undefined) continue;
    const of = PLAIN_KEYS.includes(key) ? 'count' : key === 'pareto' ? 'ratio' : dimension;
    const value = scalar(raw[key], of, [...path, key], issues);
    if (value === null) good = false;
    else part[key] = value;
  }
  const of = good ? shaped(kind, part, path, issues) : null;
  if (of === null || Number.isFinite(quantile(of, TAIL))) return of;
  const message = 'one in 10,000 of these is beyond any number';
  issues.push(issue(path, 'WT1005', message, 'lower the spread: p90, sigma, sd; or raise alpha'));
  return null;
}

/** Whether a distribution has no other keys than these. */
function onlyKeys(
  raw: Record<string, unknown>,
  allowed: readonly string[],
  kind: string,
  path: InputPath,
  issues: Issue[],
): boolean {
  const unknown = Object.keys(raw).filter(key => !allowed.includes(key));
  for (const key of unknown) {
    const message = `unknown key "${key}" in a ${kind} distribution`;
    issues.push(issue([...path, key], 'WT1003', message, didYouMean(key, allowed), { atKey: true }));
  }
  return unknown.length === 0;
}

function guessKind(raw: Record<string, unknown>): string | null {
  if ('median' in raw) return 'lognormal';
  if ('mean' in raw && 'sd' in raw) return 'normal';
  return null;
}

function shaped(
  kind: string,
  part: Record<string, number>,
  path: InputPath,
  issues: Issue[],
): Distribution | null {
  const fail = (message: string, hint: string): null => {
    issues.push(issue(path, 'WT1005', message, hint));
    return null;
  };
  const { median, p90, sigma, mean, sd, min, max, cv, shape, scale, alpha } = part;
  const above = (...values: (number | undefined)[]): boolean =>
    values.every(value => value !== undefined && value > 0);
  for (const keys of ALTERNATIVES[kind] ?? []) {
    const given = keys.filter(key => part[key] !== undefined);
    if (given.length > 1) return fail(`a ${kind} has ${given.join(' or ')}, not both`, 'keep one of them');
  }
  switch (kind) {
    case 'lognormal':
      if (above(mean, sd)) return lognormalOf(mean as number, sd as number);
      if (median === undefined || median <= 0 || (p90 === undefined && sigma === undefined)) {
        return fail(
          'a lognormal needs a median above 0 and a p90 or a sigma, or mean and sd above 0',
          'e.g. { median: 216, p90: 899 }',
        );
      }
      if (p90 !== undefined && p90 < median)
        return fail(`p90 ${p90} is below the median ${median}`, 'swap them?');
      return { kind, median, sigma: sigma ?? lognormalSigma(median, p90 as number) };
    case 'normal':
      if (mean === undefined || sd === undefined)
        return fail('a normal needs mean and sd', 'e.g. { mean: 14, sd: 4, min: 1 }');
      return { kind, mean, sd };
    case 'exponential':
      if (mean === undefined)
        return fail('an exponential needs a mean', 'e.g. { dist: exponential, mean: 30s }');
      return { kind, mean };
    case 'gamma':
    case 'weibull': {
      const [least, most] = SHAPES_WITHIN[kind];
      if (above(shape, scale)) {
        if ((shape as number) < least || (shape as number) > most)
          return fail(
            `the shape of a ${kind} is from ${least} to ${most}, got ${shape}`,
            'or give mean and cv',
          );
        return { kind, shape: shape as number, scale: scale as number };
      }
      if (!above(mean, cv)) {
        return fail(
          `a ${kind} needs mean and cv, or shape and scale`,
          `e.g. { dist: ${kind}, mean: 30s, cv: 2 }`,
        );
      }
      if ((cv as number) < CVS[0] || (cv as number) > CVS[1])
        return fail(`a cv is from ${CVS[0]} to ${CVS[1]}, got ${cv}`, 'without spread, write the mean alone');
      return kind === 'gamma'
        ? gammaOf(mean as number, cv as number)
        : weibullOf(mean as number, weibullShape(cv as number));
    }
    case 'pareto':
      if (!above(min, alpha))
        return fail('a pareto needs min and alpha', 'e.g. { dist: pareto, min: 50, alpha: 1.5 }');
      return { kind, min: min as number, alpha: alpha as number };
    case 'pareto_lognormal': {
      const share = part.pareto;
      if (!above(min, alpha, median, sigma) || share === undefined) {
        return fail(
          'a pareto_lognormal needs pareto (its share), min, alpha, median and sigma',
          'e.g. { dist: pareto_lognormal, pareto: 30%, min: 50, alpha: 1.5, median: 245, sigma: 1.2 }',
        );
      }
      return {
        kind: 'mixture',
        parts: [
          { weight: share, of: { kind: 'pareto', min: min as number, alpha: alpha as number } },
          { weight: 1 - share, of: { kind: 'lognormal', median: median as number, sigma: sigma as number } },
        ],
      };
    }
    case 'zipf': {
      const { n, s } = part;
      if (n === undefined || s === undefined || !Number.isInteger(n) || n < 1 || n > ZIPF_MAX)
        return fail(`a zipf needs s and a whole n up to ${ZIPF_MAX}`, 'e.g. { dist: zipf, n: 100, s: 1.1 }');
      return zipfOf(n, s);
    }
    default:
      if (min === undefined || max === undefined || min > max) {
        return fail('a uniform needs min and max, min first', 'e.g. { dist: uniform, min: 1s, max: 5s }');
      }
      return { kind: 'uniform', min, max };
  }
}

/** Measured values: a list, or values with weights. A file of them is read before (cli/resolve.ts). */
function parseEmpirical(
  raw: Record<string, unknown>,
  dimension: Dimension,
  path: InputPath,
  issues: Issue[],
): Distribution | null {
  const at = [...path, 'empirical'];
  const fail = (message: string, where: InputPath = at): null => {
    issues.push(
      issue(
        where,
        'WT1005',
        message,
        'e.g. { empirical: [120, 340, 800] } or { empirical: { values, weights } }',
      ),
    );
    return null;
  };
  const given = Array.isArray(raw.empirical)
    ? { values: raw.empirical as unknown[] }
    : (raw.empirical as Record<string, unknown> | null);
  if (
    typeof given !== 'object' ||
    given === null ||
    !Array.isArray(given.values) ||
    given.values.length === 0
  )
    return fail('empirical needs a list of values');
  const { values, weights } = given as { values: unknown[]; weights?: unknown };
  if (weights !== undefined && (!Array.isArray(weights) || weights.length !== values.length))
    return fail(`empirical needs a weight for each of its ${values.length} values`);
  const before = issues.length;
  const inner = Array.isArray(raw.empirical) ? at : [...at, 'values'];
  const weighted = values.map((value, index) => ({
    value: scalar(value, dimension, [...inner, index], issues) ?? 0,
    weight:
      weights === undefined
        ? 1
        : (scalar((weights as unknown[])[index], 'count', [...at, 'weights', index], issues) ?? 0),
  }));
  if (issues.length > before) return null;
  if (!weighted.some(({ weight }) => weight > 0)) return fail('empirical needs a weight above 0');
  return empiricalOf(weighted.filter(({ weight }) => weight > 0));
}

function parseMixture(
  raw: Record<string, unknown>,
  dimension: Dimension,
  path: InputPath,
  issues: Issue[],
): Distribution | null {
  if (!Array.isArray(raw.mixture) || raw.mixture.length === 0) {
    issues.push(issue([...path, 'mixture'], 'WT1005', 'a mixture is a list of weighted distributions'));
    return null;
  }
  const parts: { weight: number; of: Distribution }[] = [];
  for (const [index, entry] of raw.mixture.entries()) {
    const at = [...path, 'mixture', index];
    const { weight: rawWeight, ...rest } = (
      typeof entry === 'object' && entry !== null ? entry : {}
    ) as Record<string, unknown>;
    const weight = scalar(rawWeight, 'ratio', [...at, 'weight'], issues);
    const own = rest.dist === 'uniform' ? 2 : OWN_MIN.includes(String(rest.dist)) ? 1 : 0;
    const bound = ['min', 'max'].slice(own).find(key => key in rest);
    if (bound !== undefined) {
      const hint = 'put min and max beside `mixture`';
      issues.push(
        issue([...at, bound], 'WT1005', 'a part of a mixture cannot be clamped by itself', hint, {
          atKey: true,
        }),
      );
    }
    const of = parseDistribution(rest, dimension, at, issues);
    if (weight !== null && of !== null) parts.push({ weight, of });
  }
  if (parts.length < raw.mixture.length || allZero(parts, [...path, 'mixture'], issues)) return null;
  return { kind: 'mixture', parts };
}

/** Weights that choose nothing. */
function allZero(parts: readonly { weight: number }[], path: InputPath, issues: Issue[]): boolean {
  if (parts.some(({ weight }) => weight > 0)) return false;
  issues.push(issue(path, 'WT1005', 'every weight is 0', 'give at least one a weight above 0'));
  return true;
}

function parseChoice(
  raw: Record<string, unknown>,
  dimension: Dimension,
  path: InputPath,
  issues: Issue[],
): Distribution | null {
  if (typeof raw.choice !== 'object' || raw.choice === null || Array.isArray(raw.choice)) {
    issues.push(
      issue(
        [...path, 'choice'],
        'WT1005',
        'a choice maps values to weights',
        'e.g. { choice: { 1: 56%, 2: 25%, 3: 19% } }',
      ),
    );
    return null;
  }
  const options: { value: number; weight: number }[] = [];
  const entries = Object.entries(raw.choice as Record<string, unknown>);
  for (const [key, rawWeight] of entries) {
    const at = [...path, 'choice', key];
    const value = scalar(key, dimension, at, issues);
    const weight = scalar(rawWeight, 'ratio', at, issues);
    if (value !== null && weight !== null) options.push({ value, weight });
  }
  if (entries.length === 0) issues.push(issue(path, 'WT1005', 'a choice needs at least one value'));
  if (options.length < entries.length || entries.length === 0) return null;
  return allZero(options, [...path, 'choice'], issues) ? null : { kind: 'choice', options };
}

const PARSE_BLOCK = { mixture: parseMixture, choice: parseChoice, empirical: parseEmpirical } as const;

/** Clamps; counts and tokens are rounded first, then clamped to the whole numbers inside the bounds. Always finite. */
export function settle(amount: Amount, value: number, whole: boolean): number {
  const max = Math.min(amount.max, Number.MAX_SAFE_INTEGER);
  if (!whole) return Math.min(Math.max(value, amount.min), max);
  return Math.min(Math.max(Math.round(value), Math.ceil(amount.min)), Math.floor(max));
}

/** The drawn part of an amount for the uniform `u`. */
export const drawAmount = (amount: DrawnAmount, u: number, whole: boolean): number =>
  settle(amount, quantile(amount.of, u), whole);

/** The expected value of a drawn amount, after rounding and clamping. */
export const meanAmount = (amount: DrawnAmount, whole: boolean): number =>
  meanOf(amount.of, value => settle(amount, value, whole));

/** Reports names that an expression mentions and nobody knows. */
export function checkNames(amount: Amount, names: readonly string[], path: InputPath, issues: Issue[]): void {
  if (amount.kind !== 'expression') return;
  mentions(amount.expression, (what, name) => {
    if (what === 'name' && !names.includes(name)) {
      issues.push(
        issue(
          path,
          'WT1102',
          `unknown name "${name}" in an expression`,
          didYouMean(name, names) ?? `known: ${names.join(', ')}`,
        ),
      );
    }
  });
}
