// What tells how hard a call is: a look that costs time and money and errs by a confusion matrix. What it sees is hashed
// from the call, so that the same call is always seen the same way.
import { extend, type Key, textKey, uniform } from '../../scenarios/base/key.ts';
import { drawAmount } from '../../scenarios/formats/amount.ts';
import type { Classifier, Complexity } from '../../scenarios/formats/rules.ts';

export interface Look {
  readonly seen: Complexity;
  readonly ms: number;
  readonly usd: number;
}

const SEEN = textKey('classifier sees');
const LATENCY = textKey('classifier latency');
const ROW: Readonly<Record<Complexity, number>> = { low: 0, medium: 1, high: 2 };
/** The threshold at which the classifier errs just as its matrix says. */
const AS_MEASURED = 0.5;

/**
 * P(seen high | true) at a threshold of the score. A matrix is one point of the classifier's ROC curve; the curve through
 * it is taken to be the two straight lines to the corners (T. Fawcett, An introduction to ROC analysis, 2006, section 6):
 * 0 lets all be high, 0.5 errs as the matrix says, 1 lets none.
 */
export function highRatio(atMeasured: number, threshold: number): number {
  if (threshold >= AS_MEASURED) return (atMeasured * (1 - threshold)) / (1 - AS_MEASURED);
  return atMeasured + (1 - atMeasured) * (1 - threshold / AS_MEASURED);
}

/** One look at a call whose true complexity is `truth`. */
export function look(classifier: Classifier, key: Key, truth: Complexity): Look {
  const [low, medium, high] = classifier.confusion[ROW[truth]]!;
  const u = uniform(extend(key, SEEN.hi, SEEN.lo));
  const asHigh = highRatio(high, classifier.threshold ?? AS_MEASURED);
  const latency = classifier.latency;
  const ms = latency === null ? 0 : drawAmount(latency, uniform(extend(key, LATENCY.hi, LATENCY.lo)), false);
  // From the top down, so that a lower threshold only ever adds to what is seen as high.
  if (u < asHigh) return { seen: 'high', ms, usd: classifier.usd };
  const isMedium = low === 0 || (u - asHigh) * (low + medium) < medium * (1 - asHigh);
  return { seen: isMedium ? 'medium' : 'low', ms, usd: classifier.usd };
}
