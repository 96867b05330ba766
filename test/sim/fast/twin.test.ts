// The fast engine against the reference, on drawn clusters with every feature that both model: every event at the same
// nanosecond, every counter, every gap between tokens, every sample equal. `WINDTUNNEL_TWINS=10000` runs that many cases.
import { expect, test } from 'vitest';
import type { ManagedCluster } from '../../../sim/cluster.ts';
import { FastCluster } from '../../../sim/fast/cluster.ts';
import { createCluster } from '../../../sim/reference/cluster.ts';
import { give } from '../reference/build.ts';
import { type DrawnCase, drawCase } from './draws.ts';

const CASES = Number(process.env.WINDTUNNEL_TWINS ?? 500);
const LOOKS = 150;

interface Story {
  events: string[];
  counters: object[];
  itlMs: object;
  samples: object[];
  beyondRange: string[];
  spans: object[];
}

/** Autoscalers look for ever, replicas come and go: a story with them is over when nothing is left to do. */
function isOver(cluster: ManagedCluster, { deployment }: DrawnCase): boolean {
  const isManaged = deployment.pools.some(({ scaling, spot }) => scaling !== null || spot !== null);
  return cluster.nextNs() === Number.POSITIVE_INFINITY || (isManaged && cluster.isIdle());
}

/** Runs to the end, looking every `lookNs` (0: never) at first. */
function tell(cluster: ManagedCluster, drawn: DrawnCase, lookNs: number): Story {
  const samples: object[] = [];
  for (const input of drawn.inputs) {
    give(cluster, input);
  }
  let lookAtNs = lookNs;
  let looks = 0;
  while (!isOver(cluster, drawn)) {
    const ns = cluster.nextNs();
    for (; lookNs > 0 && lookAtNs <= ns && looks < LOOKS; lookAtNs += lookNs, looks++)
      samples.push(...cluster.sample(lookAtNs / 1e6));
    cluster.advanceTo(ns);
    if (cluster instanceof FastCluster) for (const replica of cluster.replicas) replica.check();
  }
  // Within one instant the order of replicas is free.
  const events = cluster.drain().map(event => JSON.stringify(event, Object.keys(event).sort()));
  return {
    events: events.sort(),
    counters: cluster.counters(),
    itlMs: cluster.itlMs(),
    samples,
    beyondRange: cluster.beyondRange(),
    spans: cluster.replicaSpans(),
  };
}

test(`${CASES} drawn clusters: the fast engine tells what the reference tells`, () => {
  let preemptions = 0;
  let evictedBlocks = 0;
  let cancelled = 0;
  let hits = 0;
  let failed = 0;
  let started = 0;
  for (let seed = 0; seed < CASES; seed++) {
    const drawn = drawCase(seed);
    const lookNs = seed % 3 === 0 ? 97 : 0;
    const slow = tell(createCluster(drawn.deployment), drawn, lookNs);
    const fast = tell(new FastCluster(drawn.deployment), drawn, lookNs);
    const { limits } = drawn.deployment.pools[0]!;
    expect(fast, `case ${seed}: ${JSON.stringify(limits)}`).toEqual(slow);
    for (const counters of fast.counters as {
      preemptions: number;
      evictedBlocks: number;
      prefixHitsTokens: number;
    }[]) {
      preemptions += counters.preemptions;
      evictedBlocks += counters.evictedBlocks;
      hits += counters.prefixHitsTokens;
    }
    const kinds = fast.events.map(event => (JSON.parse(event) as { kind: string }).kind);
    const count = (kind: string): number => kinds.filter(each => each === kind).length;
    const given = drawn.inputs.filter(input => 'submission' in input).length;
    const over = count('end') + count('cancelled') + count('failed') + count('rejected');
    expect(over, `case ${seed}: every request is over once`).toBe(given);
    cancelled += count('cancelled');
    failed += count('failed');
    started += fast.spans.length - drawn.deployment.pools[0]!.replicas;
  }
  // Or the draws would not test what they are for.
  expect(preemptions).toBeGreaterThan(CASES / 2);
  expect(evictedBlocks).toBeGreaterThan(CASES * 10);
  expect(cancelled).toBeGreaterThan(CASES / 4);
  expect(hits).toBeGreaterThan(CASES * 10);
  expect(failed).toBeGreaterThan(CASES / 20);
  expect(started).toBeGreaterThan(CASES / 4);
}, 600_000);

