// Sessions on servers that read other tokens than we planned: what they count, and what their caches find.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type ChatMessage, textOfMessage, type WirePrompt } from '../../../engines/wire/request.ts';
import { learnWording } from '../../../loadgen/prompts/learn.ts';
import { PromptWriter } from '../../../loadgen/prompts.ts';
import { textKey } from '../../../scenarios/base/key.ts';
import type { PromptPart, Run } from '../../../scenarios/formats/prompt.ts';
import { aTemplate, countOf, english, serverWith, type Tokenize, threes } from '../../builders/tokenizers.ts';

const messagesOf = (prompt: WirePrompt): readonly ChatMessage[] => {
  if (!('messages' in prompt)) throw new Error('no messages');
  return prompt.messages;
};

interface Turn {
  readonly adds: number;
  readonly out: number;
  /** Words that the answer has, which are not its tokens. */
  readonly words: number;
}

/** The prompts of one session, each counted before the next is written, as a live run does. */
function sessionOf(
  writer: PromptWriter,
  tokenize: Tokenize,
  turns: readonly Turn[],
  { session = 's', rules = 40, isCounted = true } = {},
) {
  const prefix: Run = { key: textKey('rules'), from: 0, tokens: rules };
  const history: Run[] = [];
  return turns.map(({ adds, out, words }, i) => {
    const input: Run = { key: textKey(`${session} in`), from: 100_000 * i, tokens: adds };
    const runs = [prefix, ...history, input];
    const planned = runs.reduce((sum, run) => sum + run.tokens, 0);
    const parts: PromptPart[] = [
      { segment: 'rules', tokens: rules },
      { segment: 'history', tokens: planned - rules - adds },
      { segment: 'input', tokens: adds },
    ];
    const prompt = writer.write(runs, parts, [], { session, marker: null });
    const counted = countOf(prompt, tokenize, aTemplate);
    // What nobody can know yet: how the last answer is read.
    const answer = messagesOf(prompt).findLast(({ role }) => role === 'assistant');
    const unknown = answer === undefined ? 0 : tokenize(textOfMessage(answer)).length - turns[i - 1]!.out;
    if (isCounted) writer.counted(session, runs, counted);
    const output: Run = { key: textKey(`${session} out`), from: 1000 * i, tokens: out };
    const outputText = Array.from({ length: words }, (_, n) => `answer${n}`).join(' ');
    writer.registerOutput([output], 0, { outputText, reasoningText: '', tokenIds: null, outputTokens: out });
    history.push(input, output);
    return { prompt, planned, counted, unknown };
  });
}

const someTurns = fc.array(
  fc.record({
    // Enough to pay for the template and for an answer that was read as more than planned.
    adds: fc.integer({ min: 60, max: 300 }),
    out: fc.integer({ min: 1, max: 30 }),
    words: fc.integer({ min: 1, max: 12 }),
  }),
  { minLength: 1, maxLength: 8 },
);

describe.each([
  ['of one token a word', english, 1],
  ['of three tokens a word', threes, 3],
] as const)('a session on a server %s', (_, tokenize, wordTokens) => {
  const written = async () => {
    const writer = new PromptWriter({ api: 'chat' });
    writer.speak((await learnWording(serverWith(tokenize), { api: 'chat', wantsLead: false }))!);
    return writer;
  };

  test('is counted as planned but for how its last answer is read, which never adds up', async () => {
    await fc.assert(
      fc.asyncProperty(someTurns, async turns => {
        for (const { planned, counted, unknown } of sessionOf(await written(), tokenize, turns))
          expect(Math.abs(counted - planned - unknown)).toBeLessThan(wordTokens);
      }),
      { numRuns: 20 },
    );
  });

  test('begins each prompt like the one before it', async () => {
    await fc.assert(
      fc.asyncProperty(someTurns, fc.boolean(), async (turns, isCounted) => {
        const prompts = sessionOf(await written(), tokenize, turns, { isCounted });
        for (const [i, { prompt }] of prompts.entries()) {
          const before = i === 0 ? [] : messagesOf(prompts[i - 1]!.prompt);
          expect(messagesOf(prompt).slice(0, before.length)).toEqual(before);
        }
      }),
      { numRuns: 20 },
    );
  });

  test('is equal text in equal runs, and shares the prefix with other sessions', async () => {
    const turns = [
      { adds: 60, out: 9, words: 4 },
      { adds: 50, out: 9, words: 7 },
    ];
    const one = sessionOf(await written(), tokenize, turns);
    expect(sessionOf(await written(), tokenize, turns)).toEqual(one);
    const other = sessionOf(await written(), tokenize, turns, { session: 't' });
    expect(messagesOf(other[1]!.prompt)[0]).toEqual(messagesOf(one[1]!.prompt)[0]);
    expect(messagesOf(other[1]!.prompt)[1]).not.toEqual(messagesOf(one[1]!.prompt)[1]);
  });
});

