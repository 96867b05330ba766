// LMCache agent traces with their text removed: one call per line in the manner of Mooncake, but with sessions that each
// have their own clock, and 64-token blocks. Where a turn was only a tool call, its output was not recorded.
import { type BlockRow, readBlockRows } from './block-rows.ts';
import type { Importer } from './importer.ts';
import { givenNumberAt, hasFields, isBlockId, type Json, listAt, nameAt, Refusal, tokensAt } from './rows.ts';

const FORMAT = {
  name: 'lmcache',
  blockTokens: 64,
  commonClock: false,
  chained: false,
  check: checkRow,
} as const;

export const lmcache: Importer = {
  name: 'lmcache',
  doc: 'LMCache agent traces without text: JSONL by session and turn, block size inferred.',
  detect: head => hasFields(head, 'session_id', 'turn', 'input_length'),
  read: (text, tally, options) => readBlockRows(text, tally, options, FORMAT),
};

function checkRow(row: Json): BlockRow {
  const sessionId = nameAt(row, 'session_id');
  if (sessionId === null) throw new Refusal('session_id is missing');
  const outputTokens = tokensAt(row, 'output_length', 0);
  return {
    sessionId,
    atMs: givenNumberAt(row, 'timestamp'),
    delayMs: null,
    promptTokens: tokensAt(row, 'input_length'),
    outputTokens: row.empty_output === true || outputTokens === 0 ? null : outputTokens,
    // An empty list names a prompt shorter than a block.
    ids: listAt(row, 'hash_ids', 'a block id', isBlockId),
    behind: 'nothing',
  };
}
