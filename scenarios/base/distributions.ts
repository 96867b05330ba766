// Distributions by inverse transform: one uniform number gives one value, so a draw is monotone in its uniform and two
// scenarios that differ in one parameter still meet the same agents. Math.log, exp, pow and cos live in this file only.

export type Distribution =
  | { readonly kind: 'constant'; readonly value: number }
  | { readonly kind: 'lognormal'; readonly median: number; readonly sigma: number }
  | { readonly kind: 'normal'; readonly mean: number; readonly sd: number }
  | { readonly kind: 'exponential'; readonly mean: number }
  | { readonly kind: 'uniform'; readonly min: number; readonly max: number }
  /** Density proportional to x^(shape-1) exp(-x/scale); mean shape x scale. */
  | { readonly kind: 'gamma'; readonly shape: number; readonly scale: number }
  /** P(X > x) = exp(-(x/scale)^shape). */
  | { readonly kind: 'weibull'; readonly shape: number; readonly scale: number }
  /** P(X > x) = (min/x)^alpha. */
  | { readonly kind: 'pareto'; readonly min: number; readonly alpha: number }
  /** Values in ascending order, and for each the share of the weight up to and with it; the last is 1. */
  | { readonly kind: 'empirical'; readonly values: readonly number[]; readonly cumulated: readonly number[] }
  | { readonly kind: 'choice'; readonly options: readonly { value: number; weight: number }[] }
  | { readonly kind: 'mixture'; readonly parts: readonly { weight: number; of: Distribution }[] };

/** The 90th percentile of the standard normal distribution. */
export const NORMAL_P90 = 1.2815515655446004;

/** sigma of a lognormal from its median and 90th percentile: ln(p90 / median) / z(0.9). */
export const lognormalSigma = (median: number, p90: number): number => Math.log(p90 / median) / NORMAL_P90;

/** Acklam's coefficients, the highest power first. */
const MIDDLE_OVER = [
  -39.69683028665376, 220.9460984245205, -275.9285104469687, 138.357751867269, -30.66479806614716,
  2.506628277459239,
];
const MIDDLE_UNDER = [
  -54.47609879822406, 161.5858368580409, -155.6989798598866, 66.80131188771972, -13.28068155288572, 1,
];
const TAIL_OVER = [
  -0.007784894002430293, -0.3223964580411365, -2.400758277161838, -2.549732539343734, 4.374664141464968,
  2.938163982698783,
];
const TAIL_UNDER = [0.007784695709041462, 0.3224671290700398, 2.445134137142996, 3.754408661907416, 1];

function poly(coefficients: readonly number[], x: number): number {
  let sum = 0;
  for (let i = 0; i < coefficients.length; i++) sum = sum * x + coefficients[i]!;
  return sum;
}

/**
 * Inverse of the standard normal distribution function, by P. J. Acklam's rational approximation
 * (relative error under 1.2e-9), for 0 < p < 1.
 */
export function normalQuantile(p: number): number {
  if (p < 0.02425) {
    const q = Math.sqrt(-2 * Math.log(p));
    return poly(TAIL_OVER, q) / poly(TAIL_UNDER, q);
  }
  if (p > 1 - 0.02425) return -normalQuantile(1 - p);
  const q = p - 0.5;
  const r = q * q;
  return (poly(MIDDLE_OVER, r) * q) / poly(MIDDLE_UNDER, r);
}

/** Picks by cumulated weight; `rest` is the uniform left over inside the chosen part. */
function pick<T extends { weight: number }>(parts: readonly T[], u: number): { part: T; rest: number } {
  const total = parts.reduce((sum, part) => sum + part.weight, 0);
  let left = u * total;
  for (const part of parts) {
    if (left < part.weight) return { part, rest: Math.min(Math.max(left / part.weight, 1e-12), 1 - 1e-12) };
    left -= part.weight;
  }
  return { part: parts[parts.length - 1] as T, rest: 0.5 };
}

