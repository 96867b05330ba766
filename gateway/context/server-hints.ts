// What a call's context is worth, said in the fields of each server: hints for its router, scheduler and KV cache. Each
// function gives JSON to be merged into the body of a request, or headers; nothing where there is nothing to say.
import type { ContextClass, PartHint, StablePrefix } from './prefix-keys.ts';

// ---- Anthropic Messages API -----------------------------------------------------------------------------------

/** `cache_control` of a content block: all up to and with it is cached. */
export interface CacheControl {
  readonly type: 'ephemeral';
  /** From the last use; absent means 5m. */
  readonly ttl: '5m' | '1h';
}

/** Where one stands. */
export interface CacheBreakpoint {
  /** The part, by its place among the parts of the prompt, whose last block carries it. */
  readonly part: number;
  readonly atToken: number;
  readonly cache_control: CacheControl;
}

/** "You can define up to 4 cache breakpoints" (Anthropic, Prompt caching). */
const BREAKPOINTS_MAX = 4;
/** Shorter prefixes are not cached: 1,024 tokens with most models of 2026, 512 to 4,096 with others. */
const CACHED_TOKENS_MIN = 1024;
const SHORT_MS = 300_000;

/**
 * A breakpoint behind each stretch of parts that are worth the same for the same time, but for what is ephemeral: at most
 * four, the first and the last of them, since a later one holds all before it. A part that says nothing of time has
 * `cacheTtlMs`, else 5 minutes. What lives longer must stand in front: the TTL never grows from one to the next.
 */
export function cacheControl(
  { hints }: Pick<StablePrefix, 'hints'>,
  {
    cacheTtlMs = null,
    minTokens = CACHED_TOKENS_MIN,
  }: { cacheTtlMs?: number | null; minTokens?: number } = {},
): CacheBreakpoint[] {
  const lives = ({ durationMs }: PartHint): '5m' | '1h' =>
    (durationMs ?? cacheTtlMs ?? SHORT_MS) > SHORT_MS ? '1h' : '5m';
  const isLast = (index: number): boolean => {
    const [hint, next] = [hints[index]!, hints[index + 1]];
    return next === undefined || next.worth !== hint.worth || lives(next) !== lives(hint);
  };
  const all = hints.flatMap((hint, part) =>
    hint.worth === 'ephemeral' || hint.toToken < minTokens || !isLast(part) ? [] : [{ part, hint }],
  );
  const kept = all.length <= BREAKPOINTS_MAX ? all : [...all.slice(0, 1), ...all.slice(1 - BREAKPOINTS_MAX)];
  // From the back: what stands in front of a long-lived one lives as long.
  let ttl: '5m' | '1h' = '5m';
  return kept
    .toReversed()
    .map(({ part, hint }): CacheBreakpoint => {
      if (lives(hint) === '1h') ttl = '1h';
      return { part, atToken: hint.toToken, cache_control: { type: 'ephemeral', ttl } };
    })
    .toReversed();
}

// ---- NVIDIA Dynamo --------------------------------------------------------------------------------------------

/**
 * `nvext.agent_hints` (docs.nvidia.com/dynamo, Agent Hints, 1.5): a higher priority goes first; `osl` is the expected
 * output length in tokens, never the true one.
 */
export function agentHints({
  priority,
  expectedTokens,
}: {
  readonly priority: number | null;
  readonly expectedTokens: number | null;
}): { nvext?: { agent_hints: { priority?: number; osl?: number } } } {
  if (priority === null && expectedTokens === null) return {};
  return {
    nvext: {
      agent_hints: {
        ...(priority === null ? {} : { priority }),
        ...(expectedTokens === null ? {} : { osl: Math.max(1, Math.round(expectedTokens)) }),
      },
    },
  };
}

/** Identity of one chain of reasoning and tools (docs.nvidia.com/dynamo, Session IDs): sub-agents name their parent. */
export const sessionHeaders = (session: string, parent: string | null = null): Record<string, string> => ({
  'x-dynamo-session-id': session,
  ...(parent === null ? {} : { 'x-dynamo-parent-session-id': parent }),
});

// ---- vLLM -----------------------------------------------------------------------------------------------------

/**
 * Extra fields of vLLM's OpenAI server (`ChatCompletionRequest` in its protocol.py): `priority`, where lower goes first,
 * and any but 0 is an error without `--scheduling-policy priority`, so that 0 is left out; and `cache_salt`, a secret of
 * at most 1,024 characters: only requests with the same one, such as those of one tenant, share KV blocks.
 */
export function vllmFields({
  priority,
  cacheSalt,
}: {
  readonly priority: number | null;
  readonly cacheSalt: string | null;
}): { priority?: number; cache_salt?: string } {
  return {
    ...(priority === null || priority === 0 ? {} : { priority: -priority }),
    ...(cacheSalt === null || cacheSalt === '' ? {} : { cache_salt: cacheSalt }),
  };
}

// ---- TensorRT-LLM ---------------------------------------------------------------------------------------------

/** As `KvCacheRetentionConfig` in the LLM API: a range's end is exclusive, null to the end; durations in ms, null for ever. */
export interface KvCacheRetention {
  readonly token_range_retention_configs: readonly {
    readonly token_start: number;
    readonly token_end: number | null;
    readonly priority: number;
    readonly duration_ms: number | null;
  }[];
  readonly decode_retention_priority: number;
  readonly decode_duration_ms: number | null;
}

const DECODE_PRIORITY: Readonly<Record<ContextClass, number>> = { durable: 80, session: 35, ephemeral: 10 };

/** Stretches of equal worth as one range; `output`: what the generated tokens are worth. null: all is as by default. */
export function kvCacheRetention(
  { hints }: Pick<StablePrefix, 'hints'>,
  output: ContextClass = 'session',
): KvCacheRetention | null {
  const ranges: { token_start: number; token_end: number; priority: number; duration_ms: number | null }[] =
    [];
  for (const { fromToken, toToken, priority, durationMs } of hints) {
    const last = ranges.at(-1);
    if (last !== undefined && last.priority === priority && last.duration_ms === durationMs)
      last.token_end = toToken;
    else ranges.push({ token_start: fromToken, token_end: toToken, priority, duration_ms: durationMs });
  }
  const isDefault = ranges.every(({ priority }) => priority === DECODE_PRIORITY.session);
  if (isDefault && output === 'session') return null;
  return {
    token_range_retention_configs: ranges,
    decode_retention_priority: DECODE_PRIORITY[output],
    decode_duration_ms: null,
  };
}

/** In the Triton backend: to the end of the prompt, and for ever (kRetentionNoRangeEnd, kRetentionNoExpirationTime). */
const NONE = -1;

/** The same as inputs of TensorRT-LLM's Triton backend (`InputFieldsNames` of its utils.h): how a server takes it over HTTP. */
export const tritonRetention = (retention: KvCacheRetention): Record<string, number | number[]> => {
  const ranges = retention.token_range_retention_configs;
  return {
    retention_token_range_starts: ranges.map(({ token_start }) => token_start),
    retention_token_range_ends: ranges.map(({ token_end }) => token_end ?? NONE),
    retention_token_range_priorities: ranges.map(({ priority }) => priority),
    retention_token_range_durations_ms: ranges.map(({ duration_ms }) => duration_ms ?? NONE),
    retention_decode_priority: retention.decode_retention_priority,
  };
};
