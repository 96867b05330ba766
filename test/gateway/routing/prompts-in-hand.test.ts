// Prompts in hand against the plain way: sets of whole beginnings, token by token.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type PromptEnd, PromptsInHand } from '../../../gateway/routing/prompts-in-hand.ts';
import { textKey } from '../../../scenarios/base/key.ts';
import type { Run } from '../../../scenarios/formats/prompt.ts';
import { content } from '../../builders/routing.ts';

const IDS = [7, 3, 12];

/** A prompt of few contents, some of which go on where the run before ended: equal content, cut in different ways. */
const prompts = fc
  .array(
    fc.record({ name: fc.constantFrom('a', 'b'), from: fc.nat(2), tokens: fc.integer({ min: 1, max: 6 }) }),
    {
      minLength: 1,
      maxLength: 5,
    },
  )
  .map(runs => runs.map(({ name, from, tokens }) => content(name, tokens, from)));

const words = (prompt: readonly Run[]): string[] =>
  prompt.flatMap(({ key, from, tokens }) =>
    Array.from({ length: tokens }, (_, i) => `${key.lo}/${from + i}`),
  );

const beginnings = (prompt: readonly Run[]): string[] =>
  words(prompt).map((_, i, all) => all.slice(0, i + 1).join(' '));

const actions = fc.array(
  fc.record({ prompt: prompts, id: fc.constantFrom(...IDS), releases: fc.boolean() }),
  { minLength: 1, maxLength: 30 },
);

test('tokens in hand are the different beginnings of all prompts, and what is shared is the longest of one', () => {
  fc.assert(
    fc.property(actions, prompts, (steps, asked) => {
      const index = new PromptsInHand();
      const live: { prompt: Run[]; id: number; end: PromptEnd }[] = [];
      const holds = (id: number) =>
        new Set(live.filter(each => each.id === id).flatMap(each => beginnings(each.prompt)));
      for (const { prompt, id, releases } of steps) {
        live.push({ prompt, id, end: index.add(prompt, id) });
        if (releases) {
          const [gone] = live.splice(live.length >> 1, 1);
          index.release(gone!.end, gone!.id);
        }
        for (const each of IDS) expect(index.tokens(each)).toBe(holds(each).size);
        const common = IDS.map(each => beginnings(asked).filter(begin => holds(each).has(begin)).length);
        expect(index.shared(asked, IDS)).toEqual(common);
      }
      for (const { end, id } of live) index.release(end, id);
      for (const each of IDS) expect(index.tokens(each)).toBe(0);
      expect(index.shared(asked, IDS)).toEqual([0, 0, 0]);
    }),
    { numRuns: 300 },
  );
});

test('a system prompt that a hundred sessions share is counted once, and stays as long as one of them does', () => {
  const index = new PromptsInHand();
  const system = content('system', 1000);
  const ends = Array.from({ length: 100 }, (_, i) => index.add([system, content(`session ${i}`, 50)], 1));
  expect(index.tokens(1)).toBe(1000 + 100 * 50);
  for (const end of ends.slice(1)) index.release(end, 1);
  expect(index.tokens(1)).toBe(1050);
  expect(index.shared([system, content('session 1', 50)], [1, 2])).toEqual([1000, 0]);
  expect(index.shared([{ key: textKey('other'), from: 0, tokens: 9 }], [1])).toEqual([0]);
});
