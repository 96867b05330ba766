// How late this thread's event loop is: what a read or a timer may have waited before we saw it.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Histogram, type HistogramCounts } from '../scenarios/base/histogram.ts';

/** Between two looks. */
const RESOLUTION_MS = 10;
const PERCENTILES = 200;

export class LoopDelay {
  private readonly monitor = monitorEventLoopDelay({ resolution: RESOLUTION_MS });

  start(): void {
    this.monitor.enable();
    this.monitor.reset();
  }

  stop(): void {
    this.monitor.disable();
  }

  /** Delays since the start, ms; Node's own histogram in steps of half a percent. */
  counts(): HistogramCounts {
    const { monitor } = this;
    const histogram = new Histogram();
    const total = monitor.count;
    if (total > 0) {
      const each = Math.max(1, Math.round(total / PERCENTILES));
      for (let left = total, i = 1; left > 0; left -= each, i++) {
        const delayMs = monitor.percentile(Math.min(100, (100 * i * each) / total)) / 1e6 - RESOLUTION_MS;
        histogram.record(Math.max(0, delayMs), Math.min(each, left));
      }
    }
    return histogram.toCounts();
  }
}
