// A sweep of 400 runs on a queue: the same bytes over one, two and four workers, then while workers are killed every 5 s
// and Redis once; and which share of the CPU, and of the workers' time, was not spent on cases.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { GridCase, Outcome } from '../../lab/grid/case.ts';
import { sizedTo } from '../../lab/grid/load-factor.ts';
import { runGrid } from '../../lab/grid/run-grid.ts';
import { buildOf } from '../../lab/queue/build.ts';
import { type OpenQueue, openQueue } from '../../lab/queue/run-on-queue.ts';
import { loadScenario } from '../../scenarios/cli/load.ts';
import { type WorkerProcess, workerProcess } from '../builders/queue-worker.ts';
import { type RedisServer, startRedis } from '../builders/redis.ts';
import type { Figure } from './figure.ts';

/** Workers that are killed leave their inputs there. */
const FOLDER = mkdtempSync(join(tmpdir(), 'windtunnel-bench-'));
const ENV = { TMPDIR: FOLDER };
const KILL_EVERY_MS = 5_000;
const CALLS = 2_000;

/** Seeds x replicas x routers. */
function sweep(): GridCase[] {
  const scenario = 'mixed-fleet';
  const set = sizedTo(loadScenario(scenario), CALLS);
  const policies = ['round-robin', 'least-outstanding', 'prefix-cache', 'power-of-two'];
  return Array.from({ length: 20 }, (_, i) => i + 1).flatMap(seed =>
    [2, 4, 6, 8, 10].flatMap(replicas =>
      policies.map(policy => ({
        scenario: { input: scenario, options: { seed, set } },
        deployment: {
          input: '8xh200-mistral-small-4',
          change: { routing: { policy, options: {} }, pool: { replicas } },
        },
        loadFactor: 1,
      })),
    ),
  );
}

interface Ran {
  /** The first case whose outcome is another than one thread gave, or that was told of twice; null: none. */
  readonly difference: string | null;
  readonly wallMs: number;
  /** Of the workers' time, what no case ran in. */
  readonly idleRatio: number;
  /** CPU of the coordinator. */
  readonly cpuMs: number;
}

const cpuMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

async function measured(
  queue: OpenQueue,
  of: {
    cases: readonly GridCase[];
    expected: readonly (Outcome | null)[];
    workers: number;
    onDone?: (done: number) => void;
  },
): Promise<Ran> {
  const { cases, expected, workers, onDone = () => {} } = of;
  const times = new Array<number>(cases.length).fill(0);
  const [startMs, startCpuMs, busyMs] = [performance.now(), cpuMs(), queue.counts.busyMs];
  const outcomes = await queue.run(cases, {
    onDone: (done, index) => {
      times[index]! += 1;
      onDone(done);
    },
  });
  const wallMs = performance.now() - startMs;
  const cpu = cpuMs() - startCpuMs;
  const wrong = outcomes.findIndex(
    (each, index) => times[index] !== 1 || JSON.stringify(each) !== JSON.stringify(expected[index]),
  );
  return {
    difference:
      wrong < 0 ? null : `case ${wrong}, told ${times[wrong]} times: ${JSON.stringify(outcomes[wrong])}`,
    wallMs,
    idleRatio: 1 - (queue.counts.busyMs - busyMs) / (wallMs * workers),
    cpuMs: cpu,
  };
}

async function joined(redis: RedisServer, count: number): Promise<WorkerProcess[]> {
  const workers = Array.from({ length: count }, () =>
    workerProcess({ url: redis.url, build: buildOf(), env: ENV }),
  );
  await Promise.all(workers.map(worker => worker.until('joined')));
  return workers;
}

/** CPU so far of Redis, and of the workers' own threads. */
async function othersCpuMs(redis: RedisServer, workers: readonly WorkerProcess[]): Promise<number> {
  const ofWorkers = workers.map(async worker => {
    const from = worker.said().length;
    worker.kill('SIGUSR2');
    await worker.until('ms\n', from);
    return Number(/own CPU ([\d.]+) ms/.exec(worker.said().slice(from))?.[1]);
  });
  const info = await redis.inside().info('cpu');
  const ofRedis = [...info.matchAll(/^used_cpu_(?:sys|user):([\d.]+)/gm)].map(
    ([, sec]) => Number(sec) * 1000,
  );
  return [...ofRedis, ...(await Promise.all(ofWorkers))].reduce((sum, ms) => sum + ms, 0);
}

