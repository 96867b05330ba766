// Counts a run call by call as it goes: what it keeps does not grow with the number of calls.
import { Histogram, type HistogramCounts } from '../../scenarios/base/histogram.ts';
import type { AssertedMetric, Assertion } from '../../scenarios/formats/assertion.ts';
import {
  callKeeps,
  isFailure,
  isJudged,
  namesCalls,
  passes,
  workflowKeeps,
  workflowPasses,
} from '../../scenarios/formats/kept.ts';
import {
  type CallOutcome,
  type CallRecord,
  e2eMs,
  gpuHours,
  makespanMs,
  queueMs,
  type ReplicaSpan,
  tpotMs,
  ttftMs,
  type WorkflowRecord,
  type WorkflowStatus,
} from '../../scenarios/formats/record.ts';
import { type RunTally, TALLY_VERSION } from '../../scenarios/formats/tally.ts';

/** Times as whole numbers: only these sum to the same in any order. */
const toUs = (ms: number): number => Math.round(ms * 1000);

const CALL_VALUES: Partial<Record<AssertedMetric, (call: CallRecord) => number | null>> = {
  ttft: ttftMs,
  tpot: tpotMs,
  e2e: e2eMs,
  queue: queueMs,
};

/** What one assertion line takes of calls and sessions. */
interface Line {
  readonly text: string;
  readonly values: Histogram | null;
  part: number;
  whole: number;
  readonly onCall: ((call: CallRecord) => void) | null;
  readonly onSession: ((session: WorkflowRecord) => void) | null;
}

function lineOf(assertion: Assertion): Line {
  const { text, subject, filter } = assertion;
  const isOf = passes(filter);
  const isOfSession = workflowPasses(filter);
  const line = (hears: Partial<Pick<Line, 'values' | 'onCall' | 'onSession'>>): Line => ({
    text,
    values: null,
    part: 0,
    whole: 0,
    onCall: null,
    onSession: null,
    ...hears,
  });
  const count = (of: Line, isPart: boolean, n = 1): void => {
    of.whole += n;
    if (isPart) of.part += n;
  };
  switch (subject.kind) {
    case 'quantile':
    case 'mean':
    case 'max': {
      const values = new Histogram();
      const take = (ms: number | null): void => {
        if (ms !== null) values.record(toUs(ms));
      };
      const ofSessions =
        subject.metric === 'makespan' ||
        (subject.metric === 'e2e' && filter.workflow !== undefined && !namesCalls(filter));
      if (ofSessions)
        return line({ values, onSession: session => isOfSession(session) && take(makespanMs(session)) });
      const callMs = CALL_VALUES[subject.metric];
      // Gaps between tokens are no call's own.
      if (callMs === undefined) return line({ values });
      return line({ values, onCall: call => call.outcome === 'ok' && isOf(call) && take(callMs(call)) });
    }
    case 'rate': {
      const fails = isFailure(subject.code);
      const made = line({ onCall: call => isOf(call) && count(made, fails(call)) });
      return made;
    }
    case 'cache_hit': {
      const made = line({
        onCall: call => {
          if (!isOf(call) || call.cachedTokens === null) return;
          made.whole += call.promptTokens;
          made.part += call.cachedTokens;
        },
      });
      return made;
    }
    case 'attainment': {
      const made: Line =
        subject.of === 'sessions'
          ? line({
              onSession: session =>
                isOfSession(session) && isJudged(session) && count(made, workflowKeeps(assertion, session)),
            })
          : line({
              onCall: call => isOf(call) && isJudged(call) && count(made, callKeeps(assertion, call)),
            });
      return made;
    }
    case 'count': {
      if (subject.what === 'calls') {
        const made = line({ onCall: call => isOf(call) && count(made, true) });
        return made;
      }
      const isTools = subject.what === 'tool_calls';
      // Which step ran a tool, no session says.
      if (isTools && namesCalls(filter)) return line({ values: new Histogram() });
      const made = line({
        onSession: session => isOfSession(session) && count(made, true, isTools ? session.toolCalls : 1),
      });
      return made;
    }
  }
}

/** What replicas cost until `durationMs`: whole GPU-milliseconds and nano-dollars, null where one has no price. */
export function gpuBill(
  spans: readonly ReplicaSpan[],
  durationMs: number,
): Pick<RunTally, 'gpuMs' | 'gpuNanos'> {
  let gpuMs = 0;
  let gpuNanos: number | null = 0;
  for (const span of spans) {
    const ms = Math.round(gpuHours(span, durationMs) * 3_600_000);
    const { usdPerGpuHour } = span;
    gpuMs += ms;
    gpuNanos =
      gpuNanos === null || usdPerGpuHour === null
        ? null
        : gpuNanos + Math.round((ms / 3.6e6) * usdPerGpuHour * 1e9);
  }
  return { gpuMs, gpuNanos };
}

