// What the messages of a span say about its call, without keeping them: lengths, prefix blocks, and numbers by which an
// output is found again in a later prompt. No text goes further than this file.
import { keyNumber, textKey } from '../../base/key.ts';
import { isSystem, type Message, messagesOf } from '../parts/messages.ts';
import { isText, jsonOf } from '../parts/rows.ts';
import { PromptText, TEXT_BLOCK_TOKENS, type TextBlocks } from '../parts/text-blocks.ts';

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

/** A shorter text in a prompt may be there by chance, unless the assistant is said to have said it. */
const TELLING_CHARS = TEXT_BLOCK_TOKENS * 4;
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
  if (given.tools !== null) prompt.add('tools', isText(given.tools) ? given.tools : jsonOf(given.tools));
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
