// Retention by priority and duration, as a call states them for ranges of its prompt: TensorRT-LLM's
// KvCacheRetentionConfig, for any engine.
import { refuseOptions } from '../../gateway/routing/options.ts';
import type { Retention } from '../../scenarios/formats/prompt.ts';
import { type Decision, defineRetentionPolicy, type Left, type Worth } from './policy.ts';

/** What a block is worth without a word about it; priorities are from 1 to 100. */
export const DEFAULT_PRIORITY = 35;

/** Blocks whose first token lies in the range. */
export function rangeWorth(range: Retention, blockTokens: number, rank: number, untilMs: number): Worth {
  return {
    fromBlock: Math.ceil(range.fromToken / blockTokens),
    toBlock: range.toToken === null ? Number.POSITIVE_INFINITY : Math.ceil(range.toToken / blockTokens),
    rank,
    untilMs,
  };
}

/** A range never reaches beyond the prompt. */
export const withinPrompt = (range: Retention, promptTokens: number): Retention => ({
  ...range,
  toToken: Math.min(range.toToken ?? promptTokens, promptTokens),
});

/**
 * rank = priority - 35 until `duration` after the last use, 0 from then on. A block belongs to the first range that its
 * first token lies in; where no range says anything, what was said before stands, and generated blocks have 35.
 */
export default defineRetentionPolicy({
  name: 'priority',
  doc: 'Reuses the lowest priority first, as calls state it for ranges of their prompt (1-100, 35 where they do not).',
  source: 'TensorRT-LLM KvCacheRetentionConfig.TokenRangeRetentionConfig; Dynamo and SGLang `priority`',
  create(options, { blockTokens }) {
    refuseOptions('priority', options);
    return {
      lastWordWins: true,
      letGo({ call, atMs }: Left): Decision {
        const worth = call.retention.map(range =>
          rangeWorth(
            withinPrompt(range, call.promptTokens),
            blockTokens,
            range.priority - DEFAULT_PRIORITY,
            range.durationMs === null ? Number.POSITIVE_INFINITY : atMs + range.durationMs,
          ),
        );
        return { worth };
      },
    };
  },
});
