// Every engine whose metrics are read. A new one is a file beside this one and a line here; marks are tried in order.
import type { EngineMetrics } from './engine-metrics.ts';
import { llamaCppMetrics } from './llama-cpp.ts';
import { nimMetrics } from './nim.ts';
import { sglangMetrics } from './sglang.ts';
import { tensorrtLlmMetrics } from './tensorrt-llm.ts';
import { tritonMetrics } from './triton.ts';
import { vllmMetrics } from './vllm.ts';

export const ENGINE_METRICS: readonly EngineMetrics[] = [
  vllmMetrics,
  sglangMetrics,
  tensorrtLlmMetrics,
  tritonMetrics,
  llamaCppMetrics,
  nimMetrics,
];

/** Where servers show metrics, below their root: most; NIM; trtllm-serve, whose /metrics is JSON. */
export const METRICS_PATHS = ['/metrics', '/v1/metrics', '/prometheus/metrics'] as const;
