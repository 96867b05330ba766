// Triton with its TensorRT-LLM backend: gauges only, one name with a label for each. Its `nv_inference_first_response`
// is the first delivered piece, no first token: left out. (tensorrtllm_backend, custom_metrics_reporter.cc)
import type { EngineMetrics, MetricName } from './engine-metrics.ts';

const requests = (kind: string): MetricName => ({
  name: 'nv_trt_llm_request_metrics',
  where: { request_type: kind },
});
const blocks = (kind: string): MetricName => ({
  name: 'nv_trt_llm_kv_cache_block_metrics',
  where: { kv_cache_block_type: kind },
});

export const tritonMetrics: EngineMetrics = {
  engine: 'triton',
  mark: { prefix: 'nv_trt_llm_' },
  gauges: {
    runningRequests: [requests('scheduled')],
    waitingRequests: [requests('waiting')],
    kvUsedRatio: [blocks('fraction')],
    kvBlocks: [blocks('max')],
    blockTokens: [blocks('tokens_per')],
  },
  counters: { requestsFinished: ['nv_inference_request_success'] },
  latencies: {},
  version: null,
};
