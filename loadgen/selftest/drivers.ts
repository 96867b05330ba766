// Loads driven by one thread or by several, and the CPU that it took.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { Histogram } from '../../scenarios/base/histogram.ts';
import type { ClockZero } from '../clock.ts';
import { createDriver, type Driven, type Driver, type Load, shareOf } from './drive.ts';

/** What a thread is started with, and what it is asked. */
export interface ThreadStart {
  zero: ClockZero;
  baseUrl: string;
  name: string;
}
export type Asked = { kind: 'connect'; sockets: number } | { kind: 'run'; load: Load } | { kind: 'close' };

/** `workers` threads, each with an equal share; one works in this thread. */
export function createDrivers(workers: number, zero: ClockZero, baseUrl: string): Driver {
  if (workers === 1) return createDriver(zero, baseUrl);
  const threads = Array.from({ length: workers }, (_, index) => {
    const workerData: ThreadStart = { zero, baseUrl, name: `${index}-` };
    return new Worker(new URL('./drive-thread.ts', import.meta.url), { workerData });
  });
  const ask = (of: (index: number) => Asked): Promise<unknown[]> =>
    Promise.all(
      threads.map(async (thread, index) => {
        const answered = once(thread, 'message');
        thread.postMessage(of(index));
        return (await answered)[0] as unknown;
      }),
    );
  return {
    connect: async sockets =>
      void (await ask(() => ({ kind: 'connect', sockets: Math.ceil(sockets / workers) }))),
    async run(load) {
      const parts = (await ask(index => ({ kind: 'run', load: shareOf(load, index, workers) }))) as Driven[];
      const gaps = new Histogram();
      for (const { chunkGapMs } of parts) gaps.merge(chunkGapMs);
      return { calls: parts.flatMap(({ calls }) => calls), chunkGapMs: gaps.toCounts() };
    },
    async close() {
      await ask(() => ({ kind: 'close' }));
      await Promise.all(threads.map(thread => thread.terminate()));
    },
  };
}

/** With the CPU of this process, all its threads, from the first call's start to the last one's end. */
export interface Costed extends Driven {
  cpuMs: number;
  elapsedMs: number;
}

export async function costed(driver: Driver, load: Load): Promise<Costed> {
  const cpu = process.cpuUsage();
  const startMs = performance.now();
  const driven = await driver.run(load);
  const { user, system } = process.cpuUsage(cpu);
  return { ...driven, cpuMs: (user + system) / 1000, elapsedMs: performance.now() - startMs };
}
