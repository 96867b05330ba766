// What a span means by its attributes: OpenTelemetry's GenAI conventions (new names first, then the old ones that vLLM
// and older instrumentations still write), vLLM's own, and OpenInference's. workloads.md 4.1

import { isText, MAX_CALL_TOKENS, Refusal, shown } from '../parts/rows.ts';
import type { TextBlocks } from '../parts/text-blocks.ts';
import { type OutputContent, outputContent, type PromptContent, promptContent } from './content.ts';
import type { RawSpan } from './spans.ts';

/** `lookup` is embeddings, retrieval and reranking: models at work, but no calls of ours. */
export type SpanKind = 'call' | 'tool' | 'agent' | 'lookup' | 'other';

/** What a span says about a model call. null: not said. */
export interface CallFacts {
  readonly model: string | null;
  /** Who counted: instrumentation and provider. */
  readonly countedBy: string;
  readonly isServer: boolean;
  readonly inputTokens: number | null;
  readonly outputTokens: number | null;
  readonly reasoningTokens: number | null;
  readonly cacheReadTokens: number | null;
  readonly cacheWriteTokens: number | null;
  readonly ttftMs: number | null;
  readonly error: string | null;
  /** It ended in a tool call. */
  readonly wantsTool: boolean;
  readonly prompt: PromptContent | null;
  readonly output: OutputContent | null;
}

/** A span as sessions are made of it. Times in ms from the first span of the file. */
export interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string | null;
  readonly where: string;
  readonly kind: SpanKind;
  readonly startMs: number;
  readonly endMs: number;
  readonly endKnown: boolean;
  /** Of an agent or a tool. */
  readonly name: string | null;
  readonly session: string | null;
  readonly user: string | null;
  readonly call: CallFacts | null;
}

const OPERATIONS: Readonly<Record<string, SpanKind>> = {
  chat: 'call',
  generate_content: 'call',
  text_completion: 'call',
  execute_tool: 'tool',
  invoke_agent: 'agent',
  embeddings: 'lookup',
  retrieval: 'lookup',
};
const OPENINFERENCE: Readonly<Record<string, SpanKind>> = {
  LLM: 'call',
  TOOL: 'tool',
  AGENT: 'agent',
  EMBEDDING: 'lookup',
  RETRIEVER: 'lookup',
  RERANKER: 'lookup',
};

const INPUT = ['gen_ai.usage.input_tokens', 'gen_ai.usage.prompt_tokens', 'llm.token_count.prompt'];
const OUTPUT = ['gen_ai.usage.output_tokens', 'gen_ai.usage.completion_tokens', 'llm.token_count.completion'];
const REASONING = ['gen_ai.usage.reasoning.output_tokens', 'llm.token_count.completion_details.reasoning'];
const CACHE_READ = [
  'gen_ai.usage.cache_read.input_tokens',
  'gen_ai.usage.cache_read_input_tokens',
  'llm.token_count.prompt_details.cache_read',
];
const CACHE_WRITE = [
  'gen_ai.usage.cache_write.input_tokens',
  'gen_ai.usage.cache_creation.input_tokens',
  'gen_ai.usage.cache_creation_input_tokens',
  'llm.token_count.prompt_details.cache_write',
];
const TTFT = ['gen_ai.response.time_to_first_chunk', 'gen_ai.latency.time_to_first_token'];
const MODEL = ['gen_ai.request.model', 'gen_ai.response.model', 'llm.model_name'];
const PROVIDER = ['gen_ai.provider.name', 'gen_ai.system', 'llm.provider'];
const SESSION = ['gen_ai.conversation.id', 'session.id', 'exgentic.session.id'];
const USER = ['user.id', 'enduser.id'];
const AGENT = ['gen_ai.agent.name', 'agent.name', 'gen_ai.agent.id'];
const TOOL = ['gen_ai.tool.name', 'tool.name'];
const INPUT_MESSAGES = ['gen_ai.input.messages', 'llm.input_messages'];
const OUTPUT_MESSAGES = ['gen_ai.output.messages', 'llm.output_messages'];
const FINISH = ['gen_ai.response.finish_reasons', 'gen_ai.response.finish_reason'];

type Attributes = RawSpan['attributes'];

function firstOf(attributes: Attributes, names: readonly string[]): unknown {
  for (const name of names) {
    const value = attributes.get(name);
    if (value !== undefined && value !== null && value !== '') return value;
  }
  return null;
}

const NAME_CHARS = 120;

/** A name as sessions carry it: one line, not long. */
function nameOf(attributes: Attributes, names: readonly string[]): string | null {
  const value = firstOf(attributes, names);
  const text = typeof value === 'number' ? String(value) : isText(value) ? value : '';
  return text.replace(/\s+/g, ' ').trim().slice(0, NAME_CHARS) || null;
}