describe('a prompt', () => {
  const wording = () => learnWording(serverWith(english), { api: 'chat', wantsLead: false });

  test('that has gone on before its count is known goes on alike after it', async () => {
    const writer = new PromptWriter({ api: 'chat' });
    writer.speak((await wording())!);
    const run = (name: string, tokens: number): Run => ({ key: textKey(name), from: 0, tokens });
    const place = { session: 's', marker: null };
    const [first, answer, next] = [run('first', 100), run('answer', 30), run('next', 60)];
    writer.registerOutput([answer], 0, { outputText: 'so it is', reasoningText: '', tokenIds: null });
    writer.write([first], [], [], place);
    const before = writer.write([first, answer, next], [], [], place);
    // A branch of the session went on without waiting: what it sent is in caches.
    writer.counted('s', [first], 117);
    expect(writer.write([first, answer, next], [], [], place)).toEqual(before);
    writer.forgetSession('s');
    writer.write([first], [], [], place);
    writer.counted('s', [first], 117);
    expect(writer.write([first, answer, next], [], [], place)).not.toEqual(before);
  });

  test('shorter than the template is as short as can be', async () => {
    const writer = new PromptWriter({ api: 'chat' });
    writer.speak((await wording())!);
    const prompt = writer.write([{ key: textKey('hi'), from: 0, tokens: 3 }]);
    expect(countOf(prompt, english, aTemplate)).toBe(9);
  });

  test('of whole answers sends them back as they came, line breaks and all', async () => {
    const writer = new PromptWriter({ api: 'chat' });
    writer.speak((await wording())!);
    const output: Run = { key: textKey('out'), from: 0, tokens: 9 };
    const outputText = ' First:\n\n  one,  two\n';
    writer.registerOutput([output], 0, { outputText, reasoningText: '', tokenIds: null });
    const input: Run = { key: textKey('in'), from: 0, tokens: 40 };
    const [, said] = messagesOf(writer.write([input, output, { ...input, from: 40 }]));
    expect(said).toEqual({ role: 'assistant', content: outputText });
  });
});

describe('a marker', () => {
  const rules: Run = { key: textKey('rules'), from: 0, tokens: 50 };
  const place = (marker: string | null) => ({ session: null, marker });

  test.each(['chat', 'completions', 'tokens'] as const)('of %s stands first and adds nothing', async api => {
    const writer = new PromptWriter({ api });
    if (api !== 'tokens') writer.speak((await learnWording(serverWith(english), { api, wantsLead: false }))!);
    const write = (marker: string | null) => writer.write([rules], [], [], place(marker));
    const [none, one, other] = [write(null), write('one'), write('other')];
    expect(write('one')).toEqual(one);
    const counts = [none, one, other].map(prompt => countOf(prompt, english, aTemplate));
    expect(counts).toEqual([50, 50, 50]);
    const begin = (prompt: WirePrompt) =>
      prompt.api === 'tokens'
        ? prompt.tokenIds.slice(0, 4).join(' ')
        : prompt.api === 'completions'
          ? prompt.text.split(' ').slice(0, 4).join(' ')
          : textOfMessage(prompt.messages[0]!).split(' ').slice(0, 4).join(' ');
    expect(new Set([none, one, other].map(begin)).size).toBe(3);
  });
});
