import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Timers } from '../../sim/timers.ts';

test('timers come by their instant, then in the order in which they were set, whatever is taken out between', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.nat(20), fc.constant(null)), { maxLength: 300 }), steps => {
      const timers = new Timers();
      const plain: { atNs: number; ticket: number }[] = [];
      const take = (): void => {
        const first = plain.toSorted((a, b) => a.atNs - b.atNs || a.ticket - b.ticket)[0];
        expect(timers.nextNs).toBe(first?.atNs ?? Number.POSITIVE_INFINITY);
        if (first === undefined) return;
        expect(timers.nextTicket).toBe(first.ticket);
        timers.pop();
        plain.splice(plain.indexOf(first), 1);
      };
      for (const [ticket, atNs] of steps.entries())
        if (atNs === null) take();
        else {
          timers.push(atNs, ticket);
          plain.push({ atNs, ticket });
        }
      while (timers.size > 0) take();
      expect(plain).toEqual([]);
    }),
  );
});
