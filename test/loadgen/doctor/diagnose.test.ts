import { afterEach, describe, expect, test } from 'vitest';
import { createAsker } from '../../../loadgen/doctor/ask.ts';
import { basesOf, differenceOf } from '../../../loadgen/doctor/bases.ts';
import { diagnose } from '../../../loadgen/doctor/diagnose.ts';
import type { Diagnosis, Finding } from '../../../loadgen/doctor/diagnosis.ts';
import { diagnosisText } from '../../../loadgen/doctor/text.ts';
import { parseDeployment } from '../../../scenarios/formats/deployment/deployment.ts';
import { parseSource } from '../../../scenarios/formats/source.ts';
import { type SmallServer, type SmallServerOptions, smallServer } from '../../builders/openai-server.ts';
import { emulator } from '../live.ts';

const open: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

async function serve(options: SmallServerOptions = {}): Promise<SmallServer> {
  const server = await smallServer(options);
  open.push(server.close);
  return server;
}

async function examined(
  url: string,
  { model = null, key = null }: { model?: string | null; key?: string | null } = {},
): Promise<Diagnosis> {
  const { ask, close } = createAsker(5000);
  try {
    return await diagnose({
      url,
      model,
      key,
      keyEnv: key === null ? null : 'THE_KEY',
      ask,
      salt: 'visit',
    });
  } finally {
    close();
  }
}

const found = ({ findings }: Diagnosis, name: string): Finding => {
  const finding = findings.find(each => each.name === name);
  if (finding === undefined) throw new Error(`no finding "${name}"`);
  return finding;
};
const fatal = ({ findings }: Diagnosis): Finding[] => findings.filter(({ state }) => state === 'fatal');

test('URLs that do not work are turned into those that may have been meant', () => {
  expect(basesOf('http://h:1/v1/')?.[0]).toBe('http://h:1/v1');
  expect(basesOf('http://h:1')).toEqual(['http://h:1', 'http://h:1/v1']);
  expect(basesOf('http://h:1/v1/v1')?.[0]).toBe('http://h:1/v1');
  expect(basesOf('https://h/api/v1/chat/completions?x=1')?.[0]).toBe('https://h/api/v1');
  for (const wrong of ['', 'localhost:8000', 'ftp://h/v1', 'http://', 'not a url'])
    expect(basesOf(wrong)).toBeNull();
  expect(differenceOf('http://h:1', 'http://h:1/v1')).toContain('missing');
  expect(differenceOf('http://h:1/v1/v1/', 'http://h:1/v1')).toContain('more than once');
});

describe('a server that has everything: the emulator', () => {
  test('is found to have it, and its endpoint can be pasted', async () => {
    const server = await emulator();
    open.push(server.close);
    const diagnosis = await examined(server.url);
    expect(diagnosis.findings.filter(({ state }) => state === 'missing' || state === 'fatal')).toEqual([]);
    expect(diagnosis).toMatchObject({ exitCode: 0, contextTokens: 65_536 });
    expect(diagnosis.endpoint).toEqual({
      url: server.url,
      model: 'main',
      keyEnv: null,
      api: 'tokens',
      server: 'windtunnel',
      takes: null,
    });
    expect(found(diagnosis, 'tokenizer').says).toContain('1.00 tokens for a word');
    expect(found(diagnosis, 'prefix cache').says).toMatch(/\d+ of 300 tokens found, by usage/);
    expect(found(diagnosis, 'metrics').says).toContain(
      'vllm at /metrics; KV cache of 65,536 blocks x 16 tokens',
    );
    expect(found(diagnosis, 'cancelling').state).toBe('found');
    expect(found(diagnosis, 'continuous usage').state).toBe('found');
    await expect.poll(server.running, { timeout: 1000 }).toBe(0);
  });
});

