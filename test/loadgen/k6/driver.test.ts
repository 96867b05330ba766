// What `--driver k6` makes of k6's output, and what it says where there is no k6.
import { describe, expect, test } from 'vitest';
import { startClock } from '../../../loadgen/clock.ts';
import { exportK6 } from '../../../loadgen/export/k6.ts';
import { k6Driver } from '../../../loadgen/k6/driver.ts';
import { K6Tally, type Told, toldIn } from '../../../loadgen/k6/tally.ts';
import { Spending } from '../../../loadgen/spending.ts';
import { planOf, workflowText } from '../../builders/scenarios.ts';
import { deploymentOf, HEADER } from '../../builders/worlds.ts';
import { LIVE_DEPLOYMENT, ok } from './ideal.ts';

const PLAN = planOf(
  workflowText(
    '[ { llm: a, role: worker, adds: 20, out: 10 }, { tool: fetch }, { llm: b, adds: 5, out: 4 } ]',
  ),
);
const INPUT = { plan: PLAN, deployment: deploymentOf(LIVE_DEPLOYMENT()), poolOf: () => 'main' };
const { known, targets } = exportK6({ ...INPUT, sessionsMax: null, options: {} });
const session = 'main/0';
const sent = (path: string, plannedMs: number, sentMs: number): Told => ({
  e: 'sent',
  session,
  path,
  plannedMs,
  sentMs,
});
const leaf = (path: string, more: object): Told =>
  ({
    e: 'leaf',
    session,
    path,
    step: path,
    kind: 'llm',
    cause: null,
    attempts: 1,
    outcome: 'ok',
    error: null,
    reply: null,
    firstSentMs: 0,
    plannedMs: 0,
    endMs: 0,
    ...more,
  }) as Told;

describe('records', () => {
  test('a call, a tool and their session become what every run has', () => {
    const tally = new K6Tally(known, targets);
    tally.take({ e: 'start', session, plannedMs: 0, startMs: 2 });
    tally.take(sent('a', 0, 3));
    const reply = { ...ok(3, 60), promptTokens: 21, cachedTokens: 16, outputTokens: 10 };
    tally.take(leaf('a', { firstSentMs: 3, endMs: 60, reply }));
    tally.take(leaf('fetch', { kind: 'tool', plannedMs: 60, endMs: 90, cause: 'a' }));
    tally.take(sent('b', 90, 91));
    tally.take(
      leaf('b', {
        plannedMs: 90,
        firstSentMs: 91,
        endMs: 120,
        cause: 'fetch',
        outcome: 'error',
        error: 'http_500',
        reply: { ...ok(91, 120), outputTokens: 0 },
      }),
    );
    tally.take({ e: 'end', session, endMs: 120, error: 'http_500' });
    tally.finish(130);
    expect(tally.calls).toMatchObject([
      {
        call: 'a',
        role: 'worker',
        pool: 'main',
        replica: 'main/0',
        promptTokens: 21,
        cachedTokens: 16,
        computedTokens: 14,
        outputTokens: 10,
        plannedMs: 0,
        sentMs: 3,
        firstTokenMs: null,
        endMs: 60,
        outcome: 'ok',
        parts: [{ segment: 'input', tokens: 20 }],
      },
      { call: 'b', outcome: 'error', error: 'http_500', cachedTokens: null, outputTokens: 0 },
    ]);
    expect(tally.nodes.map(({ call, status, cause }) => [call, status, cause])).toEqual([
      ['a', 'completed', null],
      ['fetch', 'completed', 'a'],
      ['b', 'failed', 'fetch'],
    ]);
    expect(tally.workflows).toMatchObject([
      {
        session,
        status: 'failed',
        error: 'http_500',
        calls: 2,
        toolCalls: 1,
        widthMax: 1,
        endMs: 120,
        outputTokens: 10,
      },
    ]);
  });

  test('what an interrupt leaves is unfinished, and what never began is skipped', () => {
    const tally = new K6Tally(known, targets);
    tally.take({ e: 'start', session, plannedMs: 0, startMs: 0 });
    tally.take(sent('a', 0, 1));
    tally.finish(50);
    expect(tally.calls).toMatchObject([{ call: 'a', outcome: 'unfinished', endMs: null, sentMs: 1 }]);
    expect(tally.workflows).toMatchObject([{ status: 'unfinished', endMs: null }]);
    expect(tally.nodes.map(({ call, status }) => [call, status])).toEqual([
      ['fetch', 'skipped'],
      ['b', 'skipped'],
    ]);
  });

  test('only samples of ours are read', () => {
    const record = JSON.stringify({ e: 'zero', unixMs: 12 });
    const line = (metric: string) =>
      JSON.stringify({ metric, type: 'Point', data: { time: '', value: 1, tags: {}, metadata: { record } } });
    expect(toldIn(line('windtunnel_records'))).toEqual({ e: 'zero', unixMs: 12 });
    expect(toldIn(line('http_reqs'))).toBeNull();
    expect(toldIn('  █ TOTAL RESULTS')).toBeNull();
  });
});

describe('before it starts', () => {
  const options = {
    ...INPUT,
    header: HEADER,
    clock: startClock(),
    environment: { WINDTUNNEL_K6: '/nowhere/k6' },
  };

  test('a missing k6 is named, with how to get it', () => {
    expect(() => k6Driver('folder')(options)).toThrow(/there is no k6 to be run as "\/nowhere\/k6"/);
  });

  test('limits that k6 cannot keep are refused', () => {
    const spending = new Spending({ maxRequests: 5, maxUsd: null, price: () => null, usdPerHour: 0 });
    expect(() => k6Driver('folder')({ ...options, spending })).toThrow(/no limit of requests/);
  });
});
