// Azure's LLM inference traces (2023, 2024, and the multimodal 2025): a CSV of arrivals and lengths, with no sessions and
// no content. Timestamps have up to seven fractional digits and no zone: they are read by hand, as UTC.

import { type CallRow, callImporter } from './parts/call-rows.ts';
import { utcMicros } from './parts/clock.ts';
import {
  columnsOf,
  csvRows,
  hasColumns,
  type Json,
  numberAt,
  outputAt,
  Refusal,
  shown,
  tokensAt,
} from './parts/rows.ts';

const COLUMNS = ['TIMESTAMP', 'ContextTokens', 'GeneratedTokens'] as const;

export const azure = callImporter({
  name: 'azure',
  doc: 'Azure LLM inference traces, CSV: arrivals and lengths, one call per session.',
  detect: head => hasColumns(head, COLUMNS),
  epochMs({ head }) {
    const first = head.split(/\r?\n/, 2)[1] ?? '';
    const micros = utcMicros((first.split(',')[columnsOf(head).indexOf('TIMESTAMP')] ?? '').trim());
    return micros === null ? null : micros / 1000;
  },
  blockTokens: 16,
  clock: 'wall',
  chained: false,
  rows: (text, tally) => csvRows(text, tally, COLUMNS, checkRow),
});

function checkRow(row: Json): CallRow {
  const micros = typeof row.TIMESTAMP === 'string' ? utcMicros(row.TIMESTAMP) : null;
  if (micros === null)
    throw new Refusal(`TIMESTAMP is ${shown(row.TIMESTAMP)}, expected e.g. 2023-11-16 18:17:03.9799600`);
  return {
    atMs: micros / 1000,
    promptTokens: tokensAt(row, 'ContextTokens'),
    outputTokens: outputAt(row, 'GeneratedTokens'),
    hasImages: (numberAt(row, 'NumImages') ?? 0) > 0,
  };
}
