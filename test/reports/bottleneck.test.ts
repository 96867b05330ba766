// Saturation, stragglers, rates and GPU time: hand-computed cases and what must add up.
import { describe, expect, test } from 'vitest';
import { ledgerOf } from '../../gateway/ledger/ledger.ts';
import { causesOf, saturationOf } from '../../reports/bottleneck.ts';
import { gpuTimeOf } from '../../reports/gpu-time.ts';
import { sha256 } from '../../reports/publish.ts';
import { promptComputedOf, ratesOf } from '../../reports/rates.ts';
import { summarise } from '../../reports/summary.ts';
import { noTime } from '../../scenarios/formats/record.ts';
import type { RatePoint, TimelinePoint } from '../../scenarios/formats/result.ts';
import type { RunOutput } from '../../scenarios/formats/run.ts';
import { anAgentRun } from '../builders/agents.ts';
import { aGovernedRun } from '../builders/governed.ts';
import { aCall, aNode, aRun, aSpan, aWorkflow } from '../builders/records.ts';
import { simulatedOn } from '../library/simulated.ts';

const point = (fields: Partial<TimelinePoint>): TimelinePoint => ({
  atMs: 0,
  pool: 'main',
  runningRequests: 10,
  waitingRequests: 0,
  kvUsedRatio: 0.2,
  inFlightWorkflows: 1,
  ...fields,
});
/** A look each 100 ms. */
const looks = (...fields: Partial<TimelinePoint>[]): TimelinePoint[] =>
  fields.map((each, i) => point({ atMs: i * 100, ...each }));

test('causes come largest first, their shares sum to 1, and what took no time is none', () => {
  expect(causesOf({ ...noTime(), queueMs: 100, decodeMs: 300 })).toEqual([
    { cause: 'decodeMs', ms: 300, share: 0.75 },
    { cause: 'queueMs', ms: 100, share: 0.25 },
  ]);
  expect(causesOf(noTime())).toEqual([]);
});

describe('a pool is saturated', () => {
  test('from a full cache until it is clearly not full any more', () => {
    const pools = [looks({}, { kvUsedRatio: 0.96 }, { kvUsedRatio: 0.92 }, { kvUsedRatio: 0.89 }, {})];
    expect(saturationOf(pools, 1000)).toEqual({
      saturation: [{ pool: 'main', startMs: 100, endMs: 300, cause: 'kv' }],
      saturatedRatio: 0.2,
    });
  });

  test('from a queue that counts until there is none', () => {
    const waits = (waitingRequests: number) => ({ waitingRequests });
    const pools = [looks({}, waits(2), waits(0), waits(0), waits(1), waits(3), waits(1), waits(0))];
    // Seen once it is nothing: whoever comes within a step waits for its end.
    expect(saturationOf(pools, 700).saturation).toEqual([
      { pool: 'main', startMs: 400, endMs: 700, cause: 'queue' },
    ]);
  });

  test('to the end of the run if it is at the last look, and pools at once count once', () => {
    const full = looks({}, { kvUsedRatio: 1 }, { kvUsedRatio: 1 });
    const pools = [full, full.map(each => ({ ...each, pool: 'other' }))];
    const { saturation, saturatedRatio } = saturationOf(pools, 500);
    expect(saturation.map(({ pool, endMs }) => [pool, endMs])).toEqual([
      ['main', 500],
      ['other', 500],
    ]);
    expect(saturatedRatio).toBe(0.8);
  });

  test('in 50 spans at most, the shortest gaps closed, and the share is not changed by that', () => {
    const on = { kvUsedRatio: 1 };
    const many = looks(...Array.from({ length: 80 }, () => [on, on, {}, {}]).flat());
    const { saturation, saturatedRatio } = saturationOf([many], 80 * 400);
    expect(saturation).toHaveLength(50);
    expect(saturation[0]!.startMs).toBe(0);
    expect(saturation.at(-1)!.endMs).toBe(79 * 400 + 200);
    expect(saturatedRatio).toBe(0.5);
  });
});

describe('a straggler', () => {
  const calls = (last: number) =>
    [100, 100, 110, 120, last].map((endMs, i) =>
      aCall({ session: `s${i}`, scheduledMs: 0, firstTokenMs: 50, endMs }),
    );
  const stragglersOf = (last: number, beside: number | null) =>
    summarise(
      aRun({
        calls: calls(last),
        workflows: [aWorkflow({ session: 's4', endMs: Math.max(last, beside ?? 0) })],
        nodes: [
          aNode({ session: 's4', endMs: last }),
          ...(beside === null ? [] : [aNode({ session: 's4', call: 'b', kind: 'tool', endMs: beside })]),
        ],
      }),
      sha256,
    ).bottleneck!.stragglers;

  test('takes twice the median of its step or more; its workflow lost what is beyond', () => {
    expect(stragglersOf(219, null)).toEqual([]);
    expect(stragglersOf(220, null)).toEqual([
      { session: 's4', call: 'answer', step: 'answer', e2eMs: 220, stepMedianMs: 110, lostMs: 110 },
    ]);
  });

  test('beside a longer path cost its workflow nothing', () => {
    expect(stragglersOf(500, 900)).toMatchObject([{ e2eMs: 500, lostMs: 0 }]);
  });
});

