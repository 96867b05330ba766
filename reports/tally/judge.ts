// Judges assertion lines on a tally: the same lines as on records, quantiles within 0.4 %.
import { Histogram, type HistogramCounts } from '../../scenarios/base/histogram.ts';
import type { Assertion } from '../../scenarios/formats/assertion.ts';
import type { AssertionResult } from '../../scenarios/formats/result.ts';
import type { AssertionTally, RunTally } from '../../scenarios/formats/tally.ts';
import { holds, unitOf } from '../assertions.ts';

const US_PER_MS = 1000;

/** In the unit of the counts. */
function ofValues({ subject }: Assertion, counts: HistogramCounts): number | null {
  if (counts.count === 0) return null;
  if (subject.kind === 'quantile') return Histogram.from(counts).quantile(subject.quantile);
  return subject.kind === 'mean' ? counts.sum / counts.count : counts.max;
}

function judgedValue(assertion: Assertion, tallied: AssertionTally, tally: RunTally): number | null {
  const { subject, filter } = assertion;
  switch (subject.kind) {
    case 'quantile':
    case 'mean':
    case 'max': {
      if (subject.metric === 'itl') {
        const isFiltered = Object.values(filter).some(wanted => wanted !== undefined);
        return isFiltered ? null : ofValues(assertion, tally.itlMs);
      }
      const us = tallied.valuesUs === null ? null : ofValues(assertion, tallied.valuesUs);
      return us === null ? null : us / US_PER_MS;
    }
    case 'count':
      return tallied.valuesUs === null ? tallied.whole : null;
    default:
      return tallied.whole === 0 ? null : tallied.part / tallied.whole;
  }
}

/** Every assertion line, in the order of the tally's. */
export const judgeTally = (assertions: readonly Assertion[], tally: RunTally): AssertionResult[] =>
  assertions.map((assertion, i) => {
    const value = judgedValue(assertion, tally.assertions[i]!, tally);
    return {
      ...(assertion.at === undefined ? {} : { at: assertion.at }),
      text: assertion.text,
      value,
      target: assertion.target,
      unit: unitOf(assertion.subject),
      pass: value === null ? null : holds[assertion.op](value, assertion.target),
    };
  });
