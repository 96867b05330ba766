// The gate of policies that decide when a call comes and keep nobody waiting.
import type { AdmissionArrival, Gate, PoolsView, Refusal } from './policy.ts';
import { refused, SEND } from './queue.ts';
import { StartedSessions } from './started.ts';

const NOTHING = { send: [], refuse: [] } as const;

/** `refusal` says why a call is turned away; null lets it in. `spares`: calls of a session that has begun are not asked for. */
export function atOnce(
  refusal: (call: AdmissionArrival, pools: PoolsView) => Refusal | null,
  spares = false,
): Gate {
  const started = new StartedSessions(spares);
  return {
    arrive(call, _nowMs, pools) {
      const reason = started.spares(call.session) ? null : refusal(call, pools);
      if (reason !== null) return refused(reason);
      started.letIn(call.session);
      return SEND;
    },
    ended() {},
    withdraw: () => false,
    sessionEnded(session) {
      started.ended(session);
    },
    due: () => NOTHING,
    nextMs: () => Number.POSITIVE_INFINITY,
    waiting: 0,
  };
}
