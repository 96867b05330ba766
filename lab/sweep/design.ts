// Which points of the space a sweep runs: all of a grid, a list, or a Latin hypercube. Pure.
import { UserError } from '../../scenarios/base/errors.ts';
import { extend, extendText, seedKey, uniform } from '../../scenarios/base/key.ts';
import type { SweepDesign } from '../../scenarios/formats/sweep.ts';
import { type Axis, axisName, fieldsOf, type VariedField, valueLabel } from '../../scenarios/formats/vary.ts';

/** A field and the value that it takes at a point. */
export interface Setting extends Pick<VariedField, 'path' | 'of'> {
  readonly value: unknown;
}

/** A value of one axis: what it sets, and how it reads. */
export interface Place {
  readonly settings: readonly Setting[];
  readonly label: string;
  /** Null where the axis is not one of numbers. */
  readonly number: number | null;
}

/** A place on each axis. */
export type Point = readonly Place[];

export interface DesignOptions {
  readonly design: SweepDesign;
  /** Of a Latin hypercube. */
  readonly points: number | undefined;
  /** Names its draws. */
  readonly seed: number | string;
}

/** Beyond these nobody looks at a sweep any more. */
export const POINTS_MAX = 20_000;

/** The points in the order of the design: of a grid, the last axis is the fastest. Equal points are there once. */
export function pointsOf(axes: readonly Axis[], options: DesignOptions): Point[] {
  const { design } = options;
  if (design !== 'lhs' && options.points !== undefined)
    throw new UserError('--points says how many a Latin hypercube has', { hint: 'add --design lhs' });
  const points = distinct(
    design === 'grid' ? grid(axes) : design === 'list' ? list(axes) : hypercube(axes, options),
  );
  return points;
}

function grid(axes: readonly Axis[]): Point[] {
  const size = axes.reduce((product, { values }) => product * values.length, 1);
  refuseMany(size, 'fewer values, or a sample of them: --design lhs --points 200');
  return axes.reduce<Point[]>(
    (points, axis) => points.flatMap(point => places(axis).map(place => [...point, place])),
    [[]],
  );
}

function list(axes: readonly Axis[]): Point[] {
  const [first] = axes;
  const odd = axes.find(({ values }) => values.length !== first?.values.length);
  if (first === undefined) return [];
  if (odd !== undefined) {
    throw new UserError(
      `--design list: ${axisName(first)} has ${first.values.length} values and ${axisName(odd)} ${odd.values.length}`,
      { hint: 'a list takes the first value of every axis, then the second of every axis: as many of each' },
    );
  }
  return first.values.map((_, i) => axes.map(axis => placeAt(axis, i)));
}

function hypercube(axes: readonly Axis[], { points, seed }: DesignOptions): Point[] {
  if (points === undefined || !(Number.isInteger(points) && points > 0))
    throw new UserError('--design lhs needs --points, a whole number above 0', { hint: 'e.g. --points 200' });
  refuseMany(points, 'fewer --points');
  const draws = latinHypercube(axes.map(axisName), points, seed);
  return draws.map(row => row.map((u, axis) => drawn(axes[axis]!, u)));
}

/**
 * Numbers from 0 to 1, a row a point and a column an axis: of `count` equal strata of each axis, each has exactly one
 * point. An axis keeps its draws whatever others there are.
 */
export function latinHypercube(axes: readonly string[], count: number, seed: number | string): number[][] {
  const root = extendText(seedKey(seed), 'sweep');
  const columns = axes.map(axis => {
    const key = extendText(root, axis);
    const orders = Array.from({ length: count }, (_, i) => uniform(extend(key, i, 1)));
    const shuffled = orders.map((_, i) => i).sort((a, b) => orders[a]! - orders[b]! || a - b);
    return shuffled.map((stratum, i) => (stratum + uniform(extend(key, i, 2))) / count);
  });
  return Array.from({ length: count }, (_, i) => columns.map(column => column[i]!));
}

/** A number of a range, else the value whose share of the axis holds `u`. */
function drawn(axis: Axis, u: number): Place {
  if (axis.range === null)
    return placeAt(axis, Math.min(axis.values.length - 1, Math.floor(u * axis.values.length)));
  const { from, to, unit } = axis.range;
  // As many digits as a setting is worth: it can be read, and typed again.
  const number = Number((from + (to - from) * u).toPrecision(4));
  const value = unit === '' ? number : `${number}${unit}`;
  return {
    settings: [{ path: axis.path, of: axis.of, value }],
    label: valueLabel(value),
    number,
  };
}

const places = (axis: Axis): Place[] => axis.values.map((_, i) => placeAt(axis, i));

/** The values of an axis as they read. */
export const labelsOf = (axis: Axis): string[] => places(axis).map(({ label }) => label);

function placeAt(axis: Axis, index: number): Place {
  const settings = fieldsOf(axis).map(({ path, of, values }) => ({ path, of, value: values[index] }));
  return {
    settings,
    label: settings.map(({ value }) => valueLabel(value)).join('/'),
    number: numberOf(settings[0]!.value, axis),
  };
}

/** `8`, and `2/s` where every value has that unit. */
function numberOf(value: unknown, axis: Axis): number | null {
  const read = (each: unknown): { number: number; unit: string } | null => {
    if (typeof each === 'number') return { number: each, unit: '' };
    const [, digits, unit = ''] =
      typeof each === 'string' ? (/^(-?\d*\.?\d+)([a-z%/]*)$/i.exec(each) ?? []) : [];
    return digits === undefined ? null : { number: Number(digits), unit };
  };
  if (axis.linked.length > 0) return null;
  const own = read(value);
  return own !== null && axis.values.every(each => read(each)?.unit === own.unit) ? own.number : null;
}

function refuseMany(size: number, hint: string): void {
  if (size > POINTS_MAX)
    throw new UserError(`${Math.round(size)} points; a sweep has at most ${POINTS_MAX}`, { hint });
}

function distinct(points: readonly Point[]): Point[] {
  const byLabel = new Map(
    points.map(point => [JSON.stringify(point.map(({ settings }) => settings)), point]),
  );
  return [...byLabel.values()];
}
