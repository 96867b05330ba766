// Vidur's processed traces: a CSV of prompt and output lengths, and nothing else. When they arrive is for the scenario.
import type { Importer } from './importer.ts';
import { columnsOf, csvRows, type Json, tokensAt } from './rows.ts';
import { singleCallSession } from './single-calls.ts';

const COLUMNS = ['num_prefill_tokens', 'num_decode_tokens'] as const;

export const vidur: Importer = {
  name: 'vidur',
  doc: 'Vidur traces, CSV: lengths only, no arrivals, one call per session.',
  detect: head => {
    const columns = columnsOf(head);
    return COLUMNS.every(name => columns.includes(name));
  },
  *read(text, tally) {
    for (const { row, number } of csvRows(text, tally, COLUMNS, checkRow))
      yield singleCallSession(text, number, { ...row, arrivalMs: null }, tally);
  },
};

const checkRow = (row: Json): { promptTokens: number; outputTokens: number } => ({
  promptTokens: tokensAt(row, 'num_prefill_tokens'),
  outputTokens: tokensAt(row, 'num_decode_tokens', 0),
});
