import { describe, expect, test } from 'vitest';
import { FigureCollector } from '../../../lab/grid/figures.ts';
import type { Assertion } from '../../../scenarios/formats/assertion.ts';
import type { Plan } from '../../../scenarios/formats/plan.ts';
import type { CallRecord, ReplicaSpan, WorkflowRecord } from '../../../scenarios/formats/record.ts';
import { aCall, aWorkflow } from '../../builders/records.ts';
import { planOf, workflowText } from '../../builders/scenarios.ts';

const PLAN = planOf(workflowText('[ { llm: answer, adds: 10, out: 5 } ]'));
const SPAN: ReplicaSpan = {
  pool: 'main',
  replica: 'main/0',
  askedMs: 0,
  readyMs: 0,
  goneMs: null,
  isLost: false,
  gpus: 2,
  usdPerGpuHour: 3,
};

function figures(
  calls: readonly Partial<CallRecord>[],
  {
    sessions = [{}],
    spans = [SPAN],
    plan = PLAN,
  }: {
    sessions?: readonly Partial<WorkflowRecord>[];
    spans?: ReplicaSpan[];
    plan?: Plan;
  } = {},
) {
  const collector = new FigureCollector(plan);
  for (const call of calls) collector.onCall(aCall(call));
  for (const session of sessions) collector.onSession(aWorkflow(session));
  return collector.figures(3_600_000, spans);
}

describe('good calls', () => {
  test('keep 2 s to the first token and 50 ms between tokens where the scenario says nothing', () => {
    const late = { firstTokenMs: 2001, endMs: 2500 };
    // 101 tokens: 100 gaps in 5.1 s.
    const slow = { firstTokenMs: 100, endMs: 5200 };
    const failed = { outcome: 'error' as const, error: 'http_503', endMs: 5 };
    expect(figures([{}, late, slow, failed])).toMatchObject({
      calls: 4,
      goodCalls: 1,
      failedCalls: 1,
      sloRatio: 0.25,
    });
  });

  test('keep the targets of their own step where it has some', () => {
    const slo: Assertion = {
      text: 'slo(e2e <= 1s, step=answer) >= 95%',
      subject: { kind: 'attainment', of: 'calls', withinMs: { e2e: 1000 } },
      filter: { workflow: 'chat', step: 'answer' },
      op: '>=',
      target: 0.95,
    };
    const plan = { ...PLAN, assertions: [slo] };
    // aCall takes 1,100 ms: too long for the step with a target, well for another step by the default.
    expect(figures([{}, { step: 'other' }], { plan }).goodCalls).toBe(1);
  });

  test('leave out calls that their workflow cancelled, which waste what they computed', () => {
    const cancelled = { outcome: 'cancelled' as const, error: 'cancelled', computedTokens: 300 };
    // The other: 1,000 prompt tokens and 100 of the answer computed once, and 200 again.
    const again = { computedTokens: 1300 };
    expect(figures([cancelled, again])).toMatchObject({
      failedCalls: 0,
      sloRatio: 1,
      wasteRatio: 500 / 1600,
    });
  });
});

test('rates count over the window in which sessions start, not over the tail', () => {
  const sessions = [{ startMs: 0 }, { startMs: 2000, plannedMs: 2000, endMs: 9000 }];
  expect(figures([{}, {}, { firstTokenMs: 5000, endMs: 5100 }, {}], { sessions })).toMatchObject({
    windowMs: 2000,
    offeredPerSec: 2,
    goodputPerSec: 1.5,
  });
});

test('throughput is that of the middle half of the calls', () => {
  // Ends at 0 s, then one each 100 ms, and a straggler.
  const ends = [0, 5000, 5100, 5200, 5300, 5400, 5500, 90_000];
  expect(figures(ends.map(endMs => ({ firstTokenMs: 0, endMs }))).servedPerSec).toBeCloseTo(10, 9);
});

test('hits are a share of prompt tokens that an engine read', () => {
  const refused = { outcome: 'error' as const, error: 'http_503', scheduledMs: null, cachedTokens: null };
  expect(figures([{ cachedTokens: 600 }, {}, refused]).hitRatio).toBe(0.3);
});

