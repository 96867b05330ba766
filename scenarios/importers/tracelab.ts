// TraceLab coding-agent rounds: one call per line with its input split into a repeated prefix and what was appended, the
// times at which things were typed, answered and returned, and its tools. There are no block ids: the split makes them,
// so that what the provider's cache had lost counts as new. Sub-agents are sessions of their own in the data.
import type { RecordedCall } from '../formats/recorded.ts';
import type { Tally, TraceText } from './importer.ts';
import { type CallRow, callImporter } from './parts/call-rows.ts';
import { utcMicros } from './parts/clock.ts';
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
  shown,
  spanAt,
  textAt,
  tokensAt,
} from './parts/rows.ts';

export const tracelab = callImporter({
  name: 'tracelab',
  doc: 'TraceLab coding-agent rounds, JSONL: prefix and append split, event times, tools.',
  detect: head => hasFields(head, 'round_index', 'prefix_tokens', 'newly_append_tokens'),
  // Rows are grouped by session, not ordered by time: only all of them tell when the trace starts.
  epochMs(text) {
    let least: number | null = null;
    for (const line of text.lines()) {
      const micros = utcMicros(/"timestamp"\s*:\s*"([^"]+)"/.exec(line.text)?.[1] ?? '');
      if (micros !== null && (least === null || micros < least)) least = micros;
    }
    return least === null ? null : least / 1000;
  },
  blockTokens: 64,
  clock: 'wall',
  chained: false,
  rows: roundsOf,
});

interface Round {
  readonly row: CallRow;
  readonly sessionId: string;
  /** The tool of this round that took longest: it decides the gap after it. */
  readonly tool: string | null;
}

function* roundsOf(text: TraceText, tally: Tally): Generator<{ row: CallRow; number: number }> {
  const toolBefore = new Map<string, string | null>();
  for (const { row: round, number } of jsonRows(text, tally, checkRow)) {
    const { row, sessionId, tool } = round;
    const isTool = row.gapKind === 'tool';
    yield { row: { ...row, tool: isTool ? (toolBefore.get(sessionId) ?? null) : null }, number };
    toolBefore.set(sessionId, tool);
  }
}

const INPUTS: readonly unknown[] = ['user_message', 'tool_result'];
const OUTPUTS: readonly unknown[] = ['reasoning', 'text', 'tool_call'];

function checkRow(row: Json): Round {
  const sessionId = nameAt(row, 'session_id');
  if (sessionId === null) throw new Refusal('session_id is missing');
  const events = listAt(row, 'timing_events', 'an object', isObject) ?? [];
  const inputs = events.filter(event => INPUTS.includes(event.event_type));
  const outputs = events.filter(event => OUTPUTS.includes(event.event_type));
  // The call starts when the last of what it was waiting for is there, and ends with the last that it says.
  const atMs = lastMs(inputs) ?? firstMs(outputs);
  const endMs = lastMs(outputs);
  const prefixTokens = tokensAt(row, 'prefix_tokens', 0);
  return {
    sessionId,
    tool: slowestTool(listAt(row, 'tools', 'an object', isObject) ?? []),
    row: {
      sessionId,
      user: nameAt(row, 'user'),
      model: textAt(row, 'model'),
      atMs,
      gapKind: gapKindOf(inputs),
      promptTokens: tokensAt(row, 'input_tokens_total'),
      prefixTokens,
      outputTokens: outputAt(row, 'output_tokens'),
      reasoningTokens: numberAt(row, 'reasoning_output_tokens'),
      recorded: {
        e2eMs: atMs === null || endMs === null ? null : Math.max(0, endMs - atMs),
        cachedTokens: prefixTokens,
      },
    },
  };
}

function gapKindOf(inputs: readonly Json[]): RecordedCall['gapKind'] {
  if (inputs.some(event => event.event_type === 'tool_result')) return 'tool';
  return inputs.length > 0 ? 'human' : 'unknown';
}

function slowestTool(tools: readonly Json[]): string | null {
  let slowest: { name: string | null; ms: number } = { name: null, ms: -1 };
  for (const tool of tools) {
    const ms = spanAt(tool, 'tool_wall_latency_ms') ?? 0;
    if (ms > slowest.ms) slowest = { name: textAt(tool, 'tool_name'), ms };
  }
  return slowest.name;
}

/** Unix ms of each event. */
function timesOf(events: readonly Json[]): number[] {
  return events.map(event => {
    const micros = typeof event.timestamp === 'string' ? utcMicros(event.timestamp) : null;
    if (micros === null)
      throw new Refusal(`timestamp of ${shown(event.event_type)} is ${shown(event.timestamp)}, not a time`);
    return micros / 1000;
  });
}

const lastMs = (events: readonly Json[]): number | null =>
  timesOf(events).reduce<number | null>((last, ms) => Math.max(ms, last ?? ms), null);
const firstMs = (events: readonly Json[]): number | null =>
  timesOf(events).reduce<number | null>((first, ms) => Math.min(ms, first ?? ms), null);
