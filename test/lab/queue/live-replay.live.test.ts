// One replay by several worker processes over a real Redis, on the emulator's sockets: every session is sent once, whatever
// dies meanwhile, and what is missing is said.
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openConnection } from '../../../lab/queue/connection.ts';
import { liveQueueName } from '../../../lab/queue/live/message.ts';
import { seal, signerOf } from '../../../lab/queue/sign.ts';
import { sessionsOf } from '../../../loadgen/shard.ts';
import { publish, sha256 } from '../../../reports/publish.ts';
import { readRunLog } from '../../../reports/run-log.ts';
import { summarise } from '../../../reports/summary.ts';
import { UserError } from '../../../scenarios/base/errors.ts';
import type { RunOutput } from '../../../scenarios/formats/run.ts';
import { noRedis, type RedisServer, startRedis } from '../../builders/redis.ts';
import { planOf } from '../../builders/scenarios.ts';
import { emptyFolder, write } from '../../cli/run.ts';
import { emulator, type LiveEmulator, liveDeployment } from '../../loadgen/live.ts';
import { BUILD, type LiveProcess, type LiveRun, liveProcess, replayed, TIMES } from './live-process.ts';

const KEY = 'the key that signs what the queue carries';
const PASSWORD = 'the-password-of-redis';
const SERVER_KEY = 'sk-what-the-servers-want';
const QUEUE_ENV = { WINDTUNNEL_QUEUE_KEY: KEY, WINDTUNNEL_QUEUE_PASSWORD: PASSWORD };
const SECRETS = [KEY, PASSWORD, SERVER_KEY];

const scenario = (traffic: string, steps: string): string => `
windtunnel: 1
seed: 5
models: { main: { model: ministral-3-14b } }
tools: { fetch: { latency: 5ms, result: 10 } }
workflows: { main: { model: main, steps: [ ${steps} ] } }
traffic: [ ${traffic} ]
assert: [ "count(calls) > 1" ]
`;
const MIXED = scenario(
  '{ workflow: main, arrival: { poisson: { rate: 20/s } }, sessions: 15 }, { name: loop, workflow: main, arrival: { closed: { agents: 3, think: 30ms } }, sessions: 6 }',
  '{ map: fan, over: 3, steps: [ { llm: ask, adds: 20, out: 12 }, fetch ] }, { llm: last, adds: 5, out: 4 }',
);
/** A session each 100 ms, of two calls and some 500 ms. */
const LONG = scenario(
  '{ workflow: main, arrival: { constant: { rate: 10/s } }, sessions: 30 }',
  '{ llm: ask, adds: 20, out: 20 }, { wait: 300ms }, { llm: last, adds: 5, out: 20 }',
);

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));
const sessionsIn = (text: string): string[] =>
  planOf(text)
    .cohorts.flatMap(cohort => [...sessionsOf(cohort)].map(({ id }) => id))
    .toSorted();
const ranIn = ({ workflows }: RunOutput): string[] => workflows.map(({ session }) => session).toSorted();

