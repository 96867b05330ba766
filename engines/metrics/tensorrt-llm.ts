// trtllm-serve with `return_perf_metrics`, at /prometheus/metrics (its /metrics is JSON). Hits are counted in blocks, so
// the tokens come from `prompt_cached_tokens`; it has no count of preemptions. (tensorrt_llm/metrics/collector.py)
import { counter, type EngineMetrics } from './engine-metrics.ts';

export const tensorrtLlmMetrics: EngineMetrics = {
  engine: 'tensorrt-llm',
  mark: { prefix: 'trtllm_' },
  gauges: {
    runningRequests: ['trtllm_num_requests_running'],
    waitingRequests: ['trtllm_num_requests_waiting'],
    kvUsedRatio: ['trtllm_kv_cache_utilization'],
    kvBlocks: ['trtllm_kv_cache_max_blocks'],
    blockTokens: ['trtllm_kv_cache_tokens_per_block'],
  },
  counters: {
    promptTokens: counter('trtllm_prompt_tokens'),
    outputTokens: counter('trtllm_generation_tokens'),
    prefixQueriedTokens: counter('trtllm_prompt_tokens'),
    prefixHitTokens: counter('trtllm_prompt_cached_tokens'),
    requestsFinished: counter('trtllm_request_success'),
  },
  latencies: {
    ttft: ['trtllm_time_to_first_token_seconds'],
    itl: ['trtllm_time_per_output_token_seconds'],
    e2e: ['trtllm_e2e_request_latency_seconds'],
    queue: ['trtllm_request_queue_time_seconds'],
    prefill: ['trtllm_request_prefill_time_seconds'],
    decode: ['trtllm_request_decode_time_seconds'],
  },
  version: { path: '/version', key: 'version' },
};
