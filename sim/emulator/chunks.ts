// The bytes of a chat or completions answer: SSE chunks from a prefix serialised once per request, and the body of an
// unstreamed answer. Pure.
import { type Answer, type AnswerWriter, asciiJson, wordsText } from './answer.ts';

const isChat = (answer: Answer): boolean => answer.request.api === 'chat';

export class ChunkWriter implements AnswerWriter {
  private readonly answer: Answer;
  private readonly head: string;

  constructor(answer: Answer) {
    this.answer = answer;
    const { id, createdUnixS, request } = answer;
    const object = isChat(answer) ? 'chat.completion.chunk' : 'text_completion';
    const fields = asciiJson({ id, object, created: createdUnixS, model: request.model });
    this.head = `data: ${fields.slice(0, -1)},"choices":[`;
  }

  /** The first chunk of a chat: the role and no token. '' for completions. */
  begin(): string {
    if (!isChat(this.answer)) return '';
    return `${this.head}{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]${this.usageSoFar(0)}}\n\n`;
  }

  /** Hot: tokens `from` (inclusive) to `to` (exclusive), in one chunk, or two where reasoning ends between them. */
  tokens(from: number, to: number): string {
    const { request } = this.answer;
    if (request.api === 'completions') return this.tokenChunk('"text":"', '"', from, to, 0);
    const edge = request.reasoningTokens;
    if (to <= edge) return this.tokenChunk('"delta":{"reasoning_content":"', '"}', from, to, 0);
    if (from >= edge) return this.tokenChunk('"delta":{"content":"', '"}', from, to, edge);
    return this.tokens(from, edge) + this.tokens(edge, to);
  }

  private tokenChunk(open: string, close: string, from: number, to: number, textFrom: number): string {
    const { words, tokenIds, request } = this.answer;
    const text = wordsText(words, from, to, textFrom);
    const finish = to === request.outputTokens ? '"length"' : 'null';
    const ids = tokenIds === null ? '' : `,"token_ids":[${tokenIds.slice(from, to).join(',')}]`;
    return `${this.head}{"index":0,${open}${text}${close},"logprobs":null,"finish_reason":${finish}${ids}}]${this.usageSoFar(to)}}\n\n`;
  }

  private usageSoFar(outputTokens: number): string {
    const { request, promptTokens } = this.answer;
    if (!request.continuousUsage) return '';
    return `,"usage":{"prompt_tokens":${promptTokens},"total_tokens":${promptTokens + outputTokens},"completion_tokens":${outputTokens}}`;
  }

  /** The usage chunk, when asked for, and the end mark. */
  end(cachedTokens: number, outputTokens = this.answer.request.outputTokens): string {
    const { request } = this.answer;
    const usage = request.includeUsage
      ? `${this.head}],"usage":${JSON.stringify(usageOf(this.answer, cachedTokens, outputTokens))}}\n\n`
      : '';
    return `${usage}data: [DONE]\n\n`;
  }

  /** The end of an answer that a filter broke off after so many tokens. */
  filtered(cachedTokens: number, outputTokens: number): string {
    const nothing = isChat(this.answer) ? '"delta":{}' : '"text":""';
    const chunk = `${this.head}{"index":0,${nothing},"logprobs":null,"finish_reason":"content_filter"}]${this.usageSoFar(outputTokens)}}\n\n`;
    return chunk + this.end(cachedTokens, outputTokens);
  }

  whole(cachedTokens: number, filteredAfter: number | null = null): string {
    return wholeAnswer(this.answer, cachedTokens, filteredAfter);
  }
}

function wholeAnswer(answer: Answer, cachedTokens: number, filteredAfter: number | null): string {
  const { id, createdUnixS, request } = answer;
  const { model, reasoningTokens } = request;
  const outputTokens = filteredAfter ?? request.outputTokens;
  const words = answer.words.slice(0, outputTokens);
  const ids = answer.tokenIds === null ? {} : { token_ids: answer.tokenIds.slice(0, outputTokens) };
  const finish_reason = filteredAfter === null ? 'length' : 'content_filter';
  const end = { logprobs: null, finish_reason, ...ids };
  const content = words.slice(reasoningTokens).join(' ');
  const reasoning_content = reasoningTokens === 0 ? null : words.slice(0, reasoningTokens).join(' ');
  const choice = isChat(answer)
    ? { index: 0, message: { role: 'assistant', content, reasoning_content }, ...end }
    : { index: 0, text: words.join(' '), ...end };
  const object = isChat(answer) ? 'chat.completion' : 'text_completion';
  const usage = usageOf(answer, cachedTokens, outputTokens);
  return JSON.stringify({ id, object, created: createdUnixS, model, choices: [choice], usage });
}

function usageOf(
  { request, promptTokens }: Answer,
  cachedTokens: number,
  outputTokens: number,
): Record<string, unknown> {
  const reasoningTokens = Math.min(request.reasoningTokens, outputTokens);
  return {
    prompt_tokens: promptTokens,
    total_tokens: promptTokens + outputTokens,
    completion_tokens: outputTokens,
    prompt_tokens_details: { cached_tokens: cachedTokens },
    ...(reasoningTokens > 0 ? { completion_tokens_details: { reasoning_tokens: reasoningTokens } } : {}),
  };
}
