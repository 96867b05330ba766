// The events of a streamed answer in vLLM's form, written out once as HTTP chunks, so that sending one costs a write
// and nothing else. Equal answers share their bytes: all calls have one id.

/** What an answer looks like on the wire. */
export interface AnswerShape {
  /** Generated in all, reasoning included. */
  tokens: number;
  tokensPerChunk: number;
  /** Of the chunks, at the start. */
  reasoningChunks: number;
  /** Headers and a chunk that names only the role come at once, before anything is generated. */
  earlyRole: boolean;
  /** Totals so far in every chunk. */
  continuousUsage: boolean;
}

export interface Answer {
  /** Sent on arrival; null: headers go with the first chunk. */
  readonly early: Buffer | null;
  /** One HTTP chunk for each event with tokens. */
  readonly chunks: readonly Buffer[];
  /** Usage, [DONE] and the end of the response. */
  readonly tail: Buffer;
}

const HEAD =
  'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n';
/** Answers kept; a run has few shapes. */
const KEPT = 64;
const PROMPT_TOKENS = 32;

const httpChunk = (text: string): string => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
const eventOf = (payload: object): string =>
  httpChunk(
    `data: ${JSON.stringify({ id: 'chatcmpl-selftest', object: 'chat.completion.chunk', created: 1_700_000_000, model: 'selftest', ...payload })}\n\n`,
  );
const usageOf = (tokens: number, reasoningTokens: number) => ({
  prompt_tokens: PROMPT_TOKENS,
  total_tokens: PROMPT_TOKENS + tokens,
  completion_tokens: tokens,
  completion_tokens_details: { reasoning_tokens: reasoningTokens },
});

function writeAnswer({
  tokens,
  tokensPerChunk,
  reasoningChunks,
  earlyRole,
  continuousUsage,
}: AnswerShape): Answer {
  const count = Math.ceil(tokens / tokensPerChunk);
  const choice = (delta: object, finish: string | null): object => ({
    choices: [{ index: 0, delta, logprobs: null, finish_reason: finish, token_ids: null }],
  });
  const reasoningTokens = Math.min(tokens, reasoningChunks * tokensPerChunk);
  const chunks = Array.from({ length: count }, (_, index) => {
    const sent = Math.min(tokens, (index + 1) * tokensPerChunk);
    const text = ' word'.repeat(sent - index * tokensPerChunk);
    const role = index === 0 && !earlyRole ? { role: 'assistant' } : {};
    const delta = index < reasoningChunks ? { ...role, reasoning: text } : { ...role, content: text };
    const payload = choice(delta, index === count - 1 ? 'length' : null);
    const event = eventOf(
      continuousUsage ? { ...payload, usage: usageOf(sent, Math.min(sent, reasoningTokens)) } : payload,
    );
    return Buffer.from(index === 0 && !earlyRole ? HEAD + event : event);
  });
  const role = choice({ role: 'assistant', content: '' }, null);
  return {
    early: earlyRole ? Buffer.from(HEAD + eventOf(role)) : null,
    chunks,
    tail: Buffer.from(
      `${eventOf({ choices: [], usage: usageOf(tokens, reasoningTokens) })}${httpChunk('data: [DONE]\n\n')}0\r\n\r\n`,
    ),
  };
}

/** Writes each shape once. */
export function answerBook(): (shape: AnswerShape) => Answer {
  const kept = new Map<string, Answer>();
  return shape => {
    const key = Object.values(shape).join();
    const known = kept.get(key);
    if (known !== undefined) return known;
    if (kept.size >= KEPT) kept.clear();
    const answer = writeAnswer(shape);
    kept.set(key, answer);
    return answer;
  };
}
