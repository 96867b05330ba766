import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findGpu, findModel } from '../../../engines/catalog.ts';
import type { StepLoad, StepModel } from '../../../engines/engine.ts';
import type { ReplicaKernels } from '../../../engines/kernels/replica-kernels.ts';
import type { ReplicaSetup } from '../../../engines/memory.ts';
import { addSequence, decodeLoad, emptyLoad } from '../../../engines/step-load.ts';
import { createStep } from '../../../engines/step-models.ts';
import { covers, kernelStep, kernelsFor } from '../../../engines/steps/kernels.ts';
import { readExperiment, readMeasured } from '../../../lab/backtest/experiment.ts';
import { predict } from '../../../lab/backtest/predict.ts';

const PROFILES = join(import.meta.dirname, '../../../../shared/data/profiles');

const setup = (model: string, gpu: string, rest: Partial<ReplicaSetup> = {}): ReplicaSetup => ({
  model: findModel(model),
  gpu: findGpu(gpu),
  tensorParallel: 1,
  weights: 'bf16',
  kv: 'bf16',
  ...rest,
});

function step(...of: Parameters<typeof setup>): StepModel {
  const kernels = kernelsFor(setup(...of));
  if (typeof kernels === 'string') throw new Error(kernels);
  return kernelStep(kernels);
}

const ms = (of: StepModel, load: StepLoad): number => of.stepNs(load) / 1e6;
const decode = (sequences: number, context: number): StepLoad => decodeLoad(sequences, sequences * context);

interface Sequence {
  before: number;
  tokens: number;
}
function sum(sequences: readonly Sequence[]): StepLoad {
  const load = emptyLoad();
  for (const { before, tokens } of sequences) addSequence(load, before, tokens, true);
  return load;
}

const priced: [string, StepModel][] = [
  ['profiled as it serves', step('llama-3.1-8b', 'rtx-pro-6000-server')],
  ['profiled over PCIe', step('qwen3-32b', 'rtx-pro-6000-server', { tensorParallel: 2 })],
  ['profiled with experts on two ranks', step('qwen3-30b-a3b', 'rtx-pro-6000-server', { expertRanks: 2 })],
  ['dense by operators', step('llama-3.1-70b', 'h100-80gb-sxm', { tensorParallel: 4, weights: 'fp8' })],
  ['experts by operators', step('qwen3-235b-a22b', 'h200-141gb-sxm', { tensorParallel: 4 })],
];

describe('the kernels step', () => {
  const decodes = fc.integer({ min: 1, max: 1024 });
  const context = fc.integer({ min: 1, max: 200_000 });

  it.each(priced)('%s: a step of decodes is its line, to the nanosecond', (_name, of) => {
    fc.assert(
      fc.property(decodes, context, (count, each) => {
        const tokens = count * each;
        const line = of.decodeLine(count, tokens);
        expect(Number.isSafeInteger(line.interceptUnits) && Number.isSafeInteger(line.slopeUnits)).toBe(true);
        expect(line.untilContextTokens).toBeGreaterThanOrEqual(tokens);
        const units = line.interceptUnits + line.slopeUnits * tokens;
        expect(of.stepNs(decodeLoad(count, tokens))).toBe(Math.max(1, Math.floor(units / 1024)));
      }),
    );
  });

  it.each(priced)('%s: a line holds up to its end, and the next one takes over there', (_name, of) => {
    fc.assert(
      fc.property(decodes, context, (count, each) => {
        const line = of.decodeLine(count, count * each);
        const end = line.untilContextTokens;
        if (end === Number.POSITIVE_INFINITY) return;
        const next = of.decodeLine(count, end + 1);
        expect(of.decodeLine(count, end)).toEqual(line);
        expect(next.interceptUnits + next.slopeUnits * end).toBe(line.interceptUnits + line.slopeUnits * end);
        expect(next.untilContextTokens).toBeGreaterThan(end);
      }),
    );
  });

  it.each(priced)('%s: never shorter for more context, more decodes or a longer prompt', (_name, of) => {
    const prompt = fc.record({ before: fc.nat(16_000), tokens: fc.integer({ min: 2, max: 4000 }) });
    fc.assert(
      fc.property(decodes, context, fc.nat(50_000), (count, each, more) => {
        expect(of.stepNs(decode(count, each + more))).toBeGreaterThanOrEqual(of.stepNs(decode(count, each)));
        expect(of.stepNs(decode(count + 1, each))).toBeGreaterThanOrEqual(of.stepNs(decode(count, each)));
      }),
    );
    fc.assert(
      fc.property(prompt, fc.integer({ min: 1, max: 2000 }), ({ before, tokens }, more) => {
        const longer = of.stepNs(sum([{ before, tokens: tokens + more }]));
        expect(longer).toBeGreaterThanOrEqual(of.stepNs(sum([{ before, tokens }])));
      }),
    );
  });

  it.each(priced)('%s: exact for the largest legal load', (_name, of) => {
    const load = sum(Array.from({ length: 1024 }, () => ({ before: 1_000_000, tokens: 16 })));
    expect(Number.isSafeInteger(of.stepNs(load))).toBe(true);
  });

  it('pads a batch of decodes to the next CUDA graph', () => {
    const of = step('llama-3.1-8b', 'h100-80gb-sxm');
    const besideSequence = (count: number): number => ms(of, decode(count, 1)) - ms(of, decode(count - 1, 1));
    // 33 to 40 run the same GEMMs; only attention and the sequence itself are more.
    expect(besideSequence(36)).toBeLessThan(0.06);
    expect(ms(of, sum([{ before: 0, tokens: 33 }]))).toBeCloseTo(ms(of, sum([{ before: 0, tokens: 34 }])), 1);
  });

  it('says what lies beyond the loads that were measured', () => {
    const { trust } = step('llama-3.1-8b', 'rtx-4090');
    expect(trust?.outOfRange(decode(200, 10_000))).toBeNull();
    expect(trust?.outOfRange(decode(300, 20_000))).toBe(
      '300 sequences decode, tried up to 256; 20000 tokens of context, tried up to 16384',
    );
    expect(trust?.outOfRange(sum([{ before: 0, tokens: 4096 }]))).toMatch(/^4096 prompt tokens/);
  });
});

