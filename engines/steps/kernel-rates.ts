// How near to the data sheet measured kernels come, by generation of GPU and precision. Source: aiconfigurator's tables
// (../shared/data/profiles: aic-gemm, aic-moe, aic-attention-prefill; vLLM 0.24, A100 0.14), least squares of the logarithm.
import type { WeightType } from '../../scenarios/formats/deployment/pool.ts';
import type { Gpu } from '../catalog.ts';

/** Time over what the data sheet gives: 1.2 means 83 % of the bandwidth or the peak. */
export interface GemmRate {
  read: number;
  compute: number;
  /** Of the lesser of reading and computing, the share that does not hide behind the other. */
  notHidden: number;
}

/**
 * How weights are multiplied. `int4`: four bits unpacked to bf16 on the way, for want of cores or of their format;
 * `mxfp4`: against activations in eight bits.
 */
export type KernelType = WeightType | 'mxfp4' | 'int4';

export interface KernelRates {
  gemm: Readonly<Record<Exclude<KernelType, 'mxfp4'>, GemmRate>>;
  /** Fused MoE kernels: reading and computing as of a GEMM, and what they pass on. */
  experts: {
    read: number;
    compute: Readonly<Record<KernelType, number>>;
    notHidden: number;
    traffic: number;
  };
  /** Attention of prompts, over the bf16 peak. */
  attention: number;
  /** All-reduce of large messages, over the link's bandwidth in one direction. */
  collective: number;
}

/** GPUs whose kernels run alike. */
export type Generation = 'ampere' | 'hopper' | 'ada' | 'ada-geforce' | 'blackwell' | 'blackwell-gddr';

const rate = (read: number, compute: number, notHidden: number): GemmRate => ({ read, compute, notHidden });

/** A layer's expert kernels: the same reading and traffic on every card. */
const experts = (bf16: number, fp8: number, fp4: number, int4: number): KernelRates['experts'] => ({
  read: 1.1,
  compute: { bf16, fp8, nvfp4: fp4, mxfp4: fp4, int4 },
  notHidden: 0.3,
  traffic: 2.5,
});

/**
 * GEMM shapes of 10 M weights and more, 1 to 8,192 tokens: mean error 6-9 % for bf16, 15-28 % for fp8 and nvfp4. MoE
 * kernels of nine models: 8-16 %. Where a precision has no cores (fp8 on Ampere, nvfp4 before Blackwell) and for int4 of
 * dense layers the figure is that of the nearest one that was measured.
 */
const RATES: Readonly<Record<Generation, KernelRates>> = {
  ampere: {
    gemm: {
      bf16: rate(1.23, 1.14, 0.5),
      fp8: rate(1.3, 1.3, 0.5),
      nvfp4: rate(1.3, 1.3, 0.5),
      int4: rate(1.3, 1.3, 0.5),
    },
    experts: experts(2.2, 2.2, 3.8, 3.8),
    attention: 2.0,
    collective: 1.7,
  },
  hopper: {
    gemm: {
      bf16: rate(1.14, 1.19, 0.25),
      fp8: rate(1.2, 1.8, 0.4),
      nvfp4: rate(1.2, 1.3, 0.4),
      int4: rate(1.2, 1.3, 0.4),
    },
    experts: experts(1.4, 2.6, 3.8, 3.8),
    attention: 2.0,
    collective: 1.7,
  },
  ada: {
    gemm: {
      bf16: rate(1.29, 1.55, 0.25),
      fp8: rate(1.4, 2.2, 0.5),
      nvfp4: rate(1.4, 1.6, 0.4),
      int4: rate(1.4, 1.6, 0.4),
    },
    experts: experts(1.4, 1.6, 1.3, 1.3),
    attention: 2.2,
    collective: 1.7,
  },
  // LLMServingSim's profile of an RTX 4090 (lss-dense): its boost clock exceeds what the data sheet's peak assumes.
  'ada-geforce': {
    gemm: {
      bf16: rate(1.08, 1, 0.25),
      fp8: rate(1.2, 1.4, 0.5),
      nvfp4: rate(1.2, 1.1, 0.4),
      int4: rate(1.2, 1.1, 0.4),
    },
    experts: experts(1.2, 1.4, 1.1, 1.1),
    attention: 1.9,
    collective: 1.7,
  },
  blackwell: {
    gemm: {
      bf16: rate(1.2, 1.35, 0.25),
      fp8: rate(1.3, 2.2, 0.4),
      nvfp4: rate(1.5, 2.36, 0.4),
      int4: rate(1.5, 1.5, 0.4),
    },
    experts: experts(2.5, 4.5, 2.0, 8.4),
    attention: 2.3,
    collective: 2.1,
  },
  'blackwell-gddr': {
    gemm: {
      bf16: rate(1.17, 1.17, 0.35),
      fp8: rate(1.22, 1.45, 0.5),
      nvfp4: rate(1.6, 1.6, 0.3),
      int4: rate(1.3, 1.3, 0.3),
    },
    experts: experts(2.3, 2.6, 1.4, 1.3),
    attention: 1.9,
    collective: 1.8,
  },
};

/** The generation whose kernels a GPU's resemble; null where none of them was measured. */
export function generationOf(gpu: Gpu): Generation | null {
  const isGddr = gpu.memoryType.startsWith('GDDR');
  if (/Blackwell/.test(gpu.architecture)) return isGddr ? 'blackwell-gddr' : 'blackwell';
  if (/Hopper/.test(gpu.architecture)) return 'hopper';
  if (/Ada/.test(gpu.architecture)) return gpu.memoryType === 'GDDR6X' ? 'ada-geforce' : 'ada';
  if (/Ampere/.test(gpu.architecture)) return 'ampere';
  return null;
}

/** What stands in for a generation that was not measured: the nearest by memory. */
export const standIn = (gpu: Gpu): Generation => (gpu.memoryType.startsWith('GDDR') ? 'ada' : 'hopper');

export const kernelRates = (gpu: Gpu): KernelRates => RATES[generationOf(gpu) ?? standIn(gpu)];
