// The checks on aiperf's conversation files: multi_turn, single_turn and random_pool rows, whose turns are plain texts, and
// dag_jsonl rows, whose turns hold messages and start other conversations. aiperf refuses unknown keys of the latter; so
// do we.
import { countFields, countNote, type Tally } from '../importer.ts';
import { isSystem, type Message, messagesOf } from '../parts/messages.ts';
import {
  isObject,
  isText,
  type Json,
  jsonOf,
  listAt,
  numberAt,
  Refusal,
  shown,
  spanAt,
  textAt,
  tokensAt,
} from '../parts/rows.ts';

/** One turn of a plain conversation. */
export interface TextTurn {
  readonly role: string;
  readonly text: string;
  readonly hasMedia: boolean;
  /** On the clock of the trace, ms. */
  readonly atMs: number | null;
  /** From the answer before, ms. */
  readonly delayMs: number | null;
  readonly outputTokens: number | null;
}

/** A row of plain turns. `isChat`: each turn goes on from those before; else each is a prompt of its own. */
export interface TextRow {
  readonly sessionId: string | null;
  readonly turns: readonly TextTurn[];
  readonly isChat: boolean;
}

const MEDIA = ['image', 'images', 'image_uuids', 'audio', 'audios', 'video', 'videos'];

export function checkTextRow(row: Json): TextRow {
  const isChat = row.turns !== undefined;
  if (!isChat) return { sessionId: textAt(row, 'session_id'), turns: [checkTextTurn(row)], isChat };
  const turns = listAt(row, 'turns', 'an object', isObject) ?? [];
  if (turns.length === 0) throw new Refusal('turns is empty');
  return {
    sessionId: textAt(row, 'session_id'),
    turns: turns.map((turn, index) => within(`turns[${index}]`, () => checkTextTurn(turn))),
    isChat,
  };
}

function checkTextTurn(turn: Json): TextTurn {
  const hasMedia = MEDIA.some(key => turn[key] !== undefined && turn[key] !== null);
  const text = [textAt(turn, 'text') ?? [], turn.texts ?? []].flat().map(textOf).join('\n');
  if (text === '')
    throw new Refusal(
      hasMedia ? 'it has images, sound or video alone, which are not read' : 'text is missing',
    );
  const atMs = numberAt(turn, 'timestamp');
  const delayMs = spanAt(turn, 'delay');
  if (atMs !== null && delayMs !== null && delayMs > 0)
    throw new Refusal('timestamp and delay are both given, expected one of them');
  return {
    role: textAt(turn, 'role') ?? 'user',
    text,
    hasMedia,
    atMs,
    delayMs,
    outputTokens: turn.output_length == null ? null : tokensAt(turn, 'output_length'),
  };
}

/** A text, or a named one with its contents. */
function textOf(item: unknown): string {
  if (isText(item)) return item;
  if (isObject(item) && Array.isArray(item.contents) && item.contents.every(isText))
    return item.contents.join('\n');
  throw new Refusal(`texts has ${shown(item)}, expected text or { name, contents }`);
}

/** Says where in a row a refusal is. */
function within<T>(where: string, check: () => T): T {
  try {
    return check();
  } catch (refusal) {
    if (refusal instanceof Refusal) throw new Refusal(`${where}: ${refusal.message}`);
    throw refusal;
  }
}

/** One turn of a conversation in a graph. Children are named by their session ids. */
export interface DagTurn {
  readonly messages: readonly Message[];
  readonly tools: string | null;
  readonly model: string | null;
  readonly maxTokens: number | null;
  readonly delayMs: number;
  /** Children that go on from this turn's context. */
  readonly forks: readonly string[];
  /** Children that start afresh, and the turn that waits for them; past the last turn none does. */
  readonly spawns: readonly { readonly child: string; readonly joinAt: number }[];
}

/** One round of an orchestrator: children at once, after a pause from the end of the round before. */
export interface DagRound {
  readonly children: readonly string[];
  readonly thinkMs: number;
}

