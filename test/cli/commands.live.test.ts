// The live side as a user meets it: demo, emulate, replay and validate in processes of their own; servers that
// misbehave; Ctrl-C.
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CallRecord } from '../../scenarios/formats/record.ts';
import type { RunResult } from '../../scenarios/formats/result.ts';
import type { ValidationResult } from '../../scenarios/formats/validation.ts';
import { workflowText } from '../builders/scenarios.ts';
import { emptyFolder, ROOT, start, windtunnel, write } from './run.ts';

const folder = emptyFolder();
afterAll(() => rmSync(folder, { recursive: true }));

const ENDPOINT = (url: string): string => `
windtunnel: 1
deployment: live
pools:
  main:
    model: ministral-3-14b
    limits: { max_model_len: 65536, kv_blocks: 65536, max_num_batched_tokens: 512, max_num_seqs: 64 }
    step: { model: affine, base: 4ms, per_token: 50us }
    endpoints: [ { url: ${url}, model: m } ]
`;
const CHAIN =
  '[ { llm: a, prefix: [system], adds: 200, out: 12 }, { tool: fetch }, { llm: b, adds: =tokens(prev), out: 6, reasoning: 4 } ]';

beforeAll(() => {
  write(folder, 'chain.yaml', workflowText(CHAIN, '', 4));
  write(folder, 'd.yaml', ENDPOINT('http://127.0.0.1:9/v1'));
});

const readResult = (name: string): RunResult =>
  JSON.parse(readFileSync(join(folder, name, 'result.json'), 'utf8'));

/** Starts the emulator on a free port. */
async function emulator(speed = 1) {
  const running = start(['emulate', 'd.yaml', '--port', '0', '--json', '--speed', String(speed)], folder);
  let url = '';
  running.child.stdout.on('data', chunk => {
    url ||= /"url": "([^"]+)"/.exec(String(chunk))?.[1] ?? '';
  });
  await running.until('"url"');
  return {
    url: `${url}/v1`,
    stop: async () => {
      running.child.kill('SIGINT');
      return running.ended;
    },
  };
}