describe.skipIf(noRedis)('a replay on a queue', () => {
  const folder = emptyFolder();
  const closing: (() => unknown)[] = [];
  let server: LiveEmulator;
  /** Two workers each; the tests use them one after the other. */
  let redis: RedisServer;
  let plainWorkers: LiveProcess[];
  let secured: RedisServer;
  let keyedWorkers: LiveProcess[];
  /** Requests that its servers have finished, from the metrics. */
  const finished = async (): Promise<number> => {
    const text = await (await fetch(server.url.replace('/v1', '/metrics'))).text();
    return [...text.matchAll(/^vllm:request_success_total\S* (\S+)$/gm)].reduce(
      (sum, [, n]) => sum + Number(n),
      0,
    );
  };

  beforeAll(async () => {
    server = await emulator();
    write(folder, 'mixed.yaml', MIXED);
    write(folder, 'long.yaml', LONG);
    write(folder, 'endless.yaml', LONG.replace('sessions: 30', 'sessions: 3000'));
    [redis, secured] = await Promise.all([startRedis(), startRedis({ password: PASSWORD, fsync: 'always' })]);
    closing.push(redis.close, secured.close);
    [plainWorkers, keyedWorkers] = await Promise.all([
      workers(redis, 2),
      workers(secured, 2, { ...QUEUE_ENV, WT_TEST_SERVER_KEY: SERVER_KEY }),
    ]);
    const deployment = liveDeployment({ main: [server.url] });
    write(folder, 'd.yaml', deployment);
    write(
      folder,
      'keyed.yaml',
      deployment.replace('model: main }', 'model: main, key_env: WT_TEST_SERVER_KEY }'),
    );
  });
  afterAll(async () => {
    for (const close of closing.splice(0).reverse()) await close();
    await server.close();
    rmSync(folder, { recursive: true });
  });

  const workers = async (
    redis: RedisServer,
    count: number,
    env: Record<string, string> = {},
  ): Promise<LiveProcess[]> => {
    const all = Array.from({ length: count }, () => liveProcess(['worker', redis.url], env));
    for (const each of all) closing.push(() => each.kill());
    await Promise.all(all.map(each => each.until('joined')));
    return all;
  };
  const runOf = (
    redis: RedisServer,
    name: string,
    text = 'mixed.yaml',
    more: Partial<LiveRun> = {},
  ): LiveRun => ({
    url: redis.url,
    scenario: join(folder, text),
    deployment: join(folder, 'd.yaml'),
    shards: 2,
    folder: join(folder, name),
    ...more,
  });

  test('sends every session of the plan once, and no secret through Redis', async () => {
    const before = await finished();
    const run = runOf(secured, 'whole', 'mixed.yaml', { deployment: join(folder, 'keyed.yaml') });
    const output = await replayed(run, { env: QUEUE_ENV });
    expect(ranIn(output)).toEqual(sessionsIn(MIXED));
    expect(output.calls).toHaveLength(21 * 4);
    expect(output.calls.every(({ outcome }) => outcome === 'ok')).toBe(true);
    for (const call of output.calls) expect(call.sentMs!).toBeGreaterThanOrEqual(call.plannedMs - 1);
    // Two first calls, and what was asked to learn how the server writes.
    expect((await finished()) - before).toBeGreaterThanOrEqual(84 + 2);
    const { shards } = output.measured!.client;
    expect(shards?.map(({ name, state }) => [name, state])).toEqual([
      ['shard 1 of 2', 'whole'],
      ['shard 2 of 2', 'whole'],
    ]);
    expect(new Set(shards?.map(({ worker }) => worker)).size).toBe(2);
    expect(shards?.reduce((sum, { sessions }) => sum + sessions, 0)).toBe(21);
    // One machine: the clocks are one.
    for (const { clockErrorMs, clockOffsetMs } of shards!) {
      expect(clockErrorMs).toBeLessThan(50);
      expect(Math.abs(clockOffsetMs!)).toBeLessThan(50);
    }
    expect(output.header.evidence.join('\n')).toMatch(/shard 2 of 2: worker .+ sessions?, .+ calls, clock/);

    // The log that was written meanwhile is that of the same run.
    const log = readRunLog(run.folder);
    expect(plain(log.end?.durationMs)).toBe(output.durationMs);
    expect(log.records.call).toHaveLength(84);
    const { result } = await publish(output, { out: run.folder });
    expect(plain(result)).toEqual(plain(summarise(output, sha256)));

    const everything = await secured.everything();
    // What was handed out and delivered can be read here.
    for (const sent of ['windtunnel:live', 'planDigest', 'clock']) expect(everything).toContain(sent);
    const files = readdirSync(run.folder, { recursive: true, withFileTypes: true }).flatMap(entry =>
      entry.isFile() ? [readFileSync(join(entry.parentPath, entry.name), 'latin1')] : [],
    );
    for (const secret of SECRETS) {
      expect(everything).not.toContain(secret);
      for (const text of [...files, ...keyedWorkers.map(each => each.said())])
        expect(text).not.toContain(secret);
    }
  });

  test('goes on without Redis, which loses its data, and is whole all the same', async () => {
    const running = replayed(runOf(redis, 'restarted', 'long.yaml'));
    await expect
      .poll(() => readLines(folder, 'restarted'), { timeout: 15_000, interval: 20 })
      .toBeGreaterThan(8);
    await redis.kill();
    await new Promise(resolve => setTimeout(resolve, 1000));
    await redis.start();
    const output = await running;
    expect(output).toMatchObject({ interrupted: false });
    expect(output.isPartial, output.invalidReason ?? '').toBeUndefined();
    expect(ranIn(output)).toEqual(sessionsIn(LONG));
    expect(output.calls).toHaveLength(60);
  });

  test('is refused before the start where a worker lacks a variable, by its name', async () => {
    const before = await finished();
    const run = runOf(redis, 'lacking', 'mixed.yaml', { deployment: join(folder, 'keyed.yaml') });
    const failure = await replayed(run).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(UserError);
    expect((failure as UserError).message).toMatch(
      /shard [12] of 2, worker .+: pool "main" takes its key from WT_TEST_SERVER_KEY, which is not set/,
    );
    expect((await finished()) - before).toBeLessThan(30);
    expect(existsSync(join(run.folder, 'calls.jsonl'))).toBe(false);
  });

  test('says how many workers are missing', async () => {
    const run = runOf(redis, 'few', 'mixed.yaml', { waitMs: 3000, shards: 3 });
    const failure = await replayed(run).catch(error => error);
    expect(failure.message).toMatch(/^2 of 3 shards were taken within 3 s/);
    expect(failure.hint).toContain(`windtunnel worker --queue ${redis.url}`);
    for (const each of plainWorkers) await each.until('of 3 of run');
    await expect
      .poll(() => plainWorkers.every(each => each.said().includes('was called off before its start')))
      .toBe(true);
  });

  test('stops all its shards at Ctrl-C, and keeps what there is', async () => {
    const running = replayed(runOf(redis, 'stopped', 'long.yaml'));
    await expect
      .poll(() => readLines(folder, 'stopped'), { timeout: 15_000, interval: 20 })
      .toBeGreaterThan(8);
    process.emit('SIGINT');
    const output = await running;
    expect(output).toMatchObject({ interrupted: true });
    expect(output.isPartial).toBeUndefined();
    expect(output.workflows.length).toBeLessThan(30);
    expect(output.workflows.some(({ status }) => status === 'completed')).toBe(true);
    expect((await publish(output, { out: join(folder, 'stopped') })).exitCode).toBe(105);
  });

  test('whose coordinator is killed ends by itself, and its folder has what came', async () => {
    const args = [
      'replay',
      redis.url,
      join(folder, 'endless.yaml'),
      join(folder, 'd.yaml'),
      '1',
      join(folder, 'dead'),
    ];
    const coordinator = liveProcess(args);
    await expect.poll(() => readLines(folder, 'dead'), { timeout: 20_000, interval: 20 }).toBeGreaterThan(4);
    coordinator.kill();
    await Promise.any(plainWorkers.map(each => each.until('did not hear of its coordinator')));
    expect(readRunLog(join(folder, 'dead')).records.call.length).toBeGreaterThan(4);
    await expect.poll(() => server.running(), { timeout: 2000 }).toBe(0);
  });

  test('sends nothing that another worker has taken, or that is not signed with its key', async () => {
    const connection = await openConnection(secured.url, QUEUE_ENV);
    closing.push(() => connection.close());
    const queue = new connection.bullmq.Queue(liveQueueName(BUILD, connection.signer), {
      connection: connection.redis,
      prefix: 'windtunnel',
    });
    const other = signerOf('another key that is long enough');
    await queue.add('r1 0', seal(other, 'live r1 0', { index: 0, count: 1, times: TIMES }));
    await Promise.any(keyedWorkers.map(each => each.until('refused a shard that is wrongly signed')));
    await connection.redis.set('windtunnel:live:r2:claim:0', 'somebody');
    await queue.add('r2 0', seal(connection.signer, 'live r2 0', { index: 0, count: 1, times: TIMES }));
    await Promise.any(keyedWorkers.map(each => each.until('left a shard of run r2: another worker had it')));
    for (const each of keyedWorkers) expect(each.said()).not.toMatch(/took .* r[12]/);
    await queue.close();
  });

  test('of which one worker is killed is partial: it says what is missing, and nobody sends it again', async () => {
    const running = replayed(runOf(redis, 'partial', 'long.yaml'));
    const [struck] = plainWorkers;
    await expect
      .poll(() => readLines(folder, 'partial'), { timeout: 15_000, interval: 20 })
      .toBeGreaterThan(8);
    struck!.kill();
    const [spare] = await workers(redis, 1);
    const output = await running;
    expect(output).toMatchObject({ valid: false, isPartial: true, interrupted: false });
    expect(output.invalidReason).toMatch(
      /^shard [12] of 2 was lost: its worker .+ was not heard of for \d+ s, \d+ sessions of 15 had ended and \d+ w/,
    );
    expect(spare!.said()).not.toContain('took');
    const ran = ranIn(output);
    expect(new Set(ran).size).toBe(ran.length);
    expect(ran.length).toBeGreaterThanOrEqual(15);
    expect(ran.length).toBeLessThan(30);
    const states = output.measured!.client.shards!.map(({ state }) => state);
    expect(states.toSorted()).toEqual(['lost', 'whole']);
    const { exitCode } = await publish(output, { out: join(folder, 'partial') });
    expect(exitCode).toBe(3);
  });
});

/** Calls that the log has by now. */
function readLines(folder: string, name: string): number {
  const path = join(folder, name, 'calls.jsonl');
  return existsSync(path) ? readFileSync(path, 'utf8').split('\n').length - 1 : 0;
}
