// Sessions of which a call was let in. A call that is turned away in the middle of a workflow wastes all that the workflow
// has done: a gate that spares them sheds whole workflows, before they begin.

/** What every gate that sheds takes. Off by default: the rules of other systems know no sessions. */
export const SPARE_OPTION = { spare_started: { usual: false } } as const;

export class StartedSessions {
  /** Null: none are spared, and nothing is remembered. */
  private readonly started: Set<string> | null;

  constructor(spares: boolean) {
    this.started = spares ? new Set() : null;
  }

  /** Its calls are not turned away. */
  spares(session: string): boolean {
    return this.started?.has(session) ?? false;
  }

  letIn(session: string): void {
    this.started?.add(session);
  }

  ended(session: string): void {
    this.started?.delete(session);
  }
}
