// Amounts: what a scenario may write where a number of tokens, a duration or a count is asked for. A scalar with its
// unit, a distribution (`{ median, p90 }` is lognormal), or an expression that starts with `=`.
import { type Distribution, lognormalSigma, meanOf, quantile } from '../base/distributions.ts';
import { type Expression, mentions, parseExpression } from '../base/expression.ts';
import { type InputPath, type Issue, issue } from '../base/issue.ts';
import { type Dimension, parseScalar } from './quantity.ts';
import { didYouMean } from './suggest.ts';

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

const SHAPES: Record<string, readonly string[]> = {
  lognormal: ['median', 'p90', 'sigma'],
  normal: ['mean', 'sd'],
  exponential: ['mean'],
  uniform: ['min', 'max'],
};
const NOT_BUILT = ['gamma', 'weibull', 'zipf', 'pareto', 'pareto_lognormal', 'empirical'];

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
      issues.push(issue(path, 'WT1007', `in "=${text}": ${parsed.error.message}`, parsed.error.hint));
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
  const uniform = of?.kind === 'uniform';
  const min = uniform ? 0 : clamp('min', 0);
  const max = uniform ? Number.POSITIVE_INFINITY : clamp('max', Number.POSITIVE_INFINITY);
  if (min > max) issues.push(issue([...path, 'min'], 'WT1005', `min ${raw.min} is above max ${raw.max}`));
  return of === null || issues.length > before ? null : { kind: 'draw', of, min, max };
}

function parseDistribution(
  raw: Record<string, unknown>,
  dimension: Dimension,
  path: InputPath,
  issues: Issue[],
): Distribution | null {
  if ('mixture' in raw) return parseMixture(raw, dimension, path, issues);
  if ('choice' in raw) return parseChoice(raw, dimension, path, issues);
  const kind = typeof raw.dist === 'string' ? raw.dist : guessKind(raw);
  if (kind === null || !(kind in SHAPES)) {
    if (kind !== null && NOT_BUILT.includes(kind)) {
      issues.push(
        issue(
          [...path, 'dist'],
          'WT1008',
          `distribution "${kind}" is part of the language but not built yet`,
        ),
      );
    } else {
      const known = [...Object.keys(SHAPES), 'mixture', 'choice'];
      const hint = kind === null ? null : didYouMean(kind, known);
      const message =
        kind === null ? 'not a number, a distribution or an expression' : `unknown distribution "${kind}"`;
      issues.push(
        issue(path, 'WT1005', message, hint ?? 'write 216, { median: 216, p90: 899 } or =tokens(prev)'),
      );
    }
    return null;
  }
  const shape = SHAPES[kind] as readonly string[];
  const allowed = [...shape, 'dist', 'min', 'max'];
  const part: Record<string, number> = {};
  let good = true;
  for (const key of Object.keys(raw)) {
    if (!allowed.includes(key)) {
      issues.push(
        issue(
          [...path, key],
          'WT1003',
          `unknown key "${key}" in a ${kind} distribution`,
          didYouMean(key, allowed),
          { atKey: true },
        ),
      );
      good = false;
    }
  }
  for (const key of shape) {
    if (raw[key] === undefined) continue;
    const value = scalar(raw[key], key === 'sigma' ? 'count' : dimension, [...path, key], issues);
    if (value === null) good = false;
    else part[key] = value;
  }
  return good ? shaped(kind, part, path, issues) : null;
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
  const { median, p90, sigma, mean, sd, min, max } = part;
  switch (kind) {
    case 'lognormal':
      if (median === undefined || median <= 0 || (p90 === undefined && sigma === undefined)) {
        return fail(
          'a lognormal needs a median above 0 and a p90 or a sigma',
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
    default:
      if (min === undefined || max === undefined || min > max) {
        return fail('a uniform needs min and max, min first', 'e.g. { dist: uniform, min: 1s, max: 5s }');
      }
      return { kind: 'uniform', min, max };
  }
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
    const bound = rest.dist === 'uniform' ? undefined : ['min', 'max'].find(key => key in rest);
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
  return parts.length === raw.mixture.length ? { kind: 'mixture', parts } : null;
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
    const value = scalar(Number.isFinite(Number(key)) ? Number(key) : key, dimension, at, issues);
    const weight = scalar(rawWeight, 'ratio', at, issues);
    if (value !== null && weight !== null) options.push({ value, weight });
  }
  if (entries.length === 0) issues.push(issue(path, 'WT1005', 'a choice needs at least one value'));
  return options.length === entries.length && entries.length > 0 ? { kind: 'choice', options } : null;
}

/** Clamps; counts and tokens are rounded first, then clamped to the whole numbers inside the bounds. */
export function settle(amount: Amount, value: number, whole: boolean): number {
  if (!whole) return Math.min(Math.max(value, amount.min), amount.max);
  return Math.min(Math.max(Math.round(value), Math.ceil(amount.min)), Math.floor(amount.max));
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
