// Every retention policy by its contract, and what each one says of given calls, by hand.
import { describe, expect, test } from 'vitest';
import { parseDeployment } from '../../../scenarios/formats/deployment/deployment.ts';
import { retention as schema } from '../../../scenarios/formats/deployment/retention.ts';
import { parseSource } from '../../../scenarios/formats/source.ts';
import { bestExponentialTtlMs, bestTtlMs } from '../../../sim/retention/continuum-paper.ts';
import { retentionPolicies, retentionPolicy } from '../../../sim/retention/index.ts';
import type { Keeper } from '../../../sim/retention/policy.ts';
import { run } from '../reference/build.ts';
import { call, left, setup } from './build.ts';

const FOREVER = Number.POSITIVE_INFINITY;
const names = Object.keys(retentionPolicies);

function keeperOf(name: string, options: Record<string, unknown> = {}): Keeper {
  const keeper = retentionPolicy(name).create(options, setup);
  if (keeper === null) throw new Error(`${name} leaves the order to the engine`);
  return keeper;
}

/** What it says of all that a call leaves. */
const wordOn = (keeper: Keeper, ...of: Parameters<typeof left>) =>
  keeper.letGo(left(...of)).worth.map(({ rank, untilMs }) => [rank, untilMs]);

describe.each(names)('%s', name => {
  test('says what it is and where it is from', () => {
    const { doc, source } = retentionPolicies[name]!;
    expect(retentionPolicies[name]!.name).toBe(name);
    expect(doc).toMatch(/^[A-Z].*\.$/);
    expect(source.length).toBeGreaterThan(3);
  });

  test('refuses an option that it does not have', () => {
    expect(() => retentionPolicy(name).create({ nonsense: 1 }, setup)).toThrow(
      `policy ${name} has no option nonsense`,
    );
  });

  test('gives whole ranks to ranges in order, and times that are not past', () => {
    const keeper = retentionPolicy(name).create({}, setup);
    if (keeper === null) return;
    for (let turn = 1; turn < 300; turn++) {
      const atMs = turn * 1000;
      const session = `session ${turn % 7}`;
      const retention = [
        { fromToken: 3, toToken: 9, priority: 1 + (turn % 100), durationMs: turn % 3 ? 10 : null },
      ];
      const one = call(session, 4 * turn, { step: `step ${turn % 3}`, retention });
      keeper.observe?.({ kind: 'arrived', call: one, atMs });
      keeper.observe?.({ kind: 'admitted', call: one, atMs, queuedMs: turn, cachedTokens: 0 });
      const { worth, prefetchMs = atMs } = keeper.letGo(left(one, atMs + 100));
      for (const { fromBlock, toBlock, rank, untilMs } of worth) {
        expect(fromBlock).toBeLessThanOrEqual(toBlock);
        expect(Number.isInteger(rank)).toBe(true);
        expect(untilMs).toBeGreaterThanOrEqual(atMs + 100);
      }
      expect(prefetchMs).toBeGreaterThanOrEqual(atMs);
      if (turn % 20 === 0) keeper.observe?.({ kind: 'session_ended', session, atMs });
    }
  });

  test('is a policy that a deployment file can name', () => {
    const text = `windtunnel: 1\ndeployment: d\npools:\n  p:\n    model: m\n    gpu: g\n    retention: { policy: ${name} }\n`;
    const { issues, unbuilt } = parseDeployment(parseSource(text, 'd.yaml'));
    expect([...issues, ...unbuilt]).toEqual([]);
  });
});

test('a deployment file can name no other', () => {
  const named = schema.def.options.map(each => String(each.shape.policy.value));
  expect(named.toSorted()).toEqual(names.toSorted());
});

test('an unknown policy is answered with the nearest name', () => {
  expect(() => retentionPolicy('kvflo')).toThrow('unknown retention policy "kvflo"');
});

test('lru leaves the order to the engine', () => {
  expect(retentionPolicy('lru').create({}, setup)).toBeNull();
});

test('priority: the range that the first token of a block lies in counts, within the prompt', () => {
  const retention = [
    { fromToken: 0, toToken: 6, priority: 100, durationMs: null },
    { fromToken: 6, toToken: null, priority: 10, durationMs: 500 },
  ];
  // Blocks begin at 0, 4, 8, …; the prompt ends at 18, so that the last block of it begins at 16.
  const { worth } = keeperOf('priority').letGo(left(call('s', 18, { retention }), 1000, 30));
  expect(worth).toEqual([
    { fromBlock: 0, toBlock: 2, rank: 65, untilMs: FOREVER },
    { fromBlock: 2, toBlock: 5, rank: -25, untilMs: 1500 },
  ]);
});

