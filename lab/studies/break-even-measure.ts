// What the study break-even reads off a run: what its books say that it cost, and how long its GPUs computed.
import { NANOS_PER_USD } from '../../scenarios/formats/ledger.ts';
import { gpuHours } from '../../scenarios/formats/record.ts';
import type { Measure } from '../grid/case.ts';

export interface DayFigures {
  readonly calls: number;
  readonly usd: number;
  /** Of GPUs that were paid for. */
  readonly gpuHours: number;
  /** Of this time, the share in which an engine step ran; null without a GPU. */
  readonly busyRatio: number | null;
}

const dayFigures: Measure<DayFigures> = ({ calls, replicas = [], durationMs, ledger }) => ({
  calls: calls.length,
  usd: ledger.totalNanos / NANOS_PER_USD,
  gpuHours: replicas.reduce((sum, span) => sum + gpuHours(span, durationMs), 0),
  busyRatio: ledger.gpuSeconds.paid === 0 ? null : ledger.gpuSeconds.busy / ledger.gpuSeconds.paid,
});

export default dayFigures;