function tokensOf(attributes: Attributes, names: readonly string[]): number | null {
  const value = firstOf(attributes, names);
  if (value === null) return null;
  const tokens = isText(value) && /^\d+$/.test(value) ? Number(value) : value;
  if (typeof tokens !== 'number' || !Number.isSafeInteger(tokens) || tokens < 0 || tokens > MAX_CALL_TOKENS) {
    const name = names.find(each => attributes.has(each));
    throw new Refusal(`${name} is ${shown(value)}, expected a whole number up to ${MAX_CALL_TOKENS}`);
  }
  return tokens;
}

/** Messages as one attribute, or as OpenInference spreads them: `llm.input_messages.0.message.content`. */
function messagesAt(attributes: Attributes, names: readonly string[]): unknown {
  const whole = firstOf(attributes, names);
  if (whole !== null) return whole;
  for (const name of names) {
    const spread = [...attributes].filter(([key]) => key.startsWith(`${name}.`));
    if (spread.length === 0) continue;
    const byIndex = Map.groupBy(spread, ([key]) => Number(key.slice(name.length + 1).split('.', 1)[0]));
    return [...byIndex]
      .toSorted(([a], [b]) => a - b)
      .map(([index, fields]) =>
        Object.fromEntries(
          fields.map(([key, value]) => [
            key.slice(`${name}.${index}.`.length).replace(/^message\./, ''),
            value,
          ]),
        ),
      );
  }
  return null;
}

function kindOf({ attributes }: RawSpan): SpanKind {
  const operation = attributes.get('gen_ai.operation.name');
  if (isText(operation)) return OPERATIONS[operation] ?? 'other';
  const openInference = attributes.get('openinference.span.kind');
  if (isText(openInference)) return OPENINFERENCE[openInference.toUpperCase()] ?? 'other';
  // vLLM's own spans name no operation.
  return firstOf(attributes, [...INPUT, ...OUTPUT]) === null ? 'other' : 'call';
}

/** error.type is a code of few values; whatever looks like a sentence is not passed on. */
function errorOf({ attributes, hasFailed }: RawSpan): string | null {
  const type = attributes.get('error.type');
  if (isText(type) && type !== '') return /^[\w.:/-]{1,64}$/.test(type) ? type : 'error';
  return hasFailed ? 'error' : null;
}

function callFacts(raw: RawSpan, names: TextBlocks): CallFacts {
  const { attributes, scope } = raw;
  const ttft = firstOf(attributes, TTFT);
  const finish = firstOf(attributes, FINISH);
  // inference-perf's. In a message, so that JSON in it stays the text that it is.
  const text = attributes.get('gen_ai.output.text');
  const said = isText(text) ? [{ content: text }] : null;
  return {
    model: nameOf(attributes, MODEL),
    countedBy: `${scope} ${nameOf(attributes, PROVIDER)}`,
    isServer: raw.isServer || attributes.has('gen_ai.latency.e2e'),
    inputTokens: tokensOf(attributes, INPUT),
    outputTokens: tokensOf(attributes, OUTPUT),
    reasoningTokens: tokensOf(attributes, REASONING),
    cacheReadTokens: tokensOf(attributes, CACHE_READ),
    cacheWriteTokens: tokensOf(attributes, CACHE_WRITE),
    ttftMs: typeof ttft === 'number' && ttft >= 0 && Number.isFinite(ttft * 1000) ? ttft * 1000 : null,
    error: errorOf(raw),
    wantsTool: [finish].flat().some(reason => isText(reason) && /^tool|tool_(call|use)/.test(reason)),
    prompt: promptContent(
      {
        tools: firstOf(attributes, ['gen_ai.tool.definitions']),
        system: firstOf(attributes, ['gen_ai.system_instructions']),
        messages: messagesAt(attributes, INPUT_MESSAGES),
      },
      names,
    ),
    output: outputContent(messagesAt(attributes, OUTPUT_MESSAGES) ?? said),
  };
}

/** The span, read; throws a Refusal where a figure of it makes no sense. `zeroNs` is time 0 of the file. */
export function spanOf(raw: RawSpan, on: { zeroNs: bigint; where: string; names: TextBlocks }): Span {
  const { attributes, startNs, endNs } = raw;
  const kind = kindOf(raw);
  const msOf = (ns: bigint): number => Number(ns - on.zeroNs) / 1e6;
  const named = kind === 'agent' ? AGENT : TOOL;
  return {
    traceId: raw.traceId,
    spanId: raw.spanId,
    parentId: raw.parentId,
    where: on.where,
    kind,
    startMs: msOf(startNs),
    endMs: msOf(endNs ?? startNs),
    endKnown: endNs !== null,
    name:
      nameOf(attributes, named) ?? (raw.name.replace(/^(invoke_agent|execute_tool)\s*/, '').trim() || null),
    session: nameOf(attributes, SESSION),
    user: nameOf(attributes, USER),
    call: kind === 'call' ? callFacts(raw, on.names) : null,
  };
}
