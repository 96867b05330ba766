// The blocks of a file whose ids mean the same throughout: their size, the ids of each prompt, and what an infinite
// cache would hold of it.
import type { Provenance, RecordedCall } from '../../formats/recorded.ts';
import { countNote, type ImportOptions, type Tally } from '../importer.ts';
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

  /**
   * A prompt without ids, after the call before it in its session: it shares the first `prefixTokens` with that, or where
   * nobody says how many, goes on from it.
   */
  appended(promptTokens: number, before: RecordedCall | null, prefixTokens: number | null): BlockPrompt {
    const { blockTokens, mint } = this;
    if (isNewContext(before, promptTokens)) countNote(this.tally, 'contextEpochs');
    let blocks: number[];
    if (prefixTokens === null) {
      countNote(this.tally, 'mintedBlocks');
      blocks = appendedBlocks(before, { promptTokens, blockTokens, systemTokens: 0 }, mint);
    } else {
      const full = Math.floor(promptTokens / blockTokens);
      blocks = before?.blocks.slice(0, Math.min(full, Math.floor(prefixTokens / blockTokens))) ?? [];
      while (blocks.length < full) blocks.push(mint.next());
    }
    let hitBlocks = 0;
    while (hitBlocks < blocks.length && blocks[hitBlocks] === before?.blocks[hitBlocks]) hitBlocks += 1;
    return { blocks, fullBlocks: blocks.length, hitBlocks, hitTokens: hitBlocks * blockTokens };
  }

  /** A prompt of which nothing is known but its length: it shares nothing. */
  unnamed(): BlockPrompt {
    countNote(this.tally, 'uniquePrompts');
    return { blocks: [], fullBlocks: 0, hitBlocks: 0, hitTokens: 0 };
  }
}
