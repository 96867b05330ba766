// Consistent hashing: a session stays on the replica that its place on a hash ring belongs to. With a bounded load, a
// replica too far above the mean passes its sessions on to the next one clockwise, until it is no longer.
import { HashRing } from './hash-ring.ts';
import { numberOptions } from './options.ts';
import { defineRoutingPolicy } from './policy.ts';

const DEFAULTS = {
  /** Points of a replica on the ring: uhashring's, of production-stack; the vLLM router has 160 too, SGLang's 150. */
  virtual_nodes: 160,
  /** A replica takes a session while outstanding <= load_factor * mean; none by default. SGLang's bounded policy: 1.5. */
  load_factor: Number.POSITIVE_INFINITY,
};

/**
 * The first point of the ring at or behind hash(session) whose replica has outstanding <= load_factor * mean; where none
 * has, the first. The mean is of the requests before this one [sgl-model-gateway bounded_consistent_hashing.rs].
 */
export default defineRoutingPolicy({
  name: 'consistent-hash',
  doc: 'Keeps the requests of a session on one replica by a hash ring; load_factor bounds what a replica gets.',
  source:
    'vLLM production-stack `session`, vLLM router `consistent_hash`, SGLang router `consistent_hashing` and, with load_factor 1.5, `bounded_consistent_hashing`',
  create(options) {
    const read = numberOptions('consistent-hash', options, DEFAULTS, { most: { virtual_nodes: 10_000 } });
    const loadFactor = read.load_factor;
    const ring = new HashRing(Math.max(1, Math.floor(read.virtual_nodes)));
    return {
      route({ sessionKey }, { replicas, outstanding }) {
        const first = ring.find(replicas, sessionKey);
        if (loadFactor === Number.POSITIVE_INFINITY) return ring.rowAt(first);
        let total = 0;
        for (let row = 0; row < outstanding.length; row++) total += outstanding[row]!;
        const most = (loadFactor * total) / outstanding.length;
        for (let point = first; point < first + ring.points; point++) {
          const row = ring.rowAt(point);
          if (outstanding[row]! <= most) return row;
        }
        return ring.rowAt(first);
      },
    };
  },
});