describe('the YAML at the end', () => {
  const yamlOf = (text: string): string => text.slice(text.indexOf('endpoints:'));
  test('is read by a deployment as it stands', async () => {
    const server = await serve({ models: ['org/Model-1', 'true'], refuses: ['min_tokens'] });
    for (const model of ['org/Model-1', 'true']) {
      const diagnosis = await examined(`${server.url}/v1`, { model });
      const pasted = yamlOf(diagnosisText(diagnosis)).replaceAll('\n', '\n    ');
      const text = `windtunnel: 1\ndeployment: d\npools:\n  main:\n    model: ministral-3-14b\n    gpu: h100\n    ${pasted}\n`;
      const { file, issues } = parseDeployment(parseSource(text, 'd'));
      expect(issues).toEqual([]);
      expect(file!.pools!.main!.endpoints![0]).toMatchObject({ url: `${server.url}/v1`, model, api: 'chat' });
    }
  });
});

describe('the way in', () => {
  test.each([
    ['', '/v1 is missing'],
    ['/v1/v1', '/v1 stands in it more than once'],
    ['/v1/chat/completions', 'the address of a request'],
  ])('%j is mended', async (path, says) => {
    const { url } = await serve();
    const diagnosis = await examined(url + path);
    expect(found(diagnosis, 'path')).toMatchObject({ state: 'missing', write: `url: ${url}/v1` });
    expect(found(diagnosis, 'path').says).toContain(says);
    expect(diagnosis).toMatchObject({ exitCode: 0, endpoint: { url: `${url}/v1` } });
  });

  test('a server that lists no models is found all the same, by the path of chats', async () => {
    const { url } = await serve({ models: null, base: '' });
    const diagnosis = await examined(`${url}/v1`, { model: 'any' });
    expect(diagnosis).toMatchObject({ exitCode: 0, endpoint: { url, model: 'any' } });
    expect(found(diagnosis, 'model').state).toBe('unknown');
  });

  test('nobody there, no such path and no such host are told apart', async () => {
    const { url, close } = await smallServer();
    await close();
    expect(await examined(`${url}/v1`)).toMatchObject({
      exitCode: 1,
      findings: [{ says: 'nothing listens there' }],
    });
    const other = await serve({ base: '/api' });
    const elsewhere = await examined(`${other.url}/v1`);
    expect(elsewhere.exitCode).toBe(99);
    expect(fatal(elsewhere)[0]).toMatchObject({ name: 'path' });
  });

  test('a key that is wanted, refused and accepted; it is never shown, though the server repeats it', async () => {
    const { url } = await serve({ key: 'sk-secret-1' });
    const without = await examined(`${url}/v1`);
    expect(without).toMatchObject({
      exitCode: 99,
      findings: [{ name: 'key', says: 'it wants a key (status 401)' }],
    });
    const wrong = await examined(`${url}/v1`, { key: 'sk-wrong-2' });
    expect(fatal(wrong)[0]!.says).toBe('it refuses the key in THE_KEY (status 401)');
    const right = await examined(`${url}/v1`, { key: 'sk-secret-1' });
    expect(found(right, 'key').says).toBe('the one in THE_KEY is accepted');
    expect(diagnosisText(right)).toContain('key_env: THE_KEY');
    for (const diagnosis of [wrong, right]) {
      expect(JSON.stringify(diagnosis)).not.toMatch(/sk-(secret|wrong)/);
      expect(diagnosisText(diagnosis)).not.toMatch(/sk-(secret|wrong)/);
    }
  });

  test('a clock that is wrong, and connections that do not stay, are named', async () => {
    const { url } = await serve({ date: new Date(Date.now() - 60_500), closes: true });
    const diagnosis = await examined(`${url}/v1`);
    expect(found(diagnosis, 'clock')).toMatchObject({
      state: 'missing',
      says: expect.stringMatching(/^6[01] s behind ours$/),
    });
    expect(found(diagnosis, 'keep-alive').state).toBe('missing');
  });
});

describe('the model', () => {
  test('a wrong name is answered with the right one', async () => {
    const { url } = await serve({ models: ['meta/llama-3.1-8b', 'mistral-7b'] });
    const near = await examined(`${url}/v1`, { model: 'mistral-7' });
    expect(near.exitCode).toBe(99);
    expect(fatal(near)[0]!.says).toBe(
      'no "mistral-7": did you mean "mistral-7b"? it has "meta/llama-3.1-8b", "mistral-7b"',
    );
    const tail = await examined(`${url}/v1`, { model: 'llama-3.1-8b' });
    expect(fatal(tail)[0]!.says).toContain('did you mean "meta/llama-3.1-8b"?');
  });
});

