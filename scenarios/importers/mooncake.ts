// Mooncake (FAST'25) traces: one call per line, its prompt as ids of 512-token blocks, the last of them partial. Ids mean
// the same throughout a file, never between files. aiperf adds session_id and delay, and prompts that are not read here.

import { type CallRow, callImporter } from './parts/call-rows.ts';
import {
  hasFields,
  idsAt,
  type Json,
  jsonRows,
  nameAt,
  numberAt,
  outputAt,
  Refusal,
  spanAt,
  textAt,
  tokensAt,
} from './parts/rows.ts';

export const mooncake = callImporter({
  name: 'mooncake',
  doc: 'Mooncake traces, JSONL with 512-token blocks; with session_id and delay as aiperf extends them.',
  detect: head => hasFields(head, 'input_length') || hasFields(head, 'text_input'),
  blockTokens: 512,
  clock: 'file',
  chained: true,
  rows: (text, tally) => jsonRows(text, tally, checkRow),
});

/** aiperf's other ways to give a prompt: they hold text, which a recorded session never does. */
const TEXT_FIELDS = ['text_input', 'messages', 'payload'] as const;

function checkRow(row: Json): CallRow {
  const text = TEXT_FIELDS.find(field => row[field] != null);
  if (text !== undefined) throw new Refusal(`${text}: prompts as text are not read, only input_length`);
  const atMs = numberAt(row, 'timestamp');
  const delayMs = spanAt(row, 'delay');
  if (atMs !== null && delayMs !== null)
    throw new Refusal('timestamp and delay are both given, expected one of them');
  return {
    sessionId: nameAt(row, 'session_id'),
    atMs,
    delayMs,
    promptTokens: tokensAt(row, 'input_length'),
    outputTokens: row.output_length == null ? null : outputAt(row, 'output_length'),
    ids: idsAt(row, 'hash_ids'),
    behind: behindOf(row),
  };
}

/** aiperf's context modes: a row's tokens are the whole prompt, as Mooncake's are, or what is new in it. */
function behindOf(row: Json): 'prompt' | 'exchange' | null {
  const mode = textAt(row, 'context_mode');
  if (mode === 'deltas_without_responses') return 'exchange';
  return mode === 'deltas_with_responses' ? 'prompt' : null;
}
