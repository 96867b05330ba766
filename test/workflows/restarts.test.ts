// Sessions that start again: after their process was lost, or after a failure, from their start or from a checkpoint.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { LiveNode } from '../../scenarios/workflows/progress.ts';
import { workflowText } from '../builders/scenarios.ts';
import { basePath, CHECKPOINTS, Driven, randomTexts, withRules } from '../builders/sessions.ts';

const steps =
  '[ { llm: a, adds: 100, out: 10 }, { tool: fetch }, { llm: b, adds: 5, out: 5 }, { llm: c, adds: 1, out: 1 } ]';
const saved = (text: string): Driven => new Driven(withRules(workflowText(text), CHECKPOINTS)).start();

describe('a session whose process is lost', () => {
  test('goes on behind its checkpoint, with the thread that it had', () => {
    const session = saved(steps);
    session.finish('a', null, { answerTokens: 4 });
    session.endDelay('fetch');
    const savedMs = session.nowMs;
    session.finish('b');
    session.restart(savedMs);
    expect(session.aborted.map(({ path }) => path)).toEqual(['c']);
    expect(session.live.map(({ path }) => path)).toEqual(['b~2']);
    expect(session.node('b~2')).toMatchObject({ cause: 'fetch', startMs: session.nowMs });
    session.finish('b~2');
    session.finish('c~2');
    expect(session.prompts()).toEqual({ a: 100, b: 109, c: 115 });
    expect(session.ends()).toEqual([
      ['a', 'completed'],
      ['fetch', 'completed'],
      ['b', 'completed'],
      ['c', 'cancelled'],
      ['b~2', 'completed'],
      ['c~2', 'completed'],
    ]);
    expect(session.dones).toMatchObject([{ status: 'completed' }]);
  });

  test('starts from the beginning without a checkpoint; names change, contents and keys do not', () => {
    const session = saved(steps);
    session.finish('a');
    session.restart(null);
    session.finish('a~2');
    session.restart(null);
    expect(session.live.map(({ path }) => path)).toEqual(['a~3']);
    session.finish('a~3');
    const [first, second, third] = session.started.filter(({ step }) => step === 'a').map(({ call }) => call);
    expect(second).toEqual(first);
    expect(third).toEqual(first);
    const tools = session.started.filter(({ step }) => step === 'fetch').map(({ tool }) => tool?.key);
    expect(tools[1]).toEqual(tools[0]);
  });

  test('forgets all where its workflow saves nothing', () => {
    const session = new Driven(workflowText(steps)).start();
    session.finish('a');
    session.restart(session.nowMs);
    expect(session.live.map(({ path }) => path)).toEqual(['a~2']);
  });

  /** What is live, by path without a life, and what it was asked. */
  const asked = ({ live, delays }: Driven) =>
    live
      .map(({ path, kind, call, row }) => ({ path: basePath(path), kind, call, delayMs: delays.get(row) }))
      .sort((a, b) => (a.path < b.path ? -1 : 1));

  test('with all saved that had ended, it goes on as if nothing had been', () => {
    const inputs = fc.tuple(
      randomTexts,
      fc.array(fc.nat(50), { minLength: 1, maxLength: 20 }),
      fc.constantFrom(0, 3, 5),
      fc.nat(8),
    );
    fc.assert(
      fc.property(inputs, ([text, choices, failEvery, lostAt]) => {
        const rules = withRules(text, CHECKPOINTS);
        const [whole, broken] = [new Driven(rules).start(), new Driven(rules).start()];
        for (let i = 0; whole.live.length > 0; i++) {
          if (i === lostAt) broken.restart(broken.nowMs);
          expect(asked(broken)).toEqual(asked(whole));
          const chosen = asked(whole)[(choices[i % choices.length] as number) % whole.live.length];
          const error = chosen?.kind === 'llm' && failEvery > 0 && i % failEvery === 2 ? 'http_500' : null;
          for (const each of [whole, broken]) {
            const node = each.live.find(({ path }) => basePath(path) === chosen?.path) as LiveNode;
            each.finish(node.path, error);
          }
        }
        expect(broken.live).toEqual([]);
        expect(broken.dones).toEqual(whole.dones);
      }),
      { numRuns: 150 },
    );
  });

  test('without a checkpoint every leaf of a whole run is run again', () => {
    fc.assert(
      fc.property(randomTexts, fc.nat(8), (text, lostAt) => {
        const rules = withRules(text, CHECKPOINTS);
        const toTheEnd = (session: Driven): Driven => {
          while (session.live.length > 0) session.finish((session.live[0] as LiveNode).path);
          return session;
        };
        const whole = toTheEnd(new Driven(rules).start());
        const broken = new Driven(rules).start();
        for (let i = 0; i < lostAt && broken.live.length > 1; i++)
          broken.finish((broken.live.at(-1) as LiveNode).path);
        if (broken.dones.length > 0) return;
        broken.restart(null);
        toTheEnd(broken);
        const again = broken.started.filter(({ path }) => path.endsWith('~2'));
        expect(again.map(({ path }) => basePath(path))).toEqual(whole.started.map(({ path }) => path));
        expect(again.map(({ call }) => call)).toEqual(whole.started.map(({ call }) => call));
      }),
      { numRuns: 100 },
    );
  });
});

