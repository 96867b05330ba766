// A recorded incident: a call a second, and in the third minute a burst of long prompts. As OpenTelemetry spans.
import type { CallRecord } from '../../scenarios/formats/record.ts';

/** 14:00 UTC. */
export const INCIDENT_START = Date.UTC(2026, 10, 21, 14);
const BURST_SEC = 150;

export interface RecordedLatency {
  /** null: the trace does not say. */
  ttftMs: number | null;
  e2eMs: number;
  error?: string;
}

/** The calls of the incident, one a session, with latencies of their own; the `row`-th session is `s-${row}`. */
export function incidentTrace(latencyOf: (row: number) => RecordedLatency): string {
  const instants = [
    ...Array.from({ length: 300 }, (_, i) => ({ atSec: i, tokens: 400 })),
    ...Array.from({ length: 60 }, (_, i) => ({ atSec: BURST_SEC + i / 20, tokens: 3000 })),
  ].sort((a, b) => a.atSec - b.atSec);
  const iso = (ms: number): string => new Date(ms).toISOString();
  const spans = instants.map(({ atSec, tokens }, row) => {
    const { ttftMs, e2eMs, error } = latencyOf(row);
    const startMs = INCIDENT_START + Math.round(atSec * 1000);
    return {
      trace_id: `t-${row}`,
      span_id: `span-${row}`,
      parent_span_id: null,
      name: 'chat m',
      kind: 'SPAN_KIND_CLIENT',
      start_time: iso(startMs),
      end_time: iso(startMs + Math.round(e2eMs)),
      attributes: {
        'exgentic.session.id': `s-${row}`,
        'gen_ai.operation.name': 'chat',
        'gen_ai.request.model': 'm',
        'gen_ai.usage.input_tokens': tokens,
        'gen_ai.usage.output_tokens': 20,
        ...(ttftMs === null ? {} : { 'gen_ai.response.time_to_first_chunk': ttftMs / 1000 }),
        ...(error === undefined ? {} : { 'error.type': error }),
      },
      status: { code: error === undefined ? 1 : 2, message: '' },
    };
  });
  return JSON.stringify({ trace_id: 'incident', span_count: spans.length, spans });
}

/** Latencies of simulated calls, each times `scale`, by session. */
export function latenciesOf(
  calls: readonly CallRecord[],
  scale = 1,
): (row: number) => { ttftMs: number; e2eMs: number } {
  const bySession = new Map(calls.map(call => [call.session, call]));
  return row => {
    const call = bySession.get(`trace/s-${row}`)!;
    return {
      ttftMs: scale * (call.firstTokenMs! - call.plannedMs),
      e2eMs: scale * (call.endMs! - call.plannedMs),
    };
  };
}
