// What is wrong with a server is said before the first session starts, with what to write; and never a key.
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createHttps } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { firstCalls, withoutSecrets } from '../../loadgen/first-call.ts';
import type { UserError } from '../../scenarios/base/errors.ts';
import { type Certificates, makeCertificates } from '../builders/certificates.ts';
import { deploymentOf } from '../builders/worlds.ts';

const toClose: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of toClose.splice(0)) await close();
});
let certificates: Certificates;
beforeAll(() => {
  certificates = makeCertificates();
});
afterAll(() => certificates.remove());

async function listen(server: Server, scheme = 'http'): Promise<string> {
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done));
  toClose.push(async () => {
    server.closeAllConnections();
    await new Promise(done => server.close(done));
  });
  return `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
}

interface Asked {
  path: string;
  headers: Record<string, unknown>;
  body: Record<string, unknown>;
}

/** Answers calls with this; /models names its owner. */
async function server(
  status: number,
  text: string,
  { owner = 'vllm', asked = [] as Asked[] } = {},
): Promise<string> {
  const listener: RequestListener = (request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', piece => pieces.push(piece));
    request.on('end', () => {
      if (request.url === '/v1/models') {
        response.end(JSON.stringify({ data: [{ id: 'm', owned_by: owner }] }));
        return;
      }
      const body = JSON.parse(Buffer.concat(pieces).toString());
      asked.push({ path: request.url as string, headers: request.headers, body });
      const type = text.startsWith('data:') ? 'text/event-stream' : 'application/json';
      response.writeHead(status, { 'content-type': type });
      response.end(text);
    });
  };
  return listen(createServer(listener));
}

const error = (message: string, code = 'invalid_request_error') =>
  JSON.stringify({ error: { message, code } });
const STREAM = [
  'data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"length"}]}',
  'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":1}}',
  'data: [DONE]',
]
  .map(line => `${line}\n\n`)
  .join('');

async function first(url: string, endpoint = '', { environment = {}, more = '' } = {}) {
  const deployment = deploymentOf(`
windtunnel: 1
deployment: live
pools:
  main:
    model: ministral-3-14b
    limits: { max_model_len: 65536, kv_blocks: 65536 }
    step: { model: affine, base: 4ms }
    endpoints: [ { url: "${url}", model: m${endpoint === '' ? '' : `, ${endpoint}`} } ]
