// The gateway's gate in either world: calls that wait there, and those that are turned away. The policy decides; this
// keeps who waits.

import type { Key } from '../../scenarios/base/key.ts';
import { textKey } from '../../scenarios/base/key.ts';
import type { SendRequest } from '../../scenarios/workflows/world.ts';
import type { AdmissionArrival, Gate, PoolsView, Refusal } from './policy.ts';

/** A call at the gate, as policies see it. */
export function admissionArrival(id: number, request: SendRequest): AdmissionArrival {
  const { call, session, pool, facts, isFirst, prefers = null, avoids = null } = request;
  return {
    id,
    pool,
    isFirst,
    prefers,
    avoids,
    session: session.id,
    workflow: facts.workflow,
    tenant: facts.tenant,
    step: call.step,
    priority: call.priority ?? session.priority,
    prompt: call.prompt,
    promptTokens: call.promptTokens,
    maxOutputTokens: null,
    deadlineMs: facts.deadlineMs,
    get key(): Key {
      return facts.key;
    },
    get sessionKey(): Key {
      return textKey(session.id);
    },
  };
}

/** What is decided of a call after it came. */
export type Decided =
  | { readonly id: number; readonly request: SendRequest; readonly refusal: null }
  | { readonly id: number; readonly request: SendRequest; readonly refusal: Refusal };

export class GateKeeper {
  private readonly gate: Gate;
  private readonly pools: PoolsView;
  private readonly waiting = new Map<number, SendRequest>();
  /** Turned away at once; told at the same instant, after whoever sent them is done. */
  private turned: Decided[] = [];

  constructor(gate: Gate, pools: PoolsView) {
    this.gate = gate;
    this.pools = pools;
  }

  /** True: it goes on now. */
  arrive(id: number, request: SendRequest, nowMs: number): boolean {
    const verdict = this.gate.arrive(admissionArrival(id, request), nowMs, this.pools);
    if (verdict.kind === 'send') return true;
    if (verdict.kind === 'wait') this.waiting.set(id, request);
    else this.turned.push({ id, request, refusal: verdict.reason });
    return false;
  }

  /** When there is something to decide by itself; Infinity for never. */
  nextMs(nowMs: number): number {
    return this.turned.length > 0 ? nowMs : this.gate.nextMs();
  }

  /** Calls that wait for this pool. */
  waitingFor(pool: string): number {
    let count = 0;
    for (const request of this.waiting.values()) if (request.pool === pool) count += 1;
    return count;
  }

  ended(id: number, nowMs: number): void {
    this.gate.ended(id, nowMs);
  }

  /** A call that waits is taken back: true. */
  withdraw(id: number): boolean {
    if (!this.waiting.delete(id)) return false;
    this.gate.withdraw(id);
    return true;
  }

  sessionEnded(session: string, nowMs: number): void {
    this.gate.sessionEnded(session, nowMs);
  }

  /** Calls that go on, and calls that are turned away, now. */
  decide(nowMs: number): Decided[] {
    const decided = this.turned;
    this.turned = [];
    const { send, refuse } = this.gate.due(nowMs, this.pools);
    for (const id of send) decided.push({ id, request: this.take(id), refusal: null });
    for (const { id, reason } of refuse) decided.push({ id, request: this.take(id), refusal: reason });
    return decided;
  }

  private take(id: number): SendRequest {
    const request = this.waiting.get(id)!;
    this.waiting.delete(id);
    return request;
  }
}
