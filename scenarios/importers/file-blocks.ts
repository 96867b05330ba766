// The blocks of a file whose ids mean the same throughout: their size, the ids of each prompt, and what an infinite
// cache would hold of it.
import type { Provenance, RecordedCall } from '../formats/recorded.ts';
import {
  appendedBlocks,
  BlockMinter,
  fittingBlockTokens,
  idsFit,
  isNewContext,
  MINTED_FROM,
  type NamedPrompt,
} from './blocks.ts';
import { FileCache, type Hits } from './hits.ts';
import { countNote, type ImportOptions, type Tally } from './importer.ts';

/** A prompt in blocks, full ones first: behind them there may be a partial one. */
export interface BlockPrompt extends Hits {
  readonly blocks: number[];
  readonly fullBlocks: number;
}

export class FileBlocks {
  readonly blockTokens: number;
  readonly provenance: Provenance;
  private readonly cache = new FileCache();
  private readonly mint = new BlockMinter(MINTED_FROM);
  private readonly tally: Tally;

  /** The block size is given, or the one that the first prompts fit: `usual` unless another fits more of them. */
  constructor(
    head: readonly NamedPrompt[],
    usual: number,
    { blockTokens }: Pick<ImportOptions, 'blockTokens'>,
    tally: Tally,
  ) {
    const inferred = blockTokens === null && head.some(({ ids }) => ids.length > 0);
    this.blockTokens = blockTokens ?? fittingBlockTokens(head, usual);
    this.provenance = inferred ? 'inferred' : 'defaulted';
    this.tally = tally;
  }

  /** A prompt with ids, in file order. Ids beyond its end are dropped; a rest without ids is content of its own. */
  named(ids: readonly number[], promptTokens: number): BlockPrompt {
    const { blockTokens } = this;
    if (!idsFit({ promptTokens, ids }, blockTokens)) countNote(this.tally, 'misfitBlocks');
    const blocks = ids.slice(0, Math.ceil(promptTokens / blockTokens));
    const fullBlocks = Math.min(blocks.length, Math.floor(promptTokens / blockTokens));
    return { blocks, fullBlocks, ...this.cache.hits(blocks, promptTokens, blockTokens) };
  }

  /** A prompt without ids that goes on from the call before in its session. */
  appended(promptTokens: number, before: RecordedCall | null): BlockPrompt {
    const { blockTokens } = this;
    countNote(this.tally, 'mintedBlocks');
    if (isNewContext(before, promptTokens)) countNote(this.tally, 'contextEpochs');
    const blocks = appendedBlocks(before, { promptTokens, blockTokens, systemTokens: 0 }, this.mint);
    const hitBlocks = blocks.findIndex((block, row) => block !== before?.blocks[row]);
    const hits = hitBlocks < 0 ? blocks.length : hitBlocks;
    return { blocks, fullBlocks: blocks.length, hitBlocks: hits, hitTokens: hits * blockTokens };
  }

  /** A prompt of which nothing is known but its length: it shares nothing. */
  unnamed(): BlockPrompt {
    countNote(this.tally, 'uniquePrompts');
    return { blocks: [], fullBlocks: 0, hitBlocks: 0, hitTokens: 0 };
  }
}
