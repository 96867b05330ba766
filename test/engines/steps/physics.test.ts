import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findGpu, findModel, type Gpu, type Model } from '../../../engines/catalog.ts';
import type { StepLoad, StepModel } from '../../../engines/engine.ts';
import type { PlacedSetup } from '../../../engines/memory.ts';
import { addSequence, decodeLoad, emptyLoad } from '../../../engines/step-load.ts';
import { FITTED } from '../../../engines/steps/factors.ts';
import { operatorWork, usedTerms } from '../../../engines/steps/operator-work.ts';
import { physics } from '../../../engines/steps/physics.ts';
import { evidenceLine, evidenceOf } from '../../../engines/steps/tried.ts';

const setup = (model: string | Model, gpu: string | Gpu, rest: Partial<PlacedSetup> = {}): PlacedSetup => ({
  model: typeof model === 'string' ? findModel(model)! : model,
  gpu: typeof gpu === 'string' ? findGpu(gpu)! : gpu,
  tensorParallel: 1,
  weights: 'bf16',
  kv: 'bf16',
  ...rest,
});

function stepOf(...args: Parameters<typeof setup>): StepModel {
  const { step, issues } = physics(setup(...args), ['pools', 'main']);
  expect(issues).toEqual([]);
  return step!;
}

const decode = (sequences: number, context: number): StepLoad => decodeLoad(sequences, sequences * context);

const sum = (sequences: readonly { before: number; tokens: number }[]): StepLoad => {
  const load = emptyLoad();
  for (const { before, tokens } of sequences) addSequence(load, before, tokens, true);
  return load;
};

const prefill = (tokens: number): StepLoad => sum([{ before: 0, tokens }]);
const ms = (step: StepModel, load: StepLoad): number => step.stepNs(load) / 1e6;

/** A dense Llama of the published shape, for models that were measured but are not in the catalogue. */
function llama(
  id: string,
  shape: { params: number; layers: number; hidden: number; heads: number; kvHeads: number },
): Model {
  const kvBytes = 2 * shape.layers * shape.kvHeads * 128 * 2;
  return {
    ...findModel('llama-3.1-8b')!,
    id,
    totalParams: shape.params,
    numLayers: shape.layers,
    hiddenSize: shape.hidden,
    numAttentionHeads: shape.heads,
    numKvHeads: shape.kvHeads,
    vocabSize: 32_000,
    kvBytesPerTokenBf16: kvBytes,
    kvBytesPerTokenFp8: kvBytes / 2,
    kvBytesPerTokenGrowing: kvBytes,
  };
}

const llama7b = llama('llama-2-7b', {
  params: 6_738_415_616,
  layers: 32,
  hidden: 4096,
  heads: 32,
  kvHeads: 32,
});
const llama34b = llama('codellama-34b', {
  params: 33_743_970_304,
  layers: 48,
  hidden: 8192,
  heads: 64,
  kvHeads: 8,
});

