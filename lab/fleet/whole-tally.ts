// The tallies of the parts of one run as that of the run.
import { gpuBill } from '../../reports/tally/collect.ts';
import { mergedTally, type RunTally } from '../../scenarios/formats/tally.ts';
import type { CaseResult } from '../grid/case.ts';

const NS_PER_MS = 1e6;

/** Of outcomes that were asked for a part and a tally. GPUs are paid for until the last part has ended. */
export function wholeTally(parts: readonly CaseResult[]): RunTally {
  const [first, ...rest] = parts.map(({ tally }) => tally!);
  const ran = parts.map(part => part.ran!);
  const merged = mergedTally([first!, ...rest]);
  // Gaps are whole nanoseconds: only these sum to the same however the run was parted.
  const gapsNs = parts.reduce((sum, { tally }) => sum + Math.round(tally!.itlMs.sum * NS_PER_MS), 0);
  return {
    ...merged,
    itlMs: { ...merged.itlMs, sum: gapsNs / NS_PER_MS },
    ...gpuBill(
      ran.flatMap(({ spans }) => spans),
      Math.max(...ran.map(({ durationMs }) => durationMs)),
    ),
  };
}
