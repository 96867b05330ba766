// Whole workflows: a session is let in or not, and all calls of one that was let in go on at once. A call that is turned
// away in the middle of a workflow wastes all that the workflow has done; here that cannot happen.
import { IdTable } from '../../scenarios/base/id-table.ts';
import { readOptions } from './options.ts';
import { type AdmissionArrival, defineAdmissionPolicy, type Gate } from './policy.ts';
import { type Due, Line, refused, SEND, WAIT, type Waiting, WaitingRoom } from './queue.ts';

/** A session that waits: its place in the line is that of its first call, the others come along. */
interface Party {
  place: Waiting;
  calls: AdmissionArrival[];
}

function wholeSessions(max: number, queue: number, maxWaitMs: number): Gate {
  /** Of waiting sessions, one place each. */
  const room = new WaitingRoom(maxWaitMs);
  const line = new Line();
  const inside = new Set<string>();
  const parties = new Map<string, Party>();
  /** Of each waiting call. */
  const partyOf = new IdTable<Party>();

  /** All of a party leave. */
  const take = (session: string): AdmissionArrival[] => {
    const { place, calls } = parties.get(session) as Party;
    room.leave(place);
    parties.delete(session);
    for (const { id } of calls) partyOf.delete(id);
    return calls;
  };
  return {
    arrive(call, nowMs) {
      const { session } = call;
      if (inside.has(session)) return SEND;
      let party = parties.get(session);
      if (party === undefined) {
        if (room.size === 0 && inside.size < max) {
          inside.add(session);
          return SEND;
        }
        if (room.size >= queue) return refused(queue === 0 ? 'shed' : 'queue_full');
        party = { place: room.enter(call, nowMs), calls: [] };
        line.add(party.place);
        parties.set(session, party);
      }
      party.calls.push(call);
      partyOf.set(call.id, party);
      return WAIT;
    },
    ended() {},
    withdraw(id) {
      const party = partyOf.get(id);
      if (party === undefined) return false;
      if (party.calls.length === 1) take(party.place.call.session);
      else {
        party.calls = party.calls.filter(call => call.id !== id);
        partyOf.delete(id);
      }
      return true;
    },
    sessionEnded(session) {
      inside.delete(session);
    },
    due(nowMs) {
      const due: Due = { send: [], refuse: [] };
      for (let late = room.takeExpired(nowMs); late !== undefined; late = room.takeExpired(nowMs))
        for (const { id } of take(late.call.session)) due.refuse.push({ id, reason: 'queue_timeout' });
      while (inside.size < max) {
        const next = line.first();
        if (next === undefined) break;
        inside.add(next.call.session);
        for (const { id } of take(next.call.session)) due.send.push(id);
      }
      return due;
    },
    nextMs: () => room.nextExpiryMs(),
    get waiting() {
      return partyOf.size;
    },
  };
}

/**
 * A session goes in with its first call when fewer than `max` (default 64) are inside; it stays until it has ended.
 * `queue` sessions may wait, each for `max_wait` ms at most. What is counted is sessions, whatever their calls.
 */
export default defineAdmissionPolicy({
  name: 'sessions',
  doc: 'Lets so many sessions in at once; the calls of one that is in are never turned away and never wait.',
  source: 'whole-workflow admission: shed at admission before calls of started workflows',
  create(options) {
    const { max, queue, max_wait } = readOptions('sessions', options, {
      max: { usual: 64, least: 1 },
      queue: { usual: 0 },
      max_wait: { usual: Number.POSITIVE_INFINITY },
    });
    return wholeSessions(max, queue, max_wait);
  },
});