test(`${CASES} drawn disaggregated pools: the fast engine tells what the reference tells`, () => {
  let transfers = 0;
  let preemptions = 0;
  let cancelled = 0;
  let failed = 0;
  // In the last one a request fails while its cancel waits for a step to end.
  for (const seed of [...Array(CASES).keys(), 785]) {
    const drawn = drawCase(seed, true);
    const lookNs = seed % 3 === 0 ? 97 : 0;
    const slow = tell(createCluster(drawn.deployment), drawn, lookNs);
    const fast = tell(new FastCluster(drawn.deployment), drawn, lookNs);
    expect(fast, `case ${seed}`).toEqual(slow);
    for (const { preemptions: each } of fast.counters as { preemptions: number }[]) preemptions += each;
    const events = fast.events.map(event => JSON.parse(event) as { kind: string; transfer?: object });
    const count = (kind: string): number => events.filter(each => each.kind === kind).length;
    const given = drawn.inputs.filter(input => 'submission' in input).length;
    const over = count('end') + count('cancelled') + count('failed') + count('rejected');
    expect(over, `case ${seed}: every request is over once`).toBe(given);
    transfers += events.filter(({ transfer }) => transfer !== undefined).length;
    cancelled += count('cancelled');
    failed += count('failed');
  }
  // Or the draws would not test what they are for.
  expect(transfers).toBeGreaterThan(CASES * 2);
  expect(preemptions).toBeGreaterThan(CASES / 4);
  expect(cancelled).toBeGreaterThan(CASES / 4);
  expect(failed).toBeGreaterThan(CASES / 20);
}, 600_000);

test('both engines have computed as long, whenever one looks, and never longer than time went on', () => {
  let looksWithWork = 0;
  for (let seed = 0; seed < 150; seed++) {
    const drawn = drawCase(seed);
    const clusters = [createCluster(drawn.deployment), new FastCluster(drawn.deployment)];
    for (const cluster of clusters) for (const input of drawn.inputs) give(cluster, input);
    const before = new Map<string, number>();
    for (let look = 1; look <= 60; look++) {
      const nowNs = look * (97 + 13 * (seed % 7));
      const [slow, fast] = clusters.map(cluster => {
        cluster.advanceTo(nowNs);
        return cluster.counters().map(({ replica, busyNs }) => ({ replica, busyNs }));
      }) as [{ replica: string; busyNs: number }[], { replica: string; busyNs: number }[]];
      expect(fast, `case ${seed} at ${nowNs} ns`).toEqual(slow);
      for (const { replica, busyNs } of fast) {
        const sinceNs = busyNs - (before.get(replica) ?? 0);
        expect(sinceNs >= 0 && busyNs <= nowNs, `case ${seed}: ${sinceNs} ns more`).toBe(true);
        if (sinceNs > 0) looksWithWork++;
        before.set(replica, busyNs);
      }
    }
  }
  expect(looksWithWork).toBeGreaterThan(2000);
});

test('odd polling, and giving inputs late, changes no event', () => {
  for (let seed = 0; seed < 150; seed++) {
    const drawn = drawCase(seed);
    const calm = tell(new FastCluster(drawn.deployment), drawn, 0);
    const cluster = new FastCluster(drawn.deployment);
    const events: string[] = [];
    let nowNs = 0;
    const look = (ns: number, gap: number) => {
      for (let i = 0; i < 40 && nowNs + gap < ns; i++) {
        nowNs += gap;
        cluster.advanceTo(nowNs);
        cluster.sample(nowNs / 1e6);
        if (i % 7 === 0) cluster.counters();
      }
      cluster.advanceTo(ns);
      nowNs = ns;
      events.push(...cluster.drain().map(event => JSON.stringify(event, Object.keys(event).sort())));
    };
    for (const input of drawn.inputs) {
      look(input.atNs, 1 + (seed % 11));
      give(cluster, input);
    }
    while (!isOver(cluster, drawn)) look(cluster.nextNs(), 1 + (seed % 5));
    expect(events.sort(), `case ${seed}`).toEqual(calm.events);
    expect(cluster.itlMs()).toEqual(calm.itlMs);
  }
});