describe('what a server lacks', () => {
  test('no streaming is the end of it', async () => {
    const { url } = await serve({ streams: false });
    const diagnosis = await examined(`${url}/v1`);
    expect(diagnosis).toMatchObject({ exitCode: 99, endpoint: null });
    expect(fatal(diagnosis)[0]).toMatchObject({ name: 'streaming' });
    expect(fatal(diagnosis)[0]!.says).toContain('application/json instead of a stream');
  });

  test('no usage is the end of it too', async () => {
    const diagnosis = await examined(`${(await serve({ usage: false })).url}/v1`);
    expect(diagnosis.exitCode).toBe(99);
    expect(fatal(diagnosis).map(({ name }) => name)).toEqual(['usage']);
  });

  test('a stream that something holds back is told from one that comes as it is made', async () => {
    const held = await examined(`${(await serve({ bufferedMs: 400, paths: ['/chat/completions'] })).url}/v1`);
    expect(found(held, 'streaming')).toMatchObject({ state: 'missing' });
    expect(found(held, 'streaming').says).toContain('in one piece');
    const free = await examined(`${(await serve()).url}/v1`);
    expect(found(free, 'streaming').state).toBe('found');
  });

  test('another tokenizer is measured: tokens of a word, and what a chat adds', async () => {
    const byUsage = await examined(`${(await serve({ tokensPerWord: 4 })).url}/v1`);
    expect(found(byUsage, 'tokenizer')).toMatchObject({
      state: 'missing',
      says: '4.00 tokens for a word of ours, by usage; a chat adds 5',
    });
    const byTokenize = await examined(`${(await serve({ tokensPerWord: 4, tokenize: true })).url}/v1`);
    expect(found(byTokenize, 'tokenizer').says).toBe(
      '4.00 tokens for a word of ours, by /tokenize; a chat adds 5',
    );
  });

  test('answers of its own length, and pieces without usage', async () => {
    const diagnosis = await examined(`${(await serve({ answerTokens: 3 })).url}/v1`);
    expect(found(diagnosis, 'forced lengths')).toMatchObject({
      state: 'missing',
      says: '24 tokens asked for, 3 given',
    });
    expect(found(diagnosis, 'continuous usage').state).toBe('missing');
    expect(found(diagnosis, 'metrics').state).toBe('missing');
    expect(found(diagnosis, 'prefix cache').state).toBe('unknown');
    expect(found(diagnosis, 'cancelling').state).toBe('unknown');
  });

  test('fields that it refuses are found one by one and left out of what it takes', async () => {
    const server = await serve({ refuses: ['min_tokens', 'ignore_eos', 'windtunnel'] });
    const diagnosis = await examined(`${server.url}/v1`);
    expect(diagnosis.exitCode).toBe(0);
    expect(diagnosis.endpoint!.takes).not.toContain('min_tokens');
    expect(diagnosis.endpoint!.takes).not.toContain('ignore_eos');
    expect(diagnosis.endpoint!.takes).toContain('stream_options');
    expect(diagnosisText(diagnosis)).toContain('takes: [max_tokens, stream_options,');
  });

  test('how long a prompt may be is shown or said to be unknown', async () => {
    expect((await examined(`${(await serve()).url}/v1`)).contextTokens).toBe(8192);
    const silent = await examined(`${(await serve({ contextTokens: null })).url}/v1`);
    expect(found(silent, 'context').state).toBe('unknown');
  });
});

test('a visit is few requests and few tokens', async () => {
  const server = await serve();
  await examined(`${server.url}/v1`);
  expect(server.asked.length).toBeLessThan(30);
  for (const body of server.bodies) expect(Number(body.max_tokens ?? 0)).toBeLessThanOrEqual(400);
});
