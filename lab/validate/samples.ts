// Latencies of a run by group and metric: sorted, each with the row of its session. Only what came back whole counts;
// failed and cancelled calls are quick or endless, and are counted beside it.
import type { HistogramCounts } from '../../scenarios/base/histogram.ts';
import {
  type CallRecord,
  e2eMs,
  makespanMs,
  tpotMs,
  ttftMs,
  type WorkflowRecord,
} from '../../scenarios/formats/record.ts';
import type { GroupComparison, TimeMetric } from '../../scenarios/formats/validation.ts';

/** What a comparison needs of a run. */
export interface Records {
  readonly calls: readonly CallRecord[];
  readonly workflows: readonly WorkflowRecord[];
  readonly itlMs: HistogramCounts;
}

/** Sorted values of one metric, and the session of each. */
export interface Samples {
  readonly valuesMs: Float64Array;
  readonly sessions: Int32Array;
}

export const NO_SAMPLES: Samples = { valuesMs: new Float64Array(0), sessions: new Int32Array(0) };

/** Metrics that every call or session has one value of; token gaps are kept as a histogram only. */
export type SampledMetric = Exclude<TimeMetric, 'itl'>;

export interface GroupSamples {
  readonly kind: GroupComparison['kind'];
  readonly name: string;
  /** Of its first call, for the order of groups. */
  readonly firstMs: number;
  readonly calls: number;
  readonly failed: number;
  readonly times: Readonly<Record<SampledMetric, Samples>>;
}

const CALL_TIMES: readonly [SampledMetric, (call: CallRecord) => number | null][] = [
  ['ttft', ttftMs],
  ['tpot', tpotMs],
  ['e2e', e2eMs],
];

/** Values as they are read. */
class Column {
  private readonly valuesMs: number[] = [];
  private readonly sessions: number[] = [];

  add(valueMs: number, session: number): void {
    this.valuesMs.push(valueMs);
    this.sessions.push(session);
  }

  sorted(): Samples {
    const { valuesMs, sessions } = this;
    if (valuesMs.length === 0) return NO_SAMPLES;
    const order = Uint32Array.from(valuesMs.keys()).sort((a, b) => valuesMs[a]! - valuesMs[b]! || a - b);
    return {
      valuesMs: Float64Array.from(order, row => valuesMs[row]!),
      sessions: Int32Array.from(order, row => sessions[row]!),
    };
  }
}

class Group {
  readonly kind: GroupComparison['kind'];
  readonly name: string;
  private firstMs = Number.POSITIVE_INFINITY;
  private calls = 0;
  private failed = 0;
  private readonly columns = {
    ttft: new Column(),
    tpot: new Column(),
    e2e: new Column(),
    makespan: new Column(),
  };

  constructor(kind: GroupComparison['kind'], name: string) {
    this.kind = kind;
    this.name = name;
  }

  addCall(call: CallRecord, session: number): void {
    this.calls += 1;
    this.firstMs = Math.min(this.firstMs, call.plannedMs);
    if (call.outcome !== 'ok') {
      this.failed += 1;
      return;
    }
    for (const [metric, of] of CALL_TIMES) {
      const valueMs = of(call);
      if (valueMs !== null) this.columns[metric].add(valueMs, session);
    }
  }

  addWorkflow(workflow: WorkflowRecord, session: number): void {
    const valueMs = makespanMs(workflow);
    if (valueMs !== null) this.columns.makespan.add(valueMs, session);
  }

  done(): GroupSamples {
    const { kind, name, firstMs, calls, failed, columns } = this;
    const { ttft, tpot, e2e, makespan } = columns;
    const times = {
      ttft: ttft.sorted(),
      tpot: tpot.sorted(),
      e2e: e2e.sorted(),
      makespan: makespan.sorted(),
    };
    return { kind, name, firstMs, calls, failed, times };
  }
}

export interface Grouping {
  /** A session's row, the same in all worlds. */
  readonly rowOf: (session: string) => number;
  /** Workflows are groups, and part of the names of steps. */
  readonly severalWorkflows: boolean;
}

export const ALL = 'all';

/** Groups of a run by `kind:name`. */
export function groupsOf(run: Records, { rowOf, severalWorkflows }: Grouping): Map<string, GroupSamples> {
  const groups = new Map<string, Group>();
  const groupOf = (kind: GroupComparison['kind'], name: string): Group => {
    const key = `${kind}:${name}`;
    const known = groups.get(key);
    if (known !== undefined) return known;
    const made = new Group(kind, name);
    groups.set(key, made);
    return made;
  };
  const all = groupOf('all', ALL);
  for (const call of run.calls) {
    const row = rowOf(call.session);
    all.addCall(call, row);
    if (severalWorkflows) groupOf('workflow', call.workflow).addCall(call, row);
    groupOf('step', severalWorkflows ? `${call.workflow} / ${call.step}` : call.step).addCall(call, row);
  }
  for (const workflow of run.workflows) {
    const row = rowOf(workflow.session);
    all.addWorkflow(workflow, row);
    if (severalWorkflows) groupOf('workflow', workflow.workflow).addWorkflow(workflow, row);
  }
  return new Map([...groups].map(([key, group]) => [key, group.done()]));
}

/** Several runs as one. */
export function pooled(runs: readonly Samples[]): Samples {
  if (runs.length === 1) return runs[0]!;
  const column = new Column();
  for (const { valuesMs, sessions } of runs) {
    for (let i = 0; i < valuesMs.length; i++) column.add(valuesMs[i]!, sessions[i]!);
  }
  return column.sorted();
}
