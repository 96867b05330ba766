// What is taken out of a trace: a window of time, a sample of whole sessions, pseudonyms. Streams: one session in, at
// most one out, and a report of what that did.
//
//   sessions ─▶ cut to the window ─▶ without too long contexts ─▶ sampled by id ─▶ gaps over the cap counted ─▶ anonymised
import { UserError } from '../base/errors.ts';
import { extendText, textKey, uniform } from '../base/key.ts';
import type { RecordedSession } from '../formats/recorded.ts';
import type {
  Moment,
  Selection,
  SelectionReport,
  TrafficFigures,
  WindowReport,
} from '../formats/selection.ts';
import { Arrivals } from './arrivals.ts';
import { ReuseCounter } from './reuse.ts';
import { anonymizer } from './select/anonymize.ts';
import { cutSession } from './select/cut.ts';
import { GapCapCounter, gapCapWarning } from './select/gap-cap.ts';

export const emptySelectionReport = (): SelectionReport => ({
  window: null,
  longContexts: null,
  sample: null,
  gapCap: null,
  anonymized: null,
});

/**
 * The selected sessions. `epochMs` gives the wall clock of the trace's start once its first session is read (null: it
 * has none); `report` is filled when the last session has passed. A UserError when nothing is left.
 */
export function* selectSessions(
  sessions: Iterable<RecordedSession>,
  selection: Selection,
  context: { epochMs: () => number | null; report: SelectionReport },
): Generator<RecordedSession> {
  const { window, maxContextTokens, sample, anonymize } = selection;
  const { report, epochMs } = context;
  const longContexts =
    maxContextTokens === null ? null : { maxContextTokens, sessions: 0, sessionsDropped: 0 };
  let cutter: ReturnType<typeof windowCutter> | null = null;
  const before = sample === null ? null : trafficCounter();
  const after = sample === null ? null : trafficCounter();
  const gapCap = selection.gapCap && new GapCapCounter(selection.gapCap);
  const pseudonyms = anonymize ? anonymizer() : null;
  let count = 0;

  for (const read of sessions) {
    // 1. The window; on a clock only once the trace's clock is known.
    if (window !== null) cutter ??= windowCutter(window, epochMs());
    const cut = cutter === null ? read : cutter.cut(read);
    if (cut === null) continue;
    // 2. One call beyond the window of a server ends its session, so that none of it is sent.
    if (longContexts !== null) {
      longContexts.sessions += 1;
      const isLong = longestTokens(cut) > longContexts.maxContextTokens;
      if (isLong) longContexts.sessionsDropped += 1;
      if (isLong) continue;
    }
    // 3. Whole sessions, by a hash of the id: the same ones in any order, and in any longer trace.
    before?.add(cut);
    if (sample !== null && !isSampled(cut.id, sample)) continue;
    after?.add(cut);
    // 4. Counted; a run applies the cap.
    gapCap?.add(cut);
    count += 1;
    yield pseudonyms === null ? cut : pseudonyms.session(cut);
  }

  report.window = cutter?.report ?? null;
  report.longContexts = longContexts;
  report.sample = sample && { ...sample, before: before!.figures(), after: after!.figures() };
  report.gapCap = gapCap?.report ?? null;
  report.anonymized = pseudonyms?.counts() ?? null;
  if (count === 0) throw nothingLeft(report);
}

/** Prompt and output of the longest call. */
const longestTokens = ({ calls }: RecordedSession): number =>
  calls.reduce((most, { promptTokens, outputTokens }) => Math.max(most, promptTokens + outputTokens), 0);

/** `from` and `to` on the trace's clock for sessions that are on it, on their own for those that are not. */
function windowCutter(
  window: NonNullable<Selection['window']>,
  epochMs: number | null,
): { report: WindowReport; cut(session: RecordedSession): RecordedSession | null } {
  const fromMs = window.from === null ? 0 : Math.max(0, elapsedMs(window.from, epochMs));
  const toMs = window.to === null ? Number.POSITIVE_INFINITY : elapsedMs(window.to, epochMs);
  if (!(toMs > fromMs)) {
    throw new UserError(`the window ends at ${seconds(toMs)}, not after its start at ${seconds(fromMs)}`, {
      hint: 'both count from the start of the trace',
    });
  }
  const report: WindowReport = {
    fromMs,
    toMs: Number.isFinite(toMs) ? toMs : null,
    clock: 'session',
    sessionsKept: 0,
    sessionsCut: 0,
    sessionsDropped: 0,
    callsKept: 0,
    callsDropped: 0,
    primedTokens: 0,
  };
  return {
    report,
    cut(read) {
      if (read.arrivalMs !== null) report.clock = 'trace';
      const originMs = read.arrivalMs ?? 0;
      const { session, callsDropped, primedTokens } = cutSession(read, fromMs - originMs, toMs - originMs);
      report.callsDropped += callsDropped;
      if (session === null) {
        report.sessionsDropped += 1;
        return null;
      }
      report.sessionsKept += 1;
      report.callsKept += session.calls.length;
      report.primedTokens += primedTokens;
      if (callsDropped > 0) report.sessionsCut += 1;
      return session.arrivalMs === null ? session : { ...session, arrivalMs: session.arrivalMs - fromMs };
    },
  };
}

