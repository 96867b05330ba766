// What the caches of a deployment keep: of pools by their engines' limits, of providers' models by their prompt caches.
import type { CacheRule } from './explain.ts';

/** A deployment as far as its caches go; engines/engine.ts has all of it. */
export interface CachingDeployment {
  readonly pools: readonly {
    readonly name: string;
    readonly engine: 'vllm' | 'sglang' | 'tensorrt-llm';
    readonly limits: { readonly blockTokens: number; readonly prefixCaching: boolean };
    readonly dataParallelRanks: number;
    readonly disaggregation: object | null;
    readonly retention: { readonly policy: string; readonly options: Record<string, unknown> } | null;
  }[];
  readonly hosted: readonly {
    readonly name: string;
    readonly api: { readonly cache: { readonly ttlMs: number; readonly minTokens: number } | null } | null;
  }[];
}

/** Providers find cached prompts in steps of so many tokens [OpenAI, prompt caching]. */
const HOSTED_STEP_TOKENS = 128;
/** As sim/retention/ttl.ts has it. */
const TTL_MS = 300_000;

/** By pool, and by model of a provider. */
export function cacheRules({ pools, hosted }: CachingDeployment): Map<string, CacheRule> {
  const rules = new Map<string, CacheRule>();
  for (const { name, engine, limits, dataParallelRanks, disaggregation, retention } of pools) {
    // SGLang's radix cache finds prompts to the token.
    const blockTokens = engine === 'sglang' ? 1 : limits.blockTokens;
    rules.set(name, {
      blockTokens: limits.prefixCaching ? blockTokens : 0,
      minTokens: 0,
      computesLast: true,
      ttlMs: retention?.policy === 'ttl' ? ttlOf(retention.options) : Number.POSITIVE_INFINITY,
      // Of a disaggregated pool, prompts are looked up in one half and answers left in the other.
      answers: disaggregation === null ? 'here' : 'elsewhere',
      isSeveral: dataParallelRanks > 1,
    });
  }
  for (const { name, api } of hosted) {
    const cache = api?.cache ?? null;
    // Of one that is only ever called live nothing is known; it says what it found.
    const isOff = api !== null && cache === null;
    rules.set(name, {
      blockTokens: isOff ? 0 : HOSTED_STEP_TOKENS,
      minTokens: cache?.minTokens ?? 0,
      computesLast: false,
      ttlMs: cache?.ttlMs ?? Number.POSITIVE_INFINITY,
      answers: 'nowhere',
      isSeveral: false,
    });
  }
  return rules;
}

const ttlOf = ({ ttl }: Record<string, unknown>): number => (typeof ttl === 'number' ? ttl : TTL_MS);
