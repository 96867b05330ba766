// Work that met its targets: calls by role, sessions by workflow. A call or session is judged where an SLO is for it, and
// keeps it when every such SLO holds.
import type { Assertion } from '../../scenarios/formats/assertion.ts';
import { callKeeps, passes, workflowKeeps, workflowPasses } from '../../scenarios/formats/kept.ts';
import type { GoodputRow } from '../../scenarios/formats/result.ts';
import type { RunOutput } from '../../scenarios/formats/run.ts';

const isSlo = ({ subject }: Assertion, of: 'calls' | 'sessions'): boolean =>
  subject.kind === 'attainment' && subject.of === of;

class Goodput {
  private readonly groups = new Map<string, { judged: number; kept: number }>();

  add(group: string, keeps: boolean): void {
    const row = this.groups.get(group) ?? { judged: 0, kept: 0 };
    this.groups.set(group, row);
    row.judged += 1;
    if (keeps) row.kept += 1;
  }

  rows(durationMs: number): GoodputRow[] {
    return [...this.groups]
      .map(([group, { judged, kept }]) => ({
        group,
        judged,
        kept,
        keptPerSec: durationMs > 0 ? (kept / durationMs) * 1000 : 0,
      }))
      .sort((a, b) => (a.group < b.group ? -1 : 1));
  }
}

/** null: the scenario has no SLO. */
export function goodputOf(output: RunOutput): { byRole: GoodputRow[]; byWorkflow: GoodputRow[] } | null {
  const ofCalls = output.assertions.filter(each => isSlo(each, 'calls'));
  const ofSessions = output.assertions.filter(each => isSlo(each, 'sessions'));
  if (ofCalls.length + ofSessions.length === 0) return null;
  const roles = new Goodput();
  const callSlos = ofCalls.map(slo => ({ slo, isFor: passes(slo.filter) }));
  for (const call of output.calls) {
    if (call.role === null || call.outcome === 'cancelled' || call.outcome === 'unfinished') continue;
    const own = callSlos.filter(({ isFor }) => isFor(call));
    if (own.length > 0)
      roles.add(
        call.role,
        own.every(({ slo }) => callKeeps(slo, call)),
      );
  }
  const workflows = new Goodput();
  const sessionSlos = ofSessions.map(slo => ({ slo, isFor: workflowPasses(slo.filter) }));
  for (const record of output.workflows) {
    if (record.status === 'cancelled' || record.status === 'unfinished') continue;
    const own = sessionSlos.filter(({ isFor }) => isFor(record));
    if (own.length > 0)
      workflows.add(
        record.workflow,
        own.every(({ slo }) => workflowKeeps(slo, record)),
      );
  }
  return { byRole: roles.rows(output.durationMs), byWorkflow: workflows.rows(output.durationMs) };
}
