// A curve that is known at some points, and straight between them.

interface Point {
  readonly x: number | null;
  readonly y: number | null;
}

/** y at x, of points in any order; beyond the first and the last as there. Null without points. */
export function interpolated(points: readonly Point[], x: number): number | null {
  const known = points.flatMap(point =>
    point.x === null || point.y === null ? [] : [{ x: point.x, y: point.y }],
  );
  known.sort((a, b) => a.x - b.x);
  const after = known.findIndex(point => point.x >= x);
  if (known.length === 0) return null;
  if (after === 0) return known[0]!.y;
  if (after < 0) return known.at(-1)!.y;
  const [from, to] = [known[after - 1]!, known[after]!];
  return from.y + ((x - from.x) / (to.x - from.x)) * (to.y - from.y);
}
