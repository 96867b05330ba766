import { describe, expect, test } from 'vitest';
import { againstMetrics } from '../../../lab/validate/against-metrics.ts';
import { type RangeHow, readRange } from '../../../lab/validate/prometheus.ts';
import { UserError } from '../../../scenarios/base/errors.ts';
import { aCall, aRun, aSample } from '../../builders/records.ts';

const START_SEC = 1_800_000_000;
const HOW: RangeHow = { where: 'range.json', query: null, series: null };

type Values = readonly (readonly [number, string])[];
const matrix = (...result: { metric?: Record<string, string>; values: Values }[]): string =>
  JSON.stringify({
    status: 'success',
    data: { resultType: 'matrix', result: result.map(each => ({ metric: {}, ...each })) },
  });
const at = (...values: number[]): Values =>
  values.map((value, i) => [START_SEC + 60 * (i + 1), String(value)] as const);

const refused = (text: string, how: Partial<RangeHow> = {}): UserError => {
  try {
    readRange(text, { ...HOW, ...how });
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
  throw new Error('not refused');
};

describe('a range query', () => {
  test('of a quantile is read in milliseconds, as the query or the user says what it is', () => {
    const text = matrix({
      values: [
        [START_SEC, '0.4'],
        [START_SEC + 60, '6'],
        [START_SEC + 120, 'NaN'],
      ],
    });
    const expected = {
      figure: 'ttft',
      statistic: 'p95',
      samples: [
        { unixMs: START_SEC * 1000, value: 400 },
        { unixMs: (START_SEC + 60) * 1000, value: 6000 },
      ],
    };
    const query = 'histogram_quantile(0.95, sum by (le) (rate(vllm:time_to_first_token_seconds_bucket[5m])))';
    expect(readRange(text, { ...HOW, query })).toEqual([{ ...expected, windowMs: 300_000 }]);
    expect(readRange(text, { ...HOW, series: 'ttft.p95' })).toEqual([{ ...expected, windowMs: 60_000 }]);
  });

  test('of a mean is known by its sums and counts', () => {
    const query =
      'rate(vllm:e2e_request_latency_seconds_sum[1m]) / rate(vllm:e2e_request_latency_seconds_count[1m])';
    expect(readRange(matrix({ values: at(2) }), { ...HOW, query })[0]).toMatchObject({
      figure: 'e2e',
      statistic: 'mean',
    });
  });

  test('of gauges of several servers adds them up, and averages shares', () => {
    const gauge = (name: string) =>
      matrix(
        { metric: { __name__: name }, values: at(2, 4) },
        { metric: { __name__: name, pod: 'b' }, values: at(4, 0) },
      );
    expect(readRange(gauge('vllm:num_requests_waiting'), HOW)[0]).toMatchObject({
      figure: 'waiting',
      statistic: null,
      samples: [{ value: 6 }, { value: 4 }],
    });
    expect(readRange(gauge('vllm:kv_cache_usage_perc'), HOW)[0]!.samples.map(({ value }) => value)).toEqual([
      3, 2,
    ]);
  });

  test("of a histogram's counters gives mean and quantiles of each interval, across a restart", () => {
    const name = 'vllm:time_to_first_token_seconds';
    const bucket = (le: string, ...values: number[]) => ({
      metric: { __name__: `${name}_bucket`, le },
      values: at(...values),
    });
    const series = readRange(
      matrix(
        // 10 more below 0.1 s, 10 more up to 0.5 s; then the server starts anew and counts 4.
        bucket('0.1', 5, 15, 0),
        bucket('0.5', 5, 25, 4),
        bucket('+Inf', 5, 25, 4),
        { metric: { __name__: `${name}_sum` }, values: at(1, 5, 1.2) },
        { metric: { __name__: `${name}_count` }, values: at(5, 25, 4) },
      ),
      HOW,
    );
    const valuesOf = (statistic: string) =>
      series.find(each => each.statistic === statistic)!.samples.map(({ value }) => value);
    // 4 s over 20; 1.2 s over 4.
    expect(valuesOf('mean')).toEqual([200, 300]);
    // The 10th of 20 is the last below 0.1 s; the 2nd of 4 is half way from 0.1 to 0.5.
    expect(valuesOf('p50')[0]).toBeCloseTo(100, 9);
    expect(valuesOf('p50')[1]).toBeCloseTo(300, 9);
    // The 19th of 20: 9 tenths of the way.
    expect(valuesOf('p95')[0]).toBeCloseTo(460, 9);
  });

  test('that is none is refused with what to do', () => {
    expect(refused('<html>').hint).toContain('query_range');
    expect(refused('[]').message).toContain('no result');
    expect(refused('null').message).toContain('no result');
    expect(refused('{"status":"error","error":"parse error"}').message).toContain('parse error');
    expect(refused('{"status":"success","data":{"resultType":"vector","result":[]}}').message).toContain(
      'a vector',
    );
    expect(refused(matrix()).message).toContain('no values');
    expect(refused(matrix({ values: [] })).message).toContain('no values');
    expect(refused(matrix({ values: at(1) })).hint).toContain('--series ttft.p95');
    expect(refused(matrix({ values: at(1) }, { values: at(2) }), { series: 'ttft.p95' }).hint).toContain(
      'sum by (le)',
    );
    expect(refused(matrix({ values: at(1) }), { series: 'ttf.p95' }).hint).toContain('ttft');
    expect(refused(matrix({ values: at(1) }), { series: 'ttft' }).message).toContain('expected a statistic');
    expect(refused(matrix({ values: at(1) }), { series: 'waiting.p95' }).message).toContain('gauge');
    expect(refused(matrix({ metric: { __name__: 'node_cpu_sum' }, values: at(1) })).message).toContain(
      'none of its counters',
    );
  });
});

describe('a simulation against metrics', () => {
  const TOLERANCES = { timeRatio: 0.1, tailRatio: 0.2, countRatio: 0.02 };
  /** A call a second whose first token takes 100 ms, and 1 s in the third minute. */
  const sim = aRun({
    durationMs: 240_000,
    calls: Array.from({ length: 240 }, (_, i) => {
      const sentMs = i * 1000;
      const firstTokenMs = sentMs + (i >= 120 && i < 180 ? 1000 : 100);
      return aCall({ call: `c${i}`, plannedMs: sentMs, sentMs, firstTokenMs, endMs: firstTokenMs + 500 });
    }),
    timeline: [0, 60_000, 120_000, 180_000].flatMap(atMs =>
      ['main/0', 'main/1'].map(replica =>
        aSample({ atMs, replica, waitingRequests: atMs === 120_000 ? 10 : 1 }),
      ),
    ),
  });
  const ttft = (...values: number[]) =>
    readRange(matrix({ values: at(...values) }), { ...HOW, series: 'ttft.mean' });

  test('is compared window by window, and shows the same incident', () => {
    const { comparisons, series } = againstMetrics(sim, ttft(0.1, 0.1, 1, 0.1), START_SEC * 1000, TOLERANCES);
    // A first token at the very border belongs to the window that it ends.
    expect(series[0]!.points.map(({ predicted }) => Math.round(predicted! / 100))).toEqual([1, 1, 10, 1]);
    expect(comparisons[0]!.rows[0]).toMatchObject({ metric: 'TTFT mean over time', pass: true });
    expect(series[0]!.incident.reproduced).toBe('yes');
  });

  test('adds up the queues of its replicas', () => {
    const waiting = readRange(matrix({ values: at(2, 20, 2) }), { ...HOW, series: 'waiting' });
    const { series } = againstMetrics(sim, waiting, START_SEC * 1000, TOLERANCES);
    expect(series[0]!.points.map(({ predicted }) => predicted)).toEqual([2, 20, 2]);
  });

  test('starts with the metrics where nothing says when, and says so', () => {
    const { warnings } = againstMetrics(sim, ttft(0.1, 0.1, 1, 0.1), null, TOLERANCES);
    expect(warnings[0]).toContain('--started');
  });

  test('at another time is refused', () => {
    expect(() => againstMetrics(sim, ttft(0.1, 0.1), (START_SEC + 86_400) * 1000, TOLERANCES)).toThrow(
      /have no time in common/,
    );
  });
});