${more}`);
  const targets = deployment.pools.map(({ name, endpoints }) => ({
    what: `pool "${name}"`,
    endpoints,
  }));
  return firstCalls({ deployment, targets, environment, vocabTokens: 32_000 });
}

async function refusal(...args: Parameters<typeof first>): Promise<UserError> {
  return first(...args).then(
    () => {
      throw new Error('nothing was wrong');
    },
    wrong => wrong as UserError,
  );
}

describe('a server that answers', () => {
  test('is asked for one word in its dialect, with its key, and its kind is known from then on', async () => {
    const asked: Asked[] = [];
    const url = await server(200, STREAM, { owner: 'tensorrt_llm', asked });
    const { deployment, warnings } = await first(url, 'key_env: KEY', { environment: { KEY: 'sesame' } });
    expect(warnings).toEqual([]);
    expect(deployment.pools[0]?.endpoints[0]?.server).toEqual({ kind: 'tensorrt-llm', isGuess: false });
    expect(asked).toHaveLength(1);
    expect(asked[0]).toMatchObject({
      path: '/v1/chat/completions',
      headers: { authorization: 'Bearer sesame' },
      body: { model: 'm', max_tokens: 1, ignore_eos: true },
    });
    expect(asked[0]?.body).not.toHaveProperty('return_token_ids');
  });

  test('is of the kind that the file says, whatever it says of itself', async () => {
    const { deployment } = await first(await server(200, STREAM), 'server: llama.cpp');
    expect(deployment.pools[0]?.endpoints[0]?.server.kind).toBe('llama.cpp');
  });

  test('with what may pass, is warned of', async () => {
    const { warnings } = await first(await server(503, error('loading the model', 'unavailable')));
    expect(warnings).toEqual([
      expect.stringMatching(/^pool "main": the first call to .* failed with http_503: .*loading/),
    ]);
  });
});

describe('what every call would meet is an error', () => {
  test('nobody there', async () => {
    expect(await refusal('http://127.0.0.1:9/v1')).toMatchObject({
      message: expect.stringMatching(
        /pool "main": nothing answers at http:\/\/127\.0\.0\.1:9\/v1: .*ECONNREFUSED/,
      ),
      exitCode: 1,
    });
  });

  test('a host that is not allowed; nothing is sent to it', async () => {
    expect(await refusal('https://staging.example.com/v1')).toMatchObject({
      message: expect.stringContaining('staging.example.com is not on this machine'),
      hint: expect.stringContaining('allow_hosts: [staging.example.com]'),
    });
  });

  test('a variable that is not set', async () => {
    const url = await server(200, STREAM);
    expect(await refusal(url, 'key_env: NO_KEY')).toMatchObject({
      message: 'pool "main" takes its key from NO_KEY, which is not set',
      hint: 'export NO_KEY=…',
    });
    expect(await refusal(url, 'headers_env: { X-Team: NO_TEAM }')).toMatchObject({
      message: 'pool "main" takes a header from NO_TEAM, which is not set',
    });
  });

  test('a wrong key, which is not shown even where the server says it', async () => {
    const environment = { KEY: 'sesame-4711' };
    const url = await server(
      401,
      error('Incorrect key: Bearer sesame-4711 (sesame-4711)', 'invalid_api_key'),
    );
    const wrong = await refusal(url, 'key_env: KEY', { environment });
    expect(wrong.message).toContain('refuses us (401): invalid_api_key: Incorrect key: … (…)');
    expect(wrong.hint).toBe('is the value of KEY a key of that server?');
    expect((await refusal(url)).hint).toBe(
      'name the environment variable that holds its key: `key_env: NAME`',
    );
  });

  test('a wrong model or path', async () => {
    expect(await refusal(await server(404, error('The model `m` does not exist.')))).toMatchObject({
      message: expect.stringContaining('has no such model or path (404)'),
      hint: expect.stringContaining('`model: m` is the name on that server'),
    });
  });

  test('a field that it refuses: what to write instead', async () => {
    const url = await server(400, error("Unknown parameter: 'min_tokens'.", 'unknown_parameter'), {
      owner: 'x',
    });
    expect(await refusal(url)).toMatchObject({
      message: expect.stringContaining('does not take min_tokens'),
      hint: expect.stringMatching(
        /`takes: \[max_tokens, stream_options, continuous_usage, temperature, ignore_eos,/,
      ),
      exitCode: 104,
    });
    const nested = await server(400, error("Unknown parameter: 'stream_options.continuous_usage_stats'."));
    expect((await refusal(nested)).hint).not.toContain('continuous_usage,');
  });

  test('an id beyond the vocabulary', async () => {
    const url = await server(400, error('Token id 31999 is out of vocabulary'));
    expect(await refusal(url, 'api: tokens')).toMatchObject({ hint: expect.stringContaining('--vocab') });
  });

  test('no stream', async () => {
    const whole = JSON.stringify({ choices: [{ message: { content: 'x' } }] });
    expect(await refusal(await server(200, whole))).toMatchObject({
      message: expect.stringContaining('does not answer with a stream of `api: chat`'),
    });
  });

  test('a certificate that nobody vouches for', async () => {
    const tls = { cert: certificates.pem('server'), key: certificates.pem('server-key') };
    const url = await listen(
      createHttps(tls, (_, answer) => answer.end()),
      'https',
    );
    expect(await refusal(url)).toMatchObject({
      message: expect.stringContaining('is not trusted'),
      hint: expect.stringContaining('tls: { ca_file: authority.pem }'),
    });
    const other = `tls: { ca_file: ${certificates.path('client')} }`;
    expect(await refusal(url, other)).toMatchObject({
      hint: expect.stringContaining('the authority of that server'),
    });
  });

  test('a server that speaks plain HTTP where TLS is asked for', async () => {
    const url = await server(200, STREAM);
    expect(await refusal(url.replace('http:', 'https:'))).toMatchObject({
      message: expect.stringContaining('nothing answers'),
      hint: expect.stringContaining('http or https'),
    });
  });
});

test('secrets are taken out of a text, the longest first', () => {
  expect(withoutSecrets('a key: Bearer abc, abc and ab', ['Bearer abc', 'abc', 'ab', ''])).toBe(
    'a key: …, … and …',
  );
});