describe('the physics step', () => {
  const models: [string, StepModel][] = [
    ['dense on H100', stepOf('llama-3.1-8b', 'h100-80gb-sxm')],
    ['MoE with MLA on H200', stepOf('mistral-small-4', 'h200-141gb-sxm', { weights: 'fp8' })],
    ['MoE in four bits on B200', stepOf('gpt-oss-120b', 'b200-sxm', { weights: 'nvfp4' })],
    ['tensor parallel on H100', stepOf('llama-3.1-70b', 'h100-80gb-sxm', { tensorParallel: 4 })],
    ['experts over two ranks', stepOf('qwen3-30b-a3b', 'rtx-pro-6000-server', { expertRanks: 2 })],
    ['no step scheduled ahead', stepOf('qwen3-32b', 'h100-80gb-sxm', { asyncScheduling: false })],
    ['small model on a large card', stepOf('qwen3-0.6b', 'b300-sxm')],
  ];
  const sequence = fc.record({ before: fc.nat(1_000_000), tokens: fc.integer({ min: 1, max: 16_384 }) });

  it.each(models)('%s: whole nanoseconds that grow with every sequence and every token', (_name, step) => {
    fc.assert(
      fc.property(fc.array(sequence, { minLength: 1, maxLength: 8 }), sequence, (some, extra) => {
        const time = step.stepNs(sum(some));
        expect(Number.isSafeInteger(time) && time >= 1).toBe(true);
        expect(step.stepNs(sum([...some, extra]))).toBeGreaterThan(time);
        const longer = some.map((each, index) => (index === 0 ? { ...each, tokens: each.tokens + 1 } : each));
        expect(step.stepNs(sum(longer))).toBeGreaterThanOrEqual(time);
      }),
    );
  });

  it.each(models)('%s: a step of decodes is the line it shows, to the unit', (_name, step) => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1024 }),
        fc.integer({ min: 1, max: 100_000 }),
        (decodes, each) => {
          const context = decodes * each;
          const { interceptUnits, slopeUnits } = step.decodeLine(decodes, context);
          const units = interceptUnits + slopeUnits * context;
          expect(Number.isSafeInteger(units)).toBe(true);
          expect(step.stepNs(decodeLoad(decodes, context))).toBe(Math.max(1, Math.floor(units / 1024)));
        },
      ),
    );
  });

  it.each(models)('%s: exact for the largest legal load', (_name, step) => {
    const load = sum(Array.from({ length: 1024 }, () => ({ before: 1_048_576, tokens: 16 })));
    expect(Number.isSafeInteger(step.stepNs(load))).toBe(true);
  });

  it('is the sum of its operators, as computed by hand', () => {
    // 10 decodes of 1,000 tokens on H100: what is read at 3.35 TB/s at the rates of GEMMs, KV at its own, and counts.
    const { shared, generations } = FITTED;
    const { layer, kvRead } = generations.hopper;
    const params = 8_030_261_248 - 2 * 128_256 * 4096;
    const second = (bytes: number): number => bytes / 3.35e12;
    const peak = 989e12;
    const gemm = (weights: number): number =>
      second(2 * weights) * 1.14 + 0.25 * 10 * ((2 * weights) / peak) * 1.19;
    const activations = second(10 * 4096 * 32 * (14 + 15)) * shared.activations;
    const expected =
      gemm(params) * shared.dense +
      gemm(128_256 * 4096) * shared.head +
      second(10 * 1000 * 131_072) * kvRead +
      activations +
      32 * layer +
      10 * shared.sequence +
      shared.step;
    expect(ms(stepOf('llama-3.1-8b', 'h100-80gb-sxm'), decode(10, 1000))).toBeCloseTo(expected * 1e3, 3);
  });

  it('reads the experts that the batch touches: all of them for a large one, few for one token', () => {
    const step = stepOf('mistral-small-4', 'h200-141gb-sxm', { weights: 'fp8' });
    const times = [1, 4, 16, 64, 256].map(batch => ms(step, decode(batch, 100)));
    const allExperts = ((36 * 128 * 3 * 4096 * 2048) / 4.8e12) * 1e3;
    expect(times[4]! - times[0]!).toBeGreaterThan(allExperts * 0.9);
    expect(times[1]! - times[0]!).toBeLessThan(allExperts * 0.15);
    for (let i = 1; i < times.length; i++) expect(times[i]!).toBeGreaterThan(times[i - 1]!);
  });

  it('is faster over more GPUs, but not by their number', () => {
    const [one, four] = [1, 4].map(tensorParallel =>
      ms(stepOf('qwen3-32b', 'h100-80gb-sxm', { tensorParallel }), decode(8, 2000)),
    );
    expect(four!).toBeLessThan(one!);
    expect(four!).toBeGreaterThan(one! / 4);
  });

  it('leaves the GPU idle between steps where none is scheduled ahead', () => {
    const [ahead, after] = [true, false].map(asyncScheduling =>
      ms(stepOf('llama-3.1-8b', 'h100-80gb-sxm', { asyncScheduling }), decode(10, 1000)),
    );
    const { idleStep, idleSequence } = FITTED.shared;
    expect(after! - ahead!).toBeCloseTo((idleStep + 10 * idleSequence) * 1e3, 4);
  });

  it('knows the terms that a replica has no work for', () => {
    const dense = operatorWork(setup('llama-3.1-8b', 'h100-80gb-sxm'));
    if ('missing' in dense) throw new Error(dense.missing);
    expect(usedTerms(dense, false)).not.toContain('experts');
    expect(usedTerms(dense, false)).not.toContain('collective');
    expect(usedTerms(dense, false)).not.toContain('idleStep');
    expect(usedTerms(dense, true)).toContain('idleStep');
  });

  it.each([
    ['mistral-medium-3.5', 'b300-sxm', 'headDim'],
    ['mistral-large-3', 'b300-sxm', 'moe.expertsPerToken'],
    ['deepseek-v4-flash', 'b300-sxm', 'totalParams'],
    ['nemotron-3-super-120b-a12b', 'b300-sxm', 'moe.denseFirstLayers'],
    ['llama-3.1-8b', 'a10g', 'bf16DenseFlops'],
  ])('names the figure that the catalogue does not have: %s on %s', (model, gpu, key) => {
    const result = physics(setup(model, gpu), ['pools', 'main']);
    expect(result.step).toBeNull();
    expect(result.issues[0]).toMatchObject({ code: 'WT1202' });
    expect(result.issues[0]?.message).toContain(`no "${key}"`);
  });
});

