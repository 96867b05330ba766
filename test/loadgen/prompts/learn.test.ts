import { describe, expect, test } from 'vitest';
import { wordsOfRuns } from '../../../engines/words.ts';
import { learnIds, learnWording, usualWording } from '../../../loadgen/prompts/learn.ts';
import { OWN_WORDS } from '../../../loadgen/prompts/wording.ts';
import { PromptWriter } from '../../../loadgen/prompts.ts';
import { textKey } from '../../../scenarios/base/key.ts';
import { aTemplate, countOf, english, serverWith, threes } from '../../builders/tokenizers.ts';

const CHAT = { api: 'chat', wantsLead: false } as const;
const parts = (tokens: number) => [
  { segment: 'rules', tokens: 40 },
  { segment: 'input', tokens },
];
const runs = (tokens: number) => [
  { key: textKey('rules'), from: 0, tokens: 40 },
  { key: textKey(`input ${tokens}`), from: 0, tokens },
];

describe('a server whose tokenizer is another', () => {
  test.each([
    ['shows it', true],
    ['only counts', false],
  ])('and which %s gets words of one token, and the template is taken off', async (_, showsTokenizer) => {
    const server = serverWith(english, { showsTokenizer });
    const wording = (await learnWording(server, CHAT))!;
    expect(wording.wordTokens).toBe(1);
    expect(wording.words!.length).toBeGreaterThanOrEqual(64);
    // Where it only counts, a word at the beginning of a message may cost one more than elsewhere.
    const slack = showsTokenizer ? 0 : 3;
    const { promptTokens, systemTokens, exchangeTokens } = wording.frame;
    expect(Math.abs(promptTokens - 8)).toBeLessThanOrEqual(slack);
    expect(Math.abs(systemTokens - 5)).toBeLessThanOrEqual(slack);
    expect(Math.abs(exchangeTokens - 10)).toBeLessThanOrEqual(slack);
    expect(server.asked.length).toBeLessThanOrEqual(24);
    const writer = new PromptWriter({ api: 'chat' });
    writer.speak(wording);
    for (const tokens of [20, 50, 333, 3000]) {
      const counted = countOf(writer.write(runs(tokens), parts(tokens)), english, aTemplate);
      expect(Math.abs(counted - 40 - tokens)).toBeLessThanOrEqual(slack);
    }
  });

  test.each([
    ['shows it', true],
    ['only counts', false],
  ])('of three tokens a word and which %s is sent a third of the words', async (_, showsTokenizer) => {
    const wording = (await learnWording(serverWith(threes, { showsTokenizer }), CHAT))!;
    expect(wording.wordTokens).toBe(3);
    const writer = new PromptWriter({ api: 'chat' });
    writer.speak(wording);
    for (const tokens of [20, 50, 333, 3000]) {
      const counted = countOf(writer.write(runs(tokens), parts(tokens)), threes, aTemplate);
      expect(Math.abs(counted - 40 - tokens)).toBeLessThan(3);
    }
  });

  test('is known alike by all who ask', async () => {
    const one = await learnWording(serverWith(english), CHAT);
    expect(await learnWording(serverWith(english), CHAT)).toEqual(one);
  });

  test('counts a text with what stands before it', async () => {
    const wording = (await learnWording(serverWith(english), { api: 'completions', wantsLead: false }))!;
    expect(wording.frame).toEqual({ promptTokens: 1, systemTokens: 0, exchangeTokens: 0 });
    const writer = new PromptWriter({ api: 'completions' });
    writer.speak(wording);
    expect(countOf(writer.write(runs(100), parts(100)), english, aTemplate)).toBe(140);
  });

  test('which can force no lengths is asked for long answers, within the planned prompt', async () => {
    const wording = (await learnWording(serverWith(english), { api: 'chat', wantsLead: true }))!;
    const writer = new PromptWriter({ api: 'chat' });
    writer.speak(wording);
    const prompt = writer.write(runs(100), parts(100));
    expect(JSON.stringify(prompt)).toContain('long answer');
    expect(countOf(prompt, english, aTemplate)).toBe(140);
  });
});

describe('a server', () => {
  test('with one token a word and no template gets our own words, after one question', async () => {
    const server = serverWith(text => text.split(' ').map(() => 7), {
      template: { promptTokens: 0, messageTokens: 0 },
    });
    expect(await learnWording(server, CHAT)).toBe(OWN_WORDS);
    expect(server.asked).toEqual(['count']);
  });

  test('that counts nothing is not asked further', async () => {
    const server = serverWith(english, { counts: false });
    expect(await learnWording(server, CHAT)).toBeNull();
    expect(server.asked).toEqual(['count']);
  });

  test('of somebody else gets common words and a usual template', () => {
    const wording = usualWording('chat', false, 'asking would be billed');
    const writer = new PromptWriter({ api: 'chat' });
    writer.speak(wording);
    const usual = { promptTokens: 3, messageTokens: 4 };
    const one = (text: string) => text.split(/\s+/).map(() => 1);
    expect(countOf(writer.write(runs(100), parts(100)), one, usual)).toBe(140);
    expect(wording.how).toContain('asking would be billed');
  });

  test('tells ids of words, none of them of a control token', async () => {
    const ids = (await learnIds(serverWith(english)))!;
    expect(ids.length).toBeGreaterThan(1000);
    const writer = new PromptWriter({ api: 'tokens' });
    writer.speak({ ...OWN_WORDS, ids });
    const prompt = writer.write(runs(500));
    if (prompt.api !== 'tokens') throw new Error('not ids');
    expect(prompt.tokenIds).toHaveLength(540);
    expect(prompt.tokenIds.every(id => ids.includes(id))).toBe(true);
    expect(new Set(prompt.tokenIds).size).toBeGreaterThan(300);
  });
});

test('a writer that has learnt nothing writes our own words', () => {
  const run = { key: textKey('x'), from: 3, tokens: 9 };
  const prompt = new PromptWriter({ api: 'completions' }).write([run]);
  expect(prompt).toEqual({ api: 'completions', text: wordsOfRuns([run]) });
});
