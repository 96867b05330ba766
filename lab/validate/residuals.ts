// Errors over the time of the run: calls that both worlds have, pair by pair, in slices of time. A prediction that is right
// on average may still be wrong before and after a wave of load.
import { mean } from '../../scenarios/base/statistics.ts';
import { type CallRecord, e2eMs, tpotMs, ttftMs } from '../../scenarios/formats/record.ts';
import type { ResidualPoint } from '../../scenarios/formats/validation.ts';
import type { Records } from './samples.ts';

const SLICES = 40;
/** The mean of fewer calls says little. */
const PAIRS_MIN = 5;

const TIMES: readonly [ResidualPoint['metric'], (call: CallRecord) => number | null][] = [
  ['ttft', ttftMs],
  ['tpot', tpotMs],
  ['e2e', e2eMs],
];

/** Sessions and calls pair by name, since both worlds run one plan. */
const nameOf = ({ session, call }: CallRecord): string => JSON.stringify([session, call]);

/** Placed by the time for which the prediction plans each call. */
export function residualsOf(predicted: readonly Records[], measured: readonly Records[]): ResidualPoint[] {
  const [first] = predicted;
  if (first === undefined || first.calls.length === 0) return [];
  const known = new Map<string, CallRecord[]>();
  for (const call of measured.flatMap(run => run.calls)) {
    const others = known.get(nameOf(call));
    if (others === undefined) known.set(nameOf(call), [call]);
    else others.push(call);
  }
  let lastMs = 0;
  for (const { plannedMs } of first.calls) lastMs = Math.max(lastMs, plannedMs);
  const sliceMs = Math.max(1, lastMs / SLICES);
  return TIMES.flatMap(([metric, timeOf]) => {
    const slices = Array.from({ length: SLICES }, (): { predicted: number[]; measured: number[] } => ({
      predicted: [],
      measured: [],
    }));
    for (const call of first.calls) {
      const predictedMs = timeOf(call);
      const times = (known.get(nameOf(call)) ?? []).map(timeOf).filter(timeMs => timeMs !== null);
      if (predictedMs === null || times.length === 0) continue;
      const slice = slices[Math.min(SLICES - 1, Math.floor(call.plannedMs / sliceMs))]!;
      slice.predicted.push(predictedMs);
      slice.measured.push(mean(times));
    }
    return slices.flatMap((slice, i): ResidualPoint[] => {
      const pairs = slice.predicted.length;
      if (pairs < PAIRS_MIN) return [];
      const [predictedMs, measuredMs] = [mean(slice.predicted), mean(slice.measured)];
      if (!(measuredMs > 0)) return [];
      const errorRatio = (predictedMs - measuredMs) / measuredMs;
      return [{ metric, atMs: (i + 0.5) * sliceMs, pairs, predictedMs, measuredMs, errorRatio }];
    });
  });
}