/** The index that the uniform `u` chooses among weights that need not sum to 1. */
export function pickIndex(weights: readonly number[], u: number): number {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let left = u * total;
  for (let i = 0; i < weights.length; i++) {
    const weight = weights[i] as number;
    if (left < weight) return i;
    left -= weight;
  }
  return weights.length - 1;
}

/** ln of the gamma function for x > 0, by Lanczos' series (g = 7, nine terms; relative error under 1e-13). */
function logGamma(x: number): number {
  const terms = [
    676.5203681218851, -1259.1392167224028, 771.3234287776531, -176.6150291621406, 12.507343278686905,
    -0.13857109526572012, 9.984369578019572e-6, 1.5056327351493116e-7,
  ];
  let sum = 0.9999999999998099;
  for (const [index, term] of terms.entries()) sum += term / (x + index);
  const t = x + 6.5;
  return 0.9189385332046727 + (x - 0.5) * Math.log(t) - t + Math.log(sum);
}

/** Share of a gamma distribution of scale 1 below x: series below shape + 1, continued fraction above. */
function gammaBelow(shape: number, x: number): number {
  if (x <= 0) return 0;
  const front = Math.exp(shape * Math.log(x) - x - logGamma(shape));
  if (x < shape + 1) {
    let term = 1 / shape;
    let sum = term;
    for (let k = 1; k < 1000 && Math.abs(term) > sum * 1e-15; k++) {
      term *= x / (shape + k);
      sum += term;
    }
    return front * sum;
  }
  // Lentz's algorithm for the upper tail.
  let b = x + 1 - shape;
  let c = 1e300;
  let d = 1 / b;
  let h = d;
  for (let k = 1; k < 1000; k++) {
    const a = -k * (k - shape);
    b += 2;
    d = 1 / (a * d + b);
    c = b + a / c;
    h *= d * c;
    if (Math.abs(d * c - 1) < 1e-15) break;
  }
  return 1 - front * h;
}

/** Inverse of the above: Wilson and Hilferty's cube as a start, then Newton held inside a shrinking bracket. */
function gammaQuantile(shape: number, u: number): number {
  const z = normalQuantile(u);
  const cube = 1 - 1 / (9 * shape) + z / (3 * Math.sqrt(shape));
  // Near 0 the share below x is x^shape / (shape Gamma(shape)).
  const small = Math.exp((Math.log(u) + logGamma(shape + 1)) / shape);
  let x = shape < 1 && u < 0.5 ? small : Math.max(shape * cube ** 3, small * 0.5);
  let low = 0;
  let high = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 60; i++) {
    const excess = gammaBelow(shape, x) - u;
    if (excess > 0) high = x;
    else low = x;
    const density = Math.exp((shape - 1) * Math.log(x) - x - logGamma(shape));
    let next = x - excess / density;
    if (!(next > low && next < high)) next = high === Number.POSITIVE_INFINITY ? x * 2 : (low + high) / 2;
    if (Math.abs(next - x) <= 1e-12 * x) return next;
    x = next;
  }
  return x;
}

/** Gamma with a given mean and coefficient of variation: shape 1 / cv^2. */
export const gammaOf = (mean: number, cv: number): Distribution => ({
  kind: 'gamma',
  shape: 1 / (cv * cv),
  scale: mean * cv * cv,
});

/** Weibull with a given mean and shape. */
export const weibullOf = (mean: number, shape: number): Distribution => ({
  kind: 'weibull',
  shape,
  scale: mean / Math.exp(logGamma(1 + 1 / shape)),
});

/** Least and greatest shape of a Weibull: coefficients of variation from 0.0026 to 370,000. */
export const WEIBULL_SHAPES = [0.05, 500] as const;

