// Measured experiments as files have them, outcomes and all, for tests of the backtest.

/** An open JSON object: a test may add and remove what it likes. */
export type ExperimentJson = Record<string, unknown> & { id: string; runs: Record<string, unknown>[] };

/** Llama 3.1 8B on one H100 in a closed loop; `id` names it, `changes` replace whole keys. */
export function experimentJson(id: string, changes: Record<string, unknown> = {}): ExperimentJson {
  return {
    id,
    family: 'closed',
    source: { upstream: 'some bench' },
    hardware: {
      key: 'h100_sxm',
      name: 'NVIDIA H100 SXM',
      memGiB: 80,
      hbmTBs: 3.35,
      bf16TFlops: 989.5,
      fp8TFlops: 1979,
      nvlinkGBs: 900,
    },
    model: {
      name: 'meta-llama/Llama-3.1-8B',
      layers: 32,
      hidden: 4096,
      intermediate: 14336,
      heads: 32,
      kvHeads: 8,
      headDim: 128,
      vocab: 128256,
      dtype: 'bf16',
      moe: null,
      mla: null,
      slidingWindow: null,
      tieEmbeddings: false,
      paramsTotalB: 8.03,
      paramsActiveB: 8.03,
      kvBytesPerToken: 131072,
      note: null,
    },
    engine: { name: 'vLLM', version: '0.15.1' },
    engineConfig: {
      gpus: 1,
      tp: 1,
      dp: 1,
      maxNumSeqs: 128,
      maxNumBatchedTokens: 2048,
      gpuMemoryUtilization: 0.9,
      prefixCaching: true,
      chunkedPrefill: true,
      blockSize: 16,
      totalKvBlocks: 4096,
    },
    workload: { type: 'closed-loop-100x50', isl: 100, osl: 50 },
    runs: [{ id: `${id}/c4`, concurrency: 4, measured: { ttft_mean_ms: 30, tpot_mean_ms: 8 } }],
    requests: null,
    quality: 'ok',
    ...changes,
  };
}

/** Load stages over a pool of prompts, as inference-perf makes them. */
export const stagedJson = (id: string, changes: Record<string, unknown> = {}): ExperimentJson =>
  experimentJson(id, {
    family: 'staged',
    workload: {
      type: 'general',
      stages: [
        { index: 0, rateRps: 2, durationS: 60 },
        { index: 1, rateRps: 5, durationS: 60 },
      ],
      promptPool: { distinctPrompts: 10, groups: 2, systemPromptTokens: 100, questionTokens: 400 },
      outputTokens: { max: 20 },
    },
    runs: ['all', 's0', 's1'].map(scope => ({
      id: `${id}/${scope}`,
      inputs: { output_tokens_mean: 16 },
      measured: { ttft_mean_ms: 30, e2e_mean_ms: 170, tpot_mean_ms: 140 / 15 },
    })),
    ...changes,
  });
