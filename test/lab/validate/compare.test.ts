import { describe, expect, test } from 'vitest';
import { compareWorlds } from '../../../lab/validate/compare.ts';
import { concordance, ksCritical, ksDistance, ksOfHistograms } from '../../../lab/validate/distance.ts';
import { verdictOf } from '../../../lab/validate/verdict.ts';
import { Histogram } from '../../../scenarios/base/histogram.ts';
import type { RunOutput } from '../../../scenarios/formats/run.ts';
import type { Comparison, Repeat } from '../../../scenarios/formats/validation.ts';
import { aComparedRun } from '../../builders/compared.ts';
import { aCall } from '../../builders/records.ts';

const TOLERANCES = { timeRatio: 0.1, tailRatio: 0.2, countRatio: 0.02 };

const compare = (sim: RunOutput, ...live: RunOutput[]): Comparison =>
  compareWorlds({ world: 'sim', runs: [sim] }, { world: 'live', runs: live }, TOLERANCES);
const valid = (count: number): Repeat[] =>
  Array.from({ length: count }, (_, i) => ({ folder: `live-${i}`, valid: true, invalidReason: null }));
const verdict = (comparison: Comparison, live: RunOutput[] = [aComparedRun()]) =>
  verdictOf({ comparison, series: [], live, repeats: valid(live.length) });
const row = ({ rows }: Comparison, metric: string) => rows.find(each => each.metric === metric)!;
const time = ({ groups }: Comparison, name: string, metric: string) =>
  groups.find(group => group.name === name)!.times.find(each => each.metric === metric)!;

describe('two worlds', () => {
  test('that are the same have no error, no distance, and are good for absolute numbers', () => {
    const comparison = compare(aComparedRun(), aComparedRun({ world: 'live' }));
    for (const each of comparison.rows)
      expect(each, each.metric).toMatchObject({ errorRatio: 0, pass: true });
    for (const { times } of comparison.groups) {
      for (const { ks, mean, p50, p95, metric } of times) {
        expect(ks?.distance).toBe(0);
        for (const each of [mean, p50, p95]) expect(each.errorRatio).toBe(0);
        if (metric !== 'itl') expect(mean.ci95).toEqual([0, 0]);
      }
    }
    expect(comparison.groups.map(({ name }) => name)).toEqual(['all', 'short', 'middle', 'long']);
    expect(comparison.rank).toMatchObject({ of: 'steps', count: 3, pairs: 3, tau: 1, kept: true });
    expect(verdict(comparison)).toMatchObject({ fitness: 'absolute', reasons: [] });
  });

  test('whose times are 30 % apart have that signed error in every statistic, and an interval around it', () => {
    const comparison = compare(aComparedRun({ scale: 0.7 }), aComparedRun());
    for (const metric of ['TTFT', 'TPOT', 'E2E', 'workflow time']) {
      expect(row(comparison, `mean ${metric}`).errorRatio).toBeCloseTo(-0.3, 9);
      expect(row(comparison, `mean ${metric}`).pass).toBe(false);
    }
    const { mean, p50, p95, ks } = time(comparison, 'long', 'e2e');
    for (const each of [mean, p50, p95]) {
      expect(each.errorRatio).toBeCloseTo(-0.3, 9);
      // Every session is off by the same ratio, so that it does not matter which ones are drawn.
      expect(each.ci95![0]).toBeCloseTo(-0.3, 9);
      expect(each.ci95![1]).toBeCloseTo(-0.3, 9);
    }
    // Sessions differ by 0.8 to 1.19, times 0.7 these are 0.56 to 0.833: 36 of 40 lie below all measured ones.
    expect(ks!.distance).toBe(0.9);
    expect(time(comparison, 'all', 'itl').mean.errorRatio).toBeCloseTo(-0.3, 6);
  });

  test('that are off alike are good for ranking, and for it only', () => {
    const comparison = compare(aComparedRun({ scale: 0.7 }), aComparedRun());
    expect(comparison.rank).toMatchObject({ kept: true, tau: 1 });
    expect(comparison.rank!.ratioP10).toBeCloseTo(0.7, 9);
    const { fitness, headline, reasons } = verdict(comparison);
    expect(fitness).toBe('ranking');
    expect(headline).toContain('Good for ranking, not for absolute numbers');
    expect(headline).toContain('−30 %');
    expect(comparison.pass).toBe(false);
    expect(reasons.join('\n')).toMatch(/the whole engine is faster .* calibrate/);
    expect(reasons.join('\n')).toMatch(/--repeats 3/);
  });

  test('whose steps change places are good for neither', () => {
    const comparison = compare(aComparedRun({ scale: { short: 4, long: 0.25 } }), aComparedRun());
    expect(comparison.rank).toMatchObject({ tau: -1, kept: false });
    const { fitness, reasons } = verdict(comparison);
    expect(fitness).toBe('neither');
    // The worst step is named with its error.
    expect(reasons.join('\n')).toMatch(/"short" is furthest off: \+300 %/);
    expect(reasons.join('\n')).toContain('the order of 3 steps is not kept');
  });

  test('in one order whose bias differs from step to step are good for neither', () => {
    const comparison = compare(aComparedRun({ scale: { long: 2 } }), aComparedRun());
    expect(comparison.rank).toMatchObject({ tau: 1, kept: false });
    expect(verdict(comparison).fitness).toBe('neither');
  });

  test('pair by session: an interval does not grow because sessions differ', () => {
    const comparison = compare(aComparedRun({ scale: 1.05 }), aComparedRun());
    const [low, high] = row(comparison, 'mean E2E').ci95!;
    expect(high - low).toBeLessThan(1e-9);
    expect(row(comparison, 'mean E2E').pass).toBe(true);
  });
});

