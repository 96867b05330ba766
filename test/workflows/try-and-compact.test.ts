// try, compact, compact_at, context: last and until conditions: what runs, and what each prompt holds.
import { describe, expect, test } from 'vitest';
import type { PlannedSession } from '../../scenarios/formats/plan.ts';
import type { NodeRecord } from '../../scenarios/formats/record.ts';
import { type Action, SessionProgress } from '../../scenarios/workflows/progress.ts';
import { walk } from '../../scenarios/workflows/walk.ts';
import { firstSession, planOf, sessionsOf, workflowText } from '../builders/scenarios.ts';

const sessionOf = (steps: string, extra = ''): PlannedSession =>
  firstSession(planOf(workflowText(steps, extra)));

const partsOf = (steps: string): Record<string, Record<string, number>> =>
  Object.fromEntries(
    walk(sessionOf(steps)).calls.map(call => [
      call.step,
      Object.fromEntries(call.parts.map(part => [part.segment, part.tokens])),
    ]),
  );

/** Runs a session; calls whose step is listed fail. */
function run(steps: string, failing: readonly string[] = []): { done: Action[]; nodes: NodeRecord[] } {
  const session = sessionOf(steps);
  const nodes: NodeRecord[] = [];
  const progress = new SessionProgress(session.id, session.key, session.program, {
    onNode: node => nodes.push(node),
  });
  const open = [...progress.start(0)];
  const done: Action[] = [];
  for (let clock = 1; open.length > 0; clock++) {
    const action = open.shift() as Action;
    if (action.kind === 'done') done.push(action);
    if (action.kind === 'call' || action.kind === 'delay') {
      const fails = failing.includes(action.node.step);
      open.push(...progress.finish(action.node.row, fails ? 'http_500' : null, clock));
    }
  }
  return { done, nodes };
}

const statusOf = (nodes: readonly NodeRecord[]): Record<string, string> =>
  Object.fromEntries(nodes.map(node => [node.call, node.status]));

describe('try', () => {
  const steps =
    '[ { llm: plan, adds: 10, out: 4 }, { try: push, steps: [ { llm: send, adds: 5, out: 2 }, { wait: 1s } ],' +
    ' on_error: [ { llm: repair, adds: 7, out: 3 } ] }, { llm: end, reads: [repair], adds: 1, out: 1 } ]';

  test('a failure inside runs on_error, skips the rest of the body, and the workflow completes', () => {
    const { done, nodes } = run(steps, ['send']);
    expect(done).toMatchObject([{ status: 'completed' }]);
    expect(statusOf(nodes)).toEqual({
      plan: 'completed',
      'push/send': 'failed',
      'push/wait': 'skipped',
      'push/on_error/repair': 'completed',
      end: 'completed',
    });
  });

  test('without a failure on_error leaves no node', () => {
    const { done, nodes } = run(steps);
    expect(done).toMatchObject([{ status: 'completed' }]);
    expect(Object.keys(statusOf(nodes))).toEqual(['plan', 'push/send', 'push/wait', 'end']);
  });

  test('without on_error a failure ends there', () => {
    const { done } = run('[ { try: t, steps: [ { llm: a, adds: 5, out: 2 } ] }, { llm: b, out: 1 } ]', ['a']);
    expect(done).toMatchObject([{ status: 'completed' }]);
  });

  test('a failure of on_error fails the workflow', () => {
    const { done } = run(steps, ['send', 'repair']);
    expect(done).toMatchObject([{ status: 'failed', error: 'http_500' }]);
  });

  test('inside try a tool that fails fails its list, outside the agent reads the error', () => {
    const body =
      '[ { try: t, steps: [ soft, { llm: after, out: 1 } ], on_error: [ { llm: mend, out: 1 } ] } ]';
    expect(statusOf(run(body).nodes)).toEqual({
      't/soft': 'failed',
      't/after': 'skipped',
      't/on_error/mend': 'completed',
    });
    expect(statusOf(run('[ soft, { llm: after, out: 1 } ]').nodes)).toEqual({
      soft: 'failed',
      after: 'completed',
    });
  });

  test('the body and on_error each see the thread as it was, and leave it as it was', () => {
    const parts = partsOf(
      '[ { llm: plan, adds: 10, out: 4 }, { try: t, steps: [ { llm: a, adds: 5, out: 2 } ] }, { llm: end, reads: [a], adds: 1, out: 1 } ]',
    );
    expect(parts.a).toEqual({ history: 14, input: 5 });
    expect(parts.end).toEqual({ history: 14, reads: 2, input: 1 });
  });
});

