// The gate of policies that decide when a call comes and keep nobody waiting.
import type { AdmissionArrival, Gate, PoolsView, Refusal } from './policy.ts';
import { refused, SEND } from './queue.ts';

const NOTHING = { send: [], refuse: [] } as const;

/** `refusal` says why a call is turned away; null lets it in. */
export const atOnce = (refusal: (call: AdmissionArrival, pools: PoolsView) => Refusal | null): Gate => ({
  arrive(call, _nowMs, pools) {
    const reason = refusal(call, pools);
    return reason === null ? SEND : refused(reason);
  },
  ended() {},
  withdraw: () => false,
  sessionEnded() {},
  due: () => NOTHING,
  nextMs: () => Number.POSITIVE_INFINITY,
  waiting: 0,
});
