// The fleet above a gateway: what layers may ask of it, what it tells them, and what its records say.
import { describe, expect, test } from 'vitest';
import type { WorkflowRecord } from '../../scenarios/formats/record.ts';
import { Fleet } from '../../scenarios/workflows/fleet.ts';
import { walk } from '../../scenarios/workflows/walk.ts';
import { type CallResult, type DelayRequest, unsent, type World } from '../../scenarios/workflows/world.ts';
import { firstSession, planOf, workflowText } from '../builders/scenarios.ts';
import { CHECKPOINTS, withRules } from '../builders/sessions.ts';

/** A world that the test ends by hand: what it was asked, in order. */
function byHand(text: string) {
  const asked: string[] = [];
  const open = new Map<string, number>();
  const tools: DelayRequest[] = [];
  const restarted: (number | null)[] = [];
  let nowMs = 0;
  const note = (verb: string, ticket: number, path: string): void => {
    asked.push(`${verb} ${path}`);
    open.set(path, ticket);
  };
  const pathOf = (ticket: number): string =>
    [...open].find(([, each]) => each === ticket)?.[0] ?? String(ticket);
  const world: World = {
    send: (ticket, { path }) => note('send', ticket, path),
    delay: (ticket, _ms, what) => {
      if (what?.kind === 'tool') tools.push(what);
      note('delay', ticket, what?.path ?? '');
    },
    abort: ticket => asked.push(`abort ${pathOf(ticket)}`),
    sessionRestarted: (_session, sinceMs) => restarted.push(sinceMs),
    sessionEnded: (session, _workflow, status) => asked.push(`${session} ${status}`),
  };
  const fleet = new Fleet({ plan: planOf(text), world, poolOf: model => model });
  fleet.startDue(0);
  return {
    fleet,
    asked,
    tools,
    restarted,
    session: firstSession(planOf(text)).id,
    now: () => nowMs,
    call(path: string, result: Partial<CallResult> = {}): void {
      fleet.callEnded(open.get(path) as number, { ...unsent(), outcome: 'ok', ...result }, ++nowMs);
    },
    delay(path: string, failure?: string | null): void {
      fleet.delayEnded(open.get(path) as number, ++nowMs, failure);
    },
    record: (): WorkflowRecord => fleet.workflows[0] as WorkflowRecord,
  };
}

const steps =
  '[ { llm: a, adds: 100, out: 10 }, { tool: fetch }, { llm: end, role: final, adds: 5, out: 1 } ]';

describe('a fleet', () => {
  test('starts a session again: what is live is aborted first, and its calls are all counted', () => {
    const run = byHand(withRules(workflowText(steps), CHECKPOINTS));
    run.call('a');
    const savedMs = run.now();
    run.fleet.restart(run.session, savedMs, savedMs + 7);
    expect(run.asked).toEqual(['send a', 'delay fetch', 'abort fetch', 'delay fetch~2']);
    expect(run.restarted).toEqual([savedMs]);
    run.delay('fetch');
    run.delay('fetch~2');
    run.call('end~2');
    expect(run.record()).toMatchObject({ status: 'completed', restarts: 1, calls: 2, toolCalls: 2 });
    expect(run.fleet.isDone).toBe(true);
  });

  test('starts a session again by its own rule, from the checkpoint that it was told of', () => {
    const rules = `${CHECKPOINTS}\n    restarts: { max: 1, from: checkpoint }`;
    const run = byHand(withRules(workflowText(steps), rules));
    run.call('a');
    run.fleet.checkpointed(run.session, run.now());
    run.delay('fetch');
    run.call('end', { outcome: 'error', error: 'http_500' });
    expect(run.asked.slice(-2)).toEqual(['send end', 'delay fetch~2']);
    run.delay('fetch~2', null);
    run.call('end~2', { outcome: 'error', error: 'http_500' });
    expect(run.record()).toMatchObject({ status: 'failed', error: 'http_500', restarts: 1, calls: 3 });
  });

  test('finalises a session: only its final step is still asked for', () => {
    const run = byHand(workflowText(steps));
    run.fleet.finalize(run.session);
    run.call('a', { isSkipped: true, outcome: 'error', error: 'budget' });
    expect(run.asked).toEqual(['send a', 'send end']);
    run.call('end');
    expect(run.record()).toMatchObject({ status: 'completed', isFinalized: true, toolCalls: 0 });
  });

  test('tells layers what a tool is asked, and what further attempts draw', () => {
    const run = byHand(workflowText('[ { tool: fetch }, { llm: a, adds: =tokens(prev), out: 1 } ]'));
    const [tool] = run.tools;
    expect(tool).toMatchObject({ kind: 'tool', path: 'fetch', step: 'fetch', resultTokens: 40 });
    if (tool?.kind !== 'tool') throw new Error('the fleet asked for no tool');
    expect(tool.rules.tool).toBe('fetch');
    expect(tool.attempt(1)).toEqual(tool.attempt(1));
    expect(tool.attempt(1).delayMs).not.toBe(tool.attempt(2).delayMs);
  });

  test('marks sessions that run away, whose whole course a walk still knows', () => {
    const text = workflowText(steps, 'faults: [ { fault: runaway, target: a, factor: 4 } ]');
    const run = byHand(text);
    run.call('a');
    run.fleet.cancel(run.session, 'anomaly', run.now());
    expect(run.record()).toMatchObject({ status: 'cancelled', injected: 'loop', calls: 2 });
    const { calls } = walk(firstSession(planOf(text)));
    expect(calls.map(({ promptTokens }) => promptTokens)).toEqual([100, 210, 320, 430, 445]);
  });
});
