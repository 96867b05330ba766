// BurstGPT: a CSV of requests to ChatGPT and GPT-4, seconds from its start. Columns are found by name: v1.2 has two more
// in the middle of v1's. A response of 0 tokens is a request that failed, not an empty answer.

import { type CallRow, callImporter } from './parts/call-rows.ts';
import {
  csvRows,
  givenNumberAt,
  hasColumns,
  type Json,
  nameAt,
  outputAt,
  spanAt,
  textAt,
  tokensAt,
} from './parts/rows.ts';

const COLUMNS = ['Timestamp', 'Model', 'Request tokens', 'Response tokens'] as const;

export const burstgpt = callImporter({
  name: 'burstgpt',
  doc: 'BurstGPT traces v1 and v1.2, CSV: arrivals, lengths, failures, and the sessions of conversation logs.',
  detect: head => hasColumns(head, COLUMNS),
  blockTokens: 16,
  clock: 'file',
  chained: false,
  rows: (text, tally) => csvRows(text, tally, COLUMNS, checkRow),
});

function checkRow(row: Json): CallRow {
  const outputTokens = outputAt(row, 'Response tokens');
  const elapsed = spanAt(row, 'Elapsed time');
  return {
    sessionId: nameAt(row, 'Session ID'),
    atMs: givenNumberAt(row, 'Timestamp') * 1000,
    promptTokens: tokensAt(row, 'Request tokens'),
    outputTokens,
    model: textAt(row, 'Model'),
    recorded: {
      e2eMs: elapsed === null ? null : elapsed * 1000,
      error: outputTokens === null ? 'no_response' : null,
    },
  };
}
