// What the messages of a span say about its call, without keeping them: lengths, prefix blocks, and numbers by which an
// output is found again in a later prompt. No text goes further than this file.
import { textKey } from '../base/key.ts';
import { isObject, isText, parsedJson } from './rows.ts';
import { keyNumber, PromptText, type TextBlocks, TEXT_BLOCK_TOKENS } from './text-blocks.ts';

/** One message by numbers: equal text has equal numbers, and so have the ids of tool calls. */
export interface MessageMark {
  readonly text: number;
  /** By which it is found in other prompts: the ids of its tool calls, and its text where that is telling. */
  readonly links: readonly number[];
  readonly isToolResult: boolean;
}

export interface PromptContent {
  readonly chars: number;
  /** Of these, system instructions and tool definitions. */
  readonly systemChars: number;
  /** The system instructions by number; null: none. */
  readonly system: number | null;
  /** One id per full block of the text. */
  readonly blocks: readonly number[];
  readonly messages: readonly MessageMark[];
}

export interface OutputContent {
  readonly chars: number;
  readonly messages: readonly MessageMark[];
}

/** Keys whose values are not read by the model as text, or are not text. */
const NOT_TEXT = new Set(
  'role type id call_id tool_call_id index mime_type modality finish_reason data blob uri url'.split(' '),
);
const IDS = new Set(['id', 'call_id', 'tool_call_id']);
/** A shorter text in a prompt may be there by chance, unless the assistant is said to have said it. */
const TELLING_CHARS = TEXT_BLOCK_TOKENS * 4;
const DEPTH_MAX = 32;

interface Parts {
  readonly texts: string[];
  readonly ids: string[];
  isToolResult: boolean;
}

interface Message {
  readonly role: string;
  readonly text: string;
  readonly ids: readonly string[];
  readonly isToolResult: boolean;
}

/** Visits the texts in a message, and the ids of its parts. */
function visit(value: unknown, seen: Parts, depth: number): void {
  if (depth > DEPTH_MAX) return;
  if (typeof value === 'string') seen.texts.push(value);
  else if (Array.isArray(value)) for (const part of value) visit(part, seen, depth + 1);
  else if (isObject(value)) {
    if (value.type === 'tool_call_response' || value.type === 'tool_result') seen.isToolResult = true;
    for (const [path, part] of Object.entries(value)) {
      // OpenInference spreads a message over keys such as tool_calls.0.tool_call.id.
      const key = path.slice(path.lastIndexOf('.') + 1);
      if (IDS.has(key) && isText(part)) seen.ids.push(part);
      else if (!NOT_TEXT.has(key)) visit(part, seen, depth + 1);
    }
  }
}

/** Messages as structured values, as JSON text, or as plain text, which is one message. */
function messagesOf(value: unknown, role: string): Message[] {
  if (typeof value === 'string') {
    const parsed = /^\s*[[{]/.test(value) ? parsedJson(value) : { why: 'plain text' };
    if ('value' in parsed) value = parsed.value;
    else if (value === '') return [];
  }
  if (value === null || value === undefined) return [];
  const list = Array.isArray(value) ? value : [value];
  return list.map(each => {
    // OpenInference wraps each message in an object of its own.
    const message = isObject(each) && isObject(each.message) ? each.message : each;
    const said = isObject(message) && isText(message.role) ? message.role : role;
    const seen: Parts = { texts: [], ids: [], isToolResult: said === 'tool' };
    visit(message, seen, 0);
    return { role: said, text: seen.texts.join('\n'), ids: seen.ids, isToolResult: seen.isToolResult };
  });
}

const numberOf = (text: string): number => keyNumber(textKey(text));

function markOf({ role, text, ids, isToolResult }: Message): MessageMark {
  const number = numberOf(text);
  const telling = text !== '' && (role === 'assistant' || text.length >= TELLING_CHARS);
  return {
    text: number,
    links: [...ids.map(id => numberOf(`id ${id}`)), ...(telling ? [number] : [])],
    isToolResult,
  };
}

const isSystem = ({ role }: Message): boolean => role === 'system' || role === 'developer';

/** The prompt of a call; null where the span does not hold it. Templates put tools and instructions first. */
export function promptContent(
  given: { tools: unknown; system: unknown; messages: unknown },
  names: TextBlocks,
): PromptContent | null {
  const messages = messagesOf(given.messages, 'user');
  if (messages.length === 0) return null;
  const opening = messages.findIndex(message => !isSystem(message));
  const lead = opening < 0 ? messages.length : opening;
  const instructions = [...messagesOf(given.system, 'system'), ...messages.slice(0, lead)];

  const prompt = new PromptText(names);
  if (given.tools !== null) prompt.add('tools', isText(given.tools) ? given.tools : JSON.stringify(given.tools));
  for (const { text } of instructions) prompt.add('system', text);
  const systemChars = prompt.chars;
  const turns = messages.slice(lead);
  for (const { role, text } of turns) prompt.add(role, text);
  const system = instructions.map(({ text }) => text).join('\n');
  return {
    chars: prompt.chars,
    systemChars,
    system: system === '' ? null : numberOf(system),
    blocks: prompt.blocks(),
    messages: turns.map(markOf),
  };
}

/** The output of a call; null where the span does not hold it. */
export function outputContent(value: unknown): OutputContent | null {
  const messages = messagesOf(value, 'assistant');
  if (messages.length === 0) return null;
  return {
    chars: messages.reduce((sum, { text }) => sum + text.length, 0),
    messages: messages.map(message => markOf({ ...message, role: 'assistant' })),
  };
}