/** The shape of a Weibull with coefficient of variation `cv`: 1 + cv^2 = G(1 + 2/k) / G(1 + 1/k)^2, by bisection. */
export function weibullShape(cv: number): number {
  const target = Math.log(1 + cv * cv);
  let low = Math.log(WEIBULL_SHAPES[0]);
  let high = Math.log(WEIBULL_SHAPES[1]);
  for (let i = 0; i < 100; i++) {
    const k = Math.exp((low + high) / 2);
    if (logGamma(1 + 2 / k) - 2 * logGamma(1 + 1 / k) > target) low = Math.log(k);
    else high = Math.log(k);
  }
  return Math.exp((low + high) / 2);
}

/** The coefficient of variation of a Weibull of this shape. */
export const weibullCv = (shape: number): number =>
  Math.sqrt(Math.exp(logGamma(1 + 2 / shape) - 2 * logGamma(1 + 1 / shape)) - 1);

/** Lognormal with a given mean and standard deviation. */
export function lognormalOf(mean: number, sd: number): Distribution {
  const sigma = Math.sqrt(Math.log(1 + (sd / mean) ** 2));
  return { kind: 'lognormal', median: mean * Math.exp((-sigma * sigma) / 2), sigma };
}

/** Values with weights, as they were measured; equal values are put together. */
export function empiricalOf(weighted: readonly { value: number; weight: number }[]): Distribution {
  const ordered = weighted.toSorted((a, b) => a.value - b.value);
  const total = ordered.reduce((sum, { weight }) => sum + weight, 0);
  const values: number[] = [];
  const cumulated: number[] = [];
  let sum = 0;
  for (const { value, weight } of ordered) {
    sum += weight;
    if (values.at(-1) === value) cumulated[cumulated.length - 1] = sum / total;
    else {
      values.push(value);
      cumulated.push(sum / total);
    }
  }
  cumulated[cumulated.length - 1] = 1;
  return { kind: 'empirical', values, cumulated };
}

/** The numbers 1 to `n`, the k-th with a weight of k^-s. */
export const zipfOf = (n: number, s: number): Distribution =>
  empiricalOf(Array.from({ length: n }, (_, i) => ({ value: i + 1, weight: (i + 1) ** -s })));

/** Index of the first of the ascending `values` that is at least `wanted`. */
function firstAtLeast(values: readonly number[], wanted: number): number {
  let low = 0;
  let high = values.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((values[middle] as number) >= wanted) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The value below which a share `u` (0 < u < 1) of the distribution lies. */
export function quantile(of: Distribution, u: number): number {
  switch (of.kind) {
    case 'constant':
      return of.value;
    case 'lognormal':
      return of.median * Math.exp(of.sigma * normalQuantile(u));
    case 'normal':
      return of.mean + of.sd * normalQuantile(u);
    case 'exponential':
      return -of.mean * Math.log(1 - u);
    case 'uniform':
      return of.min + (of.max - of.min) * u;
    case 'gamma':
      return of.scale * gammaQuantile(of.shape, u);
    case 'weibull':
      return of.scale * (-Math.log(1 - u)) ** (1 / of.shape);
    case 'pareto':
      return of.min * (1 - u) ** (-1 / of.alpha);
    case 'empirical':
      return of.values[firstAtLeast(of.cumulated, u)] as number;
    case 'choice':
      return pick(of.options, u).part.value;
    case 'mixture': {
      const { part, rest } = pick(of.parts, u);
      return quantile(part.of, rest);
    }
  }
}

/** Mean of `map(value)` over the distribution, by midpoint quantiles: 2,000 for what `check` announces. */
export function meanOf(
  of: Distribution,
  map: (value: number) => number = value => value,
  points = 2000,
): number {
  if (of.kind === 'constant') return map(of.value);
  let sum = 0;
  for (let i = 0; i < points; i++) sum += map(quantile(of, (i + 0.5) / points));
  return sum / points;
}

/** Cosine of a whole number of turns: 1 at 0, -1 at a half. */
export const cosine = (turns: number): number => Math.cos(2 * Math.PI * turns);

/** e to the power of x, for x up to 0: a weight from 0 to 1. */
export const falling = (x: number): number => Math.exp(x);
