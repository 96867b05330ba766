import { describe, expect, test } from 'vitest';
import { affine } from '../../../engines/affine.ts';
import { asyncByDefault, flagValue, weightType } from '../../../lab/backtest/defaults.ts';
import { readExperiment, readMeasured } from '../../../lab/backtest/experiment.ts';
import { gpuOf, modelOf, poolOf, replicaOf } from '../../../lab/backtest/setup.ts';
import { experimentJson } from '../../builders/experiments.ts';

const step = affine({ model: 'affine', base: 10 });

describe('an experiment is inputs alone', () => {
  test('nothing that was measured gets into it, wherever it stands', () => {
    const secret = 987_654.25;
    const json = experimentJson('x', {
      quality: 'ok',
      runs: [{ id: 'x/all', measured: { ttft_mean_ms: secret, e2e_p99_ms: secret }, reliable: true }],
      requests: {
        arrival_ms: [0, 5],
        input_tokens: [10, 20],
        output_tokens: 5,
        ttft_ms: [secret, secret],
        e2e_ms: [secret, secret],
        queue_ms: [secret, secret],
      },
      timeseries: { rows: [[secret]] },
    });
    expect(JSON.stringify(readExperiment(json))).not.toContain(String(secret));
    expect(JSON.stringify(readMeasured(json))).toContain(String(secret));
  });

  test('every figure that is missing or wrong is named at once', () => {
    const json = experimentJson('x');
    const model = { ...(json.model as object), layers: null };
    const hardware = { ...(json.hardware as object), hbmTBs: 'fast' };
    expect(() => readExperiment({ ...json, model, hardware })).toThrow(/hardware\.hbmTBs.*model\.layers/s);
    expect(() => readExperiment(undefined)).toThrow(/the file/);
  });

  test('runs of an overloaded, uncertain or unreliable experiment stand in no mean', () => {
    const leftOut = (changes: object) => readMeasured({ ...experimentJson('x'), ...changes })[0]!.leftOut;
    expect(leftOut({})).toBe(false);
    expect(leftOut({ quality: 'overload: the client gave up' })).toBe(true);
    expect(leftOut({ quality: 'uncertain: which width?' })).toBe(true);
    expect(leftOut({ runs: [{ id: 'x/all', reliable: false, measured: {} }] })).toBe(true);
  });
});

describe('what an experiment leaves unsaid', () => {
  test('flags may be rules over the workload; what is no rule is refused', () => {
    const terms = { concurrency: 64, isl: 1024, osl: null };
    expect(flagValue('maxNumSeqs', '= concurrency', terms)).toBe(64);
    expect(flagValue('maxNumBatchedTokens', '2 x ISL', terms)).toBe(2048);
    expect(flagValue('maxNumSeqs', 77, terms)).toBe(77);
    expect(flagValue('maxNumSeqs', null, terms)).toBeNull();
    expect(() => flagValue('maxNumSeqs', 'a lot', terms)).toThrow(/maxNumSeqs.*a lot/);
    expect(() => flagValue('maxNumSeqs', '2 x OSL', terms)).toThrow(/maxNumSeqs/);
  });

  test('vLLM schedules a step ahead from 0.14 on', () => {
    expect(['0.11.0', '0.12.0', 'not stated', null].map(asyncByDefault)).toEqual([
      false,
      false,
      false,
      false,
    ]);
    expect(['0.14.0', '0.15.1', '0.19.0', 'nightly-5b8c'].map(asyncByDefault)).toEqual([
      true,
      true,
      true,
      true,
    ]);
  });

  test('launch scripts say what rows leave out: InferenceX schedules ahead, and has an FP8 cache on Blackwell', () => {
    const setup = (upstream: string, key: string, version: string) => {
      const json = experimentJson('x', { source: { upstream }, engine: { name: 'vLLM', version } });
      const hardware = { ...(json.hardware as object), key };
      const model = { ...(json.model as object), dtype: 'fp8' };
      const experiment = readExperiment({ ...json, hardware, model, engineConfig: { gpus: 1, tp: 1 } });
      const { kv, asyncScheduling } = replicaOf(experiment);
      const { limits } = poolOf(experiment, experiment.runs[0]!, replicaOf(experiment), step);
      return [kv, asyncScheduling, limits.maxBatchedTokens, limits.maxSequences];
    };
    const inferenceX = 'SemiAnalysis InferenceX database dump';
    expect(setup(inferenceX, 'b200_sxm', 'not stated')).toEqual(['fp8', true, 8192, 1024]);
    expect(setup(inferenceX, 'h100_sxm', 'not stated')).toEqual(['bf16', true, 8192, 1024]);
    // aiconfigurator: a batch of 512, and a budget of 512 + 100 prompt tokens + 1500.
    expect(setup('NVIDIA gap-analysis runs', 'h200_sxm', '0.12.0')).toEqual(['bf16', false, 2112, 512]);
    expect(setup('some bench', 'a100_sxm', '0.15.1')).toEqual(['bf16', true, 2048, 256]);
  });

  test('GPUs that are counted twice are one engine; other ranks have a batch each', () => {
    const ranks = (engineConfig: object, family = 'inferencex-closed-loop') => {
      const json = experimentJson('x', { family });
      const config = { ...(json.engineConfig as object), ...engineConfig };
      const experiment = readExperiment({ ...json, engineConfig: config });
      return poolOf(experiment, experiment.runs[0]!, replicaOf(experiment), step).dataParallelRanks;
    };
    expect(ranks({ gpus: 16, tp: 4, dp: 4, moeEp: 16 })).toBe(1);
    expect(ranks({ gpus: 2, tp: 1, dp: 2, expertParallel: true }, 'llmservingsim-bench')).toBe(2);
  });

  test('a precision that no step model knows is refused by name', () => {
    expect(['fp16', 'fp8', 'fp4', 'int4'].map(weightType)).toEqual(['bf16', 'fp8', 'nvfp4', 'nvfp4']);
    expect(() => weightType('ternary')).toThrow(/ternary/);
  });

  test('KV blocks come from memory where none are given, and the flags from the engine', () => {
    const json = experimentJson('x');
    const config = { gpus: 1, tp: 1 };
    const experiment = readExperiment({ ...json, engineConfig: config });
    const { limits } = poolOf(experiment, experiment.runs[0]!, replicaOf(experiment), step);
    // 90 % of 79.2 GiB less 16.1 GB of weights leaves room for 400 to 460 thousand tokens of 131,072 bytes.
    expect(limits.kvBlocks * 16).toBeGreaterThan(400_000);
    expect(limits.kvBlocks * 16).toBeLessThan(460_000);
    expect(limits).toMatchObject({ maxBatchedTokens: 8192, maxSequences: 1024, asyncScheduling: true });
  });

  test('a model that does not fit is refused with the sum', () => {
    const json = experimentJson('x');
    const model = { ...(json.model as object), paramsTotalB: 70 };
    const experiment = readExperiment({ ...json, model, engineConfig: { gpus: 1, tp: 1 } });
    const pool = () => poolOf(experiment, experiment.runs[0]!, replicaOf(experiment), step);
    expect(pool).toThrow(/weights 140\.\d GB.*for KV/);
  });
});

