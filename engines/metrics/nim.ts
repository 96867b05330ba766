// NVIDIA NIM for LLMs, at /v1/metrics: vLLM's older names without a prefix. (NIM, "Observability"; releases that show
// vLLM's own names are read as vLLM.)
import { counter, type EngineMetrics } from './engine-metrics.ts';

export const nimMetrics: EngineMetrics = {
  engine: 'nim',
  mark: { names: ['num_request_max', 'gpu_cache_usage_perc', 'request_finish_total'] },
  gauges: {
    runningRequests: ['num_requests_running'],
    waitingRequests: ['num_requests_waiting'],
    kvUsedRatio: ['gpu_cache_usage_perc'],
  },
  counters: {
    promptTokens: counter('prompt_tokens'),
    outputTokens: counter('generation_tokens'),
    requestsFinished: counter('request_success'),
  },
  latencies: {
    ttft: ['time_to_first_token_seconds'],
    itl: ['time_per_output_token_seconds'],
    e2e: ['e2e_request_latency_seconds'],
  },
  version: { path: '/v1/version', key: 'release' },
};
