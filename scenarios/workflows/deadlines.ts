// When a call should have ended, by the SLOs of its step and of its workflow: what an engine that orders by deadline, or
// a gateway that sheds what comes too late, may know.
import type { Assertion } from '../formats/assertion.ts';

/** E2E limits in ms, by workflow and step. */
interface Limits {
  readonly sessionMs: number | null;
  readonly steps: ReadonlyMap<string, number>;
}

export class Deadlines {
  private readonly assertions: readonly Assertion[];
  private readonly known = new Map<string, Limits>();

  constructor(assertions: readonly Assertion[]) {
    this.assertions = assertions;
  }

  /** The earlier of the step's, from now, and the workflow's, from its start; null without either. */
  of(workflow: string, step: string, sessionStartMs: number, nowMs: number): number | null {
    const limits = this.known.get(workflow) ?? this.look(workflow);
    const { sessionMs } = limits;
    const stepMs = limits.steps.get(step);
    if (sessionMs === null) return stepMs === undefined ? null : nowMs + stepMs;
    const atMs = sessionStartMs + sessionMs;
    return stepMs === undefined ? atMs : Math.min(atMs, nowMs + stepMs);
  }

  private look(workflow: string): Limits {
    let sessionMs: number | null = null;
    const steps = new Map<string, number>();
    for (const { subject, filter } of this.assertions) {
      if (subject.kind !== 'attainment' || subject.withinMs.e2e === undefined) continue;
      if (filter.workflow !== undefined && filter.workflow !== workflow) continue;
      const { e2e } = subject.withinMs;
      if (subject.of === 'sessions') sessionMs = Math.min(sessionMs ?? e2e, e2e);
      else if (filter.step !== undefined) steps.set(filter.step, e2e);
    }
    const limits = { sessionMs, steps };
    this.known.set(workflow, limits);
    return limits;
  }
}
