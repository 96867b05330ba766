// Metrics as servers write them: made for a test, with the names and labels of each engine's own source.
export interface Histogram {
  /** Upper bounds, seconds. */
  bounds: readonly number[];
  /** At or below each bound, and in all. */
  below: readonly number[];
  sumSeconds: number;
}

/** The lines of one histogram. */
export function histogramText(
  name: string,
  labels: string,
  { bounds, below, sumSeconds }: Histogram,
): string {
  const comma = labels === '' ? '' : ',';
  const buckets = below.map(
    (count, i) => `${name}_bucket{${labels}${comma}le="${bounds[i] ?? '+Inf'}"} ${count}`,
  );
  return [
    `# TYPE ${name} histogram`,
    ...buckets,
    `${name}_sum{${labels}} ${sumSeconds}`,
    `${name}_count{${labels}} ${below.at(-1)}`,
    '',
  ].join('\n');
}

/** A vLLM that has finished `done` requests, each with a first token after 0.1 s and 100 prompt tokens, 40 of them found. */
export const vllmText = (
  done: number,
  { running = 0, waiting = 0, kv = 0.25, startedSec = 1000 } = {},
): string =>
  [
    `process_start_time_seconds ${startedSec}`,
    `vllm:num_requests_running{engine="0",model_name="m"} ${running}`,
    `vllm:num_requests_waiting{engine="0",model_name="m"} ${waiting}`,
    `vllm:kv_cache_usage_perc{engine="0",model_name="m"} ${kv}`,
    'vllm:cache_config_info{block_size="16",engine="0",num_gpu_blocks="2048"} 1',
    `vllm:prompt_tokens_total{engine="0",model_name="m"} ${100 * done}`,
    `vllm:generation_tokens_total{engine="0",model_name="m"} ${10 * done}`,
    `vllm:prefix_cache_queries_total{engine="0",model_name="m"} ${100 * done}`,
    `vllm:prefix_cache_hits_total{engine="0",model_name="m"} ${40 * done}`,
    `vllm:num_preemptions_total{engine="0",model_name="m"} 0`,
    `vllm:request_success_total{engine="0",finished_reason="length",model_name="m"} ${done}`,
    histogramText('vllm:time_to_first_token_seconds', 'engine="0",model_name="m"', {
      bounds: [0.05, 0.1, 0.25],
      below: [0, done, done, done],
      sumSeconds: 0.1 * done,
    }),
  ].join('\n');
