// What the calls of live sessions left behind at one engine, and which of it a new call goes on with: how a policy learns
// how long tools take and which contexts come back. Rule: only what an engine sees counts, arrivals and ends.
import { commonTokens } from '../../scenarios/formats/prompt.ts';
import type { Left, RetentionCall } from './policy.ts';

/** A call goes on with an earlier one if it begins with so much of its prompt: edits at the end are still the same thread. */
const SAME_THREAD_RATIO = 0.9;
/** Calls remembered of a session; the oldest is forgotten first. */
const LEFTS_MAX = 256;
/** Sessions remembered where nobody says that one is over. */
const SESSIONS_MAX = 100_000;

/** A call that is back with a context. */
export interface Return {
  readonly left: Left;
  /** From the end of the earlier call to the arrival of this one: the tool between them, or the human. */
  readonly gapMs: number;
  /** Calls of the session that came since, this one included. */
  readonly steps: number;
}

/** A context that one call left, and how many calls of the session had come by then. */
export interface Context {
  readonly left: Left;
  readonly callsBefore: number;
  isBack: boolean;
}

export interface Session {
  calls: number;
  readonly contexts: Context[];
}

export class Sessions {
  private readonly table = new Map<string, Session>();

  arrived(call: RetentionCall, atMs: number): Return | null {
    const session = this.of(call.session);
    session.calls += 1;
    let best: Context | null = null;
    let most = 0;
    for (const context of session.contexts) {
      if (context.isBack) continue;
      const { prompt, promptTokens } = context.left.call;
      const common = commonTokens(prompt, call.prompt);
      if (common < promptTokens * SAME_THREAD_RATIO || common < most) continue;
      most = common;
      best = context;
    }
    if (best === null) return null;
    best.isBack = true;
    const { left, callsBefore } = best;
    return { left, gapMs: atMs - left.atMs, steps: session.calls - callsBefore };
  }

  letGo(left: Left): void {
    const { calls, contexts } = this.of(left.call.session);
    for (let i = contexts.length - 1; i >= 0; i--)
      if (contexts[i]!.isBack && contexts[i]!.left.blocks === 0) contexts.splice(i, 1);
    contexts.push({ left, callsBefore: calls, isBack: false });
    if (contexts.length > LEFTS_MAX) contexts.shift();
  }

  get(session: string): Session | undefined {
    return this.table.get(session);
  }

  /** Forgets a session; returns what was known of it. */
  ended(session: string): Session {
    const known = this.table.get(session) ?? { calls: 0, contexts: [] };
    this.table.delete(session);
    return known;
  }

  private of(session: string): Session {
    const known = this.table.get(session);
    if (known !== undefined) return known;
    const made: Session = { calls: 0, contexts: [] };
    this.table.set(session, made);
    if (this.table.size > SESSIONS_MAX)
      for (const oldest of this.table.keys()) {
        this.table.delete(oldest);
        break;
      }
    return made;
  }
}

/** Figures of each step of each workflow, made when first asked for. */
export class StepTable<T> {
  private readonly byWorkflow = new Map<string, Map<string, T>>();
  private readonly make: () => T;

  constructor(make: () => T) {
    this.make = make;
  }

  of({ workflow, step }: RetentionCall): T {
    const steps = madeOnce(this.byWorkflow, workflow, () => new Map<string, T>());
    return madeOnce(steps, step, this.make);
  }
}

function madeOnce<T>(table: Map<string, T>, name: string, make: () => T): T {
  const known = table.get(name);
  if (known !== undefined) return known;
  const made = make();
  table.set(name, made);
  return made;
}
