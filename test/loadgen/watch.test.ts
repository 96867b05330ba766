// A watch over servers of this process: `text` answers what a test lets them say.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { resolveEndpoint } from '../../engines/endpoint.ts';
import type { Balancer, Signals } from '../../gateway/routing/balancer.ts';
import { ServerWatch, type WatchOptions } from '../../loadgen/watch.ts';
import { vllmText } from '../builders/metrics.ts';

const endpoint = (url: string) => resolveEndpoint({ url: `${url}/v1` }, 'm', 'vllm');

/** What a router was told, scrape by scrape. */
class Told {
  readonly scrapes: { atMs: number; signals: Signals[] }[] = [];
  wantsScrapes = true;
  private readonly rows: number;

  constructor(rows: number) {
    this.rows = rows;
  }

  scraped(atMs: number, signalsOf: (row: number) => Signals): void {
    this.scrapes.push({ atMs, signals: Array.from({ length: this.rows }, (_, row) => signalsOf(row)) });
  }
}

function watching(
  answers: Readonly<Record<string, (path: string) => string | null | Promise<string | null>>>,
  more: Partial<WatchOptions> = {},
) {
  const urls = Object.keys(answers).filter(url => !url.includes(':9400'));
  const told = new Told(urls.length);
  const asked: { url: string; path: string; atMs: number }[] = [];
  const watch = new ServerWatch({
    targets: [
      {
        name: 'main',
        endpoints: urls.map(endpoint),
        replicas: urls.map((_, row) => `main/${row}`),
        balancer: told as unknown as Balancer,
      },
    ],
    intervalMs: 100,
    nowMs: () => performance.now(),
    text: async (url, path) => {
      asked.push({ url, path, atMs: performance.now() });
      return answers[url]!(path);
    },
    ...more,
  });
  return { watch, told, asked };
}

const served =
  (state: { done: number; running?: number; startedSec?: number }) =>
  (path: string): string | null => {
    if (path === '/metrics') return vllmText(state.done, state);
    return path === '/version' ? '{"version":"0.32.0"}' : null;
  };

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('a run that is watched', () => {
  test('reports what each server counted between its first and its last look', async () => {
    const states = [{ done: 7 }, { done: 100 }];
    const { watch } = watching({ 'http://a': served(states[0]!), 'http://b': served(states[1]!) });
    await watch.start();
    await vi.advanceTimersByTimeAsync(2500);
    states[0]!.done = 12;
    states[1]!.done = 101;
    await watch.stop();
    expect(watch.reports()).toMatchObject([
      {
        replica: 'main/0',
        engine: 'vllm',
        version: '0.32.0',
        requestsFinished: 5,
        promptTokens: 500,
        restarted: false,
      },
      { replica: 'main/1', requestsFinished: 1, kvBlocks: 2048, blockTokens: 16, scrapesFailed: 0 },
    ]);
    expect(watch.reports()[0]!.latencies.ttft!.count).toBe(5);
  });

  test('has a sample of every server each second, and the most requests that were seen', async () => {
    const state = { done: 0, running: 3 };
    const { watch, told } = watching({
      'http://a': served(state),
      'http://b': served({ done: 0, running: 1 }),
    });
    await watch.start();
    await vi.advanceTimersByTimeAsync(1450);
    state.running = 9;
    await vi.advanceTimersByTimeAsync(200);
    state.running = 2;
    await vi.advanceTimersByTimeAsync(1500);
    await watch.stop();
    const seconds = watch.timeline.filter(({ replica }) => replica === 'main/0').map(({ atMs }) => atMs);
    expect(seconds.map(atMs => Math.round(atMs / 1000))).toEqual([0, 1, 2, 3]);
    expect(watch.inFlightMax).toBe(10);
    expect(told.scrapes.some(({ signals }) => signals[0]!.running === 9 && signals[1]!.running === 1)).toBe(
      true,
    );
  });

  test('looks at whole multiples of the interval, and once a second where nobody reads', async () => {
    const { watch, told, asked } = watching({ 'http://a': served({ done: 0 }) }, { intervalMs: 250 });
    const zeroMs = performance.now();
    await watch.start();
    asked.length = 0;
    await vi.advanceTimersByTimeAsync(2000);
    expect(asked.length).toBe(8);
    for (const { atMs } of asked) expect(atMs % 250).toBeLessThan(2);
    told.wantsScrapes = false;
    await vi.advanceTimersByTimeAsync(1000);
    asked.length = 0;
    await vi.advanceTimersByTimeAsync(3000);
    expect(asked.length).toBe(3);
    expect(zeroMs).toBeGreaterThanOrEqual(0);
    await watch.stop();
  });

  test('a restart in the middle is seen, and both pieces count', async () => {
    const state = { done: 10, startedSec: 5 };
    const { watch } = watching({ 'http://a': served(state) });
    await watch.start();
    state.done = 14;
    await vi.advanceTimersByTimeAsync(1100);
    Object.assign(state, { done: 3, startedSec: 90 });
    await vi.advanceTimersByTimeAsync(1100);
    state.done = 6;
    await watch.stop();
    expect(watch.reports()[0]).toMatchObject({ restarted: true, requestsFinished: 4 + 6 });
  });
});

