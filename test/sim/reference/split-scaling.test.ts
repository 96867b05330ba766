// Prefill and decode replicas that come and go apart: what a half still holds for the other keeps its replica there.
import { expect, test } from 'vitest';
import type { ScalingSpec, Spot } from '../../../engines/engine.ts';
import type { ClusterEvent } from '../../../sim/cluster.ts';
import { createCluster } from '../../../sim/reference/cluster.ts';
import { affineStep } from '../../builders/steps.ts';
import { deployment, limits, pool, submission } from './build.ts';

const KV_BYTES = 1000;

const byLoad = (given: Partial<ScalingSpec> = {}): ScalingSpec => ({
  policy: 'hpa',
  options: { metric: 'in_flight', target: 2, interval: 0.001, down_window: 0.002 },
  min: 1,
  max: 4,
  signalAgeMs: 0,
  drain: 'calls',
  drainMaxMs: Number.POSITIVE_INFINITY,
  ...given,
});

function play(
  scaling: { prefill: ScalingSpec | null; decode: ScalingSpec | null },
  spot: { prefill: Spot | null; decode: Spot | null } = { prefill: null, decode: null },
  crash: { atNs: number; draw: number } | null = null,
) {
  const step = affineStep({ baseNs: 100, perTokenNs: 10 });
  const half = { replicas: 1, limits: limits({ kvBlocks: 400 }), step, gpuId: null, tensorParallel: 1 };
  const spec = pool({
    ...half,
    scaling: scaling.decode,
    spot: spot.decode,
    kvBytesPerToken: KV_BYTES,
    disaggregation: {
      prefill: {
        ...half,
        usdPerGpuHour: null,
        scaling: scaling.prefill,
        coldStart: null,
        spot: spot.prefill,
      },
      linkBytesPerSec: 5e9, // slow: 40 tokens take 8 us, a prompt half a us
      linkLatencyMs: 0,
      overlapLayers: null,
      firstToken: 'decode',
      localBelowTokens: 0,
    },
  });
  const cluster = createCluster(deployment([spec], 'least-outstanding'));
  const requests = 120;
  for (let id = 0; id < requests; id++)
    cluster.submit(id * 300, submission(id, { promptTokens: 40, outputTokens: 20 }));
  if (crash !== null) cluster.crash(crash.atNs, 'pool', crash.draw);
  const events: ClusterEvent[] = [];
  for (let i = 0; i < 1e6 && !(i > 0 && cluster.isIdle()); i++) {
    cluster.advanceTo(cluster.nextNs());
    events.push(...cluster.drain());
  }
  // What is idle goes, a while later.
  for (let i = 0; i < 1000 && cluster.nextNs() < Number.POSITIVE_INFINITY; i++)
    cluster.advanceTo(cluster.nextNs());
  return { events, requests, spans: cluster.replicaSpans(), cluster };
}

const count = (spans: { replica: string }[], half: string): number =>
  spans.filter(({ replica }) => replica.includes(`/${half}/`)).length;

test.each([
  ['prefill', { prefill: byLoad(), decode: null }],
  ['decode', { prefill: null, decode: byLoad() }],
  ['both', { prefill: byLoad(), decode: byLoad() }],
] as const)('%s: every request is answered, and only that half grows', (which, scaling) => {
  const { events, requests, spans, cluster } = play(scaling);
  expect(events.filter(({ kind }) => kind === 'end')).toHaveLength(requests);
  expect(events.filter(({ kind }) => kind === 'failed')).toEqual([]);
  expect(count(spans, 'prefill') > 1).toBe(which !== 'decode');
  expect(count(spans, 'decode') > 1).toBe(which !== 'prefill');
  expect(spans.filter(({ goneMs }) => goneMs === null).length).toBeLessThan(spans.length);
  for (const { engine, kept } of cluster.replicas) expect([engine.usedBlocks, kept.length]).toEqual([0, 0]);
});

/** Taken back every few requests, with less notice than a request takes. */
const often: Spot = { perSec: 5e4, noticeMs: 1e-4 };

test.each([
  ['prefill', { prefill: often, decode: null }],
  ['decode', { prefill: null, decode: often }],
  ['both', { prefill: often, decode: often }],
] as const)(
  '%s replicas that are taken back: every request is over once, and nothing is held for it',
  (_, spot) => {
    const { events, requests, cluster } = play({ prefill: null, decode: null }, spot);
    const over = events.filter(({ kind }) => kind === 'end' || kind === 'failed');
    expect(new Set(over.map(({ id }) => id)).size).toBe(requests);
    expect(over).toHaveLength(requests);
    expect(over.filter(({ kind }) => kind === 'failed').length).toBeGreaterThan(3);
    for (const { engine, kept, waiting, running } of cluster.replicas)
      expect([engine.usedBlocks, kept.length, waiting.length, running.length]).toEqual([0, 0, 0, 0]);
  },
);

test('a crash takes a replica of either half, and nothing waits for it for ever', () => {
  const halves = new Set<string>();
  for (let draw = 0.05; draw < 1; draw += 0.1) {
    const { events, requests, spans, cluster } = play({ prefill: null, decode: null }, undefined, {
      atNs: 6000,
      draw,
    });
    const over = events.filter(({ kind }) => kind === 'end' || kind === 'failed');
    expect(over).toHaveLength(requests);
    const [lost] = spans.filter(({ isLost }) => isLost);
    halves.add(lost!.replica.split('/')[1]!);
    for (const { engine, kept } of cluster.replicas) expect([engine.usedBlocks, kept.length]).toEqual([0, 0]);
  }
  expect(halves).toEqual(new Set(['decode', 'prefill']));
});
