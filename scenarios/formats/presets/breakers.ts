// Circuit breakers and outlier ejection that libraries and gateways ship with, each by its source.
import type { BreakerRule, Reason } from '../rules.ts';

/** What counts as a failure of a target where a rule does not say: not that it was asked too much, or too long. */
const FAILURES: readonly Reason[] = ['5xx', 'timeout', 'connect'];

/** What a rule without a preset starts from; our choice. */
export const PLAIN_BREAKER: BreakerRule = {
  inARow: null,
  share: null,
  window: { ms: 30_000 },
  minCalls: 5,
  openMs: 30_000,
  trials: 1,
  slowMs: null,
  slowShare: 1,
  reasons: FAILURES,
  growsOpen: false,
  ejectMax: null,
};

export const BREAKER_PRESETS = {
  // CircuitBreakerConfig: 50 % of the last 100 calls, or all of them slower than 60 s; 60 s open, then 10 trials.
  resilience4j: {
    ...PLAIN_BREAKER,
    share: 0.5,
    window: { calls: 100 },
    minCalls: 100,
    openMs: 60_000,
    trials: 10,
    slowMs: 60_000,
  },
  // 50 % of at least 20 calls in 10 s; 5 s open, then one trial (secondary pages: the project is retired).
  hystrix: { ...PLAIN_BREAKER, share: 0.5, window: { ms: 10_000 }, minCalls: 20, openMs: 5000 },
  // Outlier detection of replicas: 5 consecutive 5xx; 30 s times the ejections so far, at most 10 % of the hosts
  // [outlier_detection.proto]. A host that comes back is simply used again.
  envoy: { ...PLAIN_BREAKER, inARow: 5, minCalls: 5, growsOpen: true, ejectMax: 0.1 },
  // The router of SGLang: 10 failures in 120 s, 60 s open, 3 successes close it.
  sglang: { ...PLAIN_BREAKER, inARow: 10, window: { ms: 120_000 }, minCalls: 10, openMs: 60_000, trials: 3 },
  // Cooldown of LiteLLM's router: more than half of at least 5 requests in a minute, 5 s, and then as before. Its other
  // rule, a 429 in a group with a second deployment, is what a fallback does.
  litellm: {
    ...PLAIN_BREAKER,
    share: 0.5,
    window: { ms: 60_000 },
    openMs: 5000,
    reasons: ['429', ...FAILURES],
  },
} as const satisfies Record<string, BreakerRule>;
