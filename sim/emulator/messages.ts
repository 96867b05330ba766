// The bytes of an answer of Anthropic's Messages API: content blocks, thinking first. Its input tokens are those that no
// cache had. Pure.
import { type Answer, type AnswerWriter, asciiJson, typedEvent, wordsText } from './answer.ts';

interface Block {
  readonly kind: 'thinking' | 'text';
  readonly index: number;
  readonly from: number;
  readonly to: number;
}

export class MessageWriter implements AnswerWriter {
  private readonly answer: Answer;
  private readonly blocks: readonly Block[];

  constructor(answer: Answer) {
    this.answer = answer;
    const { reasoningTokens, outputTokens } = answer.request;
    const all = [
      { kind: 'thinking', from: 0, to: reasoningTokens },
      { kind: 'text', from: reasoningTokens, to: outputTokens },
    ] as const;
    this.blocks = all.filter(({ from, to }) => to > from).map((block, index) => ({ ...block, index }));
  }

  /** As vLLM: what a cache had is not known yet. */
  begin(): string {
    const usage = { input_tokens: this.answer.promptTokens, output_tokens: 0 };
    const message = { ...this.message([], null), usage };
    return typedEvent('message_start', `,"message":${asciiJson(message)}`);
  }

  tokens(from: number, to: number): string {
    let text = '';
    for (const block of this.blocks) {
      const [first, last] = [Math.max(from, block.from), Math.min(to, block.to)];
      if (first >= last) continue;
      if (first === block.from) text += openBlock(block);
      text += this.delta(block, first, last);
      if (last === block.to) text += closeBlock(block);
    }
    return text;
  }

  private delta({ kind, index, from: textFrom }: Block, from: number, to: number): string {
    const text = wordsText(this.answer.words, from, to, textFrom);
    const delta = `{"type":"${kind}_delta","${kind}":"${text}"}`;
    return typedEvent('content_block_delta', `,"index":${index},"delta":${delta}`);
  }

  end(cachedTokens: number): string {
    return this.stopped('max_tokens', cachedTokens, this.answer.request.outputTokens);
  }

  filtered(cachedTokens: number, outputTokens: number): string {
    const broken = this.blocks.find(({ from, to }) => outputTokens > from && outputTokens < to);
    const closed = broken === undefined ? '' : closeBlock(broken);
    return closed + this.stopped('refusal', cachedTokens, outputTokens);
  }

  private stopped(reason: string, cachedTokens: number, outputTokens: number): string {
    const usage = JSON.stringify(this.usage(cachedTokens, outputTokens));
    const delta = `{"stop_reason":"${reason}","stop_sequence":null}`;
    return typedEvent('message_delta', `,"delta":${delta},"usage":${usage}`) + typedEvent('message_stop', '');
  }

  whole(cachedTokens: number, filteredAfter: number | null = null): string {
    const outputTokens = filteredAfter ?? this.answer.request.outputTokens;
    const content = this.blocks
      .filter(({ from }) => from < outputTokens)
      .map(({ kind, from, to }) => {
        const text = wordsText(this.answer.words, from, Math.min(to, outputTokens), from);
        return kind === 'text' ? { type: kind, text } : { type: kind, thinking: text, signature: '' };
      });
    const message = this.message(content, filteredAfter === null ? 'max_tokens' : 'refusal');
    return JSON.stringify({ ...message, usage: this.usage(cachedTokens, outputTokens) });
  }

  private message(content: unknown[], reason: string | null) {
    const { id, request } = this.answer;
    const { model } = request;
    return {
      id,
      type: 'message',
      role: 'assistant',
      model,
      content,
      stop_reason: reason,
      stop_sequence: null,
    };
  }

  private usage(cachedTokens: number, outputTokens: number) {
    const { promptTokens, request } = this.answer;
    const thinkingTokens = Math.min(request.reasoningTokens, outputTokens);
    return {
      input_tokens: promptTokens - cachedTokens,
      cache_creation_input_tokens: 0,
      cache_read_input_tokens: cachedTokens,
      output_tokens: outputTokens,
      ...(thinkingTokens > 0 ? { output_tokens_details: { thinking_tokens: thinkingTokens } } : {}),
    };
  }
}

function openBlock({ kind, index }: Block): string {
  const empty = kind === 'text' ? '"text":""' : '"thinking":"","signature":""';
  return typedEvent('content_block_start', `,"index":${index},"content_block":{"type":"${kind}",${empty}}`);
}

const closeBlock = ({ index }: Block): string => typedEvent('content_block_stop', `,"index":${index}`);