describe('rates', () => {
  /** What a rate sums to over the run. */
  const whole = (
    points: readonly RatePoint[],
    durationMs: number,
    of: (point: RatePoint) => number,
  ): number => points.reduce((sum, each) => sum + (of(each) * durationMs) / 1000 / points.length, 0);

  function checked(output: RunOutput): void {
    const rates = ratesOf(output)!;
    const { counts, tokens, governed } = summarise(output, sha256);
    const { durationMs } = output;
    expect(rates.length).toBeLessThanOrEqual(500);
    const lengthMs = durationMs / rates.length;
    for (const [i, { atMs }] of rates.entries())
      expect(Math.abs(atMs - i * lengthMs)).toBeLessThan(lengthMs / 100);
    const is = (of: (each: RatePoint) => number, total: number) =>
      expect(Math.abs(whole(rates, durationMs, of) - total)).toBeLessThanOrEqual(1e-5 * total);
    is(each => each.sessionsPerSec, counts.workflows.planned);
    is(each => each.callsWantedPerSec, counts.calls.planned);
    is(each => each.callsDonePerSec, counts.calls.ok);
    is(each => each.errorsPerSec, counts.calls.error);
    is(each => each.decodeTokensPerSec, tokens.output);
    is(each => each.preemptionsPerSec, counts.preemptions);
    is(each => each.retriesPerSec, governed?.byKind.retry ?? 0);
    const served = output.calls.filter(
      ({ scheduledMs, firstTokenMs, outcome }) =>
        outcome === 'ok' || scheduledMs !== null || firstTokenMs !== null,
    );
    is(
      each => each.prefillTokensPerSec,
      served.reduce((sum, call) => sum + promptComputedOf(call), 0),
    );
  }

  test.each([
    ['simulated', () => simulatedOn('job-scanner', 'workstation-ministral-14b')],
    ['made-up', () => anAgentRun({ workflows: 60 })],
    ['governed', () => aGovernedRun({ workflows: 60 })],
  ])('of a %s run sum to what the run counts in all', (_, run) => checked(run()));

  test('spread tokens over the time in which they were computed', () => {
    // 1,000 prompt tokens from 100 to 200 ms, 800 output tokens from 200 to 1,000 ms, ten slices.
    const call = aCall({
      scheduledMs: 100,
      firstTokenMs: 200,
      endMs: 1000,
      outputTokens: 800,
      computedTokens: 1799,
    });
    const rates = ratesOf(aRun({ calls: [call], durationMs: 1000 }))!;
    expect(rates.map(each => Math.round(each.prefillTokensPerSec))).toEqual([
      0, 10_000, 0, 0, 0, 0, 0, 0, 0, 0,
    ]);
    expect(rates.map(each => Math.round(each.decodeTokensPerSec))).toEqual([0, 0, ...Array(8).fill(1000)]);
    expect(rates.map(each => each.cacheHitRatio)).toEqual([null, 0, ...Array(8).fill(null)]);
  });

  test('of a run that took no time are none', () => {
    expect(ratesOf(aRun({ durationMs: 0 }))).toBeNull();
  });
});

describe('GPU time', () => {
  const RATES = new Map([['main', { prefillNs: 100, decodeNs: 1000, contextNs: 0 }]]);
  const ledger = (run: RunOutput) => ledgerOf(run, { rates: RATES, price: () => null });

  test('sums to what was paid for: cold until ready, then prompts, decodes and the rest', () => {
    const run = aRun({
      // 1,000 prompt tokens of 100 ns and 100 decodes of 1,000 ns: half of the busy time each.
      calls: [aCall({ computedTokens: 1100 })],
      replicas: [aSpan(), aSpan({ replica: 'main/1', askedMs: 500, readyMs: 900, gpus: 2 })],
      busy: [{ pool: 'main', replica: 'main/0', busyMs: 600 }],
      durationMs: 1000,
    });
    const time = gpuTimeOf({ ...run, ledger: ledger(run) })!;
    expect(time.prefill).toBeCloseTo(0.3, 9);
    expect(time.decode).toBeCloseTo(0.3, 9);
    expect(time.cold).toBeCloseTo(0.8, 9);
    expect(time.idle).toBeCloseTo(2 - 0.6 - 0.8, 9);
  });

  test('is unknown without books or busy times', () => {
    expect(gpuTimeOf(aRun())).toBeNull();
    const run = aRun({ replicas: [aSpan()] });
    expect(gpuTimeOf({ ...run, ledger: ledger(run) })).toBeNull();
  });
});
