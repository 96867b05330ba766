// A trace's own measurements as records of a run: the sessions that were simulated, at the run's times, with the
// latencies that whoever recorded them saw.
import { plural } from '../../reports/numbers.ts';
import { UserError } from '../../scenarios/base/errors.ts';
import type { LoadedScenario } from '../../scenarios/cli/load.ts';
import type { CallRecord, WorkflowRecord } from '../../scenarios/formats/record.ts';
import type { RecordedCall, RecordedSession } from '../../scenarios/formats/recorded.ts';
import type { RunOutput } from '../../scenarios/formats/run.ts';
import type { Moment } from '../../scenarios/formats/selection.ts';
import type { Records } from './samples.ts';

const NO_GAPS = { count: 0, sum: 0, min: 0, max: 0, buckets: [] };

export interface RecordedRun {
  readonly records: Records;
  readonly warnings: readonly string[];
}

/** What a trace measured of the sessions that ran; a UserError where it measured nothing, or something else. */
export function recordedRun(loaded: LoadedScenario, sim: RunOutput): RecordedRun {
  if (loaded.recorded.size === 0) {
    throw new UserError(
      `${loaded.input} holds no recorded sessions, so there is nothing recorded to compare with`,
      {
        hint: 'name a trace, or a scenario with a `trace` in its traffic; without one leave out --against',
      },
    );
  }
  const found = sessionsByName(loaded);
  const ran = sim.workflows.filter(({ session }) => found.has(session));
  const calls = ran.flatMap(workflow => callsOf(workflow, found.get(workflow.session)!.session));
  const whole = calls.filter(({ outcome }) => outcome === 'ok');
  if (!whole.some(call => call.firstTokenMs !== null || call.endMs !== null)) {
    throw new UserError(`the trace ${loaded.input} has lengths and times of calls, but no latencies`, {
      hint: 'a trace with TTFT or durations, such as OTel spans, Weka sessions or TraceLab rounds, can be compared; others can be simulated and replayed: leave out --against',
    });
  }
  return {
    records: {
      calls,
      workflows: ran.map(each => workflowOf(each, found.get(each.session)!.session)),
      itlMs: NO_GAPS,
    },
    warnings: [...changes(loaded), ...gaps(calls, sim.workflows.length - ran.length)],
  };
}

/**
 * The same run without the sessions that nobody recorded, and of its calls only the latencies that the record has too:
 * else means would be those of other calls.
 */
export function withRecord({ calls, workflows, itlMs }: RunOutput, record: Records): Records {
  const recorded = new Map(record.calls.map(call => [`${call.session}\n${call.call}`, call]));
  const sessions = new Map(record.workflows.map(workflow => [workflow.session, workflow]));
  const kept = calls.flatMap(call => {
    const other = recorded.get(`${call.session}\n${call.call}`);
    if (other === undefined) return [];
    const isWhole = other.outcome === 'ok';
    const firstTokenMs = isWhole && other.firstTokenMs !== null ? call.firstTokenMs : null;
    const endMs = isWhole && other.endMs !== null ? call.endMs : null;
    return [{ ...call, firstTokenMs, endMs }];
  });
  const ended = workflows.flatMap(workflow => {
    const other = sessions.get(workflow.session);
    if (other === undefined) return [];
    const isWhole = other.status === 'completed' && other.endMs !== null;
    return [{ ...workflow, endMs: isWhole ? workflow.endMs : null }];
  });
  return { calls: kept, workflows: ended, itlMs };
}

interface Found {
  readonly session: RecordedSession;
  /** Wall clock at the start of its trace. */
  readonly epochMs: number | null;
}

/** Recorded sessions as a plan calls them. */
function sessionsByName({ recorded, compiled, imports }: LoadedScenario): Map<string, Found> {
  const nameOf = new Map(compiled?.plan?.cohorts.map(({ index, name }) => [index, name]));
  const found = new Map<string, Found>();
  let trace = 0;
  for (const [index, sessions] of recorded) {
    const epochMs = imports[trace++]?.epochMs ?? null;
    for (const session of sessions) found.set(`${nameOf.get(index)}/${session.id}`, { session, epochMs });
  }
  return found;
}

