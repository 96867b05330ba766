// What an experiment leaves unsaid: the engine's defaults by version, and the rules that its flags are written in.
import type { KvType, WeightType } from '../../scenarios/formats/deployment/pool.ts';
import type { FrontEnd } from './drive.ts';
import { Refused } from './experiment.ts';

/** Minor version of a vLLM 0.x release; null where it is not stated, or a build of the day. */
export function minorVersion(version: string | null): number | null {
  const found = /^v?0\.(\d+)/.exec(version ?? '');
  return found === null ? null : Number(found[1]);
}

/**
 * Async scheduling became vLLM's default in 0.14. A version that is not stated belongs to rows of 2025, before it; a
 * nightly build comes after.
 */
export function asyncByDefault(version: string | null): boolean {
  const minor = minorVersion(version);
  return minor === null ? /nightly|main|latest/.test(version ?? '') : minor >= 14;
}

/** vLLM's gpu_memory_utilization in the versions that were measured; 0.92 came later. */
export const MEASURED_UTILIZATION = 0.9;

/** Its token budget on 70 GiB and more in those versions; the 16,384 of cards with 160 GiB came later. */
export const MEASURED_MAX_BATCHED_TOKENS = 8192;

/**
 * What aiconfigurator gives vLLM for prompts of this length (its generator's vllm.rule: a batch of 512, and a budget of
 * batch + prompt + 1500). Assumed of NVIDIA's own rows, whose TTFT it explains within 20 %; vLLM's default misses it by 77 %.
 */
export const generatedBudget = (promptTokens: number) => ({
  maxBatchedTokens: 512 + promptTokens + 1500,
  maxSequences: 512,
});

/** vLLM's block size. */
export const BLOCK_TOKENS = 16;

/** The precision of weights by the names that experiments use; four-bit types all count as NVFP4 does. */
export function weightType(dtype: string): WeightType {
  if (/^(bf16|fp16|bfloat16|float16|half)$/.test(dtype)) return 'bf16';
  if (/^(fp8|int8|w8a8)/.test(dtype)) return 'fp8';
  if (/^(fp4|nvfp4|mxfp4|int4|w4a16|awq|gptq)/.test(dtype)) return 'nvfp4';
  throw new Refused(`model.dtype: "${dtype}" is no precision that a step model knows (bf16, fp16, fp8, fp4)`);
}

/** `auto` keeps the cache in bf16, whatever the weights are. */
export const kvType = (dtype: string | null): KvType => (/^fp8/.test(dtype ?? '') ? 'fp8' : 'bf16');

/** What a flag's rule may refer to. */
export interface RuleTerms {
  concurrency: number | null;
  isl: number | null;
  osl: number | null;
}

/** A flag as a number: "= concurrency", "2 x ISL", or the number itself; null where it is not known. */
export function flagValue(flag: string, given: number | string | null, terms: RuleTerms): number | null {
  if (given === null || typeof given === 'number') return given;
  const rule = /^(?:=\s*)?(?:(\d+)\s*x\s*)?(concurrency|ISL|OSL)$/i.exec(given.trim());
  const term = rule?.[2]?.toLowerCase() as keyof RuleTerms | undefined;
  const value = term === undefined ? null : terms[term];
  if (value === null)
    throw new Refused(
      `engineConfig.${flag}: "${given}" is neither a number nor a rule over what is known here`,
    );
  return Number(rule?.[1] ?? 1) * value;
}

/** Whose clock the latencies of a family are of. */
export type Clock = 'client' | 'server' | 'engine';

/** guidellm traces are spans of the API server, LLMServingSim's bench reads the engine's own clock; else a client's. */
export function clockOf(family: string): Clock {
  if (family === 'blis-guidellm-traces') return 'server';
  return family === 'llmservingsim-bench' ? 'engine' : 'client';
}

/**
 * What a request meets outside the engine, ms: HTTP, tokenizing and detokenizing, the stream. Per-request TTFT of six
 * recorded runs less the steps it waits is 4.7 to 11 ms, mostly 7 to 8, on the client; on the server 1.8 to 2.0.
 * Prompts of 8,192 tokens take 27 ms more than those of 1,024 where their prefill costs least (gpt-oss, TP 8).
 */
export const FRONT_END: Readonly<Record<Clock, FrontEnd>> = {
  client: { beforeMs: 3, beforeMsPerToken: 0.002, afterMs: 3.5 },
  server: { beforeMs: 1, beforeMsPerToken: 0, afterMs: 1 },
  engine: { beforeMs: 0, beforeMsPerToken: 0, afterMs: 0 },
};
