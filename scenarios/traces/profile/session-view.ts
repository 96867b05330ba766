// A recorded session as the parts of a profile look at it: worked out once, read by all of them.
import type { RecordedCall, RecordedSession } from '../../formats/recorded.ts';
import { endsMs } from '../instants.ts';
import type { Found } from '../reuse.ts';

export interface SessionView {
  readonly session: RecordedSession;
  /** Calls of each agent in order, the main thread among them. */
  readonly threads: ReadonlyMap<string, readonly RecordedCall[]>;
  /** Start and end of each call, ms from the session's start, in the order of its calls. */
  readonly starts: Float64Array;
  readonly ends: Float64Array;
  /** What an infinite cache finds of each prompt. */
  readonly found: readonly Found[];
}

/** One part of a profile: takes sessions one by one, in memory that does not grow with them. */
export interface ProfilePart<Result> {
  add(view: SessionView): void;
  result(): Result;
}

export function viewOf(session: RecordedSession, found: readonly Found[]): SessionView {
  const threads = new Map<string, RecordedCall[]>();
  for (const call of session.calls) {
    const thread = threads.get(call.agent);
    if (thread === undefined) threads.set(call.agent, [call]);
    else thread.push(call);
  }
  const starts = Float64Array.from(session.calls, call => call.recorded.startMs);
  return { session, threads, starts, ends: endsMs(session), found };
}

/** The thread that a session begins with. Importers call it `main`. */
export const MAIN = 'main';