const seconds = (ms: number): string => `${Math.round(ms) / 1000} s`;

/** A moment from the start of the trace. */
function elapsedMs(moment: Moment, epochMs: number | null): number {
  if ('elapsedMs' in moment) return moment.elapsedMs;
  if (epochMs === null) {
    throw new UserError('the window is a time of day, and the trace has no clock', {
      hint: 'count from its start instead: --from 10m --to 20m',
    });
  }
  return moment.unixMs - epochMs;
}

const SAMPLE_KEY = textKey('sample-sessions');

/** Whether a session belongs to the sample: `keep` of `of` ids do, each for itself. */
export const isSampled = (id: string, { keep, of }: { keep: number; of: number }): boolean =>
  uniform(extendText(SAMPLE_KEY, id)) * of < keep;

/** Load and reuse of sessions, in memory that grows with shared block ids only. */
function trafficCounter(): { add(session: RecordedSession): void; figures(): TrafficFigures } {
  const arrivals = new Arrivals();
  const reuse = new ReuseCounter();
  let sessions = 0;
  let calls = 0;
  return {
    add(session) {
      sessions += 1;
      calls += session.calls.length;
      if (session.arrivalMs !== null) arrivals.record(session.arrivalMs);
      reuse.add(session);
    },
    figures: () => ({ sessions, calls, arrivals: arrivals.figures(), reuse: reuse.figures() }),
  };
}

function nothingLeft({ window, longContexts, sample }: SelectionReport): UserError {
  if (window !== null && window.sessionsKept === 0) {
    const end = window.toMs === null ? 'its end' : seconds(window.toMs);
    return new UserError(`no call of the trace starts between ${seconds(window.fromMs)} and ${end}`, {
      hint:
        window.clock === 'trace'
          ? 'choose another --from and --to: they count from the start of the trace'
          : 'its sessions have no common clock, so --from and --to count from the start of each session',
    });
  }
  if (longContexts !== null && longContexts.sessionsDropped === longContexts.sessions) {
    return new UserError(`every session has a call of more than ${longContexts.maxContextTokens} tokens`, {
      hint: 'raise --max-context, or shrink the lengths with --scale-tokens',
    });
  }
  const of = sample === null ? '' : ` (${sample.keep} of ${sample.of})`;
  return new UserError(`the sample${of} keeps no session of ${sample?.before.sessions ?? 0}`, {
    hint: 'keep more with --sample-sessions',
  });
}

/** What a run on the selected sessions should say about them, one sentence each. */
export function selectionWarnings({ window, longContexts, sample, gapCap }: SelectionReport): string[] {
  const warnings: string[] = [];
  if (window !== null && window.callsDropped > 0) {
    const end = window.toMs === null ? 'the end' : seconds(window.toMs);
    const clock = window.clock === 'trace' ? 'the trace' : 'each session, as they have no common clock';
    const primed =
      window.sessionsCut === 0
        ? ''
        : `; ${window.sessionsCut} sessions are cut, and ${window.primedTokens} tokens of what came before them ` +
          'are cached from the start';
    warnings.push(
      `cut to ${seconds(window.fromMs)} until ${end} of ${clock}: ` +
        `${window.callsKept} calls stay, ${window.callsDropped} do not${primed}`,
    );
  }
  if (longContexts !== null && longContexts.sessionsDropped > 0) {
    warnings.push(
      `${longContexts.sessionsDropped} of ${longContexts.sessions} sessions are left out, since a call of theirs has ` +
        `more than ${longContexts.maxContextTokens} tokens: the longest contexts are missing from this load`,
    );
  }
  if (sample !== null) {
    warnings.push(
      `a sample of ${sample.after.sessions} of ${sample.before.sessions} sessions: fewer arrive at once, ` +
        'and less is shared between them, than in the whole trace',
    );
  }
  const capped = gapCap === null ? null : gapCapWarning(gapCap);
  if (capped !== null) warnings.push(capped);
  return warnings;
}