describe('what kernels cover', () => {
  it.each([
    ['llama-3.1-8b', 'h100-80gb-sxm', {}, null],
    ['qwen3-30b-a3b', 'b200-sxm', { weights: 'nvfp4', tensorParallel: 2 }, null],
    ['llama-3.1-8b', 'h100-80gb-pcie', {}, 'no kernels were measured on h100-80gb-pcie'],
    ['deepseek-v3', 'h200-141gb-sxm', { weights: 'fp8', tensorParallel: 8 }, '(MLA) was not measured'],
    ['gpt-oss-120b', 'h100-80gb-sxm', {}, 'attention in a window'],
    ['qwen3.5-27b', 'h100-80gb-sxm', {}, 'linear attention'],
    [
      'qwen3-coder-480b-a35b',
      'h200-141gb-sxm',
      { tensorParallel: 8 },
      'the experts of qwen3-coder-480b-a35b',
    ],
    ['llama-3.1-8b', 'a100-80gb-sxm', { weights: 'fp8' }, 'fp8 was not measured on a100-80gb-sxm'],
    ['llama-3.1-8b', 'h100-80gb-sxm', { pipelineParallel: 2 }, 'pipeline stages'],
    ['llama-3.1-405b', 'h200-141gb-sxm', { tensorParallel: 16 }, 'the all-reduce of 16 GPUs'],
  ] as const)('%s on %s %j', (model, gpu, rest, reason) => {
    expect(covers(setup(model, gpu, rest))).toBe(reason === null);
    const { step: made, issues } = createStep({ model: 'kernels' }, setup(model, gpu, rest), [
      'pools',
      'main',
    ]);
    expect(made === null).toBe(reason !== null);
    if (reason === null) return;
    expect(issues[0]).toMatchObject({ code: 'WT1005', path: ['pools', 'main', 'step'] });
    expect(issues[0]?.message).toContain(reason);
    expect(issues[0]?.hint).toContain('roofline');
  });

  it('names whose measurements it stands on, and what hangs on the machine', () => {
    const over = createStep(
      { model: 'kernels' },
      setup('qwen3-32b', 'rtx-pro-6000-server', { tensorParallel: 2 }),
      [],
    );
    expect(over.step?.evidence).toMatch(
      /qwen3-32b on rtx-pro-6000-server .* \(LLMServingSim\); mean error: /,
    );
    expect(over.notes.join()).toContain('PCIe');
  });
});

