// A loop: the same step with the same arguments, again and again.
import { keyNumber } from '../../scenarios/base/key.ts';
import type { AnomalyDetector } from './anomaly.ts';
import { Repeats } from './repeats.ts';

export const loop: AnomalyDetector = {
  name: 'loop',
  doc: 'One step, of a model or a tool, is asked the same thing `repeats` times.',
  watch({ repeats }) {
    if (repeats === null) return null;
    const seen = new Repeats();
    return {
      call: ({ step, argsKey }) => argsKey !== null && seen.count(step, keyNumber(argsKey)) >= repeats,
      tool: (step, argsKey) => argsKey !== null && seen.count(step, keyNumber(argsKey)) >= repeats,
    };
  },
};
