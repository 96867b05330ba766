import { describe, expect, test } from 'vitest';
import type { ChatMessage, WirePrompt } from '../../engines/wire/request.ts';
import { splitWords, wordOf, wordsOfRuns } from '../../engines/words.ts';
import { PromptWriter } from '../../loadgen/prompts.ts';
import { textKey } from '../../scenarios/base/key.ts';
import type { Run } from '../../scenarios/formats/prompt.ts';

const system: Run = { key: textKey('system'), from: 0, tokens: 100 };
const input: Run = { key: textKey('input'), from: 0, tokens: 5 };
const output: Run = { key: textKey('output'), from: 0, tokens: 6 };
const nothing = { outputText: '', reasoningText: '', tokenIds: null };

function wordCount(prompt: WirePrompt): number {
  if (prompt.api === 'tokens') return prompt.tokenIds.length;
  if (prompt.api === 'completions') return splitWords(prompt.text).length;
  return prompt.messages.reduce((sum, { content }) => sum + splitWords(textOf(content)).length, 0);
}

const textOf = (content: ChatMessage['content']): string =>
  typeof content === 'string' ? content : content.map(({ text }) => text).join(' ');

describe.each(['chat', 'completions', 'tokens'] as const)('a %s prompt', api => {
  test('holds as many tokens as its runs', () => {
    const writer = new PromptWriter({ api });
    expect(wordCount(writer.write([system, input]))).toBe(105);
    writer.registerOutput([output], 0, {
      ...nothing,
      outputText: 'a b c d e f',
      tokenIds: [1, 2, 3, 4, 5, 6],
    });
    expect(wordCount(writer.write([system, input, output, { ...input, from: 5 }]))).toBe(116);
  });

  test('of the same runs is the same, also from another writer', () => {
    const writer = new PromptWriter({ api });
    const first = writer.write([system, input]);
    expect(writer.write([system, input])).toEqual(first);
    expect(new PromptWriter({ api }).write([system, input])).toEqual(first);
  });
});

describe('a text prompt', () => {
  test('sends back what was received, and words of the plan where nothing was', () => {
    const writer = new PromptWriter({ api: 'completions' });
    writer.registerOutput([output], 0, { ...nothing, outputText: 'a b c d e f' });
    const prompt = writer.write([input, output]);
    expect(prompt).toEqual({ api: 'completions', text: `${wordsOfRuns([input])} a b c d e f` });
    writer.forgetOutput([output]);
    expect(writer.write([output])).toEqual({ api: 'completions', text: wordsOfRuns([output]) });
  });

  test('can send back a part: the answer without its reasoning, or the end of it', () => {
    const writer = new PromptWriter({ api: 'completions' });
    writer.registerOutput([output], 2, { ...nothing, reasoningText: 'r1 r2', outputText: 'a b c d' });
    const text = (from: number, tokens: number) => writer.write([{ ...output, from, tokens }]);
    expect(text(0, 6)).toEqual({ api: 'completions', text: 'r1 r2 a b c d' });
    expect(text(2, 4)).toEqual({ api: 'completions', text: 'a b c d' });
    expect(text(1, 2)).toEqual({ api: 'completions', text: 'r2 a' });
    expect(text(4, 3)).toEqual({ api: 'completions', text: `c d ${wordOf(output.key, 6)}` });
  });

  test('cuts in proportion where words are not tokens, losing and doubling none', () => {
    const writer = new PromptWriter({ api: 'completions' });
    writer.registerOutput([output], 0, { ...nothing, outputText: 'a b c' });
    const text = (from: number, tokens: number) => {
      const prompt = writer.write([{ ...output, from, tokens }]);
      return prompt.api === 'completions' ? prompt.text : '';
    };
    expect(text(0, 6)).toBe('a b c');
    for (let cut = 1; cut < 6; cut++) expect(`${text(0, cut)} ${text(cut, 6 - cut)}`.trim()).toBe('a b c');
  });
});

