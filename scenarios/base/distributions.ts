// Distributions by inverse transform: one uniform number gives one value, so a draw is monotone in its uniform and two
// scenarios that differ in one parameter still meet the same agents. Math.log, exp and pow live in this file only.

export type Distribution =
  | { readonly kind: 'constant'; readonly value: number }
  | { readonly kind: 'lognormal'; readonly median: number; readonly sigma: number }
  | { readonly kind: 'normal'; readonly mean: number; readonly sd: number }
  | { readonly kind: 'exponential'; readonly mean: number }
  | { readonly kind: 'uniform'; readonly min: number; readonly max: number }
  | { readonly kind: 'choice'; readonly options: readonly { value: number; weight: number }[] }
  | { readonly kind: 'mixture'; readonly parts: readonly { weight: number; of: Distribution }[] };

/** The 90th percentile of the standard normal distribution. */
export const NORMAL_P90 = 1.2815515655446004;

/** sigma of a lognormal from its median and 90th percentile: ln(p90 / median) / z(0.9). */
export const lognormalSigma = (median: number, p90: number): number => Math.log(p90 / median) / NORMAL_P90;

/**
 * Inverse of the standard normal distribution function, by P. J. Acklam's rational approximation
 * (relative error under 1.2e-9), for 0 < p < 1.
 */
export function normalQuantile(p: number): number {
  const a = [
    -39.69683028665376, 220.9460984245205, -275.9285104469687, 138.357751867269, -30.66479806614716,
    2.506628277459239,
  ];
  const b = [
    -54.47609879822406, 161.5858368580409, -155.6989798598866, 66.80131188771972, -13.28068155288572,
  ];
  const c = [
    -0.007784894002430293, -0.3223964580411365, -2.400758277161838, -2.549732539343734, 4.374664141464968,
    2.938163982698783,
  ];
  const d = [0.007784695709041462, 0.3224671290700398, 2.445134137142996, 3.754408661907416];
  const poly = (k: number[], x: number): number => k.reduce((sum, coefficient) => sum * x + coefficient, 0);
  if (p < 0.02425) {
    const q = Math.sqrt(-2 * Math.log(p));
    return poly(c, q) / poly([...d, 1], q);
  }
  if (p > 1 - 0.02425) return -normalQuantile(1 - p);
  const q = p - 0.5;
  const r = q * q;
  return (poly(a, r) * q) / poly([...b, 1], r);
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
    case 'choice':
      return pick(of.options, u).part.value;
    case 'mixture': {
      const { part, rest } = pick(of.parts, u);
      return quantile(part.of, rest);
    }
  }
}

/** Mean of `map(value)` over the distribution, by 2,000 midpoint quantiles: for what `check` announces. */
export function meanOf(of: Distribution, map: (value: number) => number = value => value): number {
  if (of.kind === 'constant') return map(of.value);
  const points = 2000;
  let sum = 0;
  for (let i = 0; i < points; i++) sum += map(quantile(of, (i + 0.5) / points));
  return sum / points;
}
