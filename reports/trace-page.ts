// The page of a trace: one file, offline, before anything is simulated. The frame is that of the report page.
//
//   profile ─▶ findings, charts, tables ─▶ sections (HTML) + payload (specs, data; packed) ─▶ one file
import type { TraceReport } from '../scenarios/formats/trace-report.ts';
import { html } from './html.ts';
import { document, figure, type Payload } from './page.ts';
import type { PageRuntime } from './runtime.ts';
import { TRACE_CHARTS } from './trace/charts.ts';
import { pageName, traceHeader, traceSections } from './trace/sections.ts';

export function tracePage(trace: TraceReport, runtime: PageRuntime): string {
  const payload: Payload = {};
  const chart = (id: string) => {
    const found = TRACE_CHARTS.find(candidate => candidate.id === id)!;
    return figure(found, trace.profile, 'trace', payload);
  };
  const body = html`${traceHeader(trace)}${traceSections(trace, chart)}`;
  const { cdfs: _drawn, ...profile } = trace.profile;
  const { unreadable: _named, ...report } = trace.report;
  return document(
    {
      title: `Trace: ${pageName(trace)}`,
      body,
      summary: { kind: 'trace', report, selection: trace.selection, profile },
      payload,
      footer: 'One file, no network. Nothing was simulated for it: it shows the trace as it was recorded.',
    },
    runtime,
  );
}
