// A measured cost between its knots: piecewise linear, never falling, in whole units (ns/1024), so that a step model
// can show the very line it computes with. Tables of two axes are interpolated before they become curves.

/** Value `base[i] + slope[i] * (x - knots[i])` from knot i up to the next; the last slope goes on. Whole numbers. */
export interface Curve {
  readonly knots: readonly number[];
  readonly base: readonly number[];
  readonly slope: readonly number[];
}

/** The curve through `units(knot)` at whole knots that rise from 0; slopes are rounded, so values drift by parts of a ns. */
export function curveThrough(knots: readonly number[], units: (knot: number) => number): Curve {
  const base: number[] = [Math.max(0, Math.round(units(knots[0]!)))];
  const slope: number[] = [];
  for (let i = 0; i + 1 < knots.length; i++) {
    const width = knots[i + 1]! - knots[i]!;
    slope.push(Math.max(0, Math.round((units(knots[i + 1]!) - base[i]!) / width)));
    base.push(base[i]! + slope[i]! * width);
  }
  slope.push(slope.at(-1) ?? 0);
  return { knots, base, slope };
}

/** The piece that holds x: the last knot below it, so that a piece holds up to and including the next knot. */
export function pieceAt({ knots }: Curve, x: number): number {
  let low = 0;
  let high = knots.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (knots[middle]! < x) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** Hot: a few times an engine step. */
export function valueAt(curve: Curve, x: number): number {
  const i = pieceAt(curve, x);
  return curve.base[i]! + curve.slope[i]! * (x - curve.knots[i]!);
}

/** Values at every pair of knots: `us[row][column]`. */
export interface Grid {
  readonly rows: readonly number[];
  readonly columns: readonly number[];
  readonly us: readonly (readonly number[])[];
}

/** Between which two knots x lies, and how far along: beyond the last knot more than 1, before the first less than 0. */
function placeOf(knots: readonly number[], x: number): { at: number; share: number } {
  let at = 0;
  while (at + 2 < knots.length && knots[at + 1]! < x) at += 1;
  if (knots.length === 1) return { at: 0, share: 0 };
  return { at, share: (x - knots[at]!) / (knots[at + 1]! - knots[at]!) };
}

/** Linear between knots and beyond the last; before the first, its value. */
export function linear(knots: readonly number[], values: readonly number[], x: number): number {
  const { at, share } = placeOf(knots, Math.max(x, knots[0]!));
  const from = values[at]!;
  return share === 0 ? from : from + (values[at + 1]! - from) * share;
}

/** Linear along both axes. */
export const bilinear = ({ rows, columns, us }: Grid, row: number, column: number): number => {
  const { at, share } = placeOf(rows, Math.max(row, rows[0]!));
  const from = linear(columns, us[at]!, column);
  return share === 0 ? from : from + (linear(columns, us[at + 1]!, column) - from) * share;
};
