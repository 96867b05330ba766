// Replicas over a run: counts and costs by hand, and what a simulated run that scales, waits and refuses says of it.
import { describe, expect, test } from 'vitest';
import { replicasChart } from '../../reports/charts/replicas.ts';
import { replicaRows } from '../../reports/replicas.ts';
import { summarise } from '../../reports/summary.ts';
import { terminalSummary } from '../../reports/terminal.ts';
import type { ReplicaSpan } from '../../scenarios/formats/record.ts';
import type { RunOutput } from '../../scenarios/formats/run.ts';
import { aCall, aRun, aSample } from '../builders/records.ts';
import { planOf, workflowText } from '../builders/scenarios.ts';
import { deploymentOf, simulationOf } from '../builders/worlds.ts';

const span = (fields: Partial<ReplicaSpan> = {}): ReplicaSpan => ({
  pool: 'main',
  replica: 'main/0',
  askedMs: 0,
  readyMs: 0,
  goneMs: null,
  isLost: false,
  gpus: 2,
  usdPerGpuHour: 3,
  ...fields,
});

/** One that stays, one that comes cold and goes, one given up while it starts, one that the run does not see ready. */
const MOVING = [
  span(),
  span({ replica: 'main/1', askedMs: 10_000, readyMs: 40_000, goneMs: 80_000, isLost: true }),
  span({ replica: 'main/2', askedMs: 20_000, readyMs: null, goneMs: 30_000 }),
  span({ replica: 'main/3', askedMs: 90_000, readyMs: 130_000 }),
];
const summaryOf = (output: RunOutput) => summarise(output, () => 'digest');

describe('the replicas of a run', () => {
  test('are counted while they are ready, and paid for from the wish to the end', () => {
    const [row, ...others] = replicaRows(MOVING, [], 100_000);
    expect(others).toEqual([]);
    // Ready: 1 for 40 s, 2 for 40 s, 1 for 20 s. Paid for: 100 + 70 + 10 + 10 s of 2 GPUs.
    expect(row).toMatchObject({ pool: 'main', name: 'main', readyMin: 1, readyMax: 2, readyMean: 1.4 });
    expect(row).toMatchObject({ coldStarts: 1, coldStartMsMean: 30_000, lost: 1 });
    expect(row!.gpuHours).toBeCloseTo(380 / 3600, 12);
    expect(row!.usd).toBeCloseTo((380 / 3600) * 3, 12);
  });

  test('are shown over time with the calls that want them, those that wait included', () => {
    const calls = [
      aCall({ sentMs: 5000, scheduledMs: 41_000, endMs: 60_000 }),
      aCall({ sentMs: 25_000, scheduledMs: null, firstTokenMs: null, endMs: null, outcome: 'unfinished' }),
      aCall({ pool: 'other', sentMs: 0, endMs: 100_000 }),
      aCall({ sentMs: null, endMs: null }),
    ];
    const { points } = replicaRows(MOVING, calls, 100_000)[0]!;
    const at = (atMs: number) => points.find(point => point.atMs === atMs);
    expect(at(0)).toEqual({ atMs: 0, ready: 1, starting: 0, inFlightCalls: 0 });
    expect(at(20_000)).toEqual({ atMs: 20_000, ready: 1, starting: 2, inFlightCalls: 1 });
    expect(at(30_000)).toEqual({ atMs: 30_000, ready: 1, starting: 1, inFlightCalls: 2 });
    expect(at(40_000)).toEqual({ atMs: 40_000, ready: 2, starting: 0, inFlightCalls: 2 });
    expect(at(80_000)).toEqual({ atMs: 80_000, ready: 1, starting: 0, inFlightCalls: 1 });
    expect(at(100_000)).toEqual({ atMs: 100_000, ready: 1, starting: 1, inFlightCalls: 1 });
    expect(points.length).toBeLessThanOrEqual(1000);
  });

  test('of the halves of a pool are told apart, and without a price nothing is said to cost', () => {
    const rows = replicaRows(
      [
        span({ replica: 'main/prefill/0', usdPerGpuHour: null }),
        span({ replica: 'main/decode/0' }),
        span({ replica: 'main/decode/1' }),
      ],
      [],
      3_600_000,
    );
    expect(rows.map(({ name, readyMin, usd }) => [name, readyMin, usd])).toEqual([
      ['main/decode', 2, 12],
      ['main/prefill', 1, null],
    ]);
    expect(rows.every(({ points }) => points.length === 0)).toBe(true);
  });

  test('stay few points however often they change, peaks kept', () => {
    const many = Array.from({ length: 5000 }, (_, i) =>
      span({ replica: `main/${i}`, askedMs: i * 10, readyMs: i * 10 + 3, goneMs: i * 10 + 7 }),
    );
    const [row] = replicaRows(many, [], 50_000);
    expect(row!.points.length).toBeLessThanOrEqual(1000);
    expect(row).toMatchObject({ readyMin: 0, readyMax: 1 });
    expect(Math.max(...row!.points.map(({ ready }) => ready))).toBe(1);
  });
});

