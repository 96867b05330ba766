// Azure's LLM inference traces (2023, 2024, and the multimodal 2025): a CSV of arrival and lengths, with no sessions and
// no content. Timestamps have up to seven fractional digits and no zone: they are read by hand, as UTC.
import { utcMicros } from './clock.ts';
import { countNote, type Importer } from './importer.ts';
import { columnsOf, csvRows, type Json, numberAt, Refusal, shown, textAt, tokensAt } from './rows.ts';
import { singleCallSession } from './single-calls.ts';

const COLUMNS = ['TIMESTAMP', 'ContextTokens', 'GeneratedTokens'] as const;

export const azure: Importer = {
  name: 'azure',
  doc: 'Azure LLM inference traces, CSV: arrivals and lengths, one call per session.',
  detect: head => {
    const columns = columnsOf(head);
    return COLUMNS.every(name => columns.includes(name));
  },
  epochMs({ head }) {
    const [header = '', first = ''] = head.split(/\r?\n/, 2);
    const atMicros = utcMicros(first.split(',')[columnsOf(header).indexOf('TIMESTAMP')]?.trim() ?? '');
    return atMicros === null ? null : atMicros / 1000;
  },
  *read(text, tally) {
    for (const { row, number } of csvRows(text, tally, COLUMNS, checkRow)) {
      tally.epochMs ??= row.atMicros / 1000;
      // In whole microseconds: a double of milliseconds since 1970 is only good for a quarter of one.
      const arrivalMicros = row.atMicros - Math.round(tally.epochMs * 1000);
      if (arrivalMicros < 0) countNote(tally, 'earlyRows');
      if (row.images > 0) countNote(tally, 'imageCalls');
      yield singleCallSession(text, number, { ...row, arrivalMs: Math.max(0, arrivalMicros) / 1000 }, tally);
    }
  },
};

function checkRow(row: Json): {
  atMicros: number;
  images: number;
  promptTokens: number;
  outputTokens: number;
} {
  const timestamp = textAt(row, 'TIMESTAMP');
  const atMicros = timestamp === null ? null : utcMicros(timestamp);
  if (atMicros === null)
    throw new Refusal(`TIMESTAMP is ${shown(timestamp ?? undefined)}, expected 2023-11-16 18:17:03.9799600`);
  return {
    atMicros,
    images: numberAt(row, 'NumImages') ?? 0,
    promptTokens: tokensAt(row, 'ContextTokens'),
    outputTokens: tokensAt(row, 'GeneratedTokens', 0),
  };
}
