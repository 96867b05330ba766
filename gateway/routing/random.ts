// Random: each replica as likely, whatever its load. The baseline that any other policy has to beat.
import { refuseOptions } from './options.ts';
import { drawnRow } from './picker.ts';
import { defineRoutingPolicy } from './policy.ts';

/** row = floor(u * n), with u uniform. */
export default defineRoutingPolicy({
  name: 'random',
  doc: 'Takes any replica, each as likely, whatever its load.',
  source: 'SGLang router `random`, NVIDIA Dynamo `random`, AIBrix `random`',
  create(options) {
    refuseOptions('random', options);
    return { route: ({ key }, { ids }) => drawnRow(key, 0, ids.length) };
  },
});