describe('hardware and model', () => {
  test('a GPU that the catalogue has counts with its figures, any other with its own', () => {
    const known = readExperiment(experimentJson('x'));
    expect(gpuOf(known)).toMatchObject({ id: 'h100-80gb-sxm', architecture: 'Hopper' });
    const hardware = { key: 'X9', name: 'Card X9', memGiB: 32, hbmTBs: 1.1, bf16TFlops: 200, nvlinkGBs: 0 };
    const unknown = gpuOf(readExperiment(experimentJson('x', { hardware })));
    expect(unknown).toMatchObject({ id: 'X9', memoryBytes: 32 * 1024 ** 3, bf16DenseFlops: 2e14 });
    expect(unknown.memoryType).toBe('GDDR');
    expect(unknown.scaleUpBandwidthBytesPerSecPerDirection).toBe(32e9);
  });

  test('a model with windowed layers has the KV of the others grow', () => {
    const json = experimentJson('x');
    const note = 'attention alternates sliding window 128 and full';
    const model = { ...(json.model as object), slidingWindow: 128, note };
    expect(modelOf(readExperiment({ ...json, model })).kvBytesPerTokenGrowing).toBe(131072 / 2);
    expect(modelOf(readExperiment(json)).kvBytesPerTokenGrowing).toBe(131072);
  });

  test('latent attention is as the file says, as a model of the same shape has it, or what its KV bytes leave', () => {
    const json = experimentJson('x');
    const latent = (changes: object) =>
      modelOf(readExperiment({ ...json, model: { ...(json.model as object), ...changes } })).mla;
    const ours = { layers: 40, kvBytesPerToken: 40 * (256 + 64) * 2, headDim: null };
    expect(latent({ ...ours, mla: { kv_lora_rank: 128, qk_rope_head_dim: 32 } })).toMatchObject({
      kvLoraRank: 128,
      qkRopeHeadDim: 32,
      vHeadDim: 128,
    });
    expect(latent({ ...ours, mla: true })).toMatchObject({ kvLoraRank: 256, qkRopeHeadDim: 64 });
    const moe = { experts: 384, topK: 8, sharedExperts: 1, moeIntermediate: 2048, denseLayers: 1 };
    const kimi = { layers: 61, hidden: 7168, heads: 64, vocab: 163840, moe, mla: {} };
    expect(latent(kimi)).toMatchObject({ kvLoraRank: 512 });
    expect(() => latent({ ...ours, mla: true, kvBytesPerToken: 40 * 60 })).toThrow(/mla\.kvLoraRank/);
    expect(() => latent({ headDim: null })).toThrow('model.headDim');
  });
});
