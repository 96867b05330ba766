// Reads gauges from a server's /metrics (Prometheus text): queue, batch and KV use for the timeline. A server without
// them is no failure; the timeline is then empty and says so.
import { type EngineMetric, VLLM_METRICS } from '../engines/openai.ts';
import type { TimelineSample } from '../scenarios/formats/record.ts';

/** Sum over label sets of the first name that is present; null when none is. */
export function readMetric(text: string, metric: EngineMetric): number | null {
  for (const name of VLLM_METRICS[metric]) {
    let sum: number | null = null;
    for (const line of text.split('\n')) {
      if (!line.startsWith(name)) continue;
      const next = line[name.length];
      if (next !== '{' && next !== ' ') continue;
      const value = Number(
        line
          .slice(next === '{' ? line.lastIndexOf('}') + 1 : name.length)
          .trim()
          .split(/\s+/)[0],
      );
      if (Number.isFinite(value)) sum = (sum ?? 0) + value;
    }
    if (sum !== null) return sum;
  }
  return null;
}

/** One scrape as a sample; null where the server shows no queue. */
export function sampleOf(text: string, atMs: number, pool: string, replica: string): TimelineSample | null {
  const runningRequests = readMetric(text, 'runningRequests');
  if (runningRequests === null) return null;
  return {
    atMs,
    pool,
    replica,
    runningRequests,
    waitingRequests: readMetric(text, 'waitingRequests') ?? 0,
    kvUsedRatio: readMetric(text, 'kvUsedRatio') ?? 0,
  };
}
