// The checks on a Weka session file (kv-cache-tester): unknown JSON in, typed rows out, in file order. A row that
// fails a check is left out and named. Hand-written: traces are large, and each reason names its row.
import type { ImportReport } from '../formats/recorded.ts';

/** One LLM call. Times in seconds as in the file. */
export interface WekaCall {
  readonly kind: 'call';
  readonly t: number;
  readonly model: string | null;
  readonly promptTokens: number;
  readonly outputTokens: number;
  /** null: the file names no blocks for it. */
  readonly ids: readonly number[] | null;
  readonly inputTypes: readonly string[];
  readonly api: number | null;
  readonly think: number | null;
  readonly ttft: number | null;
  /** The row before it in its thread could not be read, so its think_time is not the gap after a call we have. */
  readonly afterHole: boolean;
}

/** A sub-agent's marker with its calls. */
export interface WekaAgent {
  readonly kind: 'agent';
  readonly id: string;
  /** When it completed; null for some async launches. */
  readonly t: number | null;
  readonly durationMs: number | null;
  /** Launched without waiting for it. */
  readonly detached: boolean;
  readonly calls: readonly WekaCall[];
  /** The main call before it in the file. */
  readonly after: WekaCall | null;
}

export interface WekaSession {
  readonly id: string;
  readonly models: readonly string[];
  readonly blockTokens: number | null;
  readonly scope: string;
  /** tool_tokens + system_tokens: the cacheable head; null where the file has neither. */
  readonly systemTokens: number | null;
  readonly rows: readonly (WekaCall | WekaAgent)[];
}

/** No context window is near this; a larger figure is a broken row, and would be made into as many blocks. */
const MAX_CALL_TOKENS = 16_777_216;

type Json = Readonly<Record<string, unknown>>;
type Unreadable = ImportReport['unreadable'];

/** The reason why a part is unreadable. */
class Refusal extends Error {}

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function shown(value: unknown): string {
  if (value === undefined) return 'missing';
  const text = JSON.stringify(value);
  return text.length > 40 ? `${text.slice(0, 37)}…` : text;
}

function numberAt(row: Json, key: string): number | null {
  const value = row[key];
  if (value === undefined || value === null) return null;
  if (typeof value !== 'number' || !Number.isFinite(value))
    throw new Refusal(`${key} is ${shown(value)}, not a number`);
  return value;
}

/** A span of time; a negative one says nothing and counts as absent. */
function spanAt(row: Json, key: string): number | null {
  const value = numberAt(row, key);
  return value !== null && value < 0 ? null : value;
}

function textAt(row: Json, key: string): string | null {
  const value = row[key];
  if (value === undefined || value === null) return null;
  if (typeof value !== 'string') throw new Refusal(`${key} is ${shown(value)}, not text`);
  return value;
}

function tokensAt(row: Json, key: string): number {
  const value = row[key];
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1) {
    throw new Refusal(`${key} is ${shown(value)}, expected a whole number of tokens from 1 on`);
  }
  if (value > MAX_CALL_TOKENS) throw new Refusal(`${key} is ${value}, more than ${MAX_CALL_TOKENS} tokens`);
  return value;
}

function listAt<T>(row: Json, key: string, what: string, fits: (item: unknown) => item is T): T[] | null {
  const value = row[key];
  if (value === undefined || value === null) return null;
  if (!Array.isArray(value)) throw new Refusal(`${key} is ${shown(value)}, not a list`);
  const wrong = value.findIndex(item => !fits(item));
  if (wrong >= 0) throw new Refusal(`${key}[${wrong}] is ${shown(value[wrong])}, not ${what}`);
  return value;
}

const isText = (item: unknown): item is string => typeof item === 'string';
const isBlockId = (item: unknown): item is number => Number.isSafeInteger(item) && (item as number) >= 0;

function checkCall(row: Json, afterHole: boolean): WekaCall {
  const t = numberAt(row, 't');
  if (t === null) throw new Refusal('t (its start) is missing');
  const ids = listAt(row, 'hash_ids', 'a block id', isBlockId);
  return {
    kind: 'call',
    t,
    model: textAt(row, 'model'),
    promptTokens: tokensAt(row, 'in'),
    outputTokens: tokensAt(row, 'out'),
    ids: ids === null || ids.length === 0 ? null : ids,
    inputTypes: listAt(row, 'input_types', 'text', isText) ?? [],
    api: spanAt(row, 'api_time'),
    think: spanAt(row, 'think_time'),
    ttft: spanAt(row, 'ttft'),
    afterHole,
  };
}

