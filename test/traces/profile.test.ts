// The profile of a trace: hand-computed sessions, known processes, and the counts of the shared samples.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { extend, textKey, uniform } from '../../scenarios/base/key.ts';
import { quantile } from '../../scenarios/base/statistics.ts';
import type { RecordedSession } from '../../scenarios/formats/recorded.ts';
import { readTrace } from '../../scenarios/importers/read.ts';
import { Arrivals, BinnedCounts } from '../../scenarios/traces/arrivals.ts';
import { endsMs, peakWidth } from '../../scenarios/traces/instants.ts';
import { spawnWidths } from '../../scenarios/traces/profile/fan-out.ts';
import { SpreadSketch } from '../../scenarios/traces/profile/spread.ts';
import { binOf } from '../../scenarios/traces/profile/turns.ts';
import { traceProfiler } from '../../scenarios/traces/profile.ts';
import { ReuseCounter } from '../../scenarios/traces/reuse.ts';
import { aChain, aRecordedCall, aRecordedSession } from '../builders/recorded.ts';

function profileOf(sessions: Iterable<RecordedSession>) {
  const profiler = traceProfiler();
  for (const session of sessions) profiler.add(session);
  return profiler.profile();
}

const TEST_KEY = textKey('profile.test');
/** The nth of a row of uniform numbers. */
const drawn = (n: number): number => uniform(extend(TEST_KEY, n));

describe('a spread', () => {
  test('is exact while it is small, and within 0.4 % beyond', () => {
    const sketch = new SpreadSketch({ whole: true });
    for (let value = 1; value <= 9; value += 1) sketch.record(value);
    expect(sketch.spread()).toEqual({
      n: 9,
      mean: 5,
      min: 1,
      p5: 1,
      p25: 3,
      p50: 5,
      p75: 7,
      p90: 9,
      p99: 9,
      max: 9,
    });
    const values = Array.from({ length: 100_000 }, (_, n) => 1000 * -Math.log(drawn(n)));
    const many = new SpreadSketch();
    for (const value of values) many.record(value);
    const { n, mean, p5, p50, p90, p99 } = many.spread()!;
    expect(n).toBe(100_000);
    expect(mean).toBeCloseTo(values.reduce((sum, value) => sum + value, 0) / n, 6);
    for (const [share, is] of Object.entries({ 0.05: p5, 0.5: p50, 0.9: p90, 0.99: p99 }))
      expect(Math.abs(is / quantile(values, Number(share)) - 1)).toBeLessThan(0.004);
  });

  test('of counts has counts as quantiles, also from the histogram', () => {
    const sketch = new SpreadSketch({ whole: true });
    for (let n = 0; n < 60_000; n += 1) sketch.record(1 + (n % 100));
    expect(sketch.spread()).toMatchObject({ p5: 5, p25: 25, p50: 50, p90: 90, max: 100 });
  });

  test('has a curve of at most 103 points that ends at 1 and never falls', () => {
    const sketch = new SpreadSketch();
    for (let n = 0; n < 50_000; n += 1) sketch.record(drawn(n));
    const cdf = sketch.cdf();
    expect(cdf.length).toBeLessThanOrEqual(103);
    expect(cdf.at(-1)![1]).toBe(1);
    for (const [row, [value, share]] of cdf.entries()) {
      expect(value).toBeGreaterThan(cdf[row - 1]?.[0] ?? -1);
      expect(share).toBeGreaterThan(cdf[row - 1]?.[1] ?? 0);
    }
  });
});

