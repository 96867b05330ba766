// Qwen-Bailian usage traces (alibaba-edu): one call per line, 16-token blocks with ids global to the file, and the chat
// that each goes on from. Each line holds its whole prompt; reasoning of earlier turns is not in it.

import { type CallRow, callImporter } from './parts/call-rows.ts';
import {
  givenNumberAt,
  hasFields,
  idsAt,
  type Json,
  jsonRows,
  nameAt,
  outputAt,
  Refusal,
  tokensAt,
} from './parts/rows.ts';

export const bailian = callImporter({
  name: 'bailian',
  doc: 'Qwen-Bailian traces, JSONL: 16-token blocks, turns linked by parent_chat_id.',
  detect: head => hasFields(head, 'chat_id', 'parent_chat_id'),
  blockTokens: 16,
  clock: 'file',
  chained: false,
  rows: (text, tally) => jsonRows(text, tally, checkRow),
});

/** The parent of a first turn. */
const NONE = '-1';

function checkRow(row: Json): CallRow {
  const chat = nameAt(row, 'chat_id');
  if (chat === null) throw new Refusal('chat_id is missing');
  const parent = nameAt(row, 'parent_chat_id') ?? NONE;
  return {
    link: { callId: `chat/${chat}`, parentId: parent === NONE ? null : `chat/${parent}` },
    // Seconds in the file.
    atMs: givenNumberAt(row, 'timestamp') * 1000,
    promptTokens: tokensAt(row, 'input_length'),
    outputTokens: outputAt(row, 'output_length'),
    ids: idsAt(row, 'hash_ids'),
  };
}