/** The rows of one thread; those that fail a check go to `unreadable`. */
function checkRows<T>(
  rows: readonly unknown[],
  where: string,
  unreadable: Unreadable,
  check: (row: Json, kind: string, afterHole: boolean, ordinal: number) => T,
): T[] {
  const good: T[] = [];
  let afterHole = false;
  rows.forEach((row, index) => {
    try {
      if (!isObject(row)) throw new Refusal(`is ${shown(row)}, not an object`);
      const kind = row.type;
      if (kind !== 'n' && kind !== 's' && kind !== 'subagent') {
        throw new Refusal(`type is ${shown(kind)}, expected "n", "s" or "subagent"`);
      }
      good.push(check(row, kind, afterHole, index + 1));
      if (kind !== 'subagent') afterHole = false;
    } catch (refusal) {
      if (!(refusal instanceof Refusal)) throw refusal;
      unreadable.push({ where: `${where}${index + 1}`, why: refusal.message });
      afterHole = true;
    }
  });
  return good;
}

/** Checks one session; null where nothing of it can be used. `where` names it, e.g. `trace.json`. */
export function checkSession(
  value: unknown,
  where: string,
  fallbackId: string,
  unreadable: Unreadable,
): WekaSession | null {
  try {
    if (!isObject(value)) throw new Refusal(`a session is ${shown(value)}, not an object`);
    if (!Array.isArray(value.requests)) throw new Refusal('requests is not a list');
    const blockTokens = numberAt(value, 'block_size');
    if (blockTokens !== null && (!Number.isSafeInteger(blockTokens) || blockTokens < 1)) {
      throw new Refusal(`block_size is ${blockTokens}, expected a whole number of tokens from 1 on`);
    }
    const tools = spanAt(value, 'tool_tokens');
    const system = spanAt(value, 'system_tokens');
    const models = listAt(value, 'models', 'text', isText) ?? [];
    const scope = textAt(value, 'hash_id_scope') ?? 'local';
    const id = textAt(value, 'id') ?? fallbackId;

    const names = new Set<string>(['main']);
    let after: WekaCall | null = null;
    const rows = checkRows<WekaCall | WekaAgent>(
      value.requests,
      `${where}, request `,
      unreadable,
      (row, kind, afterHole, ordinal) => {
        if (kind !== 'subagent') {
          after = checkCall(row, afterHole);
          return after;
        }
        return checkAgent(row, `${where}, request ${ordinal}.`, names, after, unreadable);
      },
    );
    if (!rows.some(row => row.kind === 'call' || row.calls.length > 0))
      throw new Refusal('no readable call in it');
    const systemTokens = tools === null && system === null ? null : Math.floor((tools ?? 0) + (system ?? 0));
    return { id, models, blockTokens, scope, systemTokens, rows };
  } catch (refusal) {
    if (!(refusal instanceof Refusal)) throw refusal;
    unreadable.push({ where, why: refusal.message });
    return null;
  }
}

function checkAgent(
  row: Json,
  where: string,
  names: Set<string>,
  after: WekaCall | null,
  unreadable: Unreadable,
): WekaAgent {
  if (!Array.isArray(row.requests)) throw new Refusal('requests of the sub-agent is not a list');
  const span = spanAt(row, 'duration_ms');
  const durationMs = span === 0 ? null : span;
  const detached = textAt(row, 'status') === 'async_launched';
  const t = numberAt(row, 't');
  if (t === null && durationMs !== null) throw new Refusal('t (its completion) is missing');
  const given = textAt(row, 'agent_id') ?? `agent_${String(names.size).padStart(3, '0')}`;
  let id = given;
  for (let copy = 2; names.has(id); copy += 1) id = `${given}~${copy}`;
  const calls = checkRows(row.requests, where, unreadable, (inner, kind, afterHole) => {
    if (kind === 'subagent') throw new Refusal('a sub-agent inside a sub-agent is not supported');
    return checkCall(inner, afterHole);
  });
  names.add(id);
  return { kind: 'agent', id, t, durationMs, detached, calls, after };
}
