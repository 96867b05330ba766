// AIBrix's least-latency, vtc-basic and pd, by hand.
import { describe, expect, test } from 'vitest';
import leastLatency from '../../../gateway/routing/aibrix-least-latency.ts';
import pd from '../../../gateway/routing/aibrix-pd.ts';
import vtc from '../../../gateway/routing/aibrix-vtc.ts';
import type { Router, RouterSetup } from '../../../gateway/routing/policy.ts';
import { arrival, content, setup, view } from '../../builders/routing.ts';

describe('aibrix-least-latency', () => {
  interface Answer {
    promptTokens: number;
    firstTokenMs: number;
    outputTokens: number;
    decodeMs: number;
  }
  /** Calls that take this on row 0 and row 1; each goes to the replica that has answered nothing yet. */
  function learnt(...answers: Answer[]): Router {
    const router = leastLatency.create({}, setup);
    for (const [row, { promptTokens, firstTokenMs, outputTokens, decodeMs }] of answers.entries()) {
      const given = arrival({ prompt: [content('p', promptTokens)] });
      const replicaId = 10 + row;
      router.route(given, view({ ids: [replicaId], nowMs: 1000 }));
      router.observe?.({ kind: 'first_token', id: given.id, replicaId, atMs: 1000 + firstTokenMs });
      const atMs = 1000 + firstTokenMs + decodeMs;
      router.observe?.({ kind: 'ended', id: given.id, replicaId, atMs, outputTokens });
    }
    return router;
  }

  test('scales what a replica took by what it was asked', () => {
    // Mean prompt 150, mean output 15. Row 0: 1 * 150 + 10 * 15 = 300. Row 1: 0.5 * 150 + 15 * 15 = 300, less or more.
    const first = { promptTokens: 100, firstTokenMs: 100, outputTokens: 10, decodeMs: 100 };
    const second = { promptTokens: 200, firstTokenMs: 100, outputTokens: 20 };
    expect(learnt(first, { ...second, decodeMs: 301 }).route(arrival(), view())).toBe(0);
    expect(learnt(first, { ...second, decodeMs: 299 }).route(arrival(), view())).toBe(1);
  });

  test('tries a replica that has answered nothing, and draws among several', () => {
    const answer = { promptTokens: 100, firstTokenMs: 100, outputTokens: 10, decodeMs: 100 };
    expect(learnt(answer).route(arrival(), view())).toBe(1);
    const drawn = Array.from({ length: 100 }, () =>
      learnt(answer).route(arrival(), view({ ids: [10, 11, 12] })),
    );
    expect(new Set(drawn)).toEqual(new Set([1, 2]));
  });

  test('a call that never had a token says nothing, and a replica that left is forgotten', () => {
    const router = learnt({ promptTokens: 100, firstTokenMs: 9e6, outputTokens: 10, decodeMs: 100 });
    const given = arrival();
    router.route(given, view({ ids: [11] }));
    router.observe?.({ kind: 'ended', id: given.id, replicaId: 11, atMs: 1, outputTokens: 0 });
    expect(router.route(arrival(), view())).toBe(1);
    router.observe?.({ kind: 'left', replicaId: 10, atMs: 2 });
    const drawn = Array.from({ length: 50 }, () => router.route(arrival(), view()));
    expect(new Set(drawn)).toEqual(new Set([0, 1]));
  });
});