describe('a token prompt', () => {
  test('sends back the ids received, and stays inside the vocabulary', () => {
    const writer = new PromptWriter({ api: 'tokens', vocabTokens: 4096 });
    writer.registerOutput([output], 0, { ...nothing, tokenIds: [91, 92, 93, 94, 95, 96] });
    const prompt = writer.write([system, { ...output, from: 3, tokens: 3 }]);
    const ids = prompt.api === 'tokens' ? prompt.tokenIds : [];
    expect(ids.slice(100)).toEqual([94, 95, 96]);
    expect(Math.max(...ids.slice(0, 100))).toBeLessThan(4086);
  });
});

describe('chat messages', () => {
  const parts = [
    { segment: 'persona', tokens: 100 },
    { segment: 'history', tokens: 11 },
    { segment: 'input', tokens: 5 },
  ];
  const next: Run = { ...input, from: 5 };
  const roles = (prompt: WirePrompt) => (prompt.api === 'chat' ? prompt.messages.map(m => m.role) : []);

  test('give prefixes to the system, received outputs to the assistant and the rest to the user', () => {
    const writer = new PromptWriter({ api: 'chat' });
    writer.registerOutput([output], 0, { ...nothing, outputText: 'a b c d e f' });
    const prompt = writer.write([system, input, output, next], parts);
    expect(roles(prompt)).toEqual(['system', 'user', 'assistant', 'user']);
    expect(wordCount(prompt)).toBe(116);
  });

  test('start like the shorter prompt before them', () => {
    const writer = new PromptWriter({ api: 'chat' });
    const before = writer.write([system, input], [parts[0]!, { segment: 'input', tokens: 5 }]);
    writer.registerOutput([output], 0, { ...nothing, outputText: 'a b c d e f' });
    const after = writer.write([system, input, output, next], parts);
    if (before.api !== 'chat' || after.api !== 'chat') throw new Error('not chat');
    expect(after.messages.slice(0, 2)).toEqual(before.messages);
  });

  test('give what a step reads of others to the user', () => {
    const writer = new PromptWriter({ api: 'chat' });
    writer.registerOutput([output], 0, { ...nothing, outputText: 'a b c d e f' });
    expect(roles(writer.write([output, input], [{ segment: 'reads', tokens: 6 }]))).toEqual(['user']);
  });

  test('are cut where a part ends inside a run', () => {
    const writer = new PromptWriter({ api: 'chat' });
    const cut = [
      { segment: 'persona', tokens: 40 },
      { segment: 'input', tokens: 60 },
    ];
    const prompt = writer.write([system], cut);
    if (prompt.api !== 'chat') throw new Error('not chat');
    expect(prompt.messages.map(m => [m.role, splitWords(textOf(m.content)).length])).toEqual([
      ['system', 40],
      ['user', 60],
    ]);
  });

  test('carries a mark where one is asked for: the text before it is a part of its own, and nothing is lost', () => {
    const writer = new PromptWriter({ api: 'chat' });
    const parts = [
      { segment: 'tools', tokens: 40 },
      { segment: 'persona', tokens: 60 },
      { segment: 'input', tokens: 5 },
    ];
    const mark = { type: 'ephemeral', ttl: '1h' } as const;
    const plain = writer.write([system, input], parts);
    const marked = writer.write([system, input], parts, [{ part: 0, atToken: 40, cache_control: mark }]);
    if (plain.api !== 'chat' || marked.api !== 'chat') throw new Error('not chat');
    const [first, second] = marked.messages;
    expect(first).toMatchObject({ role: 'system', content: [{ type: 'text', cache_control: mark }, {}] });
    expect((first!.content as readonly object[])[1]).not.toHaveProperty('cache_control');
    expect(splitWords((first!.content as readonly { text: string }[])[0]!.text)).toHaveLength(40);
    expect(typeof second!.content).toBe('string');
    expect(marked.messages.map(({ content }) => textOf(content))).toEqual(
      plain.messages.map(({ content }) => textOf(content)),
    );
  });
});
