// Words for live addresses that files and the wire share: APIs, servers, and the fields that not every server takes.

export const WIRE_APIS = ['chat', 'completions', 'tokens', 'responses', 'messages'] as const;
export type WireApi = (typeof WIRE_APIS)[number];

/** `hosted`: no more than the published API. */
export const SERVER_KINDS = [
  'vllm',
  'sglang',
  'tensorrt-llm',
  'nim',
  'llama.cpp',
  'windtunnel',
  'hosted',
] as const;
export type ServerKind = (typeof SERVER_KINDS)[number];

/**
 * Fields by what they do:
 *
 *   max_tokens        the limit under its old name; without it chats have max_completion_tokens
 *   stream_options    usage at the end of a stream
 *   continuous_usage  usage on every chunk
 *   temperature       greedy decoding
 *   min_tokens, ignore_eos   exact output lengths
 *   return_token_ids  ids of what was generated
 *   priority          vLLM's: a whole number, the lower the earlier
 *   windtunnel        of our emulator: how much of an answer is reasoning
 */
export const WIRE_FIELDS = [
  'max_tokens',
  'stream_options',
  'continuous_usage',
  'temperature',
  'min_tokens',
  'ignore_eos',
  'return_token_ids',
  'priority',
  'windtunnel',
] as const;
export type WireField = (typeof WIRE_FIELDS)[number];