test('a replica is paid for from the wish for it to its end', () => {
  const early = { ...SPAN, askedMs: 600_000, readyMs: 900_000, goneMs: 2_400_000 };
  expect(figures([{}], { spans: [SPAN, early] })).toMatchObject({ gpuHours: 3, usd: 9 });
  expect(figures([{}], { spans: [SPAN, { ...early, usdPerGpuHour: null }] }).usd).toBeNull();
});

test('what passes until a replica is ready is paid for too, all of it where it never was', () => {
  const cold = { ...SPAN, askedMs: 600_000, readyMs: 960_000, goneMs: 2_400_000 };
  const never = { ...SPAN, askedMs: 0, readyMs: null, goneMs: 180_000 };
  // Two GPUs for 6 and for 3 minutes.
  expect(figures([{}], { spans: [SPAN, cold, never] }).coldGpuHours).toBeCloseTo(0.3, 12);
});

test('most replicas count from the wish for them, and the first time that there are as many', () => {
  const from = (askedMs: number, goneMs: number | null) => ({ ...SPAN, askedMs, goneMs });
  // Three from 300 on, and again from 700; what goes as another is asked for makes no more.
  const spans = [from(0, null), from(100, 500), from(300, 600), from(500, 900), from(700, null)];
  expect(figures([{}], { spans })).toMatchObject({ replicasMost: 3, replicasMostAtMs: 300 });
});

test('a session is good when it completed and all of its calls were', () => {
  const late = { firstTokenMs: 5000, endMs: 5500 };
  const of = (session: string, fields: Partial<CallRecord> = {}) => ({ session, ...fields });
  const calls = [of('a'), of('b'), of('b', late), of('c')];
  const sessions = [{ session: 'a' }, { session: 'b' }, { session: 'c', status: 'failed' as const }];
  expect(figures(calls, { sessions })).toMatchObject({ sessions: 3, goodSessions: 1 });
});

test('the first answer and the most that wait count from the planned time', () => {
  const calls = [
    { plannedMs: 100, scheduledMs: 700, firstTokenMs: 900, endMs: 1000 },
    { plannedMs: 200, scheduledMs: 650, firstTokenMs: 800, endMs: 1000 },
    { plannedMs: 660, scheduledMs: 690, firstTokenMs: 950, endMs: 1000 },
  ];
  expect(figures(calls)).toMatchObject({ firstAnswerMs: 700, waitingMost: 2 });
});

test('fairness is over tenants, and over cohorts where there are none', () => {
  const bad = { firstTokenMs: 9000, endMs: 9900 };
  const of = (tenant: string | null, cohort: string, fields = {}) => ({ tenant, cohort, ...fields });
  // a has all of its calls good, b half: (1 + 0.5)^2 / (2 * 1.25) = 0.9.
  expect(figures([of('a', 'x'), of('b', 'x'), of('b', 'x', bad)]).fairnessRatio).toBeCloseTo(0.9, 12);
  expect(figures([of(null, 'x'), of(null, 'y'), of(null, 'y', bad)]).fairnessRatio).toBeCloseTo(0.9, 12);
});

test('calls are judged by other SLOs beside their own, and those that failed keep none', () => {
  const collector = new FigureCollector(PLAN, [{ ttft: 500 }, { itl: 20 }, { ttft: 500, itl: 20 }]);
  const slow = { firstTokenMs: 600, endMs: 900, itlMsMax: 15 };
  const rough = { firstTokenMs: 100, endMs: 900, itlMsMax: 60 };
  const failed = { outcome: 'error' as const, error: 'http_503', firstTokenMs: null, itlMsMax: null };
  const cancelled = { outcome: 'cancelled' as const, firstTokenMs: null, itlMsMax: null };
  for (const call of [slow, rough, rough, failed, cancelled]) collector.onCall(aCall(call));
  expect(collector.keptRatios()).toEqual([0.5, 0.25, 0]);
});

test('a run without a call has no figure that needs one', () => {
  expect(figures([], { sessions: [] })).toMatchObject({
    calls: 0,
    sloRatio: null,
    ttftMsP95: null,
    hitRatio: null,
  });
});
