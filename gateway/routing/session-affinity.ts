// Session affinity: all requests of a session meet the same replica and its prefix cache (llm-d `session-affinity`;
// production-stack's `session` has a ring: consistent-hash). Rendezvous hashing (Thaler and Ravishankar 1998) needs no
// table: both worlds agree, and a replica that joins or leaves moves only its own share of the sessions.
import { extend, type Key, textKey } from '../../scenarios/base/key.ts';
import { refuseOptions } from './options.ts';
import { defineRoutingPolicy } from './policy.ts';

/** Sessions whose replica is remembered, so that a fleet is not asked anew for each call of a session. */
const HOMES_MAX = 65_536;

const isGreater = (a: Key, b: Key): boolean =>
  a.hi >>> 0 > b.hi >>> 0 || (a.hi === b.hi && a.lo >>> 0 > b.lo >>> 0);

/** Takes the replica with the highest hash of (session, replica name); of equal ones, the lowest row. */
export default defineRoutingPolicy({
  name: 'session-affinity',
  doc: 'Keeps the requests of a session on one replica, chosen by rendezvous hash of session and replica name.',
  source: 'llm-d `session-affinity`; rendezvous hashing of Thaler and Ravishankar (1998)',
  create(options) {
    refuseOptions('session-affinity', options);
    let known: readonly string[] = [];
    let keys: Key[] = [];
    /** Rows of sessions among `known`. */
    const homes = new Map<string, number>();
    const highest = (sessionKey: Key): number => {
      let best = 0;
      let bestScore: Key | null = null;
      for (let row = 0; row < keys.length; row++) {
        const replica = keys[row] as Key;
        const score = extend(sessionKey, replica.hi, replica.lo);
        if (bestScore !== null && !isGreater(score, bestScore)) continue;
        best = row;
        bestScore = score;
      }
      return best;
    };
    return {
      route(arrival, { replicas }) {
        if (replicas !== known) {
          known = replicas;
          keys = replicas.map(textKey);
          homes.clear();
        }
        const home = homes.get(arrival.session);
        if (home !== undefined) return home;
        const best = highest(arrival.sessionKey);
        if (homes.size >= HOMES_MAX) homes.clear();
        homes.set(arrival.session, best);
        return best;
      },
    };
  },
});