describe('a server that is in the way of nothing', () => {
  test('is asked again only when it has answered, and the others go on', async () => {
    let slowAsked = 0;
    const { watch, asked } = watching({
      'http://slow': async path => {
        if (path === '/version') return null;
        if (++slowAsked > 2) await new Promise(resolve => setTimeout(resolve, 700));
        return vllmText(1);
      },
      'http://fast': served({ done: 1 }),
    });
    await watch.start();
    asked.length = 0;
    await vi.advanceTimersByTimeAsync(2100);
    const slow = asked.filter(({ url }) => url === 'http://slow').map(({ atMs }) => atMs);
    for (const [i, atMs] of slow.slice(1).entries()) expect(atMs - slow[i]!).toBeGreaterThanOrEqual(700);
    expect(asked.filter(({ url }) => url === 'http://fast').length).toBe(21);
    const stopped = watch.stop();
    await vi.advanceTimersByTimeAsync(3000);
    await stopped;
  });

  test('one that hangs for good holds up neither the end nor the report of the other', async () => {
    let looks = 0;
    const state = { done: 1 };
    const { watch } = watching({
      'http://hung': path =>
        path === '/metrics' && ++looks > 2 ? new Promise(() => {}) : served({ done: 1 })(path),
      'http://well': served(state),
    });
    await watch.start();
    await vi.advanceTimersByTimeAsync(1500);
    state.done = 4;
    const stopped = watch.stop();
    await vi.advanceTimersByTimeAsync(6000);
    await stopped;
    expect(watch.reports()[1]!.requestsFinished).toBe(3);
  });

  test('without metrics it has no sample, and its report says that nothing is known', async () => {
    const { watch } = watching({ 'http://a': () => null, 'http://b': () => '[{"iter": 1}]' });
    await watch.start();
    await vi.advanceTimersByTimeAsync(3000);
    await watch.stop();
    expect(watch.timeline).toEqual([]);
    expect(watch.inFlightMax).toBeNull();
    for (const report of watch.reports())
      expect(report).toMatchObject({ engine: null, requestsFinished: null, latencies: {}, scrapes: 0 });
  });

  test('metrics are found where NIM and trtllm-serve have them', async () => {
    const at = (path: string, text: string) => (asked: string) => (asked === path ? text : null);
    const { watch } = watching({
      'http://nim': at('/v1/metrics', 'num_requests_running 2\nnum_request_max 8\n'),
      'http://trtllm': path =>
        path === '/metrics' ? '[]' : at('/prometheus/metrics', 'trtllm_num_requests_running 3\n')(path),
    });
    await watch.start();
    await watch.stop();
    expect(watch.reports().map(({ engine }) => engine)).toEqual(['nim', 'tensorrt-llm']);
    expect(watch.inFlightMax).toBe(5);
  });
});

test('GPUs of an exporter are looked at each second', async () => {
  let percent = 10;
  const { watch, asked } = watching(
    {
      'http://a': served({ done: 0 }),
      'http://node:9400': () => `DCGM_FI_DEV_GPU_UTIL{gpu="0"} ${percent}\n`,
    },
    { gpuUrls: ['http://node:9400'] },
  );
  await watch.start();
  percent = 90;
  await vi.advanceTimersByTimeAsync(2100);
  await watch.stop();
  expect(watch.gpus.map(({ atMs, utilization }) => [Math.round(atMs / 1000), utilization])).toEqual([
    [0, 0.1],
    [1, 0.9],
    [2, 0.9],
  ]);
  expect(asked.find(({ url }) => url === 'http://node:9400')!.path).toBe('/metrics');
});