describe('what is said of them', () => {
  const fixed = summaryOf(aRun({ replicas: [span()], durationMs: 100_000 }));
  const moving = summaryOf(aRun({ replicas: MOVING, durationMs: 100_000 }));
  const line = (result: typeof fixed) =>
    terminalSummary(result, { colour: false })
      .split('\n')
      .find(text => text.includes('GPU-hours'));

  test('is one line and a chart where they come and go, and neither where they stay', () => {
    expect(line(moving)).toBe(
      '  main: 1 to 2 replicas, mean 1.4, 1 cold start of 30 s, 1 lost; 0.106 GPU-hours, 0.317 USD',
    );
    expect(replicasChart.title(moving)).toBe('main: 1 to 2 replicas, mean 1.4, 1 cold start of 30 s, 1 lost');
    expect(line(fixed)).toBeUndefined();
    expect(replicasChart.spec(fixed)).toEqual({ absent: 'the number of replicas does not change' });
    expect(fixed.replicas).toMatchObject([{ readyMin: 1, readyMax: 1, coldStarts: 0 }]);
  });

  test('is nothing in a live run', () => {
    expect(summaryOf(aRun())).not.toHaveProperty('replicas');
  });

  test('a replica that has gone is in no later sum of the timeline', () => {
    const samples = [0, 100_000].flatMap(atMs => [
      aSample({ atMs, runningRequests: 3, kvUsedRatio: 0.4 }),
      ...(atMs === 0 ? [aSample({ atMs, replica: 'main/1', runningRequests: 5, kvUsedRatio: 0.8 })] : []),
    ]);
    const gone = [span(), span({ replica: 'main/1', goneMs: 50_000 })];
    const { timeline } = summaryOf(aRun({ timeline: samples, replicas: gone, durationMs: 100_000 }));
    expect(timeline.map(({ runningRequests, kvUsedRatio }) => [runningRequests, kvUsedRatio])).toEqual([
      [8, 0.6],
      [3, 0.4],
    ]);
  });
});

describe('a simulated run', () => {
  const pool = (lines: string) => `
windtunnel: 1
deployment: test
pools:
  main:
    model: ministral-3-14b
    limits: { max_model_len: 4096, kv_blocks: 4096 }
    step: { model: affine, base: 8ms }
${lines}
`;
  const ran = (deployment: string, sessions: number) => {
    const plan = planOf(workflowText('[ { llm: a, adds: 100, out: 10 } ]', '', sessions));
    const simulation = simulationOf(plan, deploymentOf(deployment));
    while (simulation.step(1000));
    return summaryOf(simulation.finish());
  };

  test('from no replica: the look of the autoscaler and the cold start are cold on the critical path', () => {
    const scaled = `    replicas: 0
    cold_start: 30s
    autoscaler: { policy: hpa, min: 0, max: 2, metric: in_flight, target: 4 }`;
    const result = ran(pool(scaled), 1);
    expect(result.replicas).toMatchObject([
      { readyMin: 0, readyMax: 1, coldStarts: 1, coldStartMsMean: 30_000 },
    ]);
    // Looked at after 15 s, ready 30 s later; then 10 tokens of 8 ms.
    expect(result.criticalPath.coldMs).toBeGreaterThanOrEqual(45_000 - 1);
    expect(result.criticalPath.coldMs).toBeLessThan(45_100);
    expect(result.criticalPath.queueMs).toBeLessThan(1);
    expect(result.criticalPath.otherMs).toBeLessThan(1);
    expect(result.verdict.why).toContain('cold starts');
  });

  test('behind a gate: waiting is queue too, and who is turned away is named among the errors', () => {
    const gated = `gateway: { admission: { policy: calls, max: 1, queue: 1 } }`;
    const result = ran(pool(gated), 4);
    expect(result.counts.calls).toMatchObject({ planned: 4, ok: 2, error: 2 });
    expect(result.counts.errors).toEqual({ queue_full: 2 });
    const [first, second] = result.exemplars
      .filter(({ status }) => status === undefined)
      .map(({ criticalPath }) => criticalPath.queueMs)
      .toSorted((a, b) => a - b);
    expect(first).toBeLessThan(9);
    expect(second).toBeGreaterThan(60);
  });
});
