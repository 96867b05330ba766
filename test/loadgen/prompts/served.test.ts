// Runs against small servers whose tokenizer is not ours, and what the run says of it; and on the emulator, what each way
// to keep caches apart leaves to be found.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { ChatMessage } from '../../../engines/wire/request.ts';
import type { CACHE_BUSTS } from '../../../loadgen/prompts.ts';
import { aTemplate, countOf, english, type Tokenize, threes } from '../../builders/tokenizers.ts';
import { emulator, type LiveEmulator, liveDeployment, replayed } from '../live.ts';

interface Kind {
  readonly tokenize: Tokenize;
  readonly showsTokenizer?: boolean;
  readonly countsUsage?: boolean;
  /** Tokens of an answer at most, whatever was asked for. */
  readonly answers?: number;
}

const servers: Server[] = [];

/** Up to /v1. */
async function serve({
  tokenize,
  showsTokenizer = true,
  countsUsage = true,
  answers = 1000,
}: Kind): Promise<string> {
  const server = createServer(async (request, response) => {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    const text = Buffer.concat(pieces).toString('utf8');
    if (request.url === '/v1/chat/completions') {
      const { messages, max_tokens, max_completion_tokens } = JSON.parse(text) as {
        messages: ChatMessage[];
        max_tokens?: number;
        max_completion_tokens?: number;
      };
      const tokens = Math.min(answers, max_tokens ?? max_completion_tokens!);
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const send = (value: unknown) => response.write(`data: ${JSON.stringify(value)}\n\n`);
      // A word goes out with its last token.
      const perWord = tokenize(' so').length;
      for (let i = 1; i <= tokens; i++)
        send({ choices: [{ index: 0, delta: { content: i % perWord === 0 ? ' so' : '' } }] });
      send({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] });
      const prompt_tokens = countOf({ api: 'chat', messages }, tokenize, aTemplate);
      if (countsUsage) send({ choices: [], usage: { prompt_tokens, completion_tokens: tokens } });
      response.end('data: [DONE]\n\n');
    } else if (request.url === '/tokenize' && showsTokenizer) {
      const tokens = tokenize((JSON.parse(text) as { prompt: string }).prompt);
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ count: tokens.length, tokens }));
    } else {
      response.writeHead(404);
      response.end();
    }
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  servers.push(server);
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
}

afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise(resolve => server.close(resolve));
  }
});

const SCENARIO = `
windtunnel: 1
seed: 7
models: { main: { model: ministral-3-14b } }
prefixes: { rules: { tokens: 200, scope: global } }
workflows:
  main:
    model: main
    prefix: [rules]
    steps: [ { repeat: turns, times: 3, steps: [ { llm: ask, adds: 80, out: 8 } ] } ]
traffic: [ { workflow: main, arrival: { closed: { agents: 1, think: 1ms } }, sessions: 4 } ]
`;
const BUDGET = '{ budget: { llm_calls: 100000 } }';

describe('a run on a server with another tokenizer', () => {
  test.each<[string, Kind]>([
    ['three tokens a word, shown', { tokenize: threes }],
    ['three tokens a word, only counted', { tokenize: threes, showsTokenizer: false }],
    ['words of many lengths, shown', { tokenize: english }],
    ['words of many lengths, only counted', { tokenize: english, showsTokenizer: false }],
  ])('has prompts as planned: %s', async (_, kind) => {
    const url = await serve(kind);
    for (const workers of [1, 2]) {
      const run = await replayed(SCENARIO, liveDeployment({ main: [url] }, BUDGET), { workers });
      const [report, ...others] = run.measured!.prompts!;
      expect(others).toEqual([]);
      expect(report).toMatchObject({
        target: 'main',
        api: 'chat',
        calls: 12,
        callsCounted: 12,
        shortAnswers: 0,
      });
      // A word more or less, and the last answer, of 8 tokens, is read as another number of them.
      expect(report!.offTokens / report!.plannedTokens).toBeLessThan(0.02);
      expect(run.header.evidence.at(-1)).toMatch(
        kind.showsTokenizer === false ? /by its counts: \d+ words/ : /by \/tokenize of the server: \d+ words/,
      );
      expect(run.header.warnings).toEqual([]);
    }
  });

  test('says so where it cannot be known, and how far off the plan it was', async () => {
    const url = await serve({ tokenize: threes, countsUsage: false });
    const run = await replayed(SCENARIO, liveDeployment({ main: [url] }, BUDGET));
    expect(run.header.evidence.at(-1)).toMatch(/assumed, since the server counts no tokens.*not counted by/);
    expect(run.measured!.prompts![0]).toMatchObject({ calls: 12, callsCounted: 0 });
  });

  test('counts answers that were shorter than planned', async () => {
    const url = await serve({ tokenize: english, answers: 5 });
    const run = await replayed(SCENARIO, liveDeployment({ main: [url] }, BUDGET));
    expect(run.measured!.prompts![0]).toMatchObject({ calls: 12, shortAnswers: 12 });
    expect(run.header.warnings.join()).toMatch(
      /12 of 12 answers of main \(100.0 %\) were shorter than planned/,
    );
  });
});

describe('of a cache', () => {
  let server: LiveEmulator;
  beforeAll(async () => {
    server = await emulator();
  });
  afterAll(() => server.close());

  /** Whether the first call of a later session finds something, and a later turn. */
  async function found(cacheBust: (typeof CACHE_BUSTS)[number]): Promise<boolean[]> {
    const { calls } = await replayed(SCENARIO, liveDeployment({ main: [server.url] }, BUDGET), { cacheBust });
    const some = ({ cachedTokens }: (typeof calls)[number]) => cachedTokens! > 0;
    return [some(calls[3]!), some(calls[1]!)];
  }

  test.each([
    ['run', true, true],
    ['session', false, true],
    ['call', false, false],
  ] as const)(
    '--cache-bust %s leaves the prefix to other sessions: %s, to later turns: %s',
    async (bust, ...want) => {
      expect(await found(bust)).toEqual(want);
    },
  );
});