export interface DagConversation {
  readonly id: string;
  readonly turns: readonly DagTurn[];
  /** Children that start with it, and that nothing waits for. */
  readonly preSpawns: readonly string[];
  /** Of one that calls no model itself. */
  readonly rounds: readonly DagRound[];
  /** Pauses are drawn around what is given. */
  readonly isThinkDrawn: boolean;
  /** What a turn's messages come behind: all turns with their answers, all turns, or nothing. */
  readonly behind: 'exchanges' | 'prompts' | 'nothing';
}

const CONTEXT: Readonly<Record<string, DagConversation['behind']>> = {
  deltas_without_responses: 'exchanges',
  deltas_with_responses: 'prompts',
  message_array_with_responses: 'nothing',
};
const THINK = ['think_time_ms', 'think_time_sigma', 'think_time_min_ms', 'think_time_max_ms'];
const CONVERSATION_KEYS = [
  ...['session_id', 'turns', 'orchestrator', 'spawns', 'rounds', 'context_mode', 'pre_session_spawns'],
  ...THINK,
];
const TURN_KEYS = ['messages', 'model', 'max_tokens', 'tools', 'extra', 'forks', 'spawns', 'delay'];
const ROUNDS_MAX = 1_000_000;

/** Whether a row is a conversation of a graph rather than of plain turns. */
export const isDagRow = (row: Json): boolean =>
  row.orchestrator === true ||
  (Array.isArray(row.turns) &&
    row.turns.some(
      turn => isObject(turn) && ['messages', 'forks', 'spawns'].some(key => turn[key] !== undefined),
    ));

export function checkConversation(row: Json): DagConversation {
  refuseUnknown(row, CONVERSATION_KEYS);
  const id = textAt(row, 'session_id');
  if (id === null || id === '') throw new Refusal('session_id is missing');
  const turns = listAt(row, 'turns', 'an object', isObject) ?? [];
  const mode = textAt(row, 'context_mode') ?? 'deltas_without_responses';
  const behind = CONTEXT[mode];
  if (behind === undefined)
    throw new Refusal(`context_mode is ${shown(mode)}, expected ${Object.keys(CONTEXT).join(', ')}`);
  const isOrchestrator = row.orchestrator === true;
  if (isOrchestrator !== (turns.length === 0))
    throw new Refusal(isOrchestrator ? 'an orchestrator has no turns' : 'turns is missing or empty');
  if (!isOrchestrator) {
    const misplaced = ['rounds', 'spawns', ...THINK].find(key => row[key] !== undefined && row[key] !== null);
    if (misplaced !== undefined)
      throw new Refusal(`${misplaced} is for orchestrators ("orchestrator": true)`);
  }
  return {
    id,
    behind,
    turns: turns.map((turn, index) =>
      within(`turns[${index}]`, () => checkDagTurn(turn, index, turns.length)),
    ),
    preSpawns: namesAt(row, 'pre_session_spawns'),
    rounds: isOrchestrator ? roundsOf(row) : [],
    isThinkDrawn: row.think_time_sigma !== undefined && row.think_time_sigma !== null,
  };
}

function refuseUnknown(row: Json, known: readonly string[]): void {
  const unknown = Object.keys(row).find(key => !known.includes(key));
  if (unknown !== undefined)
    throw new Refusal(`unknown key ${shown(unknown)}; there are ${known.join(', ')}`);
}

const namesAt = (row: Json, key: string): string[] => listAt(row, key, 'a session id', isText) ?? [];

function checkDagTurn(turn: Json, index: number, count: number): DagTurn {
  refuseUnknown(turn, TURN_KEYS);
  const messages = messagesOf(listAt(turn, 'messages', 'a message with a role', hasRole), 'user');
  if (messages.length === 0) throw new Refusal('messages is missing or empty');
  const tools = listAt(turn, 'tools', 'an object', isObject);
  return {
    messages,
    tools: tools === null ? null : jsonOf(tools),
    model: textAt(turn, 'model'),
    maxTokens: turn.max_tokens == null ? null : tokensAt(turn, 'max_tokens'),
    delayMs: spanAt(turn, 'delay') ?? 0,
    forks: listOf(turn, 'forks').map(entry => forkOf(entry, index, count)),
    spawns: listOf(turn, 'spawns').flatMap(entry => spawnsOf(entry, index, count)),
  };
}

