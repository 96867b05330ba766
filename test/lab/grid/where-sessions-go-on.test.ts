// What a session finds where it goes on: hits of its later calls, and whether they come to the replica they were on.
import { expect, test } from 'vitest';
import { FigureCollector } from '../../../lab/grid/figures.ts';
import type { CallRecord } from '../../../scenarios/formats/record.ts';
import { aCall, aWorkflow } from '../../builders/records.ts';
import { planOf, workflowText } from '../../builders/scenarios.ts';

const PLAN = planOf(workflowText('[ { llm: answer, adds: 10, out: 5 } ]'));

/** Calls in the order of their ends. */
function figures(calls: readonly Partial<CallRecord>[]) {
  const collector = new FigureCollector(PLAN);
  for (const call of calls) collector.onCall(aCall(call));
  return collector.figures(1000, []);
}

test('the first call of a session is none that goes on', () => {
  expect(figures([{ session: 'a', cachedTokens: 500 }, { session: 'b' }])).toMatchObject({
    hitRatio: 0.25,
    laterHitRatio: null,
    stayRatio: null,
  });
});

test('a later call stays where it comes to the replica of the call before', () => {
  const on = (replica: string, cachedTokens: number) => ({ session: 'a', replica, cachedTokens });
  expect(
    figures([on('main/0', 0), on('main/0', 900), { session: 'b', replica: 'main/3' }, on('main/1', 300)]),
  ).toMatchObject({ stayRatio: 0.5, laterHitRatio: 0.6, hitRatio: 0.3 });
});

test('a call that no engine took up is none', () => {
  const refused = { replica: 'main/1', scheduledMs: null, firstTokenMs: null, outcome: 'error' as const };
  expect(figures([{}, refused, {}])).toMatchObject({ stayRatio: 1, failedCalls: 1 });
});

test('a session that has ended is forgotten', () => {
  const collector = new FigureCollector(PLAN);
  collector.onCall(aCall());
  collector.onSession(aWorkflow());
  collector.onCall(aCall());
  expect(collector.figures(1000, []).stayRatio).toBeNull();
});

test('mean TTFT is of the calls that ended well', () => {
  const failed = { outcome: 'error' as const, error: 'http_503', firstTokenMs: 900 };
  expect(figures([{ firstTokenMs: 100 }, { firstTokenMs: 300 }, failed]).ttftMsMean).toBe(200);
});
