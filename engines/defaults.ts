// What an engine does where a pool says nothing: block size, token budget and batch by engine and GPU memory.
import type { Gpu } from './catalog.ts';
import type { EngineKind } from './engine.ts';

const GIB = 1024 ** 3;

export interface EngineDefaults {
  blockTokens: number;
  maxBatchedTokens: number;
  /** By the KV tokens of an engine and its window, which SGLang looks at. */
  maxSequences(kvTokens: number, windowTokens: number): number;
  prefixCaching: boolean;
}

/** What vLLM looks at beside the GPU. */
export interface VllmScale {
  /** Ranks of one engine: tensor times pipeline. A CPU server scales with them. */
  worldSize?: number;
  /** --performance-mode throughput. */
  forThroughput?: boolean;
}

/** max_num_batched_tokens of the server and max_num_seqs [vllm engine/arg_utils.py; policies §1.1]; null: a CPU. */
export function vllmDefaults(
  gpu: Gpu | null,
  { worldSize = 1, forThroughput = false }: VllmScale = {},
): { maxBatchedTokens: number; maxSequences: number } {
  const [tokens, sequences] = vllmBySize(gpu, worldSize);
  const times = forThroughput ? 2 : 1;
  return { maxBatchedTokens: tokens * times, maxSequences: sequences * times };
}

function vllmBySize(gpu: Gpu | null, worldSize: number): readonly [tokens: number, sequences: number] {
  if (gpu === null) return [2048 * worldSize, 128 * worldSize];
  if (gpu.memoryBytes >= 160 * GIB) return [16_384, 1024];
  return gpu.memoryBytes >= 70 * GIB && !gpu.id.startsWith('a100') ? [8192, 1024] : [2048, 256];
}

/** chunked_prefill_size by GPU memory (policies §1.8). */
function sglangChunk(gpu: Gpu | null): number {
  const bytes = gpu?.memoryBytes ?? 0;
  if (bytes < 20 * GIB) return 2048;
  if (bytes < 60 * GIB) return 4096;
  return bytes < 160 * GIB ? 8192 : 16_384;
}

/** Engines by name; a further one is a line here. */
export const ENGINE_DEFAULTS: Record<EngineKind, (gpu: Gpu | null, scale: VllmScale) => EngineDefaults> = {
  vllm(gpu, scale) {
    const { maxBatchedTokens, maxSequences } = vllmDefaults(gpu, scale);
    return { blockTokens: 16, maxBatchedTokens, maxSequences: () => maxSequences, prefixCaching: true };
  },
  sglang: gpu => ({
    blockTokens: 1,
    maxBatchedTokens: sglangChunk(gpu),
    // As its model runner sets max_running_requests: general knowledge, not read in source.
    maxSequences: (kvTokens, windowTokens) =>
      Math.min(4096, Math.max(2048, Math.floor((kvTokens / windowTokens) * 512))),
    prefixCaching: true,
  }),
  // Blocks: policies §1.7. Budget and batch are those of its LLM API: general knowledge, not read in source.
  'tensorrt-llm': () => ({
    blockTokens: 32,
    maxBatchedTokens: 8192,
    maxSequences: () => 2048,
    prefixCaching: true,
  }),
};
