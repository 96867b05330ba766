// Sweeps over a real Redis: the answer is that of threads, byte for byte, whatever dies, lies or comes back meanwhile.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { loadDeployment, readyRun } from '../../../engines/load.ts';
import { routingPolicies } from '../../../gateway/routing/index.ts';
import { runFleet } from '../../../lab/fleet/run.ts';
import type { GridCase, Outcome } from '../../../lab/grid/case.ts';
import { runGrid } from '../../../lab/grid/run-grid.ts';
import { openConnection } from '../../../lab/queue/connection.ts';
import { jobScope, PREFIX, queueName, sweepKey } from '../../../lab/queue/message.ts';
import { type OpenOptions, type OpenQueue, openQueue } from '../../../lab/queue/run-on-queue.ts';
import { seal, signerOf } from '../../../lab/queue/sign.ts';
import { type RunningWorker, startWorker } from '../../../lab/queue/worker.ts';
import { loadScenario } from '../../../scenarios/cli/load.ts';
import { type WorkerProcess, type WorkerProcessOptions, workerProcess } from '../../builders/queue-worker.ts';
import { noRedis, type RedisOptions, type RedisServer, startRedis } from '../../builders/redis.ts';
import { DEPLOYMENT } from '../../builders/worlds.ts';
import { emptyFolder, ROOT, start, write } from '../../cli/run.ts';

const BUILD = 'a-build';
const KEY = 'the key that signs what the queue carries';
const folder = emptyFolder();
afterAll(() => rmSync(folder, { recursive: true }));

const SCENARIO = (sessions: number): string => `
windtunnel: 1
seed: 3
models: { m: { model: ministral-3-14b } }
workflows:
  main: { steps: [ { llm: a, adds: { median: 200, p90: 900 }, out: { median: 20, p90: 90 } } ] }
traffic: [ { workflow: main, arrival: { poisson: { rate: 5/s } }, sessions: ${sessions} } ]
`;
const caseOf = (seed: number, scenario = 's.yaml', policy = 'round-robin'): GridCase => ({
  scenario: { input: join(folder, scenario), options: { seed } },
  deployment: { input: join(folder, 'd.yaml'), change: { routing: { policy, options: {} } } },
  loadFactor: 1,
});
const many = (count: number, scenario = 's.yaml'): GridCase[] =>
  Array.from({ length: count }, (_, i) => caseOf(i + 1, scenario));
const bytes = (outcomes: readonly (Outcome | null)[]): string => JSON.stringify(outcomes);
const untilSo = async (isSo: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await isSo())) await new Promise(resolve => setTimeout(resolve, 20));
};