describe('aibrix-vtc', () => {
  const call = (tenant: string | null, tokens: number) => arrival({ tenant, prompt: [content('p', tokens)] });
  /** Four replicas, so that places are far apart; chance adds less than a tenth. */
  const four = (nowMs: number, running = [0, 0, 0, 0]) => view({ nowMs, running });

  test('a tenant moves down the list by the tokens it had, outputs guessed and counted twice', () => {
    const router = vtc.create({}, setup);
    expect(router.route(call('a', 1000), four(0))).toBe(0);
    // 1000 + 2 * 1500 = 4000, the only tenant: the step is 4000, the place 1.
    expect(router.route(call('a', 1000), four(1))).toBe(1);
    // a has 8000. b had none: place 0, then 400 tokens: the step is (400 + 8000) / 2 = 4200.
    expect(router.route(call('b', 100), four(2))).toBe(0);
    expect(router.route(call('b', 100), four(3))).toBe(0);
    // a: 8000 / ((800 + 8000) / 2) = 1.8.
    expect(router.route(call('a', 1), four(4))).toBe(2);
  });

  test('the last replica is the end of the list, and a step is 1000 tokens at least', () => {
    const router = vtc.create({}, setup);
    for (let i = 0; i < 30; i++) router.route(call('heavy', 100_000), four(i));
    router.route(call('light', 1), four(40));
    expect(router.route(call('heavy', 1), four(41))).toBe(2); // the step is half of all it had
    const small = (tokens: number) => {
      const each = vtc.create({}, setup);
      each.route(call('a', tokens), four(0));
      return each.route(call('a', tokens), four(1));
    };
    expect(small(110)).toBe(0); // 4 * 110 / 1000, and 0.12 to the next is more than chance
    expect(small(140)).toBe(1); // 4 * 140 / 1000
  });

  test('tokens count for five minutes', () => {
    const router = vtc.create({}, setup);
    router.route(call('a', 1000), four(0));
    expect(router.route(call('a', 1), four(300_000))).toBe(1);
    // 301 s later the first is over; the 4 tokens that are left are no step.
    expect(router.route(call('a', 1), four(301_000))).toBe(0);
  });

  test('a hundred running requests weigh as much as one place', () => {
    const ask = (running: number) =>
      vtc.create({}, setup).route(call('a', 1), four(0, [running, 0, 200, 200]));
    expect(Array.from({ length: 20 }, () => ask(80)).every(row => row === 0)).toBe(true);
    expect(new Set(Array.from({ length: 50 }, () => ask(100)))).toEqual(new Set([0, 1]));
    const light = vtc.create({ utilization_weight: 2 }, setup);
    expect(light.route(call('a', 1), four(0, [80, 0, 0, 0]))).toBe(1);
  });

  test('a call without a tenant goes anywhere', () => {
    const router = vtc.create({}, setup);
    const rows = Array.from({ length: 100 }, () => router.route(call(null, 1000), four(0)));
    expect(new Set(rows)).toEqual(new Set([0, 1, 2, 3]));
  });
});

describe('aibrix-pd', () => {
  const create = (role: RouterSetup['role'], options = {}) => pd.create(options, { ...setup, role });
  const call = (...prompt: [string, number][]) =>
    arrival({ prompt: prompt.map(([name, tokens]) => content(name, tokens)) });

  test('a prefill goes where ten points more of the prompt were sent, or where there are fewer requests', () => {
    const ask = (shared: number, options = {}) => {
      const router = create('prefill', options);
      expect(router.route(call(['p', 1600]), view({ outstanding: [0, 1] }))).toBe(0);
      // The most requests cost 1, ten points of the prompt too.
      return router.route(call(['p', shared], ['q', 1600 - shared]), view({ outstanding: [5, 0] }));
    };
    expect(ask(176)).toBe(0); // 11 %
    expect(ask(144)).toBe(1); // 9 %
    expect(ask(176, { min_match_percent: 12 })).toBe(1);
  });

  test('what was sent counts for twenty minutes', () => {
    const ask = (nowMs: number) => {
      const router = create('prefill');
      router.route(call(['p', 1600]), view({ outstanding: [0, 1] }));
      return router.route(call(['p', 1600]), view({ nowMs, outstanding: [5, 0] }));
    };
    expect(ask(20 * 60_000 - 1)).toBe(0);
    expect(ask(20 * 60_000)).toBe(1);
  });

  test('a decode goes by requests over free KV', () => {
    // No throughput is known: (1 + 1) / (free / most free) against (0.5 + 1) / 1.
    const ask = (kvUsed: number) =>
      create('decode').route(call(['p', 1600]), view({ outstanding: [4, 2], kvUsedRatio: [0, kvUsed] }));
    expect(ask(0.24)).toBe(1);
    expect(ask(0.26)).toBe(0);
  });

  test('a decode goes by tokens of the last whole ten seconds', () => {
    const ask = (row1: number, nowMs = 15_000) => {
      const router = create('decode');
      const end = (replicaId: number, outputTokens: number) =>
        router.observe?.({ kind: 'ended', id: 1e9, replicaId, atMs: 5_000, outputTokens });
      end(10, 1000);
      end(11, row1);
      // Row 0: 1 + 1 - thr0 / most; row 1: 0.5 + 1 - thr1 / most.
      return router.route(call(['p', 1600]), view({ nowMs, outstanding: [4, 2] }));
    };
    expect(ask(499)).toBe(0);
    expect(ask(501)).toBe(1);
    expect(ask(0, 9_999)).toBe(1); // not over yet
    expect(ask(0, 25_000)).toBe(1); // long over
  });

  test('where a replica does both, each score counts as a share of the highest', () => {
    // Prefill 0 + 1 and 10 + 0.5, shares 2/21 and 1. Decode 2 / free and 1.5: shares 1 and 0.75 * free. So row 0 costs
    // 1.095, and row 1 less once a free share of 0.127 is gone.
    const ask = (kvUsed: number) => {
      const router = create('both');
      expect(router.route(call(['p', 1600]), view({ outstanding: [0, 1] }))).toBe(0);
      return router.route(call(['p', 1600]), view({ outstanding: [4, 2], kvUsedRatio: [kvUsed, 0] }));
    };
    expect(ask(0.87)).toBe(0);
    expect(ask(0.88)).toBe(1);
  });
});
