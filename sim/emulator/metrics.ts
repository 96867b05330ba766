// /metrics of the emulator in Prometheus' text format, under vLLM's names: gauges and counters from the cluster,
// histograms from the requests it served. Pure. Labels as vLLM's: `engine` is the replica's place in its pool.
import type { ReplicaCounters } from '../cluster.ts';

/** Upper bounds in seconds, vLLM's own. */
const BOUNDS = {
  ttft: [
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160,
    640, 2560,
  ],
  itl: [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80],
  request: [0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680],
} as const;

const HISTOGRAMS = {
  ttft: ['vllm:time_to_first_token_seconds', 'Time to first token.', BOUNDS.ttft],
  itl: ['vllm:inter_token_latency_seconds', 'Gap between two tokens of a request.', BOUNDS.itl],
  e2e: ['vllm:e2e_request_latency_seconds', 'Arrival to last token.', BOUNDS.request],
  queue: ['vllm:request_queue_time_seconds', 'Arrival to first scheduled.', BOUNDS.request],
  prefill: ['vllm:request_prefill_time_seconds', 'First scheduled to first token.', BOUNDS.request],
  decode: ['vllm:request_decode_time_seconds', 'First to last token.', BOUNDS.request],
} as const;

type HistogramName = keyof typeof HISTOGRAMS;

/** Counts of values up to each bound and, last, above all of them. */
class BucketCounts {
  private readonly bounds: readonly number[];
  private readonly counts: number[];
  private sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Array<number>(bounds.length + 1).fill(0);
  }

  /** Hot: once per token. */
  add(seconds: number): void {
    let i = 0;
    while (i < this.bounds.length && seconds > this.bounds[i]!) i++;
    this.counts[i]!++;
    this.sum += seconds;
  }

  lines(name: string, labels: string): string[] {
    let below = 0;
    const lines = this.counts.map((count, i) => {
      below += count;
      return `${name}_bucket{${labels},le="${this.bounds[i] ?? '+Inf'}"} ${below}`;
    });
    return [...lines, `${name}_sum{${labels}} ${this.sum}`, `${name}_count{${labels}} ${below}`];
  }
}

/** Histograms of every replica, by its name. */
export class ServedLatencies {
  private readonly replicas = new Map<string, Record<HistogramName, BucketCounts>>();

  add(replica: string, name: HistogramName, ns: number): void {
    this.of(replica)[name].add(ns / 1e9);
  }

  of(replica: string): Record<HistogramName, BucketCounts> {
    let found = this.replicas.get(replica);
    if (found === undefined) {
      const counts = (name: HistogramName) => new BucketCounts(HISTOGRAMS[name][2]);
      found = {
        ttft: counts('ttft'),
        itl: counts('itl'),
        e2e: counts('e2e'),
        queue: counts('queue'),
        prefill: counts('prefill'),
        decode: counts('decode'),
      };
      this.replicas.set(replica, found);
    }
    return found;
  }
}

type Gauge = readonly [
  name: string,
  type: 'gauge' | 'counter',
  help: string,
  value: (c: ReplicaCounters) => number,
];

const GAUGES: readonly Gauge[] = [
  ['vllm:num_requests_running', 'gauge', 'Requests in the batch.', c => c.runningRequests],
  ['vllm:num_requests_waiting', 'gauge', 'Requests waiting.', c => c.waitingRequests],
  [
    'vllm:kv_cache_usage_perc',
    'gauge',
    'KV blocks used, 0 to 1.',
    c => (c.kvBlocks > 0 ? c.kvBlocksUsed / c.kvBlocks : 0),
  ],
  ['vllm:prefix_cache_queries_total', 'counter', 'Prompt tokens looked up.', c => c.prefixQueriesTokens],
  ['vllm:prefix_cache_hits_total', 'counter', 'Prompt tokens found.', c => c.prefixHitsTokens],
  ['vllm:num_preemptions_total', 'counter', 'Preemptions.', c => c.preemptions],
  ['vllm:prompt_tokens_total', 'counter', 'Prompt tokens.', c => c.promptTokens],
  ['vllm:generation_tokens_total', 'counter', 'Generated tokens.', c => c.generationTokens],
];

/** `modelName` is the name a pool's model is served under. */
export function metricsText(
  counters: readonly ReplicaCounters[],
  latencies: ServedLatencies,
  modelName: (pool: string) => string,
): string {
  const seen = new Map<string, number>();
  const rows = counters.map(counter => {
    const engine = seen.get(counter.pool) ?? 0;
    seen.set(counter.pool, engine + 1);
    return { counter, labels: `engine="${engine}",model_name="${escapeLabel(modelName(counter.pool))}"` };
  });
  const lines: string[] = [];
  const header = (name: string, type: string, help: string) =>
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
  for (const [name, type, help, value] of GAUGES) {
    header(name, type, help);
    for (const { counter, labels } of rows) lines.push(`${name}{${labels}} ${value(counter)}`);
  }
  header('vllm:request_success_total', 'counter', 'Requests finished, by reason.');
  for (const { counter, labels } of rows) {
    lines.push(`vllm:request_success_total{${labels},finished_reason="length"} ${counter.requestsFinished}`);
  }
  header('vllm:cache_config_info', 'gauge', 'KV cache configuration, in labels.');
  for (const { counter, labels } of rows) {
    const config = `block_size="${counter.blockTokens}",num_gpu_blocks="${counter.kvBlocks}"`;
    lines.push(`vllm:cache_config_info{${labels},${config}} 1`);
  }
  for (const name of Object.keys(HISTOGRAMS) as HistogramName[]) {
    const [metric, help] = HISTOGRAMS[name];
    header(metric, 'histogram', help);
    for (const { counter, labels } of rows)
      lines.push(...latencies.of(counter.replica)[name].lines(metric, labels));
  }
  return `${lines.join('\n')}\n`;
}

const escapeLabel = (value: string): string =>
  value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
