// Arrivals of a trace as a counting process: rate, burstiness, and counts over time. Instants come in any order, since
// sessions are read as they complete, not as they begin.
import { deviation, mean } from '../base/statistics.ts';
import type { ArrivalFigures } from '../formats/trace-profile.ts';

/** Instants kept for exact figures, 8 MB; of a longer trace, the figures are those of the first so many read. */
const INSTANTS_MAX = 1 << 20;

export class Arrivals {
  private instants = new Float64Array(1024);
  private kept = 0;

  /** `atMs` counts from the start of the trace. */
  record(atMs: number): void {
    if (this.kept === INSTANTS_MAX) return;
    if (this.kept === this.instants.length) {
      const longer = new Float64Array(this.kept * 2);
      longer.set(this.instants);
      this.instants = longer;
    }
    this.instants[this.kept] = atMs;
    this.kept += 1;
  }

  /** Null when nothing arrived. */
  figures(): ArrivalFigures | null {
    const instants = this.instants.slice(0, this.kept).sort();
    const n = instants.length;
    if (n === 0) return null;
    const spanMs = instants[n - 1]! - instants[0]!;
    const gapsMs = new Float64Array(n - 1);
    for (let i = 1; i < n; i += 1) gapsMs[i - 1] = instants[i]! - instants[i - 1]!;
    return {
      n,
      spanMs,
      ratePerSec: spanMs === 0 ? 0 : ((n - 1) * 1000) / spanMs,
      interArrivalCv: n < 3 || spanMs === 0 ? null : deviation(gapsMs) / mean(gapsMs),
      dispersionPerSec: dispersion(instants),
    };
  }
}

/** Variance over mean of the counts in whole seconds from the first instant on; what is left of a second is left out. */
function dispersion(instants: Float64Array): number | null {
  const firstMs = instants[0]!;
  const seconds = Math.floor((instants[instants.length - 1]! - firstMs) / 1000);
  if (seconds < 2) return null;
  let squares = 0;
  let counted = 0;
  let row = 0;
  while (row < instants.length) {
    const second = Math.floor((instants[row]! - firstMs) / 1000);
    if (second >= seconds) break;
    let count = 0;
    while (row < instants.length && Math.floor((instants[row]! - firstMs) / 1000) === second) {
      count += 1;
      row += 1;
    }
    squares += count * count;
    counted += count;
  }
  const perSecond = counted / seconds;
  return (squares / seconds - perSecond * perSecond) / perSecond;
}

/** Bins of a chart over time; when there are more, pairs of them become one. */
const BINS_MAX = 240;

/** Counts in bins of equal width from 0 on, which widens as the trace grows. */
export class BinnedCounts {
  private readonly columns: number[][];
  binMs = 1000;

  constructor(columns: number) {
    this.columns = Array.from({ length: columns }, () => []);
  }

  record(column: number, atMs: number): void {
    let bin = Math.floor(atMs / this.binMs);
    while (bin >= BINS_MAX) {
      this.widen();
      bin = Math.floor(atMs / this.binMs);
    }
    const counts = this.columns[column]!;
    while (counts.length <= bin) counts.push(0);
    counts[bin] = counts[bin]! + 1;
  }

  private widen(): void {
    this.binMs *= 2;
    for (const counts of this.columns) {
      const pairs = Math.ceil(counts.length / 2);
      for (let pair = 0; pair < pairs; pair += 1)
        counts[pair] = counts[2 * pair]! + (counts[2 * pair + 1] ?? 0);
      counts.length = pairs;
    }
  }

  /** The columns, made equally long. */
  counts(): number[][] {
    const length = Math.max(...this.columns.map(counts => counts.length));
    return this.columns.map(counts => Array.from({ length }, (_, bin) => counts[bin] ?? 0));
  }
}
