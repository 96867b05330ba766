// Gaps between tokens, recorded in whole nanoseconds and told in ms. The sum is kept in nanoseconds, where it is exact:
// neither the order of recording nor how a run of steps was cut changes a byte.
import { Histogram, type HistogramCounts } from '../scenarios/base/histogram.ts';

export class GapHistogram {
  private readonly histogram = new Histogram();
  private sumNs = 0;

  record(gapNs: number, times: number): void {
    this.histogram.record(gapNs / 1e6, times);
    this.sumNs += gapNs * times;
  }

  toCountsMs(): HistogramCounts {
    return { ...this.histogram.toCounts(), sum: this.sumNs / 1e6 };
  }
}
