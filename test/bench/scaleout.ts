// A sweep of 400 runs on a queue: the same bytes over one, two and four workers, then while workers are killed every 5 s
// and Redis once; and which share of the workers' time was not spent on cases.

import type { GridCase, Outcome } from '../../lab/grid/case.ts';
import { sizedTo } from '../../lab/grid/load-factor.ts';
import { runGrid } from '../../lab/grid/run-grid.ts';
import { buildOf } from '../../lab/queue/build.ts';
import { type OpenQueue, openQueue } from '../../lab/queue/run-on-queue.ts';
import { loadScenario } from '../../scenarios/cli/load.ts';
import { type WorkerProcess, workerProcess } from '../builders/queue-worker.ts';
import { type RedisServer, startRedis } from '../builders/redis.ts';
import type { Figure } from './figure.ts';

const KILL_EVERY_MS = 5_000;
const CALLS = 4_000;

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
  readonly isSame: boolean;
  readonly wallMs: number;
  /** Of the workers' time, what no case ran in. */
  readonly idleRatio: number;
  /** CPU of the coordinator over the workers' time. */
  readonly coordinatorRatio: number;
}

const cpuMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

async function measured(
  queue: OpenQueue,
  of: { cases: readonly GridCase[]; expected: string; workers: number; onDone?: (done: number) => void },
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
  return {
    isSame: JSON.stringify(outcomes) === expected && times.every(n => n === 1),
    wallMs,
    idleRatio: 1 - (queue.counts.busyMs - busyMs) / (wallMs * workers),
    coordinatorRatio: cpu / (wallMs * workers),
  };
}

async function joined(redis: RedisServer, count: number): Promise<WorkerProcess[]> {
  const workers = Array.from({ length: count }, () => workerProcess({ url: redis.url, build: buildOf() }));
  await Promise.all(workers.map(worker => worker.until('joined')));
  return workers;
}

const ended = (workers: readonly WorkerProcess[]): Promise<unknown> =>
  Promise.all(
    workers.map(worker => {
      worker.kill();
      return worker.ended;
    }),
  );

/** On `count` workers that have compiled what they need. */
async function over(count: number, cases: readonly GridCase[], expected: string): Promise<Ran> {
  const redis = await startRedis();
  const workers = await joined(redis, count);
  const queue = await openQueue(redis.url, { env: {} });
  try {
    await queue.run(cases.slice(0, 8 * count));
    return await measured(queue, { cases, expected, workers: count });
  } finally {
    await queue.close();
    await ended(workers);
    await redis.close();
  }
}

/** One of two workers dies every 5 s, and another comes; Redis is killed and comes back, AOF with `everysec`. */
async function underFire(
  cases: readonly GridCase[],
  expected: string,
): Promise<Ran & { kills: number; again: number; twice: number }> {
  const redis = await startRedis({ fsync: 'everysec' });
  const workers = await joined(redis, 2);
  const queue = await openQueue(redis.url, { env: {}, tell: () => {} });
  let kills = 0;
  const killing = setInterval(() => {
    workers[kills % 2]!.kill();
    workers[kills % 2] = workerProcess({ url: redis.url, build: buildOf() });
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

/** Share of the workers' time in which no case ran, at two workers. */
export async function sweepScaleout(): Promise<Figure> {
  const cases = sweep();
  const startMs = performance.now();
  const outcomes: (Outcome | null)[] = await runGrid(cases, { jobs: 1 });
  const aloneMs = performance.now() - startMs;
  if (!outcomes.every(each => each?.ok === true)) throw new Error('a case failed');
  const expected = JSON.stringify(outcomes);
  const parts: string[] = [];
  let value = 0;
  for (const count of [1, 2, 4]) {
    const ran = await over(count, cases, expected);
    if (!ran.isSame) throw new Error(`${count} workers gave another answer`);
    if (count === 2) value = 100 * ran.idleRatio;
    parts.push(
      `${count}: ${seconds(ran.wallMs)}, no case ran in ${percent(ran.idleRatio)} of the workers' time, coordinator's CPU ${percent(ran.coordinatorRatio)}`,
    );
  }
  const fire = await underFire(cases, expected);
  if (!fire.isSame) throw new Error('the sweep under fire gave another answer');
  return {
    value,
    unit: '% of the workers’ time',
    detail: `${cases.length} runs, ${seconds(aloneMs)} on one thread; same bytes on workers ${parts.join('; ')}; and with ${fire.kills} workers killed and Redis (AOF, everysec) once: ${seconds(fire.wallMs)}, ${fire.again} runs sent again, ${fire.twice} came twice and counted once`,
  };
}
