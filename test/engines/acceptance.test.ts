import { expect, test } from 'vitest';
import { acceptedTokens } from '../../engines/acceptance.ts';

test('a model has the acceptance that was measured for its family, method and length of draft', () => {
  expect(acceptedTokens('qwen3.5-397b-a17b', 'mtp', 2)).toBe(2.73);
  expect(acceptedTokens('deepseek-v4-pro', 'mtp', 1)).toBe(1.79);
  expect(acceptedTokens('kimi-k2.5', 'eagle', 4)).toBe(3.24);
});

test('what was not measured is not known: another method, another model, a longer draft, or none', () => {
  expect(acceptedTokens('kimi-k2.5', 'mtp', 1)).toBeNull();
  expect(acceptedTokens('deepseek-v4-flash', 'mtp', 1)).toBeNull();
  expect(acceptedTokens('kimi-k2', 'eagle', 1)).toBeNull();
  expect(acceptedTokens('kimi-k2.5', 'eagle', 5)).toBeNull();
  expect(acceptedTokens('kimi-k2.5', 'eagle', 0)).toBeNull();
});

test('a longer draft yields more, each further token less, and never more than all of it', () => {
  for (const [model, method] of [
    ['qwen3.5-397b-a17b', 'mtp'],
    ['deepseek-v4-pro', 'mtp'],
    ['kimi-k2.5', 'eagle'],
    ['glm-5.2', 'mtp'],
  ] as const) {
    const yields = [1, 2, 3, 4].map(draftTokens => acceptedTokens(model, method, draftTokens)!);
    const gains = yields.map((each, i) => each - (yields[i - 1] ?? 1));
    expect(gains.every((gain, i) => gain > 0 && gain <= (gains[i - 1] ?? 1))).toBe(true);
  }
});