describe('compact', () => {
  test('the thread becomes what is kept and the summary', () => {
    const parts = partsOf(
      '[ { llm: plan, adds: 100, out: 40 }, { llm: work, adds: 200, out: 60 },' +
        ' { compact: sum, keep: [plan], adds: 20, out: 30 }, { llm: end, adds: 5, out: 1 } ]',
    );
    expect(parts.sum).toEqual({ history: 400, input: 20 });
    expect(parts.end).toEqual({ history: 70, input: 5 });
  });

  test('what follows the summary shares no cached context with what came before, but the summary itself does', () => {
    const { calls } = walk(
      sessionOf('[ { llm: a, adds: 50, out: 10 }, { compact: sum, out: 30 }, { llm: b, adds: 5, out: 1 } ]'),
    );
    const [a, sum, b] = calls;
    expect(sum?.prompt.slice(0, a?.prompt.length)).toEqual(a?.prompt);
    expect(b?.prompt[0]).toEqual(sum?.output[0]);
  });

  test('compact_at puts a summary before the call whose prompt is too long, and only there', () => {
    const { calls } = walk(
      sessionOf(
        '[ { repeat: turn, times: 4, steps: [ { llm: t, adds: 100, out: 20, compact_at: { tokens: 300, out: 25 } } ] } ]',
      ),
    );
    expect(calls.map(call => [call.step, call.promptTokens])).toEqual([
      ['t', 100],
      ['t', 220],
      // 240 of history and 100 more are above 300: a summary of 25 takes the place of the history.
      ['t/compact', 240],
      ['t', 125],
      ['t', 245],
    ]);
    expect(calls[2]).toMatchObject({ role: 'summarizer', step: 't/compact' });
  });

  test('a compaction that fails fails the step behind it', () => {
    const steps =
      '[ { llm: a, adds: 100, out: 20 }, { llm: t, adds: 100, out: 20, compact_at: 150 }, { wait: 1s } ]';
    const { done, nodes } = run(steps, ['t/compact']);
    expect(done).toMatchObject([{ status: 'failed' }]);
    expect(statusOf(nodes)).toEqual({
      a: 'completed',
      't/compact': 'failed',
      t: 'skipped',
      wait: 'skipped',
    });
  });
});

describe('context: last', () => {
  test('a call begins with the result of the step before and nothing else of the thread', () => {
    const parts = partsOf(
      '[ { llm: plan, adds: 100, out: 40 }, { tool: fetch }, { llm: judge, context: last, adds: 6, out: 2 }, { llm: end, adds: 1, out: 1 } ]',
    );
    expect(parts.judge).toEqual({ history: 40, input: 6 });
    expect(parts.end).toEqual({ history: 140, input: 1 });
  });

  test('tokens(prev) is 0 in it, since the thread holds the result already', () => {
    const parts = partsOf(
      '[ { tool: fetch }, { llm: judge, context: last, adds: "=tokens(prev) + 3", out: 2 } ]',
    );
    expect(parts.judge).toEqual({ history: 40, input: 3 });
  });

  test('a sub-agent begins with the result of the step before its call', () => {
    const parts = partsOf('[ { llm: plan, adds: 100, out: 33 }, { agent: helper, context: last } ]');
    expect(parts.think).toEqual({ history: 33, input: 10 });
  });
});

describe('until', () => {
  test('a condition is judged after each pass, on what its steps gave', () => {
    const { calls } = walk(
      sessionOf(
        '[ { repeat: r, until: "=tokens(review) <= 20", max: 9, steps: [ { llm: draft, adds: 5, out: 9 }, { llm: review, adds: 1, out: "=50 - 10 * iteration" } ] } ]',
      ),
    );
    // 50, 40, 30, 20: the fourth pass is the last.
    expect(calls.filter(call => call.step === 'review').map(call => call.outputTokens)).toEqual([
      50, 40, 30, 20,
    ]);
  });

  test('max bounds a condition that never holds', () => {
    const { calls } = walk(
      sessionOf('[ { repeat: r, until: "=0", max: 3, steps: [ { llm: a, adds: 5, out: 9 } ] } ]'),
    );
    expect(calls).toHaveLength(3);
  });
});

describe('tenants, users and mixes', () => {
  const traffic = (cohort: string): PlannedSession[] =>
    sessionsOf(
      planOf(
        workflowText('[ { llm: a, adds: 5, out: 1, prefix: [yours] } ]')
          .replace('prefixes: {', 'prefixes: { yours: { tokens: 10, scope: user },')
          .replace(/traffic:.*/, `traffic: [ ${cohort} ]`),
      ),
    );
  const share = (sessions: PlannedSession[], of: (session: PlannedSession) => boolean): number =>
    sessions.filter(of).length / sessions.length;

  test('sessions are dealt to tenants and workflows by weight', () => {
    const sessions = traffic(
      '{ mix: { main: 75%, helper: 25% }, tenants: { a: 20%, b: 80% }, arrival: { at_once: true }, sessions: 4000 }',
    );
    expect(share(sessions, each => each.program.workflow === 'helper')).toBeCloseTo(0.25, 1);
    expect(share(sessions, each => each.tenant === 'a')).toBeCloseTo(0.2, 1);
  });

  test('users share what is theirs, and zipf makes a few of them use most', () => {
    const sessions = traffic(
      '{ workflow: main, tenant: t, users: { count: 50, zipf: 1.2 }, arrival: { at_once: true }, sessions: 3000 }',
    );
    const byUser = Map.groupBy(sessions, each => each.user);
    expect(byUser.size).toBeGreaterThan(40);
    expect((byUser.get('u1')?.length ?? 0) / 3000).toBeGreaterThan(0.2);
    const headOf = (session: PlannedSession | undefined) =>
      walk(session as PlannedSession).calls[0]?.prompt[0]?.key;
    const [first, second] = byUser.get('u1') ?? [];
    expect(headOf(first)).toEqual(headOf(second));
    expect(headOf(first)).not.toEqual(headOf(byUser.get('u2')?.[0]));
  });
});
