// The checks on a Weka session file (kv-cache-tester): unknown JSON in, typed rows out, in file order. A row that
// fails a check is left out and named.
import { countUnreadable, type Tally } from '../importer.ts';
import {
  givenNumberAt,
  isBlockId,
  isObject,
  isText,
  type Json,
  listAt,
  numberAt,
  Refusal,
  shown,
  spanAt,
  textAt,
  tokensAt,
} from '../parts/rows.ts';

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

function checkCall(row: Json, afterHole: boolean): WekaCall {
  const ids = listAt(row, 'hash_ids', 'a block id', isBlockId);
  return {
    kind: 'call',
    t: givenNumberAt(row, 't'),
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

/** The rows of one thread; those that fail a check are counted as unreadable. */
function checkRows<T>(
  rows: readonly unknown[],
  where: string,
  tally: Tally,
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
      countUnreadable(tally, `${where}${index + 1}`, refusal.message);
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
  tally: Tally,
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
      tally,
      (row, kind, afterHole, ordinal) => {
        if (kind !== 'subagent') {
          after = checkCall(row, afterHole);
          return after;
        }
        return checkAgent(row, `${where}, request ${ordinal}.`, names, after, tally);
      },
    );
    if (!rows.some(row => row.kind === 'call' || row.calls.length > 0))
      throw new Refusal('no readable call in it');
    const systemTokens = tools === null && system === null ? null : Math.floor((tools ?? 0) + (system ?? 0));
    return { id, models, blockTokens, scope, systemTokens, rows };
  } catch (refusal) {
    if (!(refusal instanceof Refusal)) throw refusal;
    countUnreadable(tally, where, refusal.message);
    return null;
  }
}

function checkAgent(
  row: Json,
  where: string,
  names: Set<string>,
  after: WekaCall | null,
  tally: Tally,
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
  const calls = checkRows(row.requests, where, tally, (inner, kind, afterHole) => {
    if (kind === 'subagent') throw new Refusal('a sub-agent inside a sub-agent is not supported');
    return checkCall(inner, afterHole);
  });
  names.add(id);
  return { kind: 'agent', id, t, durationMs, detached, calls, after };
}
