// Safety of live runs as a user meets it, in processes of their own: keys are nowhere, and limits stop a run.
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import type { RunResult } from '../../scenarios/formats/result.ts';
import { workflowText } from '../builders/scenarios.ts';
import { emptyFolder, start, write } from './run.ts';

const folder = emptyFolder();
afterAll(() => rmSync(folder, { recursive: true }));
const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

const KEY = 'sk-live-4711-secret';
const TEAM = 'team-0815-secret';

interface Seen {
  requests: number;
  withKey: number;
}

/** A chat server that wants a key and counts 100 tokens in and 10 out; `says`: what it answers where the key is wrong. */
async function server(seen: Seen, wanted = KEY): Promise<string> {
  const listening = createServer((request, response) => {
    const { authorization = '', 'x-team': team } = request.headers;
    request.resume();
    request.on('end', () => {
      if (authorization !== `Bearer ${wanted}`) {
        response.writeHead(401, { 'content-type': 'application/json' });
        response.end(JSON.stringify({ error: { message: `wrong: ${authorization} of ${team}` } }));
        return;
      }
      if (request.method === 'GET') {
        response.end('{"data":[]}');
        return;
      }
      seen.requests += 1;
      if (team === TEAM) seen.withKey += 1;
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const chunk = (value: object) => response.write(`data: ${JSON.stringify(value)}\n\n`);
      for (let i = 0; i < 10; i++)
        chunk({
          choices: [{ index: 0, delta: { content: 'x ' }, finish_reason: i === 9 ? 'length' : null }],
        });
      chunk({ choices: [], usage: { prompt_tokens: 100, completion_tokens: 10 } });
      response.end('data: [DONE]\n\n');
    });
  });
  servers.push(listening);
  await new Promise<void>(done => listening.listen(0, '127.0.0.1', done));
  return `http://127.0.0.1:${(listening.address() as AddressInfo).port}/v1`;
}

/** Sold at 1,000 USD a million tokens, in and out: 0.11 USD a call. */
const provider = (url: string): string => `
windtunnel: 1
deployment: sold
providers:
  them:
    endpoint: { url: ${url}, key_env: TEST_KEY, headers_env: { X-Team: TEST_TEAM } }
    models: { main: { model: ministral-3-14b, price: { in: 1000, out: 1000 }, latency: { ttft: 10ms, tpot: 1ms }, max_model_len: 32k } }
`;
const CHAIN = '[ { llm: a, prefix: [system], adds: 200, out: 10 }, { llm: b, adds: 50, out: 10 } ]';
const environment = { TEST_KEY: KEY, TEST_TEAM: TEAM };

function run(args: string[], env: Record<string, string> = environment) {
  const before = { ...process.env };
  Object.assign(process.env, env);
  try {
    return start(args, folder).ended;
  } finally {
    for (const name of Object.keys(env)) {
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
    }
  }
}

const filesBelow = (path: string): string[] =>
  readdirSync(path, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name));

const result = (name: string): RunResult =>
  JSON.parse(readFileSync(join(folder, name, 'result.json'), 'utf8'));