const hasRole = (item: unknown): item is Json => isObject(item) && isText(item.role);

function listOf(row: Json, key: string): unknown[] {
  const value = row[key] ?? [];
  if (!Array.isArray(value)) throw new Refusal(`${key} is ${shown(value)}, not a list`);
  return value;
}

function forkOf(entry: unknown, index: number, count: number): string {
  const fork = isText(entry) ? { child: entry } : entry;
  if (!isObject(fork))
    throw new Refusal(`forks has ${shown(entry)}, expected a session id or { child, background }`);
  refuseUnknown(fork, ['child', 'background']);
  const child = textAt(fork, 'child');
  if (child === null) throw new Refusal('forks has no child');
  if (fork.background !== true && index < count - 1)
    throw new Refusal(
      `fork ${shown(child)} ends its conversation here: only the last turn may, or "background": true`,
    );
  return child;
}

function spawnsOf(entry: unknown, index: number, count: number): { child: string; joinAt: number }[] {
  if (isText(entry)) return [{ child: entry, joinAt: index + 1 }];
  if (!isObject(entry))
    throw new Refusal(`spawns has ${shown(entry)}, expected a session id or { children, join_at }`);
  refuseUnknown(entry, ['children', 'join_at']);
  const joinAt = numberAt(entry, 'join_at') ?? index + 1;
  const isLater = Number.isInteger(joinAt) && joinAt > index && (joinAt < count || entry.join_at == null);
  if (!isLater) throw new Refusal(`join_at is ${joinAt}, expected a turn from ${index + 1} to ${count - 1}`);
  const children = namesAt(entry, 'children');
  if (children.length === 0) throw new Refusal('spawns has no children');
  return children.map(child => ({ child, joinAt }));
}

/** Rounds as they are written out, `rounds` times the same, or one. */
function roundsOf(row: Json): DagRound[] {
  const usualMs = spanAt(row, 'think_time_ms') ?? 0;
  const shared = namesAt(row, 'spawns');
  if (Array.isArray(row.rounds)) {
    const listed = listAt(row, 'rounds', 'an object', isObject) ?? [];
    if (shared.length > 0) throw new Refusal('spawns are given for the orchestrator and for its rounds');
    return listed.map((round, index) =>
      within(`rounds[${index}]`, () => {
        refuseUnknown(round, ['spawns', 'think_time_ms']);
        const children = namesAt(round, 'spawns');
        if (children.length === 0) throw new Refusal('spawns is empty');
        return { children, thinkMs: clamped(row, spanAt(round, 'think_time_ms') ?? usualMs) };
      }),
    );
  }
  const count = numberAt(row, 'rounds') ?? 1;
  if (!Number.isInteger(count) || count < 1 || count > ROUNDS_MAX)
    throw new Refusal(`rounds is ${count}, expected a whole number from 1 to ${ROUNDS_MAX}`);
  if (shared.length === 0) throw new Refusal('an orchestrator needs spawns');
  return Array.from({ length: count }, () => ({ children: shared, thinkMs: clamped(row, usualMs) }));
}

/** A drawn pause is taken at its median, inside its bounds. */
function clamped(row: Json, thinkMs: number): number {
  const least = spanAt(row, 'think_time_min_ms') ?? 0;
  return Math.min(Math.max(thinkMs, least), spanAt(row, 'think_time_max_ms') ?? Number.POSITIVE_INFINITY);
}

/** The messages that instruct, at the head of a prompt. */
export function systemMessages(messages: readonly Message[]): readonly Message[] {
  const end = messages.findIndex(message => !isSystem(message));
  return end < 0 ? messages : messages.slice(0, end);
}

/** Counts how the figures of one turn are known. */
export function countTurn(
  tally: Tally,
  { hasOutput, hasModel }: { hasOutput: boolean; hasModel: boolean },
): void {
  countNote(tally, 'estimatedTokens');
  if (!hasOutput) countNote(tally, 'openOutputs');
  countFields(tally, {
    prompt: 'inferred',
    output: hasOutput ? 'recorded' : 'defaulted',
    model: hasModel ? 'recorded' : 'defaulted',
    blocks: 'inferred',
  });
}