describe('arrivals', () => {
  const figuresOf = (instants: readonly number[]) => {
    const arrivals = new Arrivals();
    for (const atMs of instants) arrivals.record(atMs);
    return arrivals.figures()!;
  };

  test('at even times have a CV of 0; in any order', () => {
    expect(figuresOf([4000, 0, 2000, 1000, 3000])).toEqual({
      n: 5,
      spanMs: 4000,
      ratePerSec: 1,
      interArrivalCv: 0,
      dispersionPerSec: 0,
    });
  });

  test('of a Poisson process have a CV and a dispersion of 1, of pairs more', () => {
    let atMs = 0;
    const poisson = Array.from({ length: 50_000 }, (_, n) => (atMs += -Math.log(drawn(n)) * 100));
    const { ratePerSec, interArrivalCv, dispersionPerSec } = figuresOf(poisson);
    expect(ratePerSec).toBeCloseTo(10, 0);
    expect(interArrivalCv).toBeCloseTo(1, 1);
    expect(dispersionPerSec).toBeCloseTo(1, 1);
    const pairs = figuresOf(poisson.flatMap(each => [each, each]));
    expect(pairs.dispersionPerSec).toBeCloseTo(2, 0);
    expect(pairs.interArrivalCv).toBeCloseTo(Math.sqrt(3), 1);
  });

  test('count per second as computed by hand', () => {
    // Whole seconds from the first: 3, 0, 1, 1; the last arrival starts a second that is not whole.
    expect(figuresOf([500, 600, 1400, 2600, 3700, 4500]).dispersionPerSec).toBeCloseTo(
      (11 / 4 - 25 / 16) / 1.25,
      12,
    );
    expect(figuresOf([7]).interArrivalCv).toBeNull();
  });

  test('over time keep their sum and at most 240 bins, whatever the length of the trace', () => {
    const bins = new BinnedCounts(2);
    for (let n = 0; n < 5000; n += 1) bins.record(n % 2, n * 60_000);
    const [even = [], odd = []] = bins.counts();
    expect(even.length).toBe(odd.length);
    expect(even.length).toBeLessThanOrEqual(240);
    expect(even.length * bins.binMs).toBeGreaterThan(4999 * 60_000);
    expect([even, odd].map(counts => counts.reduce((sum, count) => sum + count, 0))).toEqual([2500, 2500]);
  });
});

describe('instants', () => {
  test('a call without a duration ends where the call that waits for it says', () => {
    const session = aRecordedSession({
      calls: [
        aRecordedCall({ id: 'a', recorded: { startMs: 0 } }),
        aRecordedCall({ id: 'b', parents: ['a'], gapMs: 2000, recorded: { startMs: 5000, e2eMs: 700 } }),
        aRecordedCall({ id: 'c', parents: ['a', 'b'], gapMs: 100, recorded: { startMs: 6000 } }),
      ],
    });
    expect([...endsMs(session)]).toEqual([3000, 5700, 6000]);
  });

  test('law: the peak is the most intervals over any of their starts', () => {
    const interval = fc.tuple(fc.nat(100), fc.integer({ min: 1, max: 40 }));
    fc.assert(
      fc.property(fc.array(interval, { minLength: 1, maxLength: 20 }), intervals => {
        const starts = Float64Array.from(intervals, ([start]) => start);
        const ends = Float64Array.from(intervals, ([start, length]) => start + length);
        const over = intervals.map(
          ([at]) => intervals.filter(([start, length]) => start <= at && at < start + length).length,
        );
        expect(peakWidth(starts, ends)).toBe(Math.max(...over));
      }),
    );
  });
});

describe('fan-out', () => {
  const call = (id: string, parents: string[]) => aRecordedCall({ id, agent: id.split('/')[0]!, parents });

  test('is counted where sub-agents or several calls wait for the same point, not where a thread goes on', () => {
    expect(spawnWidths([call('main/0', []), call('main/1', ['main/0']), call('main/2', ['main/1'])])).toEqual(
      [],
    );
    const spawned = [
      call('main/0', []),
      call('a/0', ['main/0']),
      call('b/0', ['main/0']),
      call('a/1', ['a/0']),
      call('main/1', ['main/0', 'a/1', 'b/0']),
      call('c/0', ['main/1']),
      call('main/2', ['main/1']),
    ];
    expect(spawnWidths(spawned)).toEqual([2, 1]);
    expect(
      spawnWidths([call('main/0', []), ...[1, 2, 3].map(row => call(`main/${row}`, ['main/0']))]),
    ).toEqual([3]);
    expect(
      spawnWidths([call('main/0', []), call('main/1', []), call('main/2', ['main/1', 'main/0'])]),
    ).toEqual([2]);
  });
});

