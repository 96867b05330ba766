// Round robin: each replica in turn (vLLM production-stack `roundrobin`: index mod n).
import { refuseOptions } from './options.ts';
import { defineRoutingPolicy } from './policy.ts';

/** Takes the replicas in turn, from row 0. */
export default defineRoutingPolicy({
  name: 'round-robin',
  doc: 'Takes the replicas in turn, whatever their load.',
  source: 'vLLM production-stack `roundrobin`',
  create(options) {
    refuseOptions('round-robin', options);
    let turn = 0;
    return {
      route(_arrival, { replicas }) {
        const row = turn % replicas.length;
        turn = row + 1;
        return row;
      },
    };
  },
});
