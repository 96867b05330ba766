// Lines that fit: nothing is lost, nothing is too long but a word that is.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { around, wrap } from '../../scenarios/formats/wrap.ts';

const words = fc.array(fc.stringMatching(/^[a-z]{1,9}$/), { minLength: 1, maxLength: 30 });

test('a wrapped text has its words in order, in lines of at most the width', () => {
  fc.assert(
    fc.property(words, fc.integer({ min: 12, max: 40 }), (given, width) => {
      const lines = wrap(given.join(' '), width, '  ');
      expect(lines.map(line => line.trim()).join(' ')).toBe(given.join(' '));
      for (const line of lines) expect(line.length).toBeLessThanOrEqual(width);
      for (const line of lines.slice(1)) expect(line.startsWith('  ')).toBe(true);
    }),
  );
});

test('without a width nothing is broken', () => {
  expect(wrap('a b c', Number.POSITIVE_INFINITY)).toEqual(['a b c']);
});

test('a cut line shows its span, or the beginning of it, within the width', () => {
  fc.assert(
    fc.property(
      fc.stringMatching(/^[a-z]{1,200}$/),
      fc.nat(199),
      fc.nat(40),
      fc.integer({ min: 10, max: 90 }),
      (line, from, length, width) => {
        const start = Math.min(from, line.length - 1);
        const end = Math.min(line.length, start + 1 + length);
        const cut = around(line, { start, end }, width);
        expect(cut.text.length).toBeLessThanOrEqual(Math.max(width, 0));
        const seen = cut.text.slice(cut.start, cut.end).replace('…', '');
        expect(seen.length).toBeGreaterThan(0);
        expect(line.slice(start, end).startsWith(seen)).toBe(true);
      },
    ),
    { numRuns: 2000 },
  );
});
