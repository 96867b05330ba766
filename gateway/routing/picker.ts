// How routers pick a row once they know what they want: the lowest of a column, or one that is drawn.
import { extend, type Key, uniform } from '../../scenarios/base/key.ts';

/** The row with the lowest value; of several, the first. There is at least one. */
export function lowestRow(column: readonly number[]): number {
  let best = 0;
  for (let row = 1; row < column.length; row++) if (column[row]! < column[best]!) best = row;
  return best;
}

/** A whole number below `count`, each as likely, for draw `draw` of this call. */
export const drawnRow = (call: Key, draw: number, count: number): number =>
  Math.floor(uniform(extend(call, draw)) * count);

/** Tells this draw from a policy's own. */
const TIE = 0x71e;

/** The row with the lowest value; of several, one that is drawn for this call. */
export function lowestDrawn(column: readonly number[], call: Key): number {
  const best = lowestRow(column);
  let equal = 0;
  for (let row = best; row < column.length; row++) if (column[row] === column[best]) equal += 1;
  if (equal === 1) return best;
  let skip = drawnRow(call, TIE, equal);
  let row = best;
  while (column[row] !== column[best] || skip-- > 0) row += 1;
  return row;
}