describe('repeats', () => {
  // 0.8, 1 and 1.2: mean 1, deviation 0.2, half range 0.2.
  const live = [0.8, 1, 1.2].map(scale => aComparedRun({ scale, world: 'live' }));

  test('give the noise, and errors within it pass', () => {
    const comparison = compare(aComparedRun({ scale: 0.75 }), ...live);
    const e2e = row(comparison, 'mean E2E');
    expect(e2e.errorRatio).toBeCloseTo(-0.25, 9);
    expect(e2e.noiseRatio).toBeCloseTo(0.2, 9);
    expect(e2e).toMatchObject({ toleranceRatio: 0.1, pass: true });
    expect(e2e.limitRatio).toBeCloseTo(0.3, 9);
    expect(row(comparison, 'p95 E2E').limitRatio).toBeCloseTo(0.4, 9);
    expect(time(comparison, 'long', 'e2e').mean.noise!.halfRangeRatio).toBeCloseTo(0.2, 9);
    expect(verdict(comparison, live).reasons.join('\n')).toMatch(/3 live runs of the same plan differ/);
  });

  test('without them the same error does not pass', () => {
    expect(row(compare(aComparedRun({ scale: 0.75 }), aComparedRun()), 'mean E2E').pass).toBe(false);
  });

  test('of equal runs add nothing: counts are those of one run', () => {
    const comparison = compare(aComparedRun(), aComparedRun(), aComparedRun());
    expect(comparison.groups[0]).toMatchObject({ measuredCalls: 120, predictedCalls: 120 });
    expect(row(comparison, 'prompt tokens')).toMatchObject({ errorRatio: 0, noiseRatio: 0 });
    expect(time(comparison, 'all', 'ttft')).toMatchObject({ predictedCount: 120, measuredCount: 120 });
    expect(time(comparison, 'all', 'ttft').ks!.betweenRepeats).toBe(0);
  });
});

describe('failed calls', () => {
  test('are in no latency, and are named', () => {
    const live = aComparedRun({ world: 'live' });
    const failing: RunOutput = {
      ...live,
      calls: live.calls.map((call, i) =>
        i % 4 === 0
          ? {
              ...call,
              outcome: 'error',
              error: 'timeout',
              firstTokenMs: call.plannedMs + 1e6,
              endMs: call.plannedMs + 2e6,
            }
          : call,
      ),
    };
    const comparison = compare(aComparedRun(), failing);
    expect(time(comparison, 'all', 'ttft').measuredCount).toBe(90);
    expect(time(comparison, 'all', 'ttft').mean.measuredMs).toBeLessThan(130);
    expect(comparison.groups[0]).toMatchObject({ measuredFailed: 30, predictedFailed: 0 });
    expect(row(comparison, 'calls ok')).toMatchObject({ predicted: 120, measured: 90, pass: false });
    expect(verdict(comparison).reasons.join('\n')).toContain('30 of 120 calls failed when measured');
  });

  test('all of them: a latency in one world only does not pass', () => {
    const live = aComparedRun();
    const none = { ...live, calls: live.calls.map(call => ({ ...call, outcome: 'cancelled' as const })) };
    expect(row(compare(aComparedRun(), none), 'mean TTFT')).toMatchObject({ measured: null, pass: false });
  });
});