const ended = (workers: readonly WorkerProcess[]): Promise<unknown> =>
  Promise.all(
    workers.map(worker => {
      worker.kill();
      return worker.ended;
    }),
  );

/** On `count` workers that have compiled what they need. */
async function over(
  count: number,
  cases: readonly GridCase[],
  expected: readonly (Outcome | null)[],
): Promise<Ran> {
  const redis = await startRedis();
  const workers = await joined(redis, count);
  const queue = await openQueue(redis.url, { env: {} });
  try {
    // Threads load, code gets warm.
    await queue.run(cases.slice(0, 8 * count));
    const beforeMs = await othersCpuMs(redis, workers);
    const ran = await measured(queue, { cases, expected, workers: count });
    return { ...ran, cpuMs: ran.cpuMs + (await othersCpuMs(redis, workers)) - beforeMs };
  } finally {
    await queue.close();
    await ended(workers);
    await redis.close();
  }
}

/** One of two workers dies every 5 s, and another comes; Redis is killed and comes back, AOF with `everysec`. */
async function underFire(
  cases: readonly GridCase[],
  expected: readonly (Outcome | null)[],
): Promise<Ran & { kills: number; again: number; twice: number }> {
  const redis = await startRedis({ fsync: 'everysec' });
  const workers = await joined(redis, 2);
  const queue = await openQueue(redis.url, { env: {}, tell: () => {} });
  let kills = 0;
  const killing = setInterval(() => {
    // The one that has worked longest; on a busy machine a new one takes its time.
    const at = workers.findIndex(worker => worker.said().includes('took the first cases'));
    if (at < 0) return;
    workers.splice(at, 1)[0]!.kill();
    workers.push(workerProcess({ url: redis.url, build: buildOf(), env: ENV }));
    kills += 1;
  }, KILL_EVERY_MS);
  let restarted: Promise<void> | null = null;
  const onDone = (done: number): void => {
    if (done === Math.floor(cases.length / 3)) restarted ??= redis.kill().then(() => redis.start());
  };
  try {
    const ran = await measured(queue, { cases, expected, workers: 2, onDone });
    await restarted;
    return { ...ran, kills, again: queue.counts.again, twice: queue.counts.twice };
  } finally {
    clearInterval(killing);
    await queue.close();
    await ended(workers);
    await redis.close();
  }
}

const percent = (ratio: number): string => `${(100 * ratio).toFixed(1)} %`;
const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

/** Share of the CPU that ran no case, the worst of the three. */
export async function sweepScaleout(): Promise<Figure> {
  const cases = sweep();
  const [startMs, startCpuMs] = [performance.now(), cpuMs()];
  const outcomes: (Outcome | null)[] = await runGrid(cases, { jobs: 1 });
  const [aloneMs, aloneCpuMs] = [performance.now() - startMs, cpuMs() - startCpuMs];
  if (!outcomes.every(each => each?.ok === true)) throw new Error('a case failed');
  const parts: string[] = [];
  let value = 0;
  for (const count of [1, 2, 4]) {
    const ran = await over(count, cases, outcomes);
    if (ran.difference !== null) throw new Error(`${count} workers: ${ran.difference}`);
    const cpuRatio = ran.cpuMs / (ran.cpuMs + aloneCpuMs);
    value = Math.max(value, 100 * cpuRatio);
    parts.push(
      `${count}: ${seconds(ran.wallMs)}, ${percent(cpuRatio)} of the CPU, no case ran in ${percent(ran.idleRatio)} of the time`,
    );
  }
  const fire = await underFire(cases, outcomes);
  rmSync(FOLDER, { recursive: true, force: true });
  if (fire.difference !== null) throw new Error(`under fire: ${fire.difference}`);
  return {
    value,
    unit: '% of the CPU',
    detail: `${cases.length} runs, ${seconds(aloneMs)} on one thread; same bytes on workers ${parts.join('; ')}; and with ${fire.kills} workers killed and Redis (AOF, everysec) once: ${seconds(fire.wallMs)}, ${fire.again} runs sent again, ${fire.twice} came twice and counted once`,
  };
}
