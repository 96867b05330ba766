// Budget burn: a session has used many times the tokens that its workflow uses as a rule.
import type { AnomalyDetector } from './anomaly.ts';

export const burn: AnomalyDetector = {
  name: 'burn',
  doc: 'A session has used `burn` times the tokens that are expected of its workflow.',
  watch(rule) {
    const most = rule.burn;
    if (most === null) return null;
    return { ended: (tokens, expected) => expected !== null && tokens >= most * expected.tokensMean };
  },
};
