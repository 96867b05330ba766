// Qwen-Bailian usage traces (alibaba-edu): one call per line, 16-token blocks with ids global to the file, and the chat
// that each goes on from. Each line holds its whole prompt; reasoning of earlier turns is not in it.
import { type BlockRow, readBlockRows } from './block-rows.ts';
import type { Importer } from './importer.ts';
import { givenNumberAt, hasFields, isBlockId, type Json, listAt, nameAt, Refusal, tokensAt } from './rows.ts';

const FORMAT = {
  name: 'bailian',
  blockTokens: 16,
  commonClock: true,
  chained: false,
  check: checkRow,
} as const;

export const bailian: Importer = {
  name: 'bailian',
  doc: 'Qwen-Bailian traces, JSONL: 16-token blocks, turns linked by parent_chat_id.',
  detect: head => hasFields(head, 'chat_id', 'parent_chat_id'),
  read: (text, tally, options) => readBlockRows(text, tally, options, FORMAT),
};

const ROOT = '-1';

function checkRow(row: Json): BlockRow {
  const chat = nameAt(row, 'chat_id');
  if (chat === null) throw new Refusal('chat_id is missing');
  const parent = nameAt(row, 'parent_chat_id') ?? ROOT;
  const ids = listAt(row, 'hash_ids', 'a block id', isBlockId);
  const outputTokens = tokensAt(row, 'output_length', 0);
  return {
    sessionId: null,
    // Seconds in the file.
    atMs: givenNumberAt(row, 'timestamp') * 1000,
    delayMs: null,
    promptTokens: tokensAt(row, 'input_length'),
    outputTokens: outputTokens === 0 ? null : outputTokens,
    ids: ids === null || ids.length === 0 ? null : ids,
    behind: 'nothing',
    link: { callId: `chat/${chat}`, parentId: parent === ROOT ? null : `chat/${parent}` },
  };
}
