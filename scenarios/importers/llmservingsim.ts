// LLMServingSim workloads: a call per line, or an agent session per line as sub-requests with the tool time after each.
// Times are nanoseconds. Token ids, where there are any, are not read.

import { type CallRow, callImporter } from './parts/call-rows.ts';
import {
  hasFields,
  isObject,
  type Json,
  jsonRows,
  listAt,
  nameAt,
  numberAt,
  outputAt,
  Refusal,
  spanAt,
  tokensAt,
} from './parts/rows.ts';

export const llmservingsim = callImporter({
  name: 'llmservingsim',
  doc: 'LLMServingSim workloads, JSONL: single calls, and agent sessions as sub-requests.',
  detect: head => hasFields(head, 'input_toks') && hasFields(head, 'output_toks'),
  blockTokens: 16,
  clock: 'file',
  chained: false,
  *rows(text, tally) {
    for (const { row: calls, number } of jsonRows(text, tally, checkLine)) {
      for (const row of calls) yield { row, number };
    }
  },
});

/** To the microsecond: nanoseconds since 1970 are beyond the whole numbers of JSON. */
const msOfNs = (ns: number | null): number | null => (ns === null ? null : Math.round(ns / 1000) / 1000);

function checkLine(row: Json): CallRow[] {
  const atMs = msOfNs(numberAt(row, 'arrival_time_ns'));
  const parts = listAt(row, 'sub_requests', 'an object', isObject);
  if (parts === null) return [{ ...lengthsOf(row), atMs }];
  const sessionId = nameAt(row, 'session_id');
  if (sessionId === null) throw new Refusal('session_id is missing');
  if (parts.length === 0) throw new Refusal('sub_requests is empty');
  return parts.map((part, index) => {
    const before = parts[index - 1];
    return {
      ...lengthsOf(part),
      sessionId,
      atMs: index === 0 ? atMs : null,
      delayMs: before === undefined ? null : (msOfNs(spanAt(before, 'tool_duration_ns')) ?? 0),
      gapKind: before === undefined ? 'unknown' : 'tool',
      isLast: index === parts.length - 1,
    };
  });
}

const lengthsOf = (row: Json): Pick<CallRow, 'promptTokens' | 'outputTokens'> => ({
  promptTokens: tokensAt(row, 'input_toks'),
  outputTokens: outputAt(row, 'output_toks'),
});
