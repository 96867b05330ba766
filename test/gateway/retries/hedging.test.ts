// Copies of slow calls: so many each, and a share of all.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Hedging } from '../../../gateway/retries/hedging.ts';

test('one call has as many copies as the rule says', () => {
  const hedging = new Hedging();
  hedging.callStarted();
  const rule = { afterMs: 1000, max: 2, shareMax: null };
  expect([0, 1, 2].map(sent => hedging.allows(rule, sent))).toEqual([true, true, false]);
});

test('a share of 5 % allows the first copy with the twentieth call', () => {
  const hedging = new Hedging();
  const rule = { afterMs: 1000, max: 1, shareMax: 0.05 };
  const first: number[] = [];
  for (let call = 1; call <= 60; call += 1) {
    hedging.callStarted();
    if (!hedging.allows(rule, 0)) continue;
    hedging.hedged();
    first.push(call);
  }
  expect(first).toEqual([20, 40, 60]);
});

test('copies never pass their share of the calls so far', () => {
  const shares = fc.double({ min: 0, max: 1, noNaN: true });
  fc.assert(
    fc.property(shares, fc.array(fc.boolean(), { maxLength: 300, size: 'max' }), (shareMax, slow) => {
      const hedging = new Hedging();
      let copies = 0;
      slow.forEach((isSlow, before) => {
        hedging.callStarted();
        if (!isSlow || !hedging.allows({ afterMs: 1, max: 1, shareMax }, 0)) return;
        hedging.hedged();
        copies += 1;
        expect(copies).toBeLessThanOrEqual(shareMax * (before + 1) + 1e-9);
      });
    }),
  );
});
