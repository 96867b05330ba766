import { describe, expect, test } from 'vitest';
import { parseStreamData } from '../../engines/wire/chunk.ts';
import { runOfTokenId, runOfWord } from '../../engines/words.ts';
import type { Answer } from '../../sim/emulator/answer.ts';
import { ChunkWriter } from '../../sim/emulator/chunks.ts';
import { type EmulatedRequest, readRequest } from '../../sim/emulator/request.ts';
import { Tokenizer } from '../../sim/emulator/tokenizer.ts';

const tokenizer = new Tokenizer();
const read = (body: unknown) => readRequest('completions', body, text => tokenizer.tokenize(text));

function accepted(fields: object): EmulatedRequest {
  const request = read({ model: 'm', prompt: 'a b', max_tokens: 6, ...fields });
  if ('status' in request) throw new Error(request.message);
  return request;
}

describe('a request', () => {
  test('is tokenized word by word, equal words to equal runs', () => {
    expect(accepted({ prompt: ' a b\na ' }).prompt).toEqual(['a', 'b', 'a'].map(runOfWord));
  });

  test('may give ids, or a list of one prompt', () => {
    expect(accepted({ prompt: [7, 8] })).toMatchObject({
      isTokenArray: true,
      prompt: [7, 8].map(runOfTokenId),
    });
    expect(accepted({ prompt: [[7, 8]] }).prompt).toHaveLength(2);
    expect(accepted({ prompt: ['a b c'] }).prompt).toHaveLength(3);
  });

  test('cannot reason more than it puts out', () => {
    expect(accepted({ windtunnel: { reasoning_tokens: 99 } }).reasoningTokens).toBe(6);
  });

  test.each([
    null,
    [],
    'text',
    {},
    { model: 'm', prompt: [1, 'a'] },
    { model: 'm', prompt: ['a', 'b'] },
    { prompt: 'a' },
  ])('that cannot be served is answered with 400: %j', body => {
    expect(read(body)).toMatchObject({ status: 400, code: 'invalid_request' });
  });

  test.each([{ n: 2 }, { max_tokens: 1.5 }, { max_tokens: '7' }])('with %j is refused', fields => {
    expect(read({ model: 'm', prompt: 'a', ...fields })).toMatchObject({ status: 400 });
  });
});

describe('chunks', () => {
  const words = ['ra', 'rb', 'ca', 'cb', 'cc', 'cd'];
  const answer = (fields: Partial<EmulatedRequest>): Answer => ({
    id: 'cmpl-1',
    createdUnixS: 0,
    request: { ...accepted({}), ...fields },
    promptTokens: 2,
    words,
    tokenIds: null,
  });

  test('of any cut join to the same texts, in ASCII whatever the model is called', () => {
    const writer = new ChunkWriter(
      answer({ api: 'chat', reasoningTokens: 2, continuousUsage: true, model: 'modèle "x"' }),
    );
    for (const cuts of [
      [0, 6],
      [0, 1, 6],
      [0, 2, 3, 6],
      [0, 1, 2, 3, 4, 5, 6],
    ]) {
      const text = cuts
        .slice(1)
        .map((to, i) => writer.tokens(cuts[i]!, to))
        .join('');
      expect(text).toMatch(/^[\n -~]*$/);
      const payloads = text
        .split('\n\n')
        .filter(Boolean)
        .map(line => parseStreamData(line.slice(6))!);
      expect(payloads.map(payload => payload.reasoningText).join('')).toBe('ra rb');
      expect(payloads.map(payload => payload.outputText).join('')).toBe('ca cb cc cd');
      expect(payloads.map(payload => payload.finishReason).filter(Boolean)).toEqual(['length']);
      expect(payloads.at(-1)!.usage).toMatchObject({ promptTokens: 2, completionTokens: 6 });
    }
  });

  test('end with usage only when it was asked for', () => {
    expect(new ChunkWriter(answer({ includeUsage: false })).end(0)).toBe('data: [DONE]\n\n');
    const [usage] = new ChunkWriter(answer({ includeUsage: true })).end(1).split('\n\n');
    expect(parseStreamData(usage!.slice(6))).toMatchObject({ hasChoice: false, usage: { cachedTokens: 1 } });
  });
});
