// Mooncake (FAST'25) traces: one call per line, its prompt as ids of 512-token blocks, the last of them partial. Ids mean
// the same throughout a file, never between files. aiperf adds session_id and delay, and prompts that are not read here.
import { type BlockRow, readBlockRows } from './block-rows.ts';
import type { Importer } from './importer.ts';
import {
  hasFields,
  isBlockId,
  type Json,
  listAt,
  nameAt,
  numberAt,
  Refusal,
  spanAt,
  textAt,
  tokensAt,
} from './rows.ts';

const FORMAT = {
  name: 'mooncake',
  blockTokens: 512,
  commonClock: true,
  chained: true,
  check: checkRow,
} as const;

export const mooncake: Importer = {
  name: 'mooncake',
  doc: 'Mooncake traces, JSONL with 512-token blocks; with session_id and delay as aiperf extends them.',
  detect: head =>
    hasFields(head, 'input_length') || hasFields(head, 'text_input') || hasFields(head, 'payload'),
  read: (text, tally, options) => readBlockRows(text, tally, options, FORMAT),
};

/** aiperf's other ways to give a prompt: they hold text, which a recorded session never does. */
const TEXT_FIELDS = ['text_input', 'messages', 'payload'] as const;

function checkRow(row: Json): BlockRow {
  const text = TEXT_FIELDS.find(field => row[field] !== undefined && row[field] !== null);
  if (text !== undefined) throw new Refusal(`${text}: prompts as text are not read, only input_length`);
  const atMs = numberAt(row, 'timestamp');
  const delayMs = spanAt(row, 'delay');
  if (atMs !== null && delayMs !== null)
    throw new Refusal('timestamp and delay are both given, expected one of them');
  const ids = listAt(row, 'hash_ids', 'a block id', isBlockId);
  const outputTokens = row.output_length == null ? null : tokensAt(row, 'output_length', 0);
  return {
    sessionId: nameAt(row, 'session_id'),
    atMs,
    delayMs,
    promptTokens: tokensAt(row, 'input_length'),
    outputTokens: outputTokens === 0 ? null : outputTokens,
    ids: ids === null || ids.length === 0 ? null : ids,
    behind: behindOf(row),
  };
}

/** aiperf's context modes: a row's tokens are the whole prompt, as Mooncake's are, or what is new in it. */
function behindOf(row: Json): BlockRow['behind'] {
  const mode = textAt(row, 'context_mode');
  if (mode === 'deltas_without_responses') return 'exchange';
  return mode === 'deltas_with_responses' ? 'prompt' : 'nothing';
}