test('ttl: five minutes from the last use, or as it is told', () => {
  expect(wordOn(keeperOf('ttl'), call('s', 8), 1000)).toEqual([[1, 301_000]]);
  expect(wordOn(keeperOf('ttl', { ttl: 20 }), call('s', 8), 1000)).toEqual([[1, 1020]]);
});

describe('continuum-code', () => {
  test('keeps for two seconds what is behind a step whose tools took two seconds on average, and no more', () => {
    const keeper = keeperOf('continuum-code');
    expect(wordOn(keeper, call('a', 8), 0)).toEqual([[1, 2000]]); // nothing is known: 0
    keeper.observe!({ kind: 'arrived', call: call('a', 12), atMs: 1000 });
    expect(wordOn(keeper, call('a', 12), 2000)).toEqual([[1, 4000]]);
    keeper.observe!({ kind: 'arrived', call: call('a', 16), atMs: 5000 });
    expect(wordOn(keeper, call('a', 16), 6000)).toEqual([[1, 8000]]); // (1000 + 3000) / 2
    keeper.observe!({ kind: 'arrived', call: call('a', 20), atMs: 8001 });
    expect(wordOn(keeper, call('a', 20), 9000)).toEqual([[0, FOREVER]]); // 6001 / 3
  });

  test('knows each step by its own tools', () => {
    const keeper = keeperOf('continuum-code');
    keeper.letGo(left(call('a', 8, { step: 'slow' }), 0));
    keeper.observe!({ kind: 'arrived', call: call('a', 12), atMs: 9000 });
    expect(wordOn(keeper, call('b', 8, { step: 'slow' }), 9500)).toEqual([[0, FOREVER]]);
    expect(wordOn(keeper, call('b', 8, { step: 'quick' }), 9500)).toEqual([[1, 11_500]]);
  });

  test('unpins what a session left when it ends', () => {
    const keeper = keeperOf('continuum-code');
    const last = left(call('a', 8), 0);
    keeper.letGo(last);
    expect(keeper.observe!({ kind: 'session_ended', session: 'a', atMs: 10 })).toEqual([
      { left: last, rank: 0, untilMs: FOREVER },
    ]);
    expect(keeper.observe!({ kind: 'session_ended', session: 'a', atMs: 20 })).toEqual([]);
  });
});

