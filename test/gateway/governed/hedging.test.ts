// Copies of calls whose first token does not come, by hand: an API that takes exactly one second to its first token.
import { describe, expect, test } from 'vitest';
import type { AttemptRecord } from '../../../scenarios/formats/record.ts';
import { planOf } from '../../builders/scenarios.ts';
import { simulated } from '../../builders/worlds.ts';

const hedged = (hedge: string, sessions = 1): AttemptRecord[] => {
  const plan = planOf(`
windtunnel: 1
name: test
models: { sold: { model: gpt-5-mini } }
workflows:
  w: { model: sold, steps: [{ llm: ask, adds: 100, out: 10 }] }
traffic: [{ workflow: w, arrival: { constant: { rate: 1/min } }, sessions: ${sessions} }]
`);
  const { governed } = simulated(
    plan,
    `
windtunnel: 1
deployment: test
providers:
  vendor:
    latency: { ttft: 1s, tpot: 10ms }
    models: { sold: { model: gpt-5-mini } }
gateway: { hedge: ${hedge} }
`,
  );
  return governed!.attempts;
};

describe('a call without a first token', () => {
  test('gets one copy when its time has come; the loser is paid for in vain', () => {
    const attempts = hedged('{ after: 400ms }');
    expect(attempts.map(({ kind, sentMs, waste }) => [kind, sentMs, waste])).toEqual([
      ['hedge', 400, 'hedged'],
      ['first', 0, null],
    ]);
    expect(attempts[0]!.cancelledMs).toBe(1000);
  });

  test('gets as many as the rule allows, one each time', () => {
    const sent = hedged('{ after: 300ms, max: 2 }').map(({ kind, sentMs }) => `${kind} ${sentMs}`);
    expect(sent.sort()).toEqual(['first 0', 'hedge 300', 'hedge 600']);
  });

  test('gets none when the token comes first, or when its share of calls is used up', () => {
    expect(hedged('{ after: 1100ms }').map(({ kind }) => kind)).toEqual(['first']);
    // A copy for every second call: the first call gets none.
    const attempts = hedged('{ after: 400ms, share: 50% }', 4);
    expect(attempts.filter(({ kind }) => kind === 'hedge').map(({ session }) => session)).toHaveLength(2);
  });
});
