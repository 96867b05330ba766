// Calls and pools for tests of admission, and a driver that calls a gate as both worlds do.
import type { AdmissionArrival, Gate, PoolsView, Refusal } from '../../../gateway/admission/policy.ts';
import type { RoutingView } from '../../../gateway/routing/policy.ts';
import { textKey } from '../../../scenarios/base/key.ts';

export const arrival = (some: Partial<AdmissionArrival> = {}): AdmissionArrival => {
  const session = some.session ?? 's';
  return {
    id: 1,
    key: textKey(`call ${some.id ?? 1}`),
    session,
    sessionKey: textKey(session),
    workflow: 'w',
    tenant: null,
    step: 'step',
    priority: 0,
    prompt: [],
    promptTokens: 1000,
    maxOutputTokens: null,
    pool: 'pool',
    isFirst: false,
    deadlineMs: null,
    ...some,
  };
};

/** A pool by its columns; those not given are 0. Frozen: a gate that writes to it throws. */
export function view(
  columns: Partial<
    Pick<RoutingView, 'outstanding' | 'prefillTokens' | 'decodeTokens' | 'waiting' | 'kvUsedRatio'>
  >,
  { ageMs = 0, replicas = 1 }: { ageMs?: number; replicas?: number } = {},
): RoutingView {
  const rows = Object.values(columns)[0]?.length ?? replicas;
  const zeros: readonly number[] = Object.freeze(new Array<number>(rows).fill(0));
  return Object.freeze({
    nowMs: 0,
    replicas: Object.freeze(zeros.map((_, row) => `pool/${row}`)),
    ids: Object.freeze(zeros.map((_, row) => row)),
    outstanding: zeros,
    prefillTokens: zeros,
    decodeTokens: zeros,
    ageMs,
    waiting: zeros,
    running: zeros,
    kvUsedRatio: zeros,
    prefixHits: () => null,
    ...columns,
  });
}

export const poolsOf = (each: RoutingView): PoolsView => ({ view: () => each });
export const IDLE = poolsOf(view({ outstanding: [0, 0] }));
export const SATURATED = poolsOf(
  view({ waiting: [5, 5], prefillTokens: [1e9, 1e9], outstanding: [500, 500] }),
);

/** What became of a call: when it was sent, or when and why it was refused. */
export type Fate = { sentMs: number } | { refusedMs: number; reason: Refusal } | { withdrawnMs: number };

/** Asks the gate whenever it wants to be asked; keeps what became of each call, and throws when a call has two fates. */
export class Gatekeeper {
  readonly fates = new Map<number, Fate>();
  readonly gate: Gate;
  pools: PoolsView;
  nowMs = 0;

  constructor(gate: Gate, pools: PoolsView = IDLE) {
    this.gate = gate;
    this.pools = pools;
  }

  private settle(id: number, fate: Fate): void {
    if (this.fates.has(id)) throw new Error(`call ${id} is settled twice`);
    this.fates.set(id, fate);
  }

  private due(): void {
    const { send, refuse } = this.gate.due(this.nowMs, this.pools);
    for (const id of send) this.settle(id, { sentMs: this.nowMs });
    for (const { id, reason } of refuse) this.settle(id, { refusedMs: this.nowMs, reason });
  }

  /** Lets time go on; the gate is asked at each of its instants on the way. */
  to(atMs: number): void {
    for (let asked = 0; this.gate.nextMs() <= atMs; asked++) {
      if (asked > 100_000) throw new Error('the gate wants to be asked without end');
      this.nowMs = Math.max(this.nowMs, this.gate.nextMs());
      this.due();
    }
    this.nowMs = atMs;
  }

  arrive(some: Partial<AdmissionArrival> & { id: number }): 'send' | 'wait' | Refusal {
    const verdict = this.gate.arrive(arrival(some), this.nowMs, this.pools);
    if (verdict.kind === 'send') this.settle(some.id, { sentMs: this.nowMs });
    if (verdict.kind === 'refuse') this.settle(some.id, { refusedMs: this.nowMs, reason: verdict.reason });
    return verdict.kind === 'refuse' ? verdict.reason : verdict.kind;
  }

  end(id: number): void {
    this.gate.ended(id, this.nowMs);
    this.due();
  }

  endSession(session: string): void {
    this.gate.sessionEnded(session, this.nowMs);
    this.due();
  }

  withdraw(id: number): boolean {
    const left = this.gate.withdraw(id);
    if (left) this.settle(id, { withdrawnMs: this.nowMs });
    return left;
  }

  /** Ids in the order in which they were sent. */
  get sent(): number[] {
    return [...this.fates].filter(([, fate]) => 'sentMs' in fate).map(([id]) => id);
  }
}
