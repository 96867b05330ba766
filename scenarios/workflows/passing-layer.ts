// A layer that does nothing: what it is asked goes down, what it is told goes up. A layer that has a part in some of it
// extends this one.
import type { PlannedSession } from '../formats/plan.ts';
import type { WorkflowStatus } from '../formats/record.ts';
import type { CallResult, DelayRequest, Layer, LayerSetup, SendRequest } from './world.ts';

export class PassingLayer implements Layer {
  protected readonly setup: LayerSetup;

  constructor(setup: LayerSetup) {
    this.setup = setup;
  }

  /** Asks for a timer, whose end comes to `delayEnded`; its ticket. */
  protected wait(delayMs: number): number {
    const ticket = this.setup.newTicket();
    this.setup.below.delay(ticket, delayMs);
    return ticket;
  }

  send(ticket: number, request: SendRequest): void {
    this.setup.below.send(ticket, request);
  }
  delay(ticket: number, delayMs: number, what?: DelayRequest): void {
    this.setup.below.delay(ticket, delayMs, what);
  }
  abort(ticket: number): void {
    this.setup.below.abort(ticket);
  }
  sessionStarted(session: PlannedSession, nowMs: number): void {
    this.setup.below.sessionStarted?.(session, nowMs);
  }
  sessionRestarted(session: string, sinceMs: number | null, nowMs: number): void {
    this.setup.below.sessionRestarted?.(session, sinceMs, nowMs);
  }
  sessionEnded(session: string, workflow: string, status: WorkflowStatus): void {
    this.setup.below.sessionEnded?.(session, workflow, status);
  }
  isIdle(): boolean {
    return this.setup.below.isIdle?.() ?? true;
  }
  stop(nowMs: number): void {
    this.setup.below.stop?.(nowMs);
  }
  refusesAgent(session: string, path: string, depth: number): string | null {
    return this.setup.below.refusesAgent?.(session, path, depth) ?? null;
  }
  tokensOf(ticket: number): number {
    return this.setup.below.tokensOf?.(ticket) ?? 0;
  }

  callEnded(ticket: number, result: CallResult, nowMs: number): void {
    this.setup.above.callEnded(ticket, result, nowMs);
  }
  delayEnded(ticket: number, nowMs: number, failure?: string | null): void {
    this.setup.above.delayEnded(ticket, nowMs, failure);
  }
  firstToken(ticket: number, nowMs: number): void {
    this.setup.above.firstToken(ticket, nowMs);
  }
}
