// Tail-optimized LRU: of a conversation, so much stays that its next prompt is computed within a target; the rest, which
// could not help the tail, goes first.
import { numberOptions } from '../../gateway/routing/options.ts';
import { defineRetentionPolicy, type RetentionSetup } from './policy.ts';

const DEFAULTS = {
  /** Target of the time to first token, ms: what is computed within it need not be kept. The paper's SLO. */
  ttft: 200,
  /** The same in tokens; 0: from `ttft`. */
  threshold: 0,
  /** Tokens that the next prompt is expected to add. */
  next_prompt: 0,
};

/** The most tokens whose prefill takes no longer than this: by halving, up to a million. */
function tokensWithin(ms: number, { prefillMs }: RetentionSetup): number {
  let least = 0;
  let beyond = 1 << 20;
  while (beyond - least > 1) {
    const middle = (least + beyond) >> 1;
    if (prefillMs(middle) <= ms) least = middle;
    else beyond = middle;
  }
  return least;
}

/**
 * Protects max(L + next_prompt - threshold, 0) tokens from the root on, L being the tokens of the conversation: rank 0.
 * A block that begins behind them is safe to lose: rank -1. So the tails of conversations that go on are reused before the
 * roots of those that are over, by the paper's own rule (its phase 1 before its phase 2): it cannot tell them apart.
 */
export default defineRetentionPolicy({
  name: 't-lru',
  doc: 'Reuses first what a next prompt could compute within a TTFT target (`ttft`, default 200ms) anyway.',
  source: 'Tail-Optimized LRU (arXiv 2510.15152); SGLang `tlru` (threshold, next_prompt_estimate)',
  create(options, setup) {
    const { ttft, threshold, next_prompt } = numberOptions('t-lru', options, DEFAULTS);
    const spareTokens = threshold > 0 ? threshold : tokensWithin(ttft, setup);
    const untilMs = Number.POSITIVE_INFINITY;
    return {
      letGo({ tokens }) {
        const keptTokens = Math.max(0, tokens + next_prompt - spareTokens);
        const fromBlock = Math.ceil(keptTokens / setup.blockTokens);
        return {
          worth: [
            { fromBlock: 0, toBlock: fromBlock, rank: 0, untilMs },
            { fromBlock, toBlock: Number.POSITIVE_INFINITY, rank: -1, untilMs },
          ],
        };
      },
    };
  },
});