describe('replay on the emulator', () => {
  test('sends every call, with lengths, hits and lag; the emulator ends at once on Ctrl-C', async () => {
    const served = await emulator();
    const ran = await start(
      ['replay', 'chain.yaml', '-d', 'd.yaml', '--endpoint', served.url, '--out', 'replayed'],
      folder,
    ).ended;
    expect(ran.code, ran.err).toBe(0);
    const result = readResult('replayed');
    expect(result.header.world).toBe('live');
    expect(result.counts.calls).toMatchObject({ planned: 8, ok: 8 });
    const simulated = JSON.parse(
      windtunnel(['simulate', 'chain.yaml', '-d', 'd.yaml', '--json', '--out', 'simulated'], folder).out,
    ) as RunResult;
    expect(result.tokens).toEqual(simulated.tokens);
    expect(result.metrics.lag?.n).toBe(8);
    const log = readFileSync(join(folder, 'replayed/calls.jsonl'), 'utf8').trim().split('\n');
    expect(log).toHaveLength(8);
    expect((JSON.parse(log[0] as string) as CallRecord).outcome).toBe('ok');
    expect((await served.stop()).code).toBe(0);
  });

  test("runs the gate and the router of a simulation: whole sessions one at a time, by a policy of one's own", async () => {
    const served = await emulator();
    write(
      folder,
      'gated.yaml',
      `${ENDPOINT(served.url)}gateway: { admission: { policy: sessions, max: 1, queue: 10 } }\n`,
    );
    write(
      folder,
      'turns.ts',
      "let turn = 0;\nexport default { name: 'turns', doc: 'In turn, and what is scraped.', source: 'a test', create: () => ({ route: (_: unknown, view: any) => (turn++ + 0 * view.waiting[0]) % view.replicas.length }) };\n",
    );
    const ran = await start(
      [
        'replay',
        'chain.yaml',
        '-d',
        'gated.yaml',
        '--routing',
        './turns.ts',
        '--out',
        'gated',
        '--endpoint',
        served.url,
        '--endpoint',
        served.url,
      ],
      folder,
    ).ended;
    expect(ran.code, ran.err).toBe(0);
    const log = readFileSync(join(folder, 'gated/calls.jsonl'), 'utf8').trim().split('\n');
    const calls = log.map(line => JSON.parse(line) as CallRecord);
    expect(calls.map(({ outcome }) => outcome)).toEqual(calls.map(() => 'ok'));
    expect(new Set(calls.map(({ replica }) => replica))).toEqual(new Set(['main/0', 'main/1']));
    // One session is over before the next one is let in: what a call waits at the gate is queueing, no lag of ours.
    const spans = [...new Set(calls.map(({ session }) => session))].map(id => {
      const own = calls.filter(({ session }) => session === id);
      return [
        Math.min(...own.map(({ firstTokenMs }) => firstTokenMs!)),
        Math.max(...own.map(({ endMs }) => endMs!)),
      ];
    });
    spans.sort(([a], [b]) => a! - b!);
    for (const [i, [sentMs]] of spans.entries())
      if (i > 0) expect(sentMs).toBeGreaterThanOrEqual(spans[i - 1]![1]!);
    await served.stop();
  });

  test('governs the calls: attempts, decisions and costs are written, with faults of the emulator among them', async () => {
    const running = start(
      ['emulate', 'd.yaml', '--port', '0', '--json', '--inject', 'error=40%', '--seed', '3'],
      folder,
    );
    let out = '';
    running.child.stdout.on('data', chunk => {
      out += String(chunk);
    });
    await running.until('"url"');
    const url = `${/"url": "([^"]+)"/.exec(out)?.[1]}/v1`;
    write(
      folder,
      'governed.yaml',
      `${ENDPOINT(url)}gateway: { retry: { max: 9, backoff: 5ms..20ms, errors: [5xx] } }\n`,
    );
    const args = ['replay', 'chain.yaml', '-d', 'governed.yaml', '--out', 'governed'];
    const ran = await start(args, folder).ended;
    running.child.kill('SIGINT');
    expect((await running.ended).code).toBe(0);
    // 3: the machine was busy, and our lag shows; what was decided is the same.
    expect([0, 3], ran.err).toContain(ran.code);
    expect(readResult('governed').counts.calls).toMatchObject({ planned: 8, ok: 8 });
    const audit = readFileSync(join(folder, 'governed/audit.jsonl'), 'utf8');
    expect(audit).toMatch(/"policy":"retry","decision":"again"/);
  });

  test('of a window of a trace warns that the server has not seen what came before it', async () => {
    const served = await emulator();
    const trace = join(ROOT, 'scenarios/library/traces/claude-code-session.json');
    const shrunk = ['--scale-tokens', '0.02', '--gap-cap', '100ms', '--endpoint', served.url];
    const notesOf = async (out: string, ...window: string[]): Promise<string> => {
      const args = ['replay', trace, '-d', 'd.yaml', ...shrunk, ...window, '--out', out];
      expect((await start(args, folder).ended).code).toBe(0);
      return readResult(out).header.warnings.join('\n');
    };
    const warning =
      /1 of 1 sessions begin with context from before the window, which a live server has not seen/;
    expect(await notesOf('cut-window', '--from', '1m')).toMatch(warning);
    expect(await notesOf('whole')).not.toMatch(warning);
    await served.stop();
  });

  test('Ctrl-C drains once, keeps what there is, writes the report, exits with 105', async () => {
    const served = await emulator();
    write(
      folder,
      'long.yaml',
      workflowText(
        '[ { llm: quick, adds: 10, out: 2 }, { wait: 30s }, { llm: late, adds: 10, out: 2 } ]',
        '',
        3,
      ),
    );
    const running = start(
      ['replay', 'long.yaml', '-d', 'd.yaml', '--endpoint', served.url, '--out', 'cut'],
      folder,
    );
    while (
      !existsSync(join(folder, 'cut/calls.jsonl')) ||
      readFileSync(join(folder, 'cut/calls.jsonl'), 'utf8') === ''
    ) {
      await new Promise(resolve => setTimeout(resolve, 50));
    }
    running.child.kill('SIGINT');
    const ran = await running.ended;
    expect(ran.code, ran.err).toBe(105);
    expect(ran.err).toContain('draining');
    expect(readResult('cut').verdict.status).toBe('interrupted');
    expect(readResult('cut').counts.workflows).toMatchObject({ completed: 0, unfinished: 3 });
    expect(existsSync(join(folder, 'cut/report.html'))).toBe(true);
    await served.stop();
  });

  test('a simulation is interrupted the same way', async () => {
    write(
      folder,
      'huge.yaml',
      workflowText('[ { llm: a, adds: 500, out: 2000 } ]', '', 5_000_000).replace(
        'at_once: true',
        'poisson: { rate: 1/s }',
      ),
    );
    const running = start(['simulate', 'huge.yaml', '-d', 'd.yaml', '--out', 'cutsim'], folder);
    await new Promise(resolve => setTimeout(resolve, 2500));
    running.child.kill('SIGINT');
    const ran = await running.ended;
    expect(ran.code, ran.err).toBe(105);
    expect(readResult('cutsim').verdict.status).toBe('interrupted');
  });
});