describe('what a physics step says of itself', () => {
  it('names the nearest measured runs, their error and their loads', () => {
    const step = stepOf('llama-3.1-8b', 'h100-80gb-sxm');
    expect(step.evidence).toMatch(
      /fitted on 547 measured vLLM runs; nearest: Llama-3\.1-8B bf16 on h100-80gb-sxm, TP 1 \(TPOT \d+ % and TTFT \d+ % off with that model left out; up to 43 decodes, 840 tokens of context/,
    );
  });

  it('is for ranking only where nothing like it was ever measured', () => {
    const stamp = (...of: Parameters<typeof setup>) =>
      /^for ranking only, (.*?) was measured/.exec(evidenceLine(setup(...of)))?.[1];
    expect(stamp('llama-3.1-8b', 'h100-80gb-sxm')).toBeUndefined();
    expect(stamp('mistral-small-4', 'h200-141gb-sxm', { weights: 'fp8' })).toBe('no latent attention (MLA)');
    expect(stamp('llama-3.1-8b', 'h100-80gb-sxm', { pipelineParallel: 2 })).toBe('no pipeline stages');
  });

  it('prefers the same card and kind of model to the same size', () => {
    const { nearest } = evidenceOf(setup('mistral-small-4', 'h200-141gb-sxm', { weights: 'fp8' }));
    expect(nearest).toMatch(/^MiniMax-M2.5 fp8 on h200/);
  });

  it('says what of a load lies beyond the loads that were tried', () => {
    const { outOfRange } = evidenceOf(setup('llama-3.1-8b', 'h100-80gb-sxm'));
    expect(outOfRange(decode(40, 800))).toBeNull();
    expect(outOfRange(decode(400, 90_000))).toBe(
      '400 sequences decode, tried up to 43; 90000 tokens of context, tried up to 840',
    );
  });

  it('says that a card of few runs, and one of none, rest on priors', () => {
    const notes = (gpu: string, tensorParallel = 1): string =>
      physics(setup('llama-3.1-8b', gpu, { tensorParallel }), []).notes.join('\n');
    expect(notes('h100-80gb-sxm')).toBe('');
    expect(notes('a100-80gb-sxm')).toBe('factors of ampere GPUs rest on 2 measured runs');
    expect(notes('mi300x')).toMatch(/kernels of mi300x \(CDNA3\) were not measured: hopper stands in/);
    expect(notes('l40s', 2)).toMatch(/tensor parallel over PCIe.*: no run without NVLink was in the fit/);
  });
});

/** fidelity.md §5. Bounds are what the model gives today; prefills were in the fit, so that part is a regression test. */
describe('the physics against measured vLLM', () => {
  const off = (got: number, measured: number): number => Math.abs(got / measured - 1);
  const sync = { asyncScheduling: false } as const;

  it.each([
    [
      'Llama-2-7B on H100, vLLM 0.11',
      ms(stepOf(llama7b, 'h100-80gb-sxm', sync), decode(1, 1500)),
      6.68,
      0.16,
    ],
    [
      'CodeLlama-34B on H100, vLLM 0.11',
      ms(stepOf(llama34b, 'h100-80gb-sxm', sync), decode(1, 1500)),
      26.0,
      0.03,
    ],
    [
      'Llama-3.1-8B on RTX PRO 6000',
      ms(stepOf('llama-3.1-8b', 'rtx-pro-6000-server'), decode(1, 500)),
      12.6,
      0.1,
    ],
    ['Llama-3.1-8B on RTX 4090', ms(stepOf('llama-3.1-8b', 'rtx-4090'), decode(1, 500)), 20.1, 0.12],
  ])('decode of one stream: %s', (_what, got, measured, bound) => {
    expect(off(got, measured)).toBeLessThan(bound);
  });

  it.each([
    ['CodeLlama-34B', llama34b, 7.8, 0.0933, 2.7, 0.13],
    ['Llama-2-7B', llama7b, 5.8, 0.0174, 1.7, 0.2],
  ] as const)('prefill on H100, vLLM 0.11: %s', (_what, of, constant, perToken, quadratic, bound) => {
    const step = stepOf(of, 'h100-80gb-sxm', sync);
    for (const tokens of [1000, 2000, 4000]) {
      const measured = constant + perToken * tokens + quadratic * (tokens / 1000) ** 2;
      expect(off(ms(step, prefill(tokens)), measured)).toBeLessThan(bound);
    }
  });
});
