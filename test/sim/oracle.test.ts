// What is to come: sums over the calls that a window wants.
import { expect, test } from 'vitest';
import { Demand } from '../../sim/oracle.ts';

const call = (
  plannedMs: number,
  promptTokens: number,
  cachedTokens: number | null,
  outputTokens: number,
) => ({
  session: 's',
  plannedMs,
  endMs: plannedMs + 50,
  promptTokens,
  cachedTokens,
  outputTokens,
});

const demand = new Demand([
  call(300, 1000, 900, 50),
  call(100, 500, null, 20),
  call(300, 80, 0, 5),
  call(700, 10, 10, 1),
]);

test('a window holds what comes from its begin on, and not what comes at its end', () => {
  expect(demand.demand(0, 100)).toMatchObject({ calls: 0, promptTokens: 0, outputTokens: 0 });
  expect(demand.demand(100, 300)).toMatchObject({ calls: 1, promptTokens: 500, outputTokens: 20 });
  expect(demand.demand(300, 301)).toMatchObject({
    calls: 2,
    promptTokens: 1080,
    cachedTokens: 900,
    outputTokens: 55,
  });
  expect(demand.demand(0, 1e9)).toMatchObject({
    calls: 4,
    promptTokens: 1590,
    cachedTokens: 910,
    outputTokens: 76,
  });
  expect(demand.demand(701, 1e9)).toMatchObject({ calls: 0, promptTokens: 0, outputTokens: 0 });
});

test('windows that join add up', () => {
  const whole = demand.demand(0, 1000);
  const parts = [0, 150, 300, 650, 1000].slice(1).map((to, i) => demand.demand([0, 150, 300, 650][i]!, to));
  expect(parts.reduce((sum, { calls }) => sum + calls, 0)).toBe(whole.calls);
  expect(parts.reduce((sum, { outputTokens }) => sum + outputTokens, 0)).toBe(whole.outputTokens);
});
