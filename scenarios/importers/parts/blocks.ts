// Block ids: the block size that a trace's ids fit, and ids for prompts that a trace gives none for. Those are minted
// under the append model: each prompt of a thread goes on from the one before it, and a prompt that got much shorter
// starts over behind the system prompt.

/** A prompt shorter than this share of the one before is a new context (compaction, /clear). docs/figures.md row 17. */
export const EPOCH_RATIO = 0.8;

/** First of the ids minted while a trace is still being read: beyond its own, unless those are hashes. */
export const MINTED_FROM = 2 ** 52;

/** Hands out ids that nothing else uses. */
export class BlockMinter {
  private nextId: number;

  constructor(first = 0) {
    this.nextId = first;
  }

  next(): number {
    return this.nextId++;
  }
}

/** The prompt before in the same thread. */
export interface PromptBefore {
  readonly promptTokens: number;
  readonly blocks: readonly number[];
}

export const isNewContext = (before: PromptBefore | null, promptTokens: number): boolean =>
  before !== null && promptTokens < before.promptTokens * EPOCH_RATIO;

/**
 * Ids of the full blocks of a prompt of `promptTokens`: those of the prompt before as far as both reach, minted ones
 * behind them; a new context keeps only the blocks of the first `systemTokens`.
 */
export function appendedBlocks(
  before: PromptBefore | null,
  prompt: { promptTokens: number; blockTokens: number; systemTokens: number },
  mint: BlockMinter,
): number[] {
  const full = Math.floor(prompt.promptTokens / prompt.blockTokens);
  const kept = isNewContext(before, prompt.promptTokens)
    ? Math.floor(prompt.systemTokens / prompt.blockTokens)
    : full;
  const blocks = before === null ? [] : before.blocks.slice(0, Math.min(kept, full));
  while (blocks.length < full) blocks.push(mint.next());
  return blocks;
}

/** Block sizes in use, tokens. */
const BLOCK_SIZES = [16, 32, 64, 128, 256, 512] as const;

export interface NamedPrompt {
  readonly promptTokens: number;
  readonly ids: readonly number[];
}

/** Whether ids name a prompt's full blocks, with or without the partial last one. */
export const idsFit = ({ promptTokens, ids }: NamedPrompt, blockTokens: number): boolean =>
  ids.length >= Math.floor(promptTokens / blockTokens) && ids.length <= Math.ceil(promptTokens / blockTokens);

/** The block size that most of the prompts fit; `usual` unless another fits more of them. */
export function fittingBlockTokens(prompts: readonly NamedPrompt[], usual: number): number {
  const fits = (blockTokens: number): number =>
    prompts.filter(prompt => prompt.ids.length > 0 && idsFit(prompt, blockTokens)).length;
  return BLOCK_SIZES.reduce((best, size) => (fits(size) > fits(best) ? size : best), usual);
}
