// llama.cpp's server with `--metrics`: counters and gauges, no histograms. Its prompt tokens leave out those found in
// the cache, which it counts apart (since August 2026). (tools/server/README.md)
import type { EngineMetrics } from './engine-metrics.ts';

const PROMPT = { sum: ['llamacpp:prompt_tokens_total', 'llamacpp:prompt_tokens_cached_total'] };

export const llamaCppMetrics: EngineMetrics = {
  engine: 'llama.cpp',
  mark: { prefix: 'llamacpp:' },
  gauges: {
    runningRequests: ['llamacpp:requests_processing'],
    waitingRequests: ['llamacpp:requests_deferred'],
    kvUsedRatio: ['llamacpp:kv_cache_usage_ratio'],
  },
  counters: {
    promptTokens: [PROMPT, 'llamacpp:prompt_tokens_total'],
    outputTokens: ['llamacpp:tokens_predicted_total'],
    prefixQueriedTokens: [PROMPT],
    prefixHitTokens: ['llamacpp:prompt_tokens_cached_total'],
  },
  latencies: {},
  version: { path: '/props', key: 'build_info' },
};
