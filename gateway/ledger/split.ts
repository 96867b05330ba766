// Whole amounts in proportion to weights, by largest remainder: the parts sum to the whole exactly.

/** Splits `total` (a whole number, at least 0); of equal remainders the first goes first. Without any weight: nothing. */
export function splitWhole(total: number, weights: Float64Array): Float64Array {
  const parts = new Float64Array(weights.length);
  let weight = 0;
  for (const each of weights) weight += each;
  if (!(weight > 0)) return parts;
  const remainders = new Float64Array(weights.length);
  let left = total;
  for (let i = 0; i < parts.length; i++) {
    const quota = total * (weights[i]! / weight);
    const part = Math.min(left, Math.floor(quota));
    parts[i] = part;
    remainders[i] = quota - part;
    left -= part;
  }
  // Rounding of the weights' sum may leave more than one for each.
  while (left > 0) left -= giveOneEach(parts, remainders, left);
  return parts;
}

/** One more for the `most` largest remainders, of parts that have a weight; returns how many were given. */
function giveOneEach(parts: Float64Array, remainders: Float64Array, most: number): number {
  const sorted = remainders.slice().sort();
  const count = Math.min(most, sorted.length);
  const least = sorted[sorted.length - count]!;
  let ofLeast = count;
  for (let i = sorted.length - 1; i >= 0 && sorted[i]! > least; i--) ofLeast -= 1;
  for (let i = 0; i < parts.length; i++) {
    const remainder = remainders[i]!;
    if (remainder > least) parts[i]! += 1;
    else if (remainder === least && ofLeast > 0) {
      parts[i]! += 1;
      ofLeast -= 1;
    }
  }
  return count;
}