describe('a session that may start again after a failure', () => {
  const flaky = workflowText(
    '[ { llm: a, adds: 100, out: 10 }, { tool: flaky }, { llm: b, adds: =tokens(prev), out: 1 } ]',
  ).replace(
    'tools: {',
    'tools: { flaky: { latency: { median: 1s, p90: 9s }, result: 40, fail: 90%, on_fail: stop },',
  );
  const failing = (rules: string): Driven => new Driven(withRules(flaky, rules)).start();

  test('starts again so often, then fails', () => {
    const seen: (number | null)[] = [];
    const rules = 'restarts: { max: 2, from: start }';
    const session = new Driven(withRules(flaky, rules), { onRestart: sinceMs => seen.push(sinceMs) }).start();
    for (const life of ['', '~2', '~3']) {
      expect(session.dones).toEqual([]);
      session.finish(`a${life}`, 'http_500');
    }
    expect(session.dones).toEqual([{ kind: 'done', status: 'failed', error: 'http_500' }]);
    expect(session.progress.restarts).toBe(2);
    expect(seen).toEqual([null, null]);
  });

  test('from its checkpoint, where what failed is drawn anew until it goes well', () => {
    const session = failing(`${CHECKPOINTS}\n    restarts: { max: 500, from: checkpoint }`);
    session.finish('a');
    session.progress.checkpointed(session.nowMs);
    const delays = new Set<number | undefined>();
    while (session.live[0]?.kind === 'tool') {
      delays.add(session.delays.get(session.live[0].row));
      session.endDelay(session.live[0].path);
    }
    const { restarts } = session.progress;
    expect(restarts).toBeGreaterThan(0);
    expect(delays.size).toBe(restarts + 1);
    expect(session.prompts()).toEqual({ a: 100, b: 110 + 40 });
    session.finish((session.live[0] as LiveNode).path);
    expect(session.dones).toMatchObject([{ status: 'completed' }]);
    expect(session.started.filter(({ step }) => step === 'a')).toHaveLength(1);
  });

  test('not after a failure that would only come again: a budget, a denial', () => {
    for (const error of ['budget', 'denied_sensitivity', 'cancelled']) {
      const session = failing('restarts: { max: 2, from: start }');
      session.finish('a', error);
      expect(session.dones).toEqual([{ kind: 'done', status: 'failed', error }]);
    }
  });

  test('a user who leaves has left', () => {
    const session = failing('restarts: { max: 2, from: start }');
    session.take(session.progress.cancel('user_left', 5));
    expect(session.dones).toMatchObject([{ status: 'cancelled' }]);
    session.restart(null);
    expect(session.live).toEqual([]);
  });
});
