// Ends of sessions before their time: how long until nothing of them runs any more, and what that still cost.
import type { GovernedSession, Teardown } from './calls.ts';
import type { Journal } from './journal.ts';

export class Teardowns {
  private readonly journal: Journal;

  constructor(journal: Journal) {
    this.journal = journal;
  }

  /** Somebody ends the session now: what is aborted from here on belongs to it. */
  begin(session: GovernedSession, nowMs: number): void {
    const teardown = this.of(session, nowMs);
    // A branch may have been given up before, and not be gone yet.
    teardown.record.atMs = nowMs;
    teardown.isBegun = true;
    teardown.left += 1;
  }

  callAborted(session: GovernedSession, nowMs: number): void {
    const teardown = this.of(session, nowMs);
    teardown.record.calls += 1;
    teardown.left += 1;
  }

  toolAborted(session: GovernedSession, nowMs: number): void {
    const teardown = this.of(session, nowMs);
    teardown.record.tools += 1;
    teardown.left += 1;
  }

  callEnded(session: GovernedSession, tokensAfter: number, nowMs: number): void {
    if (session.teardown !== null) session.teardown.record.tokensAfter += tokensAfter;
    this.ended(session, nowMs);
  }

  toolEnded(session: GovernedSession, nowMs: number): void {
    this.ended(session, nowMs);
  }

  /** The session is over: what was aborted of one that ended well was only a branch of it. */
  sessionOver(session: GovernedSession, nowMs: number): void {
    const { teardown, reason } = session;
    if (teardown === null || reason === null) return;
    teardown.record.reason = reason;
    if (teardown.isBegun) teardown.left -= 1;
    teardown.isBegun = false;
    if (teardown.left === 0) this.tell(session, teardown, nowMs);
  }

  private of(session: GovernedSession, nowMs: number): Teardown {
    session.teardown ??= {
      left: 0,
      isBegun: false,
      record: {
        session: session.id,
        workflow: session.workflow,
        reason: session.reason ?? '',
        atMs: nowMs,
        cleanMs: nowMs,
        calls: 0,
        tools: 0,
        tokensAfter: 0,
      },
    };
    return session.teardown;
  }

  private ended(session: GovernedSession, nowMs: number): void {
    const { teardown } = session;
    if (teardown === null) return;
    teardown.left -= 1;
    teardown.record.cleanMs = nowMs;
    if (teardown.left > 0) return;
    if (teardown.record.reason !== '' && session.reason !== null) this.tell(session, teardown, nowMs);
    // A branch that was not wanted any more, of a session that goes on.
    else if (session.reason === null) session.teardown = null;
  }

  private tell(session: GovernedSession, { record }: Teardown, nowMs: number): void {
    record.cleanMs = nowMs;
    session.teardown = null;
    this.journal.cancel(record);
  }
}