describe('servers that misbehave', () => {
  const servers: Server[] = [];
  afterAll(() => {
    for (const server of servers) {
      server.closeAllConnections();
      server.close();
    }
  });

  /** A server whose models list answers and whose completions do as told. */
  async function serving(answer: RequestListener): Promise<string> {
    const server = createServer((request, response) => {
      if (request.method === 'GET') response.setHeader('content-type', 'application/json').end('{"data":[]}');
      else answer(request, response);
    });
    servers.push(server);
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  }

  const chunk = (content: string): string =>
    `data: {"choices":[{"index":0,"delta":{"content":"${content}"}}]}\n\n`;

  const cases: [string, RequestListener, string][] = [
    [
      'sends an error inside a 200 stream',
      (_request, response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.end(`${chunk('one')}data: {"error":{"message":"out of memory","code":500}}\n\n`);
      },
      'stream_error',
    ],
    [
      'cuts the stream',
      (_request, response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.write(chunk('one'), () => response.destroy());
      },
      'stream_cut',
    ],
    [
      'stalls',
      (_request, response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.write(chunk('one'));
      },
      'stall',
    ],
    [
      'refuses with 429',
      (_request, response) => {
        response
          .writeHead(429, { 'content-type': 'application/json', 'retry-after': '1' })
          .end('{"error":{"message":"slow down"}}');
      },
      'http_429',
    ],
  ];

  test.each(cases)(
    'a server that %s: the calls are records with the reason, the run ends and reports',
    async (name, answer, reason) => {
      const url = await serving(answer);
      const out = `bad-${reason}`;
      const ran = await start(
        ['replay', 'chain.yaml', '-d', 'd.yaml', '--endpoint', url, '--stall', '400ms', '--out', out],
        folder,
      ).ended;
      expect(ran.code, `${name}: ${ran.err}`).toBe(99);
      const result = readResult(out);
      expect(result.counts.errors).toEqual({ [reason]: 4 });
      expect(result.counts.workflows.failed).toBe(4);
      expect(result.metrics.ttft).toBeUndefined();
      expect(ran.out).toContain(reason);
    },
  );

  test('an endpoint that refuses is named before anything is sent', () => {
    const { code, err } = windtunnel(['replay', 'chain.yaml', '-d', 'd.yaml'], folder);
    expect(code).toBe(1);
    expect(err).toContain('nothing answers at http://127.0.0.1:9/v1');
    expect(err).toContain('hint:');
  });

  test('a provider that calls may go to needs an address; faults that the emulator does not know are named', () => {
    write(
      folder,
      'fallback.yaml',
      `${ENDPOINT('http://127.0.0.1:9/v1')}providers: { vendor: { models: { big: { model: mistral-large-3, price: { in: 1, out: 2 }, max_model_len: 64k } } } }\ngateway: { fallback: { main: [big] } }\n`,
    );
    expect(windtunnel(['replay', 'chain.yaml', '-d', 'fallback.yaml'], folder)).toMatchObject({
      code: 104,
      err: expect.stringMatching(
        /calls may go to "big" of provider "vendor", which has no live endpoint[\s\S]*give providers\.vendor an `endpoint/,
      ),
    });
    expect(windtunnel(['emulate', 'd.yaml', '--inject', 'eror=5%'], folder)).toMatchObject({
      code: 104,
      err: expect.stringMatching(/cannot read "eror=5%"[\s\S]*did you mean "error"/),
    });
  });

  test('a pool without endpoints and a key that is not set are bad input', () => {
    mkdirSync(join(folder, 'k'), { recursive: true });
    write(folder, 'none.yaml', ENDPOINT('http://127.0.0.1:9/v1').replace(/ {4}endpoints.*\n/, ''));
    expect(windtunnel(['replay', 'chain.yaml', '-d', 'none.yaml'], folder)).toMatchObject({
      code: 104,
      err: expect.stringContaining('no live endpoint'),
    });
    write(
      folder,
      'key.yaml',
      ENDPOINT('http://127.0.0.1:9/v1').replace('model: m }', 'model: m, key_env: NO_SUCH_KEY }'),
    );
    expect(windtunnel(['replay', 'chain.yaml', '-d', 'key.yaml'], folder)).toMatchObject({
      code: 104,
      err: expect.stringContaining('NO_SUCH_KEY'),
    });
  });
});

describe('both worlds', () => {
  test('every verb and context means the same in both worlds: counts, tokens and hits equal', async () => {
    const scenario = join(ROOT, 'test/fixtures/scenarios/every-verb.yaml');
    const ran = await start(
      ['validate', scenario, '-d', 'emulated', '--emulate', '--tolerance', '95%', '--out', 'verbs'],
      folder,
    ).ended;
    expect(ran.code, ran.out + ran.err).toBe(0);
    expect(ran.out).toMatch(/WITHIN TOLERANCE/);
  });

  test('validate on the emulator: counts, tokens and hits equal', async () => {
    const ran = await start(
      ['validate', 'chain.yaml', '-d', 'd.yaml', '--emulate', '--tolerance', '95%', '--out', 'both'],
      folder,
    ).ended;
    expect(ran.code, ran.out + ran.err).toBe(0);
    const validation = JSON.parse(
      readFileSync(join(folder, 'both/validation.json'), 'utf8'),
    ) as ValidationResult;
    for (const row of validation.comparisons[0]!.rows.filter(each => each.unit !== 'ms'))
      expect(row, row.metric).toMatchObject({ errorRatio: 0 });
    expect(existsSync(join(folder, 'both/report.html'))).toBe(true);
    expect(existsSync(join(folder, 'both/sim/report.html'))).toBe(true);
  });

  test('a tolerance that is missed exits with 99, a wrong one with 104', async () => {
    const ran = await start(
      ['validate', 'chain.yaml', '-d', 'd.yaml', '--emulate', '--tolerance', '0.0001%', '--out', 'missed'],
      folder,
    ).ended;
    expect(ran.code, ran.out + ran.err).toBe(99);
    expect(
      windtunnel(['validate', 'chain.yaml', '-d', 'd.yaml', '--emulate', '--tolerance', 'little'], folder),
    ).toMatchObject({ code: 104 });
  });

  test('a recorded session, shrunk, replays on the emulator with the hits that the simulation has', async () => {
    const trace = join(import.meta.dirname, '../../scenarios/library/traces/claude-code-session.json');
    const ran = await start(
      [
        'validate',
        trace,
        '-d',
        'd.yaml',
        '--emulate',
        '--scale-tokens',
        '0.02',
        '--gap-cap',
        '100ms',
        '--tolerance',
        '95%',
        '--out',
        'trace',
      ],
      folder,
    ).ended;
    expect(ran.code, ran.out + ran.err).toBe(0);
  });

  test('the demo runs the whole loop in under a minute and ends with the report', async () => {
    const startMs = performance.now();
    const ran = await start(['demo'], folder).ended;
    expect(ran.code, ran.out + ran.err).toBe(0);
    expect(performance.now() - startMs).toBeLessThan(60_000);
    const path = /report: (\S+)/.exec(ran.out)?.[1] as string;
    expect(existsSync(path)).toBe(true);
  });
});