describe('keys', () => {
  test('are sent, and stand in no file and no line of output', async () => {
    const seen = { requests: 0, withKey: 0 };
    write(folder, 'chain.yaml', workflowText(CHAIN, '', 3));
    write(folder, 'sold.yaml', provider(await server(seen)));
    const ran = await run(['replay', 'chain.yaml', '-d', 'sold.yaml', '--out', 'keyed', '--json']);
    expect(ran.code, ran.err).toBe(0);
    // One before the run, and six of it.
    expect(seen).toEqual({ requests: 7, withKey: 7 });
    const texts = [
      ran.out,
      ran.err,
      ...filesBelow(join(folder, 'keyed')).map(path => readFileSync(path, 'utf8')),
    ];
    expect(texts.length).toBeGreaterThan(4);
    for (const text of texts) expect([text.includes(KEY), text.includes(TEAM)]).toEqual([false, false]);
  });

  test('are not shown where a server refuses them and says them', async () => {
    write(folder, 'sold.yaml', provider(await server({ requests: 0, withKey: 0 }, 'another')));
    const ran = await run(['replay', 'chain.yaml', '-d', 'sold.yaml', '--out', 'wrong']);
    expect(ran.code).toBe(104);
    expect(ran.err).toContain('refuses us (401): wrong: … of …');
    expect(ran.err).toContain('is the value of TEST_KEY a key of that server?');
    expect(ran.out + ran.err).not.toContain('secret');
  });

  test('that are not set are named', async () => {
    write(folder, 'sold.yaml', provider(await server({ requests: 0, withKey: 0 })));
    const ran = await run(['replay', 'chain.yaml', '-d', 'sold.yaml', '--out', 'unset'], { TEST_TEAM: TEAM });
    expect(ran.code).toBe(104);
    expect(ran.err).toContain('provider "them" takes its key from TEST_KEY, which is not set');
  });
});

describe('limits', () => {
  test('--max-requests: not one more is sent, and what there is is kept', async () => {
    const seen = { requests: 0, withKey: 0 };
    write(folder, 'sold.yaml', provider(await server(seen)));
    const ran = await run([
      ...['replay', 'chain.yaml', '-d', 'sold.yaml', '--out', 'few', '--max-requests', '4'],
    ]);
    expect(ran.code, ran.err).toBe(105);
    expect(seen.requests).toBe(5);
    expect(ran.out).toContain('--max-requests 4: as many requests have been sent');
    expect(result('few').counts.calls.ok).toBeLessThanOrEqual(4);
  });

  test('--max-usd: the run stops before it could be dearer, by what the server counted', async () => {
    const seen = { requests: 0, withKey: 0 };
    write(folder, 'many.yaml', workflowText(CHAIN, '', 40));
    write(folder, 'sold.yaml', provider(await server(seen)));
    const args = ['replay', 'many.yaml', '-d', 'sold.yaml', '--out', 'cheap', '--max-usd', '8'];
    const ran = await run(args);
    expect(ran.code, ran.err).toBe(105);
    expect(ran.err).toMatch(/all of it, 40 sessions, may cost up to [\d.]+ USD at list price/);
    expect(ran.out).toMatch(/--max-usd 8: [\d.]+ USD is spent or under way, and the next request may cost/);
    // 0.11 USD a call.
    expect((seen.requests - 1) * 0.11).toBeLessThanOrEqual(8);
    expect(seen.requests).toBeGreaterThan(2);
  });

  test('--max-usd needs every price: a pool without one says what to write', async () => {
    write(
      folder,
      'pool.yaml',
      `
windtunnel: 1
deployment: own
pools:
  main:
    model: ministral-3-14b
    limits: { max_model_len: 32768, kv_blocks: 32768 }
    step: { model: affine, base: 4ms }
    endpoints: [ { url: http://127.0.0.1:9/v1, model: m } ]
`,
    );
    const ran = await run(['replay', 'chain.yaml', '-d', 'pool.yaml', '--max-usd', '5']);
    expect(ran.code).toBe(104);
    expect(ran.err).toContain('--max-usd cannot be kept: pool "main" has no known price');
    expect(ran.err).toContain('or 0/h');
  });

  test('a host that is not allowed is refused, of the file or of --endpoint', async () => {
    write(folder, 'far.yaml', provider('https://api.example.com/v1'));
    const far = await run(['replay', 'chain.yaml', '-d', 'far.yaml']);
    expect([far.code, far.err]).toEqual([104, expect.stringContaining('allow_hosts: [api.example.com]')]);
    const named = await run(['replay', 'chain.yaml', '-d', 'pool.yaml', '--endpoint', 'http://192.0.2.1/v1']);
    expect([named.code, named.err]).toEqual([
      104,
      expect.stringContaining('192.0.2.1 is not on this machine'),
    ]);
  });
});
