// Anomaly rules: what fires each of them, when, and that nothing else does.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { anomalyDetectors } from '../../../gateway/anomalies/index.ts';
import { Repeats } from '../../../gateway/anomalies/repeats.ts';
import { Usual, WARM_UP } from '../../../gateway/anomalies/usual.ts';
import { AnomalyWatch, type Expected } from '../../../gateway/anomalies/watch.ts';
import { extend, type Key, textKey } from '../../../scenarios/base/key.ts';
import { deviation, mean } from '../../../scenarios/base/statistics.ts';
import type { AnomalyRule } from '../../../scenarios/formats/rules.ts';

const OFF: AnomalyRule = {
  repeats: null,
  calls: null,
  callsSd: null,
  toolCascade: null,
  burn: null,
  contextGrowth: null,
  action: 'flag',
  throttleMs: 0,
};
const NOTHING = (): Expected | null => null;
const args = (n: number): Key => extend(textKey('args'), n);

/** One session `s` under a rule. */
function watching(rule: Partial<AnomalyRule>, expected: () => Expected | null = NOTHING) {
  const watch = new AnomalyWatch({ ...OFF, ...rule }, expected);
  watch.sessionStarted('s', 'w');
  let nowMs = 0;
  return {
    watch,
    call: (step: string, argsKey: Key | null = null, promptTokens = 100) =>
      watch.call({ session: 's', step, argsKey, promptTokens, outputTokens: 0 }, ++nowMs),
    tool: (step: string, argsKey: Key | null = null) => watch.tool('s', step, argsKey, ++nowMs),
    ended: (tokens: number) => watch.ended('s', tokens, ++nowMs),
  };
}

describe('a loop', () => {
  test('is the same step with the same arguments, so often, and is told once', () => {
    const { watch, call } = watching({ repeats: 3 });
    const told = [call('a', args(1)), call('b', args(1)), call('a', args(1)), call('a', args(2))];
    expect(told).toEqual([null, null, null, null]);
    expect(call('a', args(1))).toBe('loop');
    expect(call('a', args(1))).toBeNull();
    expect(watch.sessionEnded('s')).toEqual({ flagged: [{ rule: 'loop', atMs: 5 }], tokens: 0 });
  });

  test('may be one of a tool', () => {
    const { call, tool } = watching({ repeats: 2 });
    expect([tool('fetch', args(1)), call('a'), tool('fetch', args(1))]).toEqual([null, null, 'loop']);
  });

  test('needs arguments that are known', () => {
    const { call, tool } = watching({ repeats: 2 });
    for (let n = 0; n < 50; n++) expect([call('a', null), tool('fetch', null)]).toEqual([null, null]);
  });

  test('is found among 200 other questions, and what nobody asked for longer is forgotten', () => {
    const repeats = new Repeats();
    let fresh = 0;
    const askAmong = (others: number): number => {
      for (let n = 0; n < others; n++) repeats.count('a', ++fresh);
      return repeats.count('a', 0);
    };
    expect([0, 200, 200, 200].map(askAmong)).toEqual([1, 2, 3, 4]);
    expect(repeats.count('b', 0)).toBe(1);
    expect(askAmong(256)).toBe(1);
  });
});

describe('a tool cascade', () => {
  test('is so many tools without a call between', () => {
    const { call, tool } = watching({ toolCascade: 3 });
    const told = [tool('x'), tool('y'), call('a'), tool('x'), tool('y'), tool('z'), tool('x')];
    expect(told).toEqual([null, null, null, null, null, 'tool_cascade', null]);
  });
});

describe('a context that blows up', () => {
  test('is a prompt so many times the first one of its own step', () => {
    const { call } = watching({ contextGrowth: 4 });
    const told = [call('a', null, 100), call('b', null, 900), call('a', null, 399), call('a', null, 400)];
    expect(told).toEqual([null, null, null, 'context_growth']);
  });
});

describe('too many calls', () => {
  test('are as many as the rule says', () => {
    const { call, tool } = watching({ calls: 3 });
    expect([call('a'), tool('x'), call('b'), call('c'), call('d')]).toEqual([
      null,
      null,
      null,
      'calls',
      null,
    ]);
  });

  test('or so many standard deviations above the mean of the workflow, where it is known', () => {
    const known = watching({ callsSd: 4 }, () => ({ tokensMean: 0, callsMean: 2, callsSd: 0.5 }));
    expect([1, 2, 3, 4, 5].map(() => known.call('a'))).toEqual([null, null, null, null, 'calls']);
    const unknown = watching({ callsSd: 4 });
    expect([1, 2, 3, 4, 5].map(() => unknown.call('a'))).toEqual([null, null, null, null, null]);
  });
});