/** Rows of a profile as they were published. */
function rowsOf(name: string): Record<string, string>[] {
  const [head = '', ...lines] = readFileSync(join(PROFILES, name), 'utf8').trimEnd().split('\n');
  const columns = head.split(',');
  return lines.map(line => Object.fromEntries(line.split(',').map((cell, at) => [columns[at], cell])));
}

describe.skipIf(!existsSync(PROFILES))('the kernels step against the published measurements', () => {
  it.each([
    [8, 1024],
    [32, 1024],
    [128, 1024],
    [128, 4096],
  ])('%i decodes of %i tokens are the sum of their kernels', (count, each) => {
    const of = (row: Record<string, string>): boolean =>
      row.hardware === 'RTX4090' && row.model === 'meta-llama/Llama-3.1-8B' && row.tp === '1';
    const dense = rowsOf('lss-dense.csv').filter(row => of(row) && Number(row.tokens) === count);
    const layer = (name: string): number => Number(dense.find(row => row.layer === name)?.time_us);
    const heads = rowsOf('lss-per-sequence.csv').filter(row => of(row) && Number(row.sequences) === count);
    const attention = rowsOf('lss-attention.csv').find(
      row =>
        of(row) &&
        row.prefill_chunk === '0' &&
        Number(row.n_decode) === count &&
        Number(row.kv_decode) === each,
    );
    const inLayer = ['qkv_proj', 'rotary_emb', 'o_proj', 'gate_up_proj', 'act_fn', 'down_proj'];
    const layerUs = 2 * layer('layernorm') + inLayer.reduce((total, name) => total + layer(name), 0);
    const onceUs = layer('embedding') + layer('final_layernorm');
    const headUs = heads.reduce((total, row) => total + Number(row.time_us), 0);
    const us = 32 * (layerUs + Number(attention?.time_us)) + onceUs + headUs + 13 * count;
    const got = ms(step('llama-3.1-8b', 'rtx-4090'), decode(count, each)) * 1e3;
    // Rounded to four digits, and raised where a larger batch was measured faster than a smaller one.
    expect(got / us).toBeGreaterThan(0.999);
    expect(got / us).toBeLessThan(1.01);
  });
});

/** Timeline of the LLMServingSim bench: seconds in which only decodes ran, their batch and mean context. */
describe('the kernels step against measured vLLM', () => {
  it.each([
    ['128 decodes on RTX PRO 6000', ms(priced[0]![1], decode(128, 1060)), 27.0, 0.07],
    ['38 decodes on RTX 4090', ms(step('llama-3.1-8b', 'rtx-4090'), decode(38, 1052)), 25.3, 0.03],
    ['32 decodes on RTX 4090', ms(step('llama-3.1-8b', 'rtx-4090'), decode(32, 1268)), 25.1, 0.03],
  ])('%s', (_what, got, measured, within) => {
    expect(Math.abs(got / measured - 1)).toBeLessThan(within);
  });
});

const EXPERIMENTS = join(PROFILES, '../ground-truth/experiments');

describe.skipIf(!existsSync(EXPERIMENTS))('a served run by kernels', () => {
  it.each(['lss-rtxpro6000-llama-3-1-8b', 'lss-rtx4090-llama-3-1-8b'])(
    '%s comes within 3 percent on E2E',
    name => {
      const json: unknown = JSON.parse(readFileSync(join(EXPERIMENTS, `${name}.json`), 'utf8'));
      const frontEndOf = () => ({ beforeMs: 0, beforeMsPerToken: 0, afterMs: 0 });
      const stepOf = (of: ReplicaSetup): StepModel => kernelStep(kernelsFor(of) as ReplicaKernels);
      const predicted = predict(readExperiment(json), { frontEndOf, stepOf })[`${name}/all`]!;
      const measured = readMeasured(json)[0]!.metrics;
      const error = (metric: 'e2e_mean_ms' | 'e2e_p99_ms' | 'tpot_mean_ms' | 'ttft_mean_ms'): number =>
        Math.abs(predicted[metric]! / measured[metric]! - 1);
      expect(error('e2e_mean_ms')).toBeLessThan(0.03);
      expect(error('e2e_p99_ms')).toBeLessThan(0.03);
      expect(error('tpot_mean_ms')).toBeLessThan(0.02);
      expect(error('ttft_mean_ms')).toBeLessThan(0.04);
    },
  );
});
