// A promise and a value: how much room there is, how much of it is used up, and what counts as kept.
import type { Assertion } from '../../scenarios/formats/assertion.ts';
import type { Evaluation } from './evaluate.ts';

/** Whether less is better. */
export const isUpper = ({ op }: Pick<Assertion, 'op'>): boolean => op === '<' || op === '<=';

/** Room of a value to what is promised, in its unit: negative where it is broken. */
export const roomTo = (assertion: Pick<Assertion, 'op' | 'target'>, value: number): number =>
  isUpper(assertion) ? assertion.target - value : value - assertion.target;

/** The same over the target; 0 where nothing is known. */
export function marginOf(assertion: Pick<Assertion, 'op' | 'target'>, value: number | null): number {
  if (value === null) return 0;
  const { target } = assertion;
  return roomTo(assertion, value) / (target === 0 ? 1 : Math.abs(target));
}

/** How much of a promise is used up: 1 at the target, more where it is broken. Null: nothing is known, or beyond all. */
export function usedOf(assertion: Pick<Assertion, 'op' | 'target'>, value: number | null): number | null {
  if (value === null) return null;
  const [part, whole] = isUpper(assertion) ? [value, assertion.target] : [assertion.target, value];
  return whole === 0 ? (part === 0 ? 0 : null) : part / whole;
}

/** No promise is broken by its value over all seeds. */
export const keeps = ({ verdict }: Pick<Evaluation, 'verdict'>): boolean =>
  verdict === 'kept' || verdict === 'unsure';