function callsOf(
  { session, cohort, workflow, tenant, plannedMs }: WorkflowRecord,
  recorded: RecordedSession,
): CallRecord[] {
  return recorded.calls.map((call: RecordedCall): CallRecord => {
    const { startMs, ttftMs, e2eMs, cachedTokens, error } = call.recorded;
    const wantedMs = plannedMs + startMs;
    return {
      session,
      cohort,
      workflow,
      tenant,
      call: call.id,
      step: call.agent,
      role: null,
      model: call.model,
      pool: 'recorded',
      replica: null,
      iteration: null,
      loop: null,
      promptTokens: call.promptTokens,
      cachedTokens,
      computedTokens: null,
      outputTokens: call.outputTokens,
      reasoningTokens: call.reasoningTokens,
      plannedMs: wantedMs,
      sentMs: wantedMs,
      scheduledMs: null,
      firstTokenMs: ttftMs === null ? null : wantedMs + ttftMs,
      endMs: e2eMs === null ? null : wantedMs + e2eMs,
      itlMsMax: null,
      preemptions: null,
      outcome: error === null ? 'ok' : 'error',
      error,
      attempts: 1,
      parts: [],
    };
  });
}

/** A session with the time from its start to its last end, where the end of every call is known. */
function workflowOf(workflow: WorkflowRecord, { calls }: RecordedSession): WorkflowRecord {
  const ends = calls.map(({ recorded: { startMs, e2eMs } }) => (e2eMs === null ? null : startMs + e2eMs));
  const error = calls.find(({ recorded }) => recorded.error !== null)?.recorded.error ?? null;
  const isKnown = !ends.includes(null);
  return {
    ...workflow,
    startMs: workflow.plannedMs,
    endMs: isKnown ? workflow.plannedMs + Math.max(0, ...(ends as number[])) : null,
    status: error === null ? 'completed' : 'failed',
    error,
  };
}

/**
 * Wall clock of the run's start, Unix ms; null where the trace has none or does not decide when sessions start. `from`
 * is the start of the window that was cut out of it, from which arrivals count.
 */
export function wallClockOf(
  loaded: LoadedScenario,
  workflows: readonly WorkflowRecord[],
  from: Moment | null,
): number | null {
  const found = sessionsByName(loaded);
  let zeroMs: number | null = null;
  for (const { session: name, plannedMs } of workflows) {
    const { session, epochMs } = found.get(name) ?? NOT_RECORDED;
    if (session === null) continue;
    if (epochMs === null || session.arrivalMs === null) return null;
    const ownMs: number = epochMs + session.arrivalMs - plannedMs;
    if (zeroMs !== null && Math.abs(ownMs - zeroMs) > 1) return null;
    zeroMs = ownMs;
  }
  if (zeroMs === null || from === null) return zeroMs;
  return 'elapsedMs' in from ? zeroMs + from.elapsedMs : Math.max(zeroMs, from.unixMs);
}

const NOT_RECORDED = { session: null, epochMs: null };

/** What makes the run another one than the recorded; shorter prompts have nothing left to compare. */
function changes({ file, recorded }: LoadedScenario): string[] {
  const cohorts = (file?.traffic ?? []).filter((_, index) => recorded.has(index));
  if (cohorts.some(({ scale_tokens: scale = 1 }) => scale < 1)) {
    throw new UserError(
      'the prompts are shrunk (scale_tokens), and the recorded latencies are those of whole ones',
      {
        hint: 'leave out --scale-tokens, and take fewer sessions instead: --sessions 20, or --from and --to',
      },
    );
  }
  const warnings: string[] = [];
  if (cohorts.some(({ gap_scale: scale = 1, gap_cap: cap }) => scale !== 1 || cap !== undefined))
    warnings.push('gaps are scaled or capped, so that load and session times are not those of the record');
  if (cohorts.some(({ arrival }) => arrival?.recorded === undefined))
    warnings.push(
      'sessions do not start when they were recorded, so that the load is not that of the record',
    );
  if (cohorts.some(({ arrival }) => typeof arrival?.recorded === 'object' && arrival.recorded.speed !== 1))
    warnings.push('sessions arrive at another speed than recorded');
  if (cohorts.some(({ copies = 1 }) => copies > 1))
    warnings.push('copies of sessions add load that was not there when they were recorded');
  return warnings;
}

/** What the comparison leaves out. */
function gaps(calls: readonly CallRecord[], unrecorded: number): string[] {
  const warnings: string[] = [];
  if (unrecorded > 0)
    warnings.push(`${plural(unrecorded, 'session')} without a record are simulated, but not compared`);
  const whole = calls.filter(({ outcome }) => outcome === 'ok');
  const count = (of: (call: CallRecord) => number | null): number =>
    whole.filter(call => of(call) === null).length;
  const parts = [
    [count(call => call.firstTokenMs), 'no TTFT'],
    [count(call => call.endMs), 'no duration'],
  ] as const;
  for (const [missing, what] of parts)
    if (missing > 0) warnings.push(`${missing} of ${plural(whole.length, 'recorded call')} have ${what}`);
  return warnings;
}
