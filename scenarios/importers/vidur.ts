// Vidur's processed traces: a CSV of prompt and output lengths, and nothing else. When they arrive is for the scenario.

import { callImporter } from './parts/call-rows.ts';
import { csvRows, hasColumns, outputAt, tokensAt } from './parts/rows.ts';

const COLUMNS = ['num_prefill_tokens', 'num_decode_tokens'] as const;

export const vidur = callImporter({
  name: 'vidur',
  doc: 'Vidur traces, CSV: lengths only, no arrivals, one call per session.',
  detect: head => hasColumns(head, COLUMNS),
  blockTokens: 16,
  clock: 'session',
  chained: false,
  rows: (text, tally) =>
    csvRows(text, tally, COLUMNS, row => ({
      promptTokens: tokensAt(row, 'num_prefill_tokens'),
      outputTokens: outputAt(row, 'num_decode_tokens'),
    })),
});
