// Whose server speaks an API, and which fields beyond the published one it takes. A field that a server ignores costs
// nothing; one that it refuses (a 400 or 422) must not be sent.
import { type ServerKind, WIRE_FIELDS, type WireField } from '../../scenarios/formats/wire.ts';
import { isObject, type Json } from './json.ts';

export const ALL_FIELDS: readonly WireField[] = WIRE_FIELDS;
/** OpenAI refuses what it does not know, and its reasoning models refuse max_tokens and temperature too. */
export const PUBLISHED_FIELDS: readonly WireField[] = ['stream_options'];

const without = (...left: WireField[]): readonly WireField[] =>
  WIRE_FIELDS.filter(field => !left.includes(field));

/**
 * Tried: vllm 0.32 and windtunnel. From their sources: sglang (openai/protocol.py ignores what it does not know),
 * tensorrt-llm (serve/openai_protocol.py forbids it, and its priority is a number from 0 to 1, the higher the earlier),
 * llama.cpp (tools/server ignores what it does not know; it has ignore_eos and no min_tokens). From its documents: nim.
 */
const TAKES: Readonly<Record<ServerKind, readonly WireField[]>> = {
  vllm: ALL_FIELDS,
  sglang: ALL_FIELDS,
  'tensorrt-llm': without('return_token_ids', 'priority', 'windtunnel'),
  nim: without('continuous_usage', 'return_token_ids', 'priority', 'windtunnel'),
  'llama.cpp': without('continuous_usage', 'min_tokens', 'return_token_ids', 'priority'),
  windtunnel: ALL_FIELDS,
  hosted: PUBLISHED_FIELDS,
};

export const fieldsOf = (server: ServerKind): readonly WireField[] => TAKES[server];

const OWNERS: Readonly<Record<string, ServerKind>> = {
  vllm: 'vllm',
  sglang: 'sglang',
  tensorrt_llm: 'tensorrt-llm',
  llamacpp: 'llama.cpp',
  windtunnel: 'windtunnel',
};

/** Whose server it is, from the body of GET /models, where each says who owns a model; null: it does not tell. */
export function serverOf(models: unknown): ServerKind | null {
  const owner = listed(models)[0]?.owned_by;
  return typeof owner === 'string' ? (OWNERS[owner] ?? null) : null;
}

const listed = (models: unknown): Json[] =>
  isObject(models) && Array.isArray(models.data) ? models.data.filter(isObject) : [];
