// Plain data as text: nothing that threads can send is lost on the way.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromText, toText } from '../../../lab/queue/plain-text.ts';

describe('plain data as text', () => {
  test('comes back as structured clone would give it, down to the bits', () => {
    const plain = fc.anything({
      withMap: true,
      withSet: true,
      withTypedArray: true,
      withBigInt: true,
      withSparseArray: false,
      withNullPrototype: false,
      withDate: false,
      key: fc.string().filter(key => key !== '__proto__'),
    });
    fc.assert(
      fc.property(plain, value => {
        const back = fromText(toText(value));
        // Keys that are undefined are left out.
        expect(back).toEqual(structuredClone(value));
      }),
      { numRuns: 300 },
    );
  });

  test('keeps what JSON has no form for', () => {
    const value = { to: Number.POSITIVE_INFINITY, none: Number.NaN, zero: -0, by: new Map([['a', [1, -0]]]) };
    const back = fromText(toText(value)) as typeof value;
    expect(back).toStrictEqual(value);
    expect(Object.is(back.zero, -0)).toBe(true);
    expect(Object.is(back.by.get('a')?.[1], -0)).toBe(true);
  });

  test('does not take data for its own marks', () => {
    const value = { $plain: 'map', of: [[1, 2]], inner: { $plain: 'number', of: 'NaN' } };
    expect(fromText(toText(value))).toStrictEqual(value);
  });

  test('refuses a mark that it does not know', () => {
    expect(() => fromText('{"$plain":"Function","of":[]}')).toThrow(/Function/);
  });
});
