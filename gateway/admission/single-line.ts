// The gate of policies whose calls wait in one line, first come first served: a call goes on when nobody waits before it
// and the rule has room for it.
import type { AdmissionArrival, Gate, Refusal } from './policy.ts';
import { type Due, hasCome, Line, refused, SEND, WAIT, WaitingRoom } from './queue.ts';
import { SPARE_OPTION, StartedSessions } from './started.ts';

/** Which calls there is room for. */
export interface Rule {
  /** From when on there is room for this call, ms; Infinity while only the end of another can make some. */
  readyMs(call: AdmissionArrival, nowMs: number): number;
  /** There never is: it is turned away at once. */
  isTooLarge?(call: AdmissionArrival): boolean;
  sent(call: AdmissionArrival, nowMs: number): void;
  ended?(): void;
  /** Why a call is turned away that may not wait. */
  refusal: Refusal;
}

/** What every policy with a line takes: calls that may wait, for how long, ms, and whether any of a session that has begun do. */
export const LINE_OPTIONS = {
  queue: { usual: 0 },
  max_wait: { usual: Number.POSITIVE_INFINITY },
  ...SPARE_OPTION,
} as const;

export function singleLine(
  rule: Rule,
  { queue, max_wait, spare_started }: { queue: number; max_wait: number; spare_started: boolean },
): Gate {
  const started = new StartedSessions(spare_started);
  const room = new WaitingRoom(max_wait);
  const line = new Line();
  let knownMs = 0;
  const send = (call: AdmissionArrival, nowMs: number): void => {
    started.letIn(call.session);
    rule.sent(call, nowMs);
  };
  return {
    arrive(call, nowMs) {
      knownMs = nowMs;
      const isSpared = started.spares(call.session);
      if (!isSpared && rule.isTooLarge?.(call) === true) return refused(rule.refusal);
      if (isSpared || (room.size === 0 && hasCome(rule.readyMs(call, nowMs), nowMs))) {
        send(call, nowMs);
        return SEND;
      }
      if (room.size >= queue) return refused(queue === 0 ? rule.refusal : 'queue_full');
      line.add(room.enter(call, nowMs));
      return WAIT;
    },
    ended() {
      rule.ended?.();
    },
    withdraw: id => room.withdraw(id) !== undefined,
    sessionEnded(session) {
      started.ended(session);
    },
    due(nowMs) {
      knownMs = nowMs;
      const due: Due = { send: [], refuse: [] };
      for (let late = room.takeExpired(nowMs); late !== undefined; late = room.takeExpired(nowMs)) {
        const { id, session } = late.call;
        // Another call of its session may have been let in meanwhile.
        if (started.spares(session)) {
          send(late.call, nowMs);
          due.send.push(id);
        } else due.refuse.push({ id, reason: 'queue_timeout' });
      }
      for (let next = line.first(); next !== undefined; next = line.first()) {
        if (!hasCome(rule.readyMs(next.call, nowMs), nowMs)) break;
        room.leave(next);
        send(next.call, nowMs);
        due.send.push(next.call.id);
      }
      return due;
    },
    nextMs() {
      const next = line.first();
      if (next === undefined) return Number.POSITIVE_INFINITY;
      return Math.min(rule.readyMs(next.call, knownMs), room.nextExpiryMs());
    },
    get waiting() {
      return room.size;
    },
  };
}
