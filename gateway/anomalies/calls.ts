// Too many calls of models in one session: more than anyone wants, or than its workflow ever makes.
import type { AnomalyDetector } from './anomaly.ts';

export const calls: AnomalyDetector = {
  name: 'calls',
  doc: 'A session makes its `calls`-th call, or so many standard deviations more than its workflow does as a rule.',
  watch({ calls: limit, callsSd }) {
    if (limit === null && callsSd === null) return null;
    const most = limit ?? Number.POSITIVE_INFINITY;
    let count = 0;
    return {
      call(_seen, expected) {
        count++;
        if (count >= most) return true;
        return (
          callsSd !== null && expected !== null && count > expected.callsMean + callsSd * expected.callsSd
        );
      },
    };
  },
};
