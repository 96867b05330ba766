// The bytes of an answer of OpenAI's Responses API: items that are opened, filled and closed, reasoning first. Pure.
import { type Answer, type AnswerWriter, asciiJson, typedEvent, wordsText } from './answer.ts';

/** An item of the output: reasoning, or the message. */
interface Item {
  readonly kind: 'reasoning' | 'message';
  readonly index: number;
  readonly from: number;
  readonly to: number;
}

export class ResponseWriter implements AnswerWriter {
  private readonly answer: Answer;
  private readonly items: readonly Item[];
  private sequence = 0;

  constructor(answer: Answer) {
    this.answer = answer;
    const { reasoningTokens, outputTokens } = answer.request;
    const all = [
      { kind: 'reasoning', from: 0, to: reasoningTokens },
      { kind: 'message', from: reasoningTokens, to: outputTokens },
    ] as const;
    this.items = all.filter(({ from, to }) => to > from).map((item, index) => ({ ...item, index }));
  }

  begin(): string {
    const response = asciiJson(this.response('in_progress', [], null));
    return (
      this.event('response.created', `,"response":${response}`) +
      this.event('response.in_progress', `,"response":${response}`)
    );
  }

  tokens(from: number, to: number): string {
    let text = '';
    for (const item of this.items) {
      const [first, last] = [Math.max(from, item.from), Math.min(to, item.to)];
      if (first >= last) continue;
      if (first === item.from) text += this.open(item);
      text += this.delta(item, first, last);
      if (last === item.to) text += this.close(item, last);
    }
    return text;
  }

  end(cachedTokens: number): string {
    const { outputTokens } = this.answer.request;
    return this.completed('max_output_tokens', cachedTokens, outputTokens);
  }

  filtered(cachedTokens: number, outputTokens: number): string {
    const broken = this.items.find(({ from, to }) => outputTokens > from && outputTokens < to);
    const closed = broken === undefined ? '' : this.close(broken, outputTokens);
    return closed + this.completed('content_filter', cachedTokens, outputTokens);
  }

  whole(cachedTokens: number, filteredAfter: number | null = null): string {
    const reason = filteredAfter === null ? 'max_output_tokens' : 'content_filter';
    const outputTokens = filteredAfter ?? this.answer.request.outputTokens;
    const usage = this.usage(cachedTokens, outputTokens);
    return JSON.stringify(this.response('incomplete', this.output(outputTokens), usage, reason));
  }

  /** As vLLM: whole or not, the response is completed, and its status tells. */
  private completed(reason: string, cachedTokens: number, outputTokens: number): string {
    const usage = this.usage(cachedTokens, outputTokens);
    const response = this.response('incomplete', this.output(outputTokens), usage, reason);
    return this.event('response.completed', `,"response":${asciiJson(response)}`);
  }

  private open(item: Item): string {
    const added = asciiJson({ ...this.itemOf(item, item.from), status: 'in_progress', content: [] });
    const part = asciiJson(this.partOf(item, item.from));
    return (
      this.event('response.output_item.added', `,"output_index":${item.index},"item":${added}`) +
      this.event('response.content_part.added', `${this.place(item)},"part":${part}`)
    );
  }

  private delta(item: Item, from: number, to: number): string {
    const text = wordsText(this.answer.words, from, to, item.from);
    const logprobs = item.kind === 'message' ? ',"logprobs":[]' : '';
    return this.event(`${textEvent(item)}.delta`, `${this.place(item)},"delta":"${text}"${logprobs}`);
  }

  private close(item: Item, to: number): string {
    const part = this.partOf(item, to);
    const logprobs = item.kind === 'message' ? ',"logprobs":[]' : '';
    return (
      this.event(`${textEvent(item)}.done`, `${this.place(item)},"text":"${part.text}"${logprobs}`) +
      this.event('response.content_part.done', `${this.place(item)},"part":${asciiJson(part)}`) +
      this.event(
        'response.output_item.done',
        `,"output_index":${item.index},"item":${asciiJson(this.itemOf(item, to))}`,
      )
    );
  }

  private place({ index }: Item): string {
    return `,"item_id":"${this.idOf(index)}","output_index":${index},"content_index":0`;
  }

  private idOf(index: number): string {
    return `${this.answer.id}-${index}`;
  }

  private partOf(item: Item, to: number) {
    const text = wordsText(this.answer.words, item.from, to, item.from);
    return item.kind === 'reasoning'
      ? { type: 'reasoning_text', text }
      : { type: 'output_text', text, annotations: [], logprobs: [] };
  }

  private itemOf(item: Item, to: number) {
    const content = [this.partOf(item, to)];
    const id = this.idOf(item.index);
    return item.kind === 'reasoning'
      ? { id, type: 'reasoning', summary: [], content, status: 'completed' }
      : { id, type: 'message', role: 'assistant', content, status: 'completed' };
  }

  private output(outputTokens: number): unknown[] {
    return this.items
      .filter(({ from }) => from < outputTokens)
      .map(item => this.itemOf(item, Math.min(item.to, outputTokens)));
  }

  private usage(cachedTokens: number, outputTokens: number) {
    const { promptTokens, request } = this.answer;
    return {
      input_tokens: promptTokens,
      input_tokens_details: { cached_tokens: cachedTokens },
      output_tokens: outputTokens,
      output_tokens_details: { reasoning_tokens: Math.min(request.reasoningTokens, outputTokens) },
      total_tokens: promptTokens + outputTokens,
    };
  }

  private response(status: string, output: unknown[], usage: unknown, reason: string | null = null) {
    const { id, createdUnixS, request } = this.answer;
    return {
      id,
      object: 'response',
      created_at: createdUnixS,
      status,
      error: null,
      incomplete_details: reason === null ? null : { reason },
      instructions: null,
      max_output_tokens: request.outputTokens,
      model: request.model,
      output,
      parallel_tool_calls: true,
      temperature: null,
      tool_choice: 'auto',
      tools: [],
      top_p: null,
      metadata: null,
      usage,
    };
  }

  private event(type: string, fields: string): string {
    return typedEvent(type, `${fields},"sequence_number":${this.sequence++}`);
  }
}

const textEvent = ({ kind }: Item): string =>
  kind === 'reasoning' ? 'response.reasoning_text' : 'response.output_text';
