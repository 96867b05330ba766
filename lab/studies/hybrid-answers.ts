// Single answers of a run of the study hybrid, for its scatter: how long each took, what it cost, where it was given.
import { NANOS_PER_USD } from '../../scenarios/formats/ledger.ts';
import type { Measure } from '../grid/case.ts';
import { AWAY } from './hybrid-measure.ts';

export interface Answer {
  readonly ms: number;
  readonly usd: number;
  readonly isAway: boolean;
  readonly isHard: boolean;
}

/** Answers that a chart can show one by one. */
const SHOWN = 180;

const measure: Measure<Answer[]> = ({ governed, ledger }) => {
  const attempts = governed?.attempts ?? [];
  return attempts
    .flatMap(({ step, target, wantedMs, endMs, outcome }, i) =>
      (step === 'easy' || step === 'hard') && outcome === 'ok'
        ? {
            ms: (endMs ?? wantedMs) - wantedMs,
            usd: ledger.attemptNanos[i]! / NANOS_PER_USD,
            isAway: target === AWAY,
            isHard: step === 'hard',
          }
        : [],
    )
    .slice(0, SHOWN);
};

export default measure;
