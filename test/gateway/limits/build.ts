// Rules, claims and uses for tests of limits: what a test is not about is without limit, or nothing.
import type { LimitClaim, LimitUse } from '../../../gateway/limits/limiter.ts';
import { PLAIN_LIMIT } from '../../../scenarios/formats/presets/limits.ts';
import type { LimitRule, OwnLimit } from '../../../scenarios/formats/rules.ts';

export const rule = (some: Partial<LimitRule> = {}): LimitRule => ({
  ...PLAIN_LIMIT,
  ...some,
});

export const ownLimit = (some: Partial<OwnLimit> = {}): OwnLimit => ({
  ...rule(),
  each: 'all',
  model: null,
  maxWaitMs: null,
  ...some,
});

export const claim = (some: Partial<LimitClaim> = {}): LimitClaim => ({
  promptTokens: 0,
  cachedTokens: 0,
  maxOutputTokens: 0,
  usd: 0,
  ...some,
});

export const use = (some: Partial<LimitUse> = {}): LimitUse => ({
  promptTokens: 0,
  cachedTokens: 0,
  outputTokens: 0,
  usd: 0,
  ...some,
});
