import { expect, test } from 'vitest';
import { readServer } from '../../engines/metrics/read.ts';
import { ServerCounts } from '../../loadgen/server-counts.ts';
import { vllmText } from '../builders/metrics.ts';

/** Looks at a server that has finished so many requests since its start. */
function looks(...states: (readonly [done: number, startedSec: number])[]): ServerCounts {
  const counts = new ServerCounts();
  for (const [done, startedSec] of states) counts.take(readServer(vllmText(done, { startedSec }))!);
  return counts;
}

test('the run is the end less the start, whatever was before', () => {
  const { counters, latencies } = looks([7, 1], [9, 1], [12, 1]).total();
  expect(counters).toMatchObject({
    requestsFinished: 5,
    promptTokens: 500,
    prefixHitTokens: 200,
    preemptions: 0,
  });
  expect(latencies.ttft).toMatchObject({
    count: 5,
    buckets: [
      [50, 0],
      [100, 5],
      [250, 5],
      [null, 5],
    ],
  });
  expect(latencies.ttft!.sum).toBeCloseTo(500);
});

test('a server that began anew is noticed, and its pieces are summed', () => {
  const fell = looks([7, 1], [10, 1], [2, 1], [4, 1]);
  expect(fell.restarted).toBe(true);
  expect(fell.total().counters.requestsFinished).toBe(3 + 4);
  expect(fell.total().latencies.ttft).toMatchObject({ count: 7 });
  // It has already counted more than before: its process is another one all the same.
  const grown = looks([2, 1], [3, 1], [5, 60]);
  expect(grown.restarted).toBe(true);
  expect(grown.total().counters.requestsFinished).toBe(1 + 5);
});

test('one look counts nothing, and none says nothing', () => {
  expect(looks([7, 1]).total().counters.requestsFinished).toBe(0);
  expect(looks().total()).toMatchObject({ counters: { requestsFinished: null }, latencies: {} });
});

test('a counter that first shows itself during the run was 0 before', () => {
  const counts = new ServerCounts();
  counts.take(readServer('# TYPE vllm:prompt_tokens counter\n')!);
  counts.take(readServer(vllmText(3))!);
  expect(counts.restarted).toBe(false);
  expect(counts.total().counters.promptTokens).toBe(300);
  expect(counts.total().latencies.ttft!.count).toBe(3);
});