test('turns are binned one by one up to 8, then four bins an octave, without a hole', () => {
  expect([1, 2, 3, 7, 8, 9, 10, 15, 16, 19, 20, 31, 32, 40].map(binOf)).toEqual([
    1, 2, 3, 7, 8, 8, 10, 14, 16, 16, 20, 28, 32, 40,
  ]);
});

describe('reuse', () => {
  const shared = { blockScope: 'test/file:shared' };

  test('is split into what the session and what only others had, by leading blocks', () => {
    const one = aChain([[0, 1]], { ...shared, id: 'one' });
    const two = aChain(
      [
        [0, 1],
        [2, 1],
      ],
      { ...shared, id: 'two' },
    );
    const counter = new ReuseCounter();
    expect(counter.add(one)).toEqual([{ ownTokens: 0, anyTokens: 0 }]);
    // The second session finds two blocks of the first, then those as its own; two more are new.
    expect(counter.add(two)).toEqual([
      { ownTokens: 0, anyTokens: 20 },
      { ownTokens: 20, anyTokens: 20 },
    ]);
    expect(counter.figures()).toEqual({ bySessionRatio: 20 / 80, acrossRatio: 20 / 80 });
  });

  test('across sessions is not known where ids are local, and nothing is known where there are none', () => {
    const local = new ReuseCounter();
    local.add(aChain([[0, 1]], { id: 'one' }));
    local.add(aChain([[0, 1]], { id: 'two' }));
    expect(local.figures()).toEqual({ bySessionRatio: 0, acrossRatio: null });
    const { reuse, call, cdfs, session } = profileOf([aRecordedSession()]);
    expect([reuse, call.hitRatio, call.uncachedTokens, session.uncachedTokens]).toEqual([
      null,
      null,
      null,
      null,
    ]);
    expect(cdfs.callHitRatio).toEqual([]);
  });

  test('a hit is a leading run: a known block behind an unknown one does not count; a partial block is never more', () => {
    const session = aRecordedSession({
      ...shared,
      calls: [
        aRecordedCall({ id: 'a', promptTokens: 25, blocks: [1, 2, 3] }),
        aRecordedCall({ id: 'b', promptTokens: 25, blocks: [1, 2, 3] }),
        aRecordedCall({ id: 'c', promptTokens: 40, blocks: [9, 2, 3, 4] }),
        aRecordedCall({ id: 'd', promptTokens: 40, blocks: [1, 9, 3, 4], primedTokens: 20 }),
      ],
    });
    expect(new ReuseCounter().add(session).map(({ ownTokens }) => ownTokens)).toEqual([0, 25, 0, 40]);
  });

  test('law: of chained ids, what is found in all does not depend on the order of the sessions', () => {
    // An id names its block and all before it: a path in a tree.
    const paths = fc.array(fc.array(fc.nat(2), { maxLength: 6 }), { minLength: 1, maxLength: 4 });
    const ids = (path: readonly number[]): number[] =>
      path.map((_, depth) => path.slice(0, depth + 1).reduce((id, step) => id * 3 + step + 1, 0));
    fc.assert(
      fc.property(fc.array(paths, { minLength: 1, maxLength: 6 }), trace => {
        const sessions = trace.map((calls, row) =>
          aRecordedSession({
            ...shared,
            id: `s${row}`,
            calls: calls.map((path, at) =>
              aRecordedCall({ id: `main/${at}`, promptTokens: path.length * 10 + 1, blocks: ids(path) }),
            ),
          }),
        );
        const total = (all: readonly RecordedSession[]): number => {
          const counter = new ReuseCounter();
          return all
            .flatMap(session => counter.add(session))
            .reduce((sum, { anyTokens }) => sum + anyTokens, 0);
        };
        expect(total(sessions.toReversed())).toBe(total(sessions));
      }),
    );
  });
});

