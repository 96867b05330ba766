// LMCache agent traces with their text removed: one call per line in the manner of Mooncake, but with sessions that each
// have their own clock, and 64-token blocks. Where a turn was only a tool call, its output was not recorded.

import { type CallRow, callImporter } from './parts/call-rows.ts';
import {
  givenNumberAt,
  hasFields,
  isBlockId,
  type Json,
  jsonRows,
  listAt,
  nameAt,
  outputAt,
  Refusal,
  tokensAt,
} from './parts/rows.ts';

export const lmcache = callImporter({
  name: 'lmcache',
  doc: 'LMCache agent traces without text: JSONL by session and turn, block size inferred.',
  detect: head => hasFields(head, 'session_id', 'turn', 'input_length'),
  blockTokens: 64,
  clock: 'session',
  chained: false,
  rows: (text, tally) => jsonRows(text, tally, checkRow),
});

function checkRow(row: Json): CallRow {
  const sessionId = nameAt(row, 'session_id');
  if (sessionId === null) throw new Refusal('session_id is missing');
  return {
    sessionId,
    atMs: givenNumberAt(row, 'timestamp'),
    promptTokens: tokensAt(row, 'input_length'),
    outputTokens: row.empty_output === true ? null : outputAt(row, 'output_length'),
    // An empty list names a prompt shorter than a block.
    ids: listAt(row, 'hash_ids', 'a block id', isBlockId),
  };
}
