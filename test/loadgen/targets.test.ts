// The same scenario in every dialect, and by every way to a server: the emulator answers, and what it counted is what was
// simulated.
import { createServer as createHttp, request } from 'node:http';
import { createSecureServer } from 'node:http2';
import { createServer as createHttps } from 'node:https';
import { type AddressInfo, connect as connectTcp, type Server } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { prepare } from '../../engines/prepare.ts';
import { startClock } from '../../loadgen/clock.ts';
import { type FirstCalls, firstCalls } from '../../loadgen/first-call.ts';
import { startReplay } from '../../loadgen/start.ts';
import type { CallRecord } from '../../scenarios/formats/record.ts';
import type { RunOutput } from '../../scenarios/formats/run.ts';
import { WIRE_APIS } from '../../scenarios/formats/wire.ts';
import { type Certificates, makeCertificates } from '../builders/certificates.ts';
import { planOf, workflowText } from '../builders/scenarios.ts';
import { deploymentOf, HEADER, simulated } from '../builders/worlds.ts';
import { emulator } from './live.ts';

let certificates: Certificates;
beforeAll(() => {
  certificates = makeCertificates();
});
afterAll(() => certificates.remove());

const toClose: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of toClose.splice(0).reverse()) await close();
});

async function listen(server: Server): Promise<number> {
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done));
  toClose.push(() => new Promise(done => server.close(done)));
  return (server.address() as AddressInfo).port;
}

async function served(): Promise<string> {
  const { url, close } = await emulator();
  toClose.push(close);
  return url;
}

/** Two calls, of which the second sends the first one's answer back, and reasoning in both. */
const SCENARIO = workflowText(
  '[ { llm: a, prefix: [system], adds: 200, out: 12, reasoning: 5 }, { llm: b, adds: 30, out: 6, reasoning: 4 } ]',
  '',
  3,
);

const deploymentText = (endpoint: string): string => `
windtunnel: 1
deployment: live
pools:
  main:
    model: ministral-3-14b
    limits: { max_model_len: 65536, kv_blocks: 65536, max_num_batched_tokens: 512, max_num_seqs: 64 }
    step: { model: affine, base: 4ms, per_token: 20us }
    endpoints: [ ${endpoint} ]
`;

async function replayedOn(endpoint: string): Promise<{ output: RunOutput; first: FirstCalls }> {
  const plan = planOf(SCENARIO);
  const deployment = deploymentOf(deploymentText(endpoint));
  const environment = {};
  const targets = deployment.pools.map(({ name, endpoints }) => ({
    what: name,
    endpoints,
  }));
  const first = await firstCalls({ deployment, targets, environment, vocabTokens: 32_000 });
  const replay = startReplay({
    plan,
    deployment: first.deployment,
    poolOf: prepare(plan, deployment).poolOf,
    header: HEADER,
    clock: startClock(),
    environment,
  });
  return { output: await replay.run(), first };
}

/** What a server counts of a call, whatever its timing. */
const counted = ({ calls }: RunOutput): unknown[] =>
  calls
    .map(({ session, call, outcome, promptTokens, outputTokens, reasoningTokens }: CallRecord) =>
      JSON.stringify({ session, call, outcome, promptTokens, outputTokens, reasoningTokens }),
    )
    .sort();

const planned = (): unknown[] =>
  counted(
    simulated(planOf(SCENARIO), deploymentOf(deploymentText('{ url: http://127.0.0.1/v1, model: main }'))),
  );

describe('dialects', () => {
  test.each(WIRE_APIS)('%s: every call is answered and counted as it was simulated', async api => {
    const { output, first } = await replayedOn(`{ url: ${await served()}, model: main, api: ${api} }`);
    expect(first.warnings).toEqual([]);
    expect(first.deployment.pools[0]?.endpoints[0]?.server).toEqual({ kind: 'windtunnel', isGuess: false });
    expect(output.calls.every(({ outcome, cachedTokens }) => outcome === 'ok' && cachedTokens !== null)).toBe(
      true,
    );
    expect(counted(output)).toEqual(planned());
  });
});

describe('ways to a server', () => {
  /** Passes on what comes, byte by byte as it comes. */
  function passTo(url: string) {
    const { port } = new URL(url);
    return (asked: import('node:http').IncomingMessage, answer: import('node:http').ServerResponse): void => {
      const headers = Object.fromEntries(
        Object.entries(asked.headers).filter(([name]) => !name.startsWith(':') && name !== 'host'),
      );
      const { method, url: path } = asked;
      const onward = request({ host: '127.0.0.1', port, method, path, headers }, back => {
        const { connection: _, 'keep-alive': __, 'transfer-encoding': ___, ...given } = back.headers;
        answer.writeHead(back.statusCode!, given);
        back.pipe(answer);
      });
      onward.on('error', () => answer.destroy());
      asked.pipe(onward);
    };
  }

  async function proxy(seen: string[]): Promise<string> {
    const server = createHttp((_, answer) => answer.writeHead(405).end());
    const sockets = new Set<{ destroy(): unknown }>();
    server.on('connect', (asked, client, head) => {
      seen.push(asked.url as string);
      const there = connectTcp(Number((asked.url as string).split(':')[1]), '127.0.0.1', () => {
        client.write('HTTP/1.1 200 Connection established\r\n\r\n');
        there.write(head);
        there.pipe(client).pipe(there);
      });
      for (const socket of [there, client]) {
        sockets.add(socket);
        socket.on('error', () => socket.destroy());
      }
    });
    toClose.push(async () => sockets.forEach(socket => void socket.destroy()));
    return `http://127.0.0.1:${await listen(server)}`;
  }

  const tls = () => ({ cert: certificates.pem('server'), key: certificates.pem('server-key') });
  const authority = () => `tls: { ca_file: ${certificates.path('ca')} }`;

  test('TLS', async () => {
    const port = await listen(createHttps(tls(), passTo(await served())));
    const { output } = await replayedOn(`{ url: https://localhost:${port}/v1, model: main, ${authority()} }`);
    expect(counted(output)).toEqual(planned());
  });

  test('a proxy in front of TLS', async () => {
    const port = await listen(createHttps(tls(), passTo(await served())));
    const seen: string[] = [];
    const through = `proxy: ${await proxy(seen)}`;
    const { output } = await replayedOn(
      `{ url: https://localhost:${port}/v1, model: main, ${authority()}, ${through} }`,
    );
    expect(counted(output)).toEqual(planned());
    expect(new Set(seen)).toEqual(new Set([`localhost:${port}`]));
  });

  test('HTTP/2', async () => {
    const versions = new Set<string>();
    const pass = passTo(await served());
    const server = createSecureServer(tls(), (asked, answer) => {
      versions.add(asked.httpVersion);
      pass(asked as never, answer as never);
    });
    const port = await listen(server);
    const { output } = await replayedOn(
      `{ url: https://localhost:${port}/v1, model: main, http2: true, ${authority()} }`,
    );
    expect(counted(output)).toEqual(planned());
    expect([...versions]).toEqual(['2.0']);
  });
});
