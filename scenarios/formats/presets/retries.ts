// Retry rules that clients and gateways ship with, each by its source. A preset is a start: every key of it can be given.
import type { Reason, RetryRule } from '../rules.ts';

const TRANSIENT: readonly Reason[] = ['429', '5xx', 'timeout', 'connect'];

/** What a rule without a preset starts from; the SDKs' pauses with full jitter: our choice. */
export const PLAIN_RETRY: RetryRule = {
  max: 2,
  reasons: TRANSIENT,
  baseMs: 500,
  capMs: 8000,
  factor: 2,
  jitter: 'full',
  obeysRetryAfter: true,
  retryAfterMaxMs: 60_000,
  budgetRatio: null,
  budgetMin: 3,
  isBlind: false,
};

/** The SDKs of both vendors come from one generator: 0.5 s doubled up to 8 s, less up to a quarter [_base_client.py]. */
const SDK: RetryRule = { ...PLAIN_RETRY, jitter: { minus: 0.25 } };

export const RETRY_PRESETS = {
  // The newest openai-python obeys a Retry-After up to 120 s; anthropic-sdk-python up to 60 s.
  openai: { ...SDK, retryAfterMaxMs: 120_000 },
  anthropic: SDK,
  // Router of 1.109.1: num_retries 2, 0.5 s doubled up to 8 s and up to 0.75 s more, Retry-After up to 60 s.
  litellm: { ...PLAIN_RETRY, jitter: { plusMs: 750 } },
  // num_retries 1 [route_components.proto]; base 25 ms, at most ten times that [backoff.proto], fully jittered; the retry
  // budget of a cluster that has one: 20 % of what is under way, at least 3 [circuit_breaker.proto].
  envoy: {
    ...PLAIN_RETRY,
    max: 1,
    reasons: ['5xx', 'timeout', 'connect'],
    baseMs: 25,
    capMs: 250,
    obeysRetryAfter: false,
    budgetRatio: 0.2,
  },
  // The example of its documentation: five retries, 100 ms to 10 s.
  'envoy-ai-gateway': { ...PLAIN_RETRY, max: 5, baseMs: 100, capMs: 10_000, obeysRetryAfter: false },
  // Standard mode of the AWS SDKs: three attempts, U(0, min(20 s, 2^n s)).
  aws: { ...PLAIN_RETRY, baseMs: 1000, capMs: 20_000, obeysRetryAfter: false },
} as const satisfies Record<string, RetryRule>;
