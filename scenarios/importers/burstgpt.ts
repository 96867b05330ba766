// BurstGPT: a CSV of requests to ChatGPT and GPT-4 in seconds from its start. Columns are found by name: v1.2 has two
// more in the middle of v1's. A response of 0 tokens is a request that failed, not an empty answer.
import type { Importer } from './importer.ts';
import { columnsOf, csvRows, givenNumberAt, type Json, spanAt, textAt, tokensAt } from './rows.ts';
import { singleCallSession } from './single-calls.ts';

const COLUMNS = ['Timestamp', 'Model', 'Request tokens', 'Response tokens'] as const;

export const burstgpt: Importer = {
  name: 'burstgpt',
  doc: 'BurstGPT traces v1 and v1.2, CSV: arrivals, lengths and failures, one call per session.',
  detect: head => {
    const columns = columnsOf(head);
    return COLUMNS.every(name => columns.includes(name));
  },
  *read(text, tally) {
    let zeroMs: number | null = null;
    for (const { row, number } of csvRows(text, tally, COLUMNS, checkRow)) {
      zeroMs ??= row.atMs;
      yield singleCallSession(text, number, { ...row, arrivalMs: row.atMs - zeroMs }, tally);
    }
  },
};