describe('continuum-paper', () => {
  test('weighs the share of tools that are back against the time until then', () => {
    // With a benefit of 1000: 100/4 … 250 - 100, 500 - 200, 750 - 300 = 450, 1000 - 800.
    expect(bestTtlMs([100, 200, 300, 800], 1000, 1)).toBe(300);
    // 1000 - 800 is most once the others are worth less: at a quarter of the price, 750 - 75 and 1000 - 200.
    expect(bestTtlMs([100, 200, 300, 800], 1000, 0.25)).toBe(800);
    expect(bestTtlMs([100, 200, 300, 800], 399, 1)).toBe(0); // 99.75 - 100, 199.5 - 200, 299.25 - 300
    expect(bestTtlMs([], 1000, 1)).toBe(0);
  });

  test('without samples, an exponential: mean * ln(benefit / mean) where that is positive', () => {
    expect(bestExponentialTtlMs(1000, 2718.281828459045, 1)).toBeCloseTo(1000, 9);
    expect(bestExponentialTtlMs(1000, 1000, 1)).toBe(0);
    expect(bestExponentialTtlMs(1000, 2718.281828459045, 2)).toBeCloseTo(1000 * (1 - Math.LN2), 9);
    expect(bestExponentialTtlMs(1000, 10, 0)).toBe(FOREVER);
  });

  test('the benefit is the wait in the queue and the time to have the context again', () => {
    const keeper = keeperOf('continuum-paper');
    // A context of 4000 tokens takes 4000 ms: 1000 * ln(4).
    const [[rank, untilMs]] = wordOn(keeper, call('a', 4000), 0) as [[number, number]];
    expect([rank, untilMs]).toEqual([1, expect.closeTo(1000 * Math.log(4), 6)]);
    // Waits of 2000 and 6000 ms are 4000 more.
    for (const queuedMs of [2000, 6000])
      keeper.observe!({ kind: 'admitted', call: call('b', 8), atMs: 0, queuedMs, cachedTokens: 0 });
    expect(wordOn(keeper, call('a', 4000), 0)[0]![1]).toBeCloseTo(1000 * Math.log(8), 6);
  });

  test('with samples enough, the step has its own distribution', () => {
    const keeper = keeperOf('continuum-paper', { cold_samples: 3 });
    // Four gaps of step `step`: 100, 200, 300, 800 ms.
    let tokens = 8;
    let atMs = 0;
    for (const gapMs of [300, 100, 800, 200]) {
      keeper.letGo(left(call('a', tokens), atMs));
      atMs += gapMs;
      tokens += 4;
      keeper.observe!({ kind: 'arrived', call: call('a', tokens), atMs });
    }
    expect(wordOn(keeper, call('c', 1000), 0)).toEqual([[1, 300]]);
    // Another step has none yet: those of all.
    expect(wordOn(keeper, call('c', 1000, { step: 'other' }), 0)).toEqual([[1, 300]]);
    expect(wordOn(keeper, call('c', 399), 0)).toEqual([[0, FOREVER]]);
  });

  test('how far a session is says how much of the wait counts: sessions of 2 and 4 calls', () => {
    const keeper = keeperOf('continuum-paper', { cold_samples: 0 });
    for (const [session, calls] of [
      ['two', 2],
      ['four', 4],
    ] as const) {
      for (let i = 1; i <= calls; i++) {
        const one = call(session, 8 * i);
        keeper.observe!({ kind: 'arrived', call: one, atMs: 1000 * i });
        keeper.letGo(left(one, 1000 * i + 500)); // gaps of 500 ms
      }
      keeper.observe!({ kind: 'session_ended', session, atMs: 9000 });
    }
    keeper.observe!({ kind: 'admitted', call: call('x', 8), atMs: 0, queuedMs: 1000, cachedTokens: 0 });
    // Pairs (k, N - k): (1,1) and (1,3), (2,2), (3,1). Sums 7 and 7, squares 15, products 11:
    // corr = (4 * 11 - 49) / (4 * 15 - 49) = -5/11, so the benefit of c tokens is 5/11 * 1000 + c, worth it above 500.
    expect(wordOn(keeper, call('x', 45), 0)).toEqual([[0, FOREVER]]);
    expect(wordOn(keeper, call('x', 46), 0)).toEqual([[1, 500]]);
  });
});

describe('kvflow', () => {
  /** Sessions of planner, two workers with contexts of their own, planner again. */
  function playSession(keeper: Keeper, session: string, fromMs: number): void {
    const prompts = [
      { step: 'plan', prompt: [run(`plan ${session}`, 8)] },
      { step: 'work', prompt: [run(`first ${session}`, 8)] },
      { step: 'work', prompt: [run(`second ${session}`, 8)] },
      { step: 'plan', prompt: [run(`plan ${session}`, 16)] },
    ];
    for (const [i, { step, prompt }] of prompts.entries()) {
      const one = call(session, prompt[0]!.tokens, { step, prompt });
      keeper.observe!({ kind: 'arrived', call: one, atMs: fromMs + 1000 * i });
      keeper.letGo(left(one, fromMs + 1000 * i + 400));
    }
    keeper.observe!({ kind: 'session_ended', session, atMs: fromMs + 9000 });
  }

  test('learns how many calls of a session come before a context is needed again, and which never is', () => {
    const keeper = keeperOf('kvflow');
    expect(wordOn(keeper, call('x', 8, { step: 'plan' }), 0)).toEqual([[-1, FOREVER]]); // nothing is known
    playSession(keeper, 'a', 0);
    // The plan of the first call came back with the fourth, 3 calls later; that of the fourth never did: 3 / (1/2).
    expect(wordOn(keeper, call('b', 8, { step: 'plan' }), 0)).toEqual([[-6, FOREVER]]);
    expect(wordOn(keeper, call('b', 8, { step: 'work' }), 0)).toEqual([[-1000, FOREVER]]);
  });

  test('each call of the session brings its other contexts a step nearer, and the last ones are fetched', () => {
    const keeper = keeperOf('kvflow');
    playSession(keeper, 'a', 0);
    const plan = left(call('b', 8, { step: 'plan', prompt: [run('plan b', 8)] }), 20_000);
    keeper.observe!({ kind: 'arrived', call: plan.call, atMs: 19_000 });
    keeper.letGo(plan);
    const other = (i: number) => call('b', 8, { step: 'other', prompt: [run(`other ${i}`, 8)] });
    const ranks: unknown[] = [];
    for (let i = 1; i <= 6; i++)
      ranks.push(...keeper.observe!({ kind: 'arrived', call: other(i), atMs: 20_000 + i }));
    const changed = (rank: number, more = {}) => ({ left: plan, rank, untilMs: FOREVER, ...more });
    // From the end of the planner's first call to its second, 2600 ms: 500 ms before that, from now on.
    const prefetchMs = 20_005 + 2600 - 500;
    expect(ranks).toEqual([changed(-5), changed(-4), changed(-3), changed(-2), changed(-1, { prefetchMs })]);
  });

  test('what a session that is over left is needed by nobody', () => {
    const keeper = keeperOf('kvflow');
    const last = left(call('a', 8), 0);
    keeper.letGo(last);
    expect(keeper.observe!({ kind: 'session_ended', session: 'a', atMs: 10 })).toEqual([
      { left: last, rank: -1000, untilMs: FOREVER },
    ]);
  });

  test('a context that comes back with the next call is fetched before its tool is expected', () => {
    const keeper = keeperOf('kvflow');
    keeper.letGo(left(call('a', 8), 0));
    keeper.observe!({ kind: 'arrived', call: call('a', 12), atMs: 3000 });
    expect(keeper.letGo(left(call('a', 12), 4000)).prefetchMs).toBe(4000 + 3000 - 500);
    const never = keeperOf('kvflow', { prefetch_steps: 0 });
    never.letGo(left(call('a', 8), 0));
    never.observe!({ kind: 'arrived', call: call('a', 12), atMs: 3000 });
    expect(never.letGo(left(call('a', 12), 4000)).prefetchMs).toBeUndefined();
  });
});

