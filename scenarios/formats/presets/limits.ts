// Limits of API tiers, each by its source. Tiers that vendors do not publish are no presets: write those of your account.
import type { LimitRule } from '../rules.ts';

/** What a limit without a preset starts from. `fraction`: LiteLLM's, of the tokens allowed, without max_tokens [1.109.1]. */
export const PLAIN_LIMIT: LimitRule = {
  rpm: null,
  tpm: null,
  inputTpm: null,
  outputTpm: null,
  concurrency: null,
  spend: null,
  accounting: 'reserve',
  fraction: 0.25,
  burstMs: 60_000,
  cachedCounts: true,
  retryAfter: true,
};

/** Anthropic: input from the cache does not count, output is reserved from max_tokens and settled [docs: rate limits]. */
const ANTHROPIC: LimitRule = { ...PLAIN_LIMIT, cachedCounts: false };
const TEN_MINUTES_MS = 600_000;

export const LIMIT_PRESETS = {
  // Since June 2026, of Fable 5.x (developersdigest.tech, 2026-10-17).
  'anthropic-start': { ...ANTHROPIC, rpm: 1000, inputTpm: 500_000, outputTpm: 100_000 },
  'anthropic-scale': { ...ANTHROPIC, rpm: 4000, inputTpm: 4_000_000, outputTpm: 800_000 },
  // Before June 2026, by paid total.
  'anthropic-tier-1': { ...ANTHROPIC, rpm: 50, inputTpm: 30_000, outputTpm: 8000 },
  'anthropic-tier-4': { ...ANTHROPIC, rpm: 4000, inputTpm: 2_000_000, outputTpm: 400_000 },
  // Of gpt-4o, a legacy model; OpenAI publishes none for GPT-5 models.
  'openai-gpt-4o-tier-1': { ...PLAIN_LIMIT, rpm: 500, tpm: 30_000 },
  // Gemini publishes what a project may spend in a rolling window, and nothing else (docs of October 2026).
  'gemini-tier-1': { ...PLAIN_LIMIT, spend: { usd: 10, windowMs: TEN_MINUTES_MS } },
  'gemini-tier-2': { ...PLAIN_LIMIT, spend: { usd: 50, windowMs: TEN_MINUTES_MS } },
} as const satisfies Record<string, LimitRule>;