describe('a verdict', () => {
  test('is not valid without a run that kept up', () => {
    const repeats = [{ folder: 'live', valid: false, invalidReason: 'our client sent late: lag p99 300 ms' }];
    expect(verdictOf({ comparison: null, series: [], live: [], repeats })).toMatchObject({
      fitness: 'not-valid',
      headline: 'Not valid: our client sent late: lag p99 300 ms',
    });
  });

  test('tells a tokenizer, a cache and strangers on the server apart', () => {
    const live = aComparedRun({ scale: 1.5, world: 'live' });
    const calls = live.calls.map(call => ({ ...call, promptTokens: 1100, cachedTokens: 500 }));
    const server = { requestsFinished: 900, restarted: false } as never;
    const strange = { ...live, calls, measured: { client: {} as never, servers: [server], gpus: [] } };
    const text = verdict(compare(aComparedRun(), strange), [strange]).reasons.join('\n');
    expect(text).toContain('the server counts 132,000 prompt tokens where the plan has 120,000');
    expect(text).toContain('take another --salt');
    expect(text).toContain('the servers ended 900 requests while we sent 120');
  });

  test('says which half of the engine is off', () => {
    const live = aComparedRun();
    const calls = live.calls.map(call => {
      const shiftMs = 4 * (call.firstTokenMs! - call.plannedMs);
      return { ...call, firstTokenMs: call.firstTokenMs! + shiftMs, endMs: call.endMs! + shiftMs };
    });
    const text = verdict(compare(aComparedRun(), { ...live, calls })).reasons.join('\n');
    expect(text).toContain('decoding is right and the first token is faster in the prediction');
  });
});

describe('distances', () => {
  test("Kolmogorov and Smirnov's are counted by hand", () => {
    // Below 2: a half against none; below 3: all against a half.
    expect(ksDistance([1, 2], [2, 3])).toBe(0.5);
    expect(ksDistance([1, 2, 3, 4], [1, 2, 3, 4])).toBe(0);
    expect(ksDistance([1, 2], [5])).toBe(1);
    expect(ksDistance([1, 1, 1], [1])).toBe(0);
    expect(ksDistance([], [1])).toBe(null);
    // 1.358 x sqrt(2 / 100)
    expect(ksCritical(100, 100)).toBeCloseTo(0.192, 3);
  });

  test('of histograms are those of their values, where no bucket holds both', () => {
    const [a, b] = [new Histogram(), new Histogram()];
    for (const value of [1, 2, 3, 4]) a.record(value);
    for (const value of [3, 4, 5, 6]) b.record(value);
    expect(ksOfHistograms(a.toCounts(), b.toCounts())).toBe(ksDistance([1, 2, 3, 4], [3, 4, 5, 6]));
  });

  test("Kendall's correlation is 1 in order, -1 reversed, and leaves out what is about the same", () => {
    expect(concordance([1, 2, 3, 4], [10, 20, 30, 400], 0.05)).toEqual({ tau: 1, pairs: 6 });
    expect(concordance([1, 2, 3, 4], [4, 3, 2, 1], 0.05)).toEqual({ tau: -1, pairs: 6 });
    // Of three pairs one is changed.
    expect(concordance([1, 3, 2], [1, 2, 3], 0.05)!.tau).toBeCloseTo(1 / 3, 12);
    // The first two are 4 % apart: their order says nothing.
    expect(concordance([2, 1, 3], [100, 104, 200], 0.05)).toEqual({ tau: 1, pairs: 2 });
    // Predicted alike, measured apart: neither in order nor reversed.
    expect(concordance([1, 1], [1, 2], 0.05)).toEqual({ tau: 0, pairs: 1 });
    expect(concordance([1, 2], [100, 101], 0.05)).toBe(null);
  });
});

test('100,000 calls in 10,000 sessions compare within seconds', () => {
  const calls = Array.from({ length: 100_000 }, (_, i) =>
    aCall({
      session: `s${i % 10_000}`,
      call: `c${i}`,
      step: `step${i % 10}`,
      endMs: 1100 + (i % 977),
      firstTokenMs: 100 + (i % 101),
    }),
  );
  const workflows = aComparedRun({ sessions: 10_000 }).workflows;
  const run: RunOutput = { ...aComparedRun(), calls, workflows };
  // Of the processor: the wall clock is shared with other tests.
  const start = process.cpuUsage();
  const comparison = compare(run, run);
  const { user, system } = process.cpuUsage(start);
  expect(comparison.rows.every(({ pass }) => pass)).toBe(true);
  expect((user + system) / 1e6).toBeLessThan(8);
}, 60_000);