describe('one session, by hand', () => {
  const session = aRecordedSession({
    arrivalMs: 1000,
    systemTokens: 15,
    blockScope: 'test/file:shared',
    calls: [
      aRecordedCall({
        id: 'main/0',
        gapKind: 'human',
        promptTokens: 100,
        blocks: [1, 2],
        recorded: { startMs: 0, e2eMs: 1000, ttftMs: 300, cachedTokens: 0 },
      }),
      aRecordedCall({
        id: 'main/1',
        parents: ['main/0'],
        gapMs: 2000,
        gapKind: 'tool',
        tool: 'search',
        promptTokens: 160,
        blocks: [1, 2, 3],
        recorded: { startMs: 3000, e2eMs: 1000, cachedTokens: 120 },
      }),
      aRecordedCall({
        id: 'sub/0',
        agent: 'sub',
        parents: ['main/1'],
        gapMs: 500,
        gapKind: 'client',
        promptTokens: 50,
        outputTokens: 30,
        reasoningTokens: 20,
        model: 'small',
        recorded: { startMs: 4500, e2eMs: 4000 },
      }),
      aRecordedCall({
        id: 'sub2/0',
        agent: 'sub2',
        parents: ['main/1'],
        gapMs: 500,
        gapKind: 'client',
        promptTokens: 50,
        recorded: { startMs: 4500, e2eMs: 1000, error: '429' },
      }),
      aRecordedCall({
        id: 'main/2',
        parents: ['main/1', 'sub/0', 'sub2/0'],
        gapMs: 400_000,
        gapKind: 'human',
        promptTokens: 90,
        blocks: [1, 2],
        recorded: { startMs: 408_500, e2eMs: 500 },
      }),
    ],
  });
  const profile = profileOf([session]);

  test('sums and lengths', () => {
    expect(profile).toMatchObject({
      sessions: 1,
      calls: 5,
      promptTokens: 450,
      outputTokens: 70,
      reasoningTokens: 20,
      failedCalls: 1,
    });
    expect(profile.session).toMatchObject({
      calls: { p50: 5 },
      humanTurns: { p50: 2 },
      toolTurns: { p50: 1 },
      firstPromptTokens: { p50: 100 },
      lastPromptTokens: { p50: 90 },
      systemTokens: { p50: 15 },
      spanMs: { p50: 409_000 },
      contextGrowth: { p50: 0.9 },
      resumedRatio: 0,
    });
    // Four calls from the first word of the person to the second, then one.
    expect(profile.session.callsPerHumanTurn).toMatchObject({ n: 2, min: 1, max: 4 });
    expect(profile.call.ttftMs).toMatchObject({ n: 1, p50: 300 });
    expect(profile.recordedCachedRatio).toBe(120 / 260);
    expect(profile.models).toEqual([
      { model: 'a-model', calls: 4, promptTokens: 400, outputTokens: 40 },
      { model: 'small', calls: 1, promptTokens: 50, outputTokens: 30 },
    ]);
    expect(profile.tools).toMatchObject([{ tool: 'search', calls: 1, gapMs: { p50: 2000 } }]);
  });

  test('turns: growth by what the prompt brings, and a new context is no negative growth', () => {
    expect(profile.turn).toMatchObject({
      transitions: 2,
      newContexts: 1,
      humanGrowthTokens: null,
      toolGrowthTokens: { n: 1, p50: 60 },
    });
    expect(profile.contextByTurn.map(({ from, p50 }) => [from, p50])).toEqual([
      [1, 100],
      [2, 160],
      [3, 90],
    ]);
  });

  test('gaps: of calls that wait for others, by kind, against lifetimes', () => {
    expect(profile.gaps.all).toMatchObject({ n: 4, max: 400_000 });
    expect(profile.gaps.byKind).toMatchObject({
      tool: { n: 1 },
      human: { n: 1 },
      client: { n: 2 },
      unknown: null,
    });
    expect(
      profile.gaps.over.map(({ limitMs, callsRatio, humanRatio }) => [limitMs, callsRatio, humanRatio]),
    ).toEqual([
      [30_000, 0.25, 1],
      [60_000, 0.25, 1],
      [300_000, 0.25, 1],
      [3_600_000, 0, 0],
    ]);
    expect(profile.gaps.over[0]!.promptTokensRatio).toBe(90 / 350);
  });

  test('fan-out and sub-agents', () => {
    expect(profile.fanOut).toMatchObject({ widths: [[2, 1]], inFlight: { p50: 2 } });
    expect(profile.subagents).toMatchObject({
      count: 2,
      sessionsRatio: 1,
      perSession: { p50: 2 },
      calls: { max: 1 },
      spanMs: { min: 1000, max: 4000 },
      firstPromptTokens: { p50: 50 },
    });
  });

  test('arrivals, on the clock of the trace', () => {
    expect(profile.arrivals).toMatchObject({ sessions: { n: 1 }, calls: { n: 5, spanMs: 408_500 } });
    expect(profileOf([aRecordedSession()]).arrivals).toBeNull();
  });
});

