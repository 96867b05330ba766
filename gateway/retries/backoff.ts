// How long to wait before another attempt: exponential backoff with jitter, or what the server says.
import type { RetryRule } from '../../scenarios/formats/rules.ts';

export interface PauseAsk {
  /** Retries made before, 0 for the first. */
  readonly made: number;
  /** The pause before this attempt's; 0 for the first. Decorrelated jitter grows from it. */
  readonly lastPauseMs: number;
  /** What the failed answer asked for; null: nothing. */
  readonly retryAfterMs: number | null;
  /** Uniform in [0, 1). */
  readonly draw: number;
}

/** Times the last pause that a decorrelated one may reach [AWS]. */
const DECORRELATED_GROWTH = 3;

/**
 * The pause before another attempt, ms. A Retry-After within `retryAfterMaxMs` is waited for as it is; a longer one,
 * or one of 0 or less, counts as none [openai and anthropic clients].
 */
export function pauseMs(rule: RetryRule, ask: PauseAsk): number {
  const { retryAfterMs, draw } = ask;
  const isObeyed = rule.obeysRetryAfter && retryAfterMs !== null;
  if (isObeyed && retryAfterMs > 0 && retryAfterMs <= rule.retryAfterMaxMs) return retryAfterMs;
  const { jitter, baseMs, capMs } = rule;
  if (jitter === 'decorrelated') {
    const mostMs = Math.max(baseMs, ask.lastPauseMs) * DECORRELATED_GROWTH;
    return Math.min(capMs, baseMs + draw * (mostMs - baseMs));
  }
  const fullMs = grownMs(rule, ask.made);
  if (jitter === 'none') return fullMs;
  if (jitter === 'full') return draw * fullMs;
  if (jitter === 'equal') return (fullMs + draw * fullMs) / 2;
  return 'minus' in jitter ? fullMs * (1 - jitter.minus * draw) : fullMs + jitter.plusMs * draw;
}

/** min(cap, base x factor^made); multiplied out, so that every machine gets the same bits. */
function grownMs({ baseMs, capMs, factor }: RetryRule, made: number): number {
  let pause = baseMs;
  for (let i = 0; i < made && pause < capMs; i += 1) pause *= factor;
  return Math.min(capMs, pause);
}
