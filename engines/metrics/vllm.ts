// vLLM, old and new: names of version 0 (`gpu_…`, time per output token) and of version 1. (vllm/v1/metrics/loggers.py)
import { counter, type EngineMetrics } from './engine-metrics.ts';

export const vllmMetrics: EngineMetrics = {
  engine: 'vllm',
  mark: { prefix: 'vllm:' },
  gauges: {
    runningRequests: ['vllm:num_requests_running'],
    waitingRequests: ['vllm:num_requests_waiting'],
    kvUsedRatio: ['vllm:kv_cache_usage_perc', 'vllm:gpu_cache_usage_perc'],
    kvBlocks: [{ name: 'vllm:cache_config_info', label: 'num_gpu_blocks' }],
    blockTokens: [{ name: 'vllm:cache_config_info', label: 'block_size' }],
  },
  counters: {
    promptTokens: counter('vllm:prompt_tokens'),
    outputTokens: counter('vllm:generation_tokens'),
    prefixQueriedTokens: counter('vllm:prefix_cache_queries', 'vllm:gpu_prefix_cache_queries'),
    prefixHitTokens: counter('vllm:prefix_cache_hits', 'vllm:gpu_prefix_cache_hits'),
    preemptions: counter('vllm:num_preemptions'),
    requestsFinished: counter('vllm:request_success'),
  },
  latencies: {
    ttft: ['vllm:time_to_first_token_seconds'],
    itl: ['vllm:inter_token_latency_seconds', 'vllm:time_per_output_token_seconds'],
    e2e: ['vllm:e2e_request_latency_seconds'],
    queue: ['vllm:request_queue_time_seconds'],
    prefill: ['vllm:request_prefill_time_seconds'],
    decode: ['vllm:request_decode_time_seconds'],
  },
  version: { path: '/version', key: 'version' },
};
