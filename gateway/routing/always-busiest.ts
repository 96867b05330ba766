// Always the busiest: the worst router that still routes. A baseline against which measures of balance are tried
// (BLIS `always-busiest`); not for anything else.
import { refuseOptions } from './options.ts';
import { defineRoutingPolicy } from './policy.ts';
import { effectiveLoad } from './scorers.ts';

/** Takes the replica with the most of waiting + running + requests in hand; of several, the lowest row. */
export default defineRoutingPolicy({
  name: 'always-busiest',
  doc: 'Takes the replica with the highest load: a baseline that balances nothing.',
  source: 'BLIS (inference-sim) `always-busiest`',
  create(options) {
    refuseOptions('always-busiest', options);
    return {
      route(_arrival, view) {
        let best = 0;
        for (let row = 1; row < view.ids.length; row++) {
          if (effectiveLoad(view, row) > effectiveLoad(view, best)) best = row;
        }
        return best;
      },
    };
  },
});