/** Collects one run: its `onCall` and `onSession` go to the simulation. */
export class TallyCollector {
  private readonly lines: readonly Line[];
  private readonly callLines: readonly ((call: CallRecord) => void)[];
  private readonly sessionLines: readonly ((session: WorkflowRecord) => void)[];
  private readonly calls: Record<CallOutcome, number> = { ok: 0, error: 0, cancelled: 0, unfinished: 0 };
  private readonly sessions: Record<WorkflowStatus, number> = {
    completed: 0,
    failed: 0,
    cancelled: 0,
    unfinished: 0,
  };
  private readonly errors = new Map<string, number>();
  private readonly tokens = { prompt: 0, looked: 0, cached: 0, computed: 0, output: 0 };
  private readonly us = {
    ttft: new Histogram(),
    tpot: new Histogram(),
    e2e: new Histogram(),
    queue: new Histogram(),
    makespan: new Histogram(),
  };
  private toolCalls = 0;
  private preemptions = 0;
  private apiNanos = 0;
  private windowUs = 0;

  constructor(assertions: readonly Assertion[]) {
    this.lines = assertions.map(lineOf);
    this.callLines = this.lines.flatMap(({ onCall }) => onCall ?? []);
    this.sessionLines = this.lines.flatMap(({ onSession }) => onSession ?? []);
  }

  /** Hot: once per call. */
  readonly onCall = (call: CallRecord): void => {
    const { outcome, error } = call;
    this.calls[outcome] += 1;
    if (error !== null) this.errors.set(error, (this.errors.get(error) ?? 0) + 1);
    this.preemptions += call.preemptions ?? 0;
    if (call.scheduledMs !== null || call.firstTokenMs !== null) {
      const { tokens } = this;
      tokens.prompt += call.promptTokens;
      tokens.computed += call.computedTokens ?? 0;
      tokens.output += call.outputTokens;
      if (call.cachedTokens !== null) {
        tokens.looked += call.promptTokens;
        tokens.cached += call.cachedTokens;
      }
    }
    for (const hear of this.callLines) hear(call);
    if (outcome !== 'ok') return;
    const { ttft, tpot, e2e, queue } = this.us;
    take(ttft, ttftMs(call));
    take(tpot, tpotMs(call));
    take(e2e, e2eMs(call));
    take(queue, queueMs(call));
  };

  readonly onSession = (session: WorkflowRecord): void => {
    this.sessions[session.status] += 1;
    this.toolCalls += session.toolCalls;
    this.windowUs = Math.max(this.windowUs, toUs(session.startMs));
    for (const hear of this.sessionLines) hear(session);
    take(this.us.makespan, makespanMs(session));
  };

  /** What a provider bills, nano-dollars. */
  billed(nanos: number): void {
    this.apiNanos += nanos;
  }

  /** `durationMs` to the last end; `spans` of every replica there was; `itlMs` as the cluster counted it. */
  tally(durationMs: number, spans: readonly ReplicaSpan[], itlMs: HistogramCounts): RunTally {
    const { us } = this;
    return {
      version: TALLY_VERSION,
      durationUs: toUs(durationMs),
      windowUs: this.windowUs,
      calls: { ...this.calls },
      errors: Object.fromEntries([...this.errors].sort(([a], [b]) => (a < b ? -1 : 1))),
      sessions: { ...this.sessions },
      toolCalls: this.toolCalls,
      tokens: { ...this.tokens },
      preemptions: this.preemptions,
      us: {
        ttft: us.ttft.toCounts(),
        tpot: us.tpot.toCounts(),
        e2e: us.e2e.toCounts(),
        queue: us.queue.toCounts(),
        makespan: us.makespan.toCounts(),
      },
      itlMs,
      assertions: this.lines.map(({ text, values, part, whole }) => ({
        text,
        valuesUs: values === null ? null : values.toCounts(),
        part,
        whole,
      })),
      ...gpuBill(spans, durationMs),
      apiNanos: this.apiNanos,
    };
  }
}

function take(histogram: Histogram, ms: number | null): void {
  if (ms !== null) histogram.record(toUs(ms));
}