describe('budget burn', () => {
  test('is so many times the expected tokens of the workflow', () => {
    const { watch, ended } = watching({ burn: 2 }, () => ({ tokensMean: 1000, callsMean: 1, callsSd: 0 }));
    expect([ended(1500), ended(499), ended(1), ended(900)]).toEqual([null, null, 'burn', null]);
    expect(watch.sessionEnded('s')).toEqual({ flagged: [{ rule: 'burn', atMs: 3 }], tokens: 2900 });
  });

  test('is learnt from sessions of the same workflow that ended, after a warm-up', () => {
    const watch = new AnomalyWatch({ ...OFF, burn: 2 }, NOTHING);
    const run = (session: string, workflow: string, tokens: number): string | null => {
      watch.sessionStarted(session, workflow);
      const told = watch.ended(session, tokens, 0);
      watch.sessionEnded(session);
      return told;
    };
    for (let n = 0; n < WARM_UP - 1; n++) expect(run(`s${n}`, 'w', 1000)).toBeNull();
    expect(run('too early', 'w', 9000)).toBeNull();
    // The mean is now (19 × 1000 + 9000) / 20 = 1400.
    expect(run('other', 'v', 1e6)).toBeNull();
    expect(run('usual', 'w', 2799)).toBeNull();
    // And (20 × 1400 + 2799) / 21 = 1466.6….
    expect(run('below', 'w', 2933)).toBeNull();
    expect(run('runaway', 'w', 9000)).toBe('burn');
  });

  test('takes what is known beforehand for more than what it learns', () => {
    const expected = { tokensMean: 10, callsMean: 1, callsSd: 0 };
    const watch = new AnomalyWatch({ ...OFF, burn: 2 }, () => expected);
    for (let n = 0; n < 30; n++) {
      watch.sessionStarted('s', 'w');
      expect(watch.ended('s', 1000, 0)).toBe('burn');
      watch.sessionEnded('s');
    }
  });

  test('learns mean and spread as statistics know them', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(1e6), fc.nat(500)), { minLength: WARM_UP, maxLength: 60 }),
        sessions => {
          const usual = new Usual();
          for (const [tokens, calls] of sessions) usual.ended('w', tokens, calls);
          const learnt = usual.of('w');
          const calls = sessions.map(each => each[1]);
          expect(learnt?.tokensMean).toBeCloseTo(mean(sessions.map(each => each[0])), 4);
          expect(learnt?.callsMean).toBeCloseTo(mean(calls), 6);
          expect(learnt?.callsSd).toBeCloseTo(deviation(calls), 6);
        },
      ),
      { numRuns: 50 },
    );
  });
});

describe('all rules together', () => {
  const ALL: AnomalyRule = { ...OFF, repeats: 3, calls: 40, toolCascade: 4, burn: 3, contextGrowth: 5 };
  const expected = (): Expected => ({ tokensMean: 10_000, callsMean: 10, callsSd: 3 });

  test('two that fire at once are both noted, and the first of the registry is told', () => {
    const { watch, call } = watching({ repeats: 2, calls: 2, contextGrowth: 1 });
    expect([call('a', args(1)), call('a', args(1))]).toEqual([null, 'loop']);
    expect(watch.sessionEnded('s')?.flagged.map(({ rule }) => rule)).toEqual([
      'loop',
      'context_growth',
      'calls',
    ]);
  });

  test('have names of their own', () => {
    const names = anomalyDetectors.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  });

  test('none of them watches where none is asked for', () => {
    expect(anomalyDetectors.map(({ watch }) => watch(OFF))).toEqual(anomalyDetectors.map(() => null));
  });

  const anyStep = fc.record({
    step: fc.constantFrom('plan', 'look', 'read', 'answer'),
    /** Asked once more with the arguments of this step before, at most. */
    isAgain: fc.boolean(),
    tools: fc.nat(3),
    growth: fc.double({ min: 1, max: 4.99, noNaN: true }),
    tokens: fc.nat(700),
  });

  test('none fires on a session that stays below every limit', () => {
    fc.assert(
      fc.property(fc.array(anyStep, { maxLength: 39, size: 'max' }), steps => {
        const { watch, call, tool, ended } = watching(ALL, expected);
        const first = new Set<string>();
        const asked = new Map<string, number>();
        let fresh = 0;
        for (const { step, isAgain, tools, growth, tokens } of steps) {
          // A question is asked twice at the most.
          const before = asked.get(step);
          const question = isAgain && before !== undefined ? before : fresh++;
          if (question === before) asked.delete(step);
          else asked.set(step, question);
          const promptTokens = first.has(step) ? Math.floor(100 * growth) : 100;
          first.add(step);
          call(step, args(question), promptTokens);
          ended(tokens);
          for (let n = 0; n < tools; n++) tool(`tool of ${step}`, args(1e6 + fresh++));
        }
        expect(watch.sessionEnded('s')?.flagged).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });

  test('and each fires where one thing goes beyond its own', () => {
    const beyond: Record<string, (s: ReturnType<typeof watching>) => unknown> = {
      loop: ({ call }) => [1, 2, 3].map(() => call('a', args(0))),
      tool_cascade: ({ tool }) => [1, 2, 3, 4].map(n => tool('x', args(n))),
      context_growth: ({ call }) => [100, 500].map((tokens, n) => call('a', args(n), tokens)),
      burn: ({ ended }) => ended(30_000),
      calls: ({ call }) => Array.from({ length: 40 }, (_, n) => call(`step ${n}`, args(n))),
    };
    for (const [name, happens] of Object.entries(beyond)) {
      const session = watching(ALL, expected);
      happens(session);
      expect(session.watch.sessionEnded('s')?.flagged.map(({ rule }) => rule)).toEqual([name]);
    }
    expect(Object.keys(beyond).sort()).toEqual(anomalyDetectors.map(({ name }) => name).sort());
  });

  test('sessions do not see each other, and nothing is left of one that ended', () => {
    const watch = new AnomalyWatch({ ...OFF, repeats: 2 }, NOTHING);
    const call = (session: string) =>
      watch.call({ session, step: 'a', argsKey: args(1), promptTokens: 1, outputTokens: 0 }, 0);
    watch.sessionStarted('a', 'w');
    watch.sessionStarted('b', 'w');
    expect([call('a'), call('b'), call('ghost')]).toEqual([null, null, null]);
    watch.sessionEnded('a');
    expect(watch.sessionEnded('a')).toBeNull();
    expect([call('a'), watch.tool('a', 'x', null, 0), watch.ended('a', 5, 0)]).toEqual([null, null, null]);
    watch.sessionStarted('a', 'w');
    expect([call('a'), call('b')]).toEqual([null, 'loop']);
  });
});