test('of a long trace, the profile stays small and quick: 200,000 calls in less than 150 kB', () => {
  const profiler = traceProfiler();
  for (let n = 0; n < 50_000; n += 1) {
    profiler.add(
      aChain(
        [
          [0, 900 + n],
          [n + 2000, 800, 'tool'],
          [n + 9000, 800, 'human'],
          [n + 90_000, 800, 'tool'],
        ],
        { id: `s${n}`, arrivalMs: n * 977, blockScope: 'test/file:shared' },
      ),
    );
  }
  const profile = profiler.profile();
  expect(profile.calls).toBe(200_000);
  expect(JSON.stringify(profile).length).toBeLessThan(150_000);
  // All sessions have the same blocks.
  expect(profile.reuse!.bySessionRatio + profile.reuse!.acrossRatio!).toBeCloseTo(1, 4);
});

const samples = '../../../shared/data/traces';
const at = (path: string): string => fileURLToPath(new URL(`${samples}/${path}`, import.meta.url));
describe.skipIf(!existsSync(at('')))('the shared samples (skipped where ../shared is absent)', () => {
  test('Claude Code: hits by block as counted independently, sub-agents, their width', () => {
    const flat = readTrace([at('weka-claude-code/flat')]);
    // EXPECTED.tsv: 181,497 blocks of 64 tokens.
    expect(profileOf(flat.sessions).reuse).toEqual({
      bySessionRatio: (181_497 * 64) / 13_038_377,
      acrossRatio: null,
    });
    const agents = profileOf(readTrace([at('weka-claude-code/subagents')]).sessions);
    expect(agents.reuse!.bySessionRatio).toBe((131_189 * 64) / 8_995_395);
    expect(agents.subagents).toMatchObject({ count: 5, sessionsRatio: 1 });
    expect(agents.fanOut.widths).toEqual([
      [2, 1],
      [3, 1],
    ]);
  });

  test.each([
    'mooncake/conversation.head.jsonl',
    'mooncake/synthetic.head.jsonl',
    'lmcache-agents/magagent.jsonl',
  ])('%s: what the session and the others had is what the import counts in file order', path => {
    const { sessions, report } = readTrace([at(path)]);
    const { reuse, promptTokens } = profileOf(sessions);
    expect((reuse!.bySessionRatio + reuse!.acrossRatio!) * promptTokens).toBeCloseTo(
      report.totals.hitTokens,
      0,
    );
    expect(reuse!.acrossRatio).toBeGreaterThan(0);
  });

  test('Azure code arrives in bursts: a CV of about 13, as published', () => {
    const { arrivals, reuse } = profileOf(readTrace([at('azure-llm-2023/code.csv')]).sessions);
    expect(arrivals!.sessions.interArrivalCv).toBeGreaterThan(12);
    expect(arrivals!.sessions.interArrivalCv).toBeLessThan(15);
    expect(reuse).toBeNull();
  });
});
