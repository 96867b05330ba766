// SGLang with `--enable-metrics`. It calls preemption retraction, and counts hits and prompts in tokens.
// (sglang/srt/observability/metrics_collector.py)
import type { EngineMetrics } from './engine-metrics.ts';

export const sglangMetrics: EngineMetrics = {
  engine: 'sglang',
  mark: { prefix: 'sglang:' },
  gauges: {
    runningRequests: ['sglang:num_running_reqs'],
    waitingRequests: ['sglang:num_queue_reqs'],
    kvUsedRatio: ['sglang:token_usage'],
    kvBlocks: ['sglang:num_pages', { name: 'sglang:cache_config_info', label: 'num_pages' }],
    blockTokens: ['sglang:page_size', { name: 'sglang:cache_config_info', label: 'page_size' }],
  },
  counters: {
    promptTokens: ['sglang:prompt_tokens_total'],
    outputTokens: ['sglang:generation_tokens_total'],
    prefixQueriedTokens: ['sglang:prompt_tokens_total'],
    prefixHitTokens: ['sglang:cached_tokens_total'],
    preemptions: ['sglang:num_retracted_requests_total'],
    requestsFinished: ['sglang:num_requests_total'],
  },
  latencies: {
    ttft: ['sglang:time_to_first_token_seconds'],
    itl: ['sglang:inter_token_latency_seconds', 'sglang:time_per_output_token_seconds'],
    e2e: ['sglang:e2e_request_latency_seconds'],
    queue: ['sglang:queue_time_seconds'],
  },
  version: { path: '/server_info', key: 'version' },
};
