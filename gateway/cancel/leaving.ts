// Users who leave before their answer is there: by a constant hazard, or when their patience ends. Drawn from the key of
// the session, so that the same user leaves at the same time whatever serves them.
import { quantile } from '../../scenarios/base/distributions.ts';
import { extendText, type Key, uniform } from '../../scenarios/base/key.ts';
import { drawAmount } from '../../scenarios/formats/amount.ts';
import type { CancelRule } from '../../scenarios/formats/rules.ts';

/** ms after its start when the user of a session leaves; Infinity: stays to the end. */
export function leavesAfterMs({ hazardPerSec, after }: CancelRule, session: Key): number {
  const byHazardMs =
    hazardPerSec === null || hazardPerSec <= 0
      ? Number.POSITIVE_INFINITY
      : quantile({ kind: 'exponential', mean: 1000 / hazardPerSec }, uniform(extendText(session, 'leaves')));
  const patienceMs =
    after === null
      ? Number.POSITIVE_INFINITY
      : drawAmount(after, uniform(extendText(session, 'patience')), false);
  return Math.min(byHazardMs, patienceMs);
}