describe.skipIf(noRedis)('a sweep on a queue', () => {
  const closing: (() => unknown)[] = [];
  const said: string[] = [];
  let expected: readonly (Outcome | null)[];
  const cases = many(40, 'large.yaml');

  beforeAll(async () => {
    write(folder, 's.yaml', SCENARIO(30));
    write(folder, 'large.yaml', SCENARIO(700));
    write(folder, 'd.yaml', DEPLOYMENT('', undefined, 3, 'least-outstanding'));
    expected = await runGrid(cases, { jobs: 2 });
  });
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
    said.length = 0;
  });

  const redisWith = async (options: RedisOptions = {}): Promise<RedisServer> => {
    const redis = await startRedis(options);
    closing.push(redis.close);
    return redis;
  };
  const queueAt = async (redis: RedisServer, options: OpenOptions = {}): Promise<OpenQueue> => {
    const queue = await openQueue(redis.url, {
      env: {},
      build: BUILD,
      tell: line => void said.push(line),
      ...options,
    });
    closing.push(queue.close);
    return queue;
  };
  const workerAt = async (
    redis: RedisServer,
    {
      build = BUILD,
      env = {},
      jobs = 1,
    }: { build?: string; env?: Record<string, string>; jobs?: number } = {},
  ): Promise<{ worker: RunningWorker; lines: string[] }> => {
    const connection = await openConnection(redis.url, env);
    const lines: string[] = [];
    const worker = startWorker({
      connection,
      build,
      jobs,
      lockMs: 1000,
      tell: line => void lines.push(line),
    });
    closing.push(async () => {
      await worker.stop();
      await connection.close();
    });
    return { worker, lines };
  };
  const processAt = (redis: RedisServer, options: Partial<WorkerProcessOptions> = {}): WorkerProcess => {
    const env = { TMPDIR: folder, ...options.env };
    const made = workerProcess({ url: redis.url, build: BUILD, lockMs: 2000, ...options, env });
    closing.push(async () => {
      made.kill();
      await made.ended;
    });
    return made;
  };

  test('the cells of one run over two workers add up to what threads of one machine give', async () => {
    const redis = await redisWith();
    const queue = await queueAt(redis);
    await workerAt(redis);
    await workerAt(redis);
    const inside = redis.inside();
    await untilSo(async () => (await inside.scard('windtunnel:workers')) === 2);
    const loaded = loadScenario(join(folder, 'large.yaml'));
    const deployed = loadDeployment(join(folder, 'd.yaml'), routingPolicies);
    const ready = readyRun(loaded, deployed, { json: true, quiet: true });
    const run = { loaded, ready, of: caseOf(3, 'large.yaml', 'least-outstanding'), cells: 3 };
    const far = await runFleet({ ...run, runCases: queue.run });
    expect(queue.counts).toMatchObject({ jobs: 3, twice: 0 });
    expect(far.tally.calls.ok).toBe(700);
    expect(JSON.stringify(far)).toBe(JSON.stringify(await runFleet({ ...run, jobs: 1 })));
  }, 60_000);

  test('gives what threads give, failures included, and leaves nothing behind that does not expire', async () => {
    const redis = await redisWith();
    const mixed = [
      ...many(12),
      caseOf(1, 's.yaml', 'nowhere'),
      caseOf(1, 'absent.yaml'),
      { ...caseOf(2), isByCohort: true, slos: [{ ttft: 100 }] },
      { ...caseOf(2), measure: new URL('lab/compare/summary-measure.ts', `file://${ROOT}/`).href },
    ];
    const queue = await queueAt(redis);
    const workers = [await workerAt(redis), await workerAt(redis, { jobs: 2 })];
    const inside = redis.inside();
    await untilSo(async () => (await inside.scard('windtunnel:workers')) === 2);
    const told: number[] = [];
    const outcomes = await queue.run(mixed, {
      onDone: (done, index, outcome) => {
        told.push(done);
        expect(outcome.ok).toBe(![12, 13].includes(index));
      },
    });
    expect(told).toEqual(mixed.map((_, i) => i + 1));
    const threads = await runGrid(mixed, { jobs: 1 });
    expect(bytes(outcomes.slice(0, 15))).toBe(bytes(threads.slice(0, 15)));
    const measured = (all: typeof outcomes) => (all[15]?.ok ? all[15].measured : null) as { slos: unknown };
    expect(Object.keys(measured(outcomes))).toEqual(Object.keys(measured(threads)));
    expect(queue.counts).toMatchObject({ workers: 2, slots: 3, twice: 0 });
    expect(workers.reduce((sum, { worker }) => sum + worker.counts().cases, 0)).toBe(15);

    for (const key of await inside.keys('*')) {
      expect(key).not.toMatch(/:sweep:/);
      if (!/:workers?(:|$)/.test(key)) expect([key, await inside.ttl(key)]).not.toEqual([key, -1]);
    }
    // And again on the same connection.
    expect(bytes(await queue.run(mixed.slice(0, 3)))).toBe(bytes(threads.slice(0, 3)));
    expect(await queue.run([])).toEqual([]);
  });

  test('of which a worker is killed loses nothing and counts nothing twice', async () => {
    const redis = await redisWith();
    const queue = await queueAt(redis);
    const first = processAt(redis);
    processAt(redis);
    let killed = 0;
    const counted = new Map<number, number>();
    const outcomes = await queue.run(cases, {
      onDone: (done, index) => {
        counted.set(index, (counted.get(index) ?? 0) + 1);
        if (done < 10 || killed > 0) return;
        killed = done;
        first.kill();
      },
    });
    expect(killed).toBeGreaterThan(0);
    expect(bytes(outcomes)).toBe(bytes(expected));
    expect([...counted.values()].every(times => times === 1)).toBe(true);
    expect(counted.size).toBe(cases.length);
  });

  test('goes on when Redis is killed and comes back with what it had on disk', async () => {
    const redis = await redisWith({ fsync: 'everysec' });
    const queue = await queueAt(redis);
    processAt(redis);
    processAt(redis);
    let restarted: Promise<void> | null = null;
    const outcomes = await queue.run(cases, {
      onDone: done => {
        if (done !== 10) return;
        restarted = redis.kill().then(() => redis.start());
      },
    });
    await restarted;
    expect(bytes(outcomes)).toBe(bytes(expected));
    expect(said.join('\n')).toMatch(/is away[\s\S]*is back/);
  });

  test('goes on even when Redis comes back with nothing', async () => {
    const redis = await redisWith();
    const queue = await queueAt(redis);
    processAt(redis);
    processAt(redis);
    let restarted: Promise<void> | null = null;
    const outcomes = await queue.run(cases, {
      onDone: done => {
        if (done === 10) restarted = redis.kill().then(() => redis.start());
      },
    });
    await restarted;
    expect(bytes(outcomes)).toBe(bytes(expected));
  });

  test('ends in words when Redis stays away, and what is done is done', async () => {
    const redis = await redisWith();
    const queue = await queueAt(redis, { giveUpMs: 1500 });
    await workerAt(redis);
    const kept: number[] = [];
    const run = queue.run(cases, {
      onDone: (_done, index) => {
        kept.push(index);
        if (kept.length === 5) void redis.kill();
      },
    });
    await expect(run).rejects.toMatchObject({
      message: expect.stringContaining('has been away for 2 s'),
      hint: expect.stringMatching(/^\d+ of 40 cases are done; start Redis/),
      exitCode: 105,
    });
    expect(kept.length).toBeGreaterThanOrEqual(5);
  });

  test('sets aside a case that kills every worker that runs it, and goes on', async () => {
    const redis = await redisWith();
    const queue = await queueAt(redis);
    let deaths = 0;
    let isOver = false;
    // As a Kubernetes Deployment does.
    const supervise = async (): Promise<void> => {
      while (!isOver) {
        const code = await processAt(redis, { lockMs: 1000, poisonSeed: 7 }).ended;
        if (code === null) deaths += 1;
      }
    };
    void supervise();
    const outcomes = await queue.run(many(20));
    isOver = true;
    const wrong = outcomes.flatMap((each, index) => (each?.ok === true ? [] : [{ index, each }]));
    expect(wrong).toMatchObject([
      { index: 6, each: { failure: { message: expect.stringMatching(/^set aside: 3 workers died/) } } },
    ]);
    expect(deaths).toBeGreaterThanOrEqual(3);
    expect(deaths).toBeLessThanOrEqual(4);
    const threads = await runGrid(many(20), { jobs: 1 });
    expect(bytes(outcomes.filter((_, i) => i !== 6))).toBe(bytes(threads.filter((_, i) => i !== 6)));
  });

  test('is left alone by a worker of another version, and each says so', async () => {
    const redis = await redisWith();
    const queue = await queueAt(redis);
    const { worker: stranger, lines } = await workerAt(redis, { build: 'another-build' });
    const running = queue.run(many(4));
    await untilSo(() => said.some(line => line.includes('another-build')) && lines.length > 0);
    expect(said.join('\n')).toMatch(/worker \S+ has version another-build, this is a-build/);
    expect(lines.join('\n')).toMatch(/has version a-build, this is another-build/);
    await workerAt(redis);
    expect(bytes(await running)).toBe(bytes(await runGrid(many(4), { jobs: 1 })));
    expect(stranger.counts().cases).toBe(0);
    expect(lines.filter(line => line.includes('a-build'))).toHaveLength(1);
  });

  test('takes no job and no result that is unsigned or wrongly signed where there is a key', async () => {
    const redis = await redisWith();
    const env = { WINDTUNNEL_QUEUE_KEY: KEY };
    const queue = await queueAt(redis, { env });
    const { worker: unsigned } = await workerAt(redis);
    const inside = await openConnection(redis.url);
    closing.push(inside.close);
    const bull = new inside.bullmq.Queue(queueName(BUILD, signerOf(KEY)), {
      connection: inside.redis,
      prefix: PREFIX,
    });
    await inside.redis.set(sweepKey('forged'), '{}');
    const message = { inputs: [], cases: [{ index: 0, of: caseOf(1) }], check: null };
    for (const [id, by] of [
      ['forged-1', signerOf(undefined)],
      ['forged-2', signerOf('another key than the one of the queue')],
    ] as const)
      await bull.add('forged', seal(by, jobScope('forged', id), message), { jobId: id });
    const running = queue.run(many(4));
    await untilSo(() => said.some(line => line.includes('WINDTUNNEL_QUEUE_KEY')));
    const [reports] = await inside.redis.keys('windtunnel:sweep:*:reports');
    await inside.redis.xadd(reports as string, '*', 'report', '.json.{"kind":"done","job":"x","cases":[]}');
    await untilSo(() => said.some(line => line.includes('refused a result that is unsigned')));
    const { worker, lines } = await workerAt(redis, { env });
    expect(bytes(await running)).toBe(bytes(await runGrid(many(4), { jobs: 1 })));
    await untilSo(() => lines.filter(line => line.includes('refused')).length === 2);
    expect(lines.join('\n')).toMatch(/refused a job that is unsigned/);
    expect(lines.join('\n')).toMatch(/refused a job that is wrongly signed/);
    expect([unsigned.counts().cases, worker.counts().cases]).toEqual([0, 4]);
    expect(await bull.getJobCounts()).toMatchObject({ waiting: 0, active: 0, failed: 0 });
  });

  test('sends a file again that is not what was announced', async () => {
    const redis = await redisWith();
    const queue = await queueAt(redis);
    const inside = redis.inside();
    const running = queue.run(many(2));
    let files: string[] = [];
    await untilSo(async () => {
      files = await inside.keys('windtunnel:sweep:*:file:*');
      return files.length === 2;
    });
    await inside.set(files[0] as string, gzipSync('windtunnel: 1'));
    await workerAt(redis);
    expect(bytes(await running)).toBe(bytes(await runGrid(many(2), { jobs: 1 })));
    expect(said.join('\n')).toMatch(/has the digest|not at the queue/);
  });

  test('is left by a worker that computes another plan', async () => {
    const redis = await redisWith();
    const { worker, lines } = await workerAt(redis);
    const inside = await openConnection(redis.url);
    closing.push(inside.close);
    const signer = signerOf(undefined);
    const bull = new inside.bullmq.Queue(queueName(BUILD, signer), {
      connection: inside.redis,
      prefix: PREFIX,
    });
    await inside.redis.set(sweepKey('s'), '{}');
    const scenario = { input: 'job-scanner', options: { seed: 1 } };
    const message = { inputs: [], cases: [], check: { scenario, planSha256: 'f'.repeat(64) } };
    await bull.add('s', seal(signer, jobScope('s', 's-1'), message), { jobId: 's-1' });
    expect(await worker.ended).toMatch(/compiles to the plan \w{12} here and to f{12} there/);
    // The job is there for another.
    expect(await bull.getJobCounts('wait')).toEqual({ wait: 1 });
    expect(lines).not.toContain('undefined');
  });

  test('that is stopped leaves out what has not begun, and takes it back', async () => {
    const redis = await redisWith();
    const queue = await queueAt(redis);
    await workerAt(redis);
    let done = 0;
    const outcomes = await queue.run(cases, {
      onDone: n => {
        done = n;
      },
      isStopped: () => done >= 5,
    });
    const kept = outcomes.filter(each => each !== null).length;
    expect(kept).toBe(done);
    expect(kept).toBeGreaterThanOrEqual(5);
    expect(kept).toBeLessThan(cases.length);
    const inside = redis.inside();
    expect(await inside.keys('windtunnel:sweep:*')).toEqual([]);
    expect(await inside.exists(`${PREFIX}:${queueName(BUILD, signerOf(undefined))}:wait`)).toBe(0);
  });

  test('leaves no credential in Redis, on its disk, or in any words', async () => {
    const password = 'pa55word-of-a-queue';
    const redis = await redisWith({ password, fsync: 'always' });
    const env = { WINDTUNNEL_QUEUE_PASSWORD: password, WINDTUNNEL_QUEUE_KEY: KEY };
    const queue = await queueAt(redis, { env });
    const worker = processAt(redis, { env });
    const outcomes = await queue.run(many(8));
    worker.kill('SIGTERM');
    await worker.ended;
    const everything = await redis.everything();
    // It is what it should be: jobs and results are there, unpacked.
    expect(everything).toContain('"goodputPerSec"');
    expect(everything).toContain('shipped:');
    const words = [everything, worker.said(), said.join('\n'), inspect(outcomes, { depth: 9 })].join('\n');
    for (const secret of [password, KEY]) expect(words).not.toContain(secret);
  });

  test('is joined and left on the command line; two interrupts give back what is under way', async () => {
    const redis = await redisWith();
    write(folder, 'huge.yaml', SCENARIO(60_000));
    const join = () => {
      const ran = start(['worker', '--queue', redis.url, '--jobs', '1'], folder);
      closing.push(async () => {
        ran.child.kill('SIGKILL');
        await ran.ended;
      });
      return ran;
    };
    const first = join();
    let out = '';
    first.child.stdout.on('data', chunk => {
      out += String(chunk);
    });
    await first.until('has joined');
    const build = /of version (\S+) has/.exec(out)?.[1] as string;
    const queue = await queueAt(redis, { build });
    const running = queue.run([caseOf(1, 'huge.yaml')]);
    await first.until('took the first cases');
    first.child.kill('SIGINT');
    await first.until('finishing');
    first.child.kill('SIGINT');
    const left = await first.ended;
    expect([left.code, left.err]).toEqual([105, '']);
    expect(left.out).toContain('0 cases in 0 jobs');
    const { worker } = await workerAt(redis, { build });
    expect((await running)[0]?.ok).toBe(true);
    expect(worker.counts().cases).toBe(1);
    expect(queue.counts.again).toBe(0);
  });
});
