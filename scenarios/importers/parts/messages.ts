// Chat messages as traces hold them: OpenAI's, Anthropic's, OpenTelemetry's with parts, OpenInference's. Only what a model
// reads is taken: texts, names and arguments of tool calls; images and the like are not.
import { isObject, isText, parsedJson } from './rows.ts';

/** Keys whose values are not read by the model as text, or are not text. */
const NOT_TEXT = new Set(
  'role type id call_id tool_call_id index mime_type modality finish_reason data blob uri url'.split(' '),
);
const IDS = new Set(['id', 'call_id', 'tool_call_id']);
const DEPTH_MAX = 32;

interface Parts {
  readonly texts: string[];
  readonly ids: string[];
  isToolResult: boolean;
}

/** What a message says, as one text. */
export interface Message {
  readonly role: string;
  readonly text: string;
  /** Ids of its tool calls, by which other messages mean them. */
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
export function messagesOf(value: unknown, role: string): Message[] {
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

export const isSystem = ({ role }: Message): boolean => role === 'system' || role === 'developer';