describe('t-lru', () => {
  const rootBlocks = (options: Record<string, unknown>, tokens: number) =>
    keeperOf('t-lru', options).letGo(left(call('s', tokens), 0));

  test('keeps of a conversation what is beyond the tokens that a target leaves time for', () => {
    // 100 tokens and 20 to come, 50 in time: 70 stay, 17.5 blocks, so blocks from the 18th on go first.
    expect(rootBlocks({ threshold: 50, next_prompt: 20 }, 100).worth).toEqual([
      { fromBlock: 0, toBlock: 18, rank: 0, untilMs: FOREVER },
      { fromBlock: 18, toBlock: FOREVER, rank: -1, untilMs: FOREVER },
    ]);
  });

  test('a conversation that is short enough need not be kept at all', () => {
    expect(rootBlocks({ threshold: 50 }, 50).worth[1]).toMatchObject({ fromBlock: 0, rank: -1 });
  });

  test('without a threshold, as many tokens as the engine computes within the target', () => {
    // A millisecond a token: 200 of 300 tokens; the first 100 stay.
    expect(rootBlocks({}, 300).worth[1]!.fromBlock).toBe(25);
    expect(rootBlocks({ ttft: 40 }, 300).worth[1]!.fromBlock).toBe(65);
  });
});

test('durable: above 35 before what is not spoken of, that before what is below; a session that ends keeps the first', () => {
  const keeper = keeperOf('durable');
  const retention = [
    { fromToken: 0, toToken: 8, priority: 80, durationMs: 5 },
    { fromToken: 12, toToken: 16, priority: 20, durationMs: null },
  ];
  const one = left(call('s', 20, { retention }), 0);
  expect(keeper.letGo(one).worth).toEqual([
    { fromBlock: 0, toBlock: 2, rank: 1, untilMs: FOREVER },
    { fromBlock: 3, toBlock: 4, rank: -1, untilMs: FOREVER },
    { fromBlock: 0, toBlock: FOREVER, rank: 0, untilMs: FOREVER },
  ]);
  expect(keeper.observe!({ kind: 'session_ended', session: 's', atMs: 10 })).toEqual([
    { left: one, rank: -1, untilMs: FOREVER, upTo: 0 },
  ]);
});

test('workflow: as any other until its session ends, then before all others', () => {
  const keeper = keeperOf('workflow');
  const one = left(call('s', 20), 0);
  expect(keeper.letGo(one).worth).toEqual([{ fromBlock: 0, toBlock: FOREVER, rank: 0, untilMs: FOREVER }]);
  expect(keeper.observe!({ kind: 'session_ended', session: 'other', atMs: 5 })).toEqual([]);
  expect(keeper.observe!({ kind: 'session_ended', session: 's', atMs: 10 })).toEqual([
    { left: one, rank: -1, untilMs: FOREVER },
  ]);
});
