// What the replicas of a run cost: paid from the wish for each to its end, in use while it computed, idle otherwise.
import { NANOS_PER_USD } from '../../scenarios/formats/ledger.ts';
import { gpuHours, type ReplicaSpan } from '../../scenarios/formats/record.ts';
import type { ReplicaBusy } from '../../scenarios/formats/run.ts';

/** The replicas of a pool, or of one half of it. */
export interface SetCost {
  readonly pool: string;
  workNanos: number;
  idleNanos: number;
  busyGpuSeconds: number;
  paidGpuSeconds: number;
  isPriced: boolean;
}

/** `main`, or `main/prefill`: names of replicas end in their number. */
const setOf = (replica: string): string => replica.slice(0, replica.lastIndexOf('/'));

/** By set, in the order of the spans. Without `busy` all that is paid for counts as work. */
export function replicaCosts(
  spans: readonly ReplicaSpan[],
  busy: readonly ReplicaBusy[] | undefined,
  durationMs: number,
): Map<string, SetCost> {
  const busyMs = busy === undefined ? null : new Map(busy.map(each => [each.replica, each.busyMs]));
  const sets = new Map<string, SetCost>();
  for (const span of spans) {
    const lifeMs = Math.max(0, (span.goneMs ?? durationMs) - span.askedMs);
    const ownMs = busyMs === null ? lifeMs : Math.min(lifeMs, busyMs.get(span.replica) ?? 0);
    const paidNanos = Math.round(gpuHours(span, durationMs) * (span.usdPerGpuHour ?? 0) * NANOS_PER_USD);
    const workNanos = lifeMs > 0 ? Math.round(paidNanos * (ownMs / lifeMs)) : 0;
    const name = setOf(span.replica);
    const set = sets.get(name) ?? newSet(span.pool);
    sets.set(name, set);
    set.workNanos += workNanos;
    set.idleNanos += paidNanos - workNanos;
    set.busyGpuSeconds += (ownMs * span.gpus) / 1000;
    set.paidGpuSeconds += (lifeMs * span.gpus) / 1000;
    set.isPriced &&= span.usdPerGpuHour !== null;
  }
  return sets;
}

const newSet = (pool: string): SetCost => ({
  pool,
  workNanos: 0,
  idleNanos: 0,
  busyGpuSeconds: 0,
  paidGpuSeconds: 0,
  isPriced: true,
});
