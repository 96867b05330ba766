import { describe, expect, test } from 'vitest';
import { runOfTokenId, runOfWord, splitWords, tokenIdOf, wordOf, wordsOfRuns } from '../../engines/words.ts';
import { keyText, textKey } from '../../scenarios/base/key.ts';

const a = textKey('a');
const b = textKey('b');

describe('words', () => {
  test('a word is 12 lowercase letters', () => {
    for (let i = 0; i < 1000; i++) expect(wordOf(a, i)).toMatch(/^[a-z]{12}$/);
  });

  test('the words of a million tokens differ', () => {
    const seen = new Set<string>();
    for (let i = 0; i < 500_000; i++) seen.add(wordOf(a, i)).add(wordOf(b, i));
    expect(seen.size).toBe(1_000_000);
  });

  test('a word depends on its content and place alone: this is the wire format of recorded prompts', () => {
    expect([wordOf(a, 0), wordOf(a, 1), wordOf(b, 0)]).toMatchInlineSnapshot(`
      [
        "yastsieoqztf",
        "igtdohgqxvsi",
        "hlhvhiipvfks",
      ]
    `);
  });

  test('runs that continue each other spell the same text as one run', () => {
    const whole = wordsOfRuns([{ key: a, from: 3, tokens: 10 }]);
    const cut = wordsOfRuns([
      { key: a, from: 3, tokens: 4 },
      { key: a, from: 7, tokens: 6 },
    ]);
    expect(cut).toBe(whole);
    expect(splitWords(whole)).toHaveLength(10);
  });

  test('any white space separates words, and none is a word', () => {
    expect(splitWords('  one\n two\t\tthree ')).toEqual(['one', 'two', 'three']);
    expect(splitWords('  ')).toEqual([]);
  });

  test('equal words have equal runs of one token', () => {
    expect(runOfWord('cat')).toEqual(runOfWord('cat'));
    expect(runOfWord('cat').tokens).toBe(1);
    expect(keyText(runOfWord('cat').key)).not.toBe(keyText(runOfWord('dog').key));
    expect(keyText(runOfTokenId(7).key)).not.toBe(keyText(runOfWord('7').key));
  });

  test('token ids stay clear of both ends of the vocabulary', () => {
    for (let i = 0; i < 10_000; i++) {
      const id = tokenIdOf(a, i, 50);
      expect(id).toBeGreaterThanOrEqual(10);
      expect(id).toBeLessThan(40);
    }
  });
});
