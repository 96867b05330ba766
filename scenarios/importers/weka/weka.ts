// Weka / kv-cache-tester sessions: one agent session per JSON object, its prompts as 64-token block ids, sub-agents
// inside. A sub-agent's marker carries the time it COMPLETED: taken as its start, parallel sub-agents become serial.
import type { Provenance, RecordedCall, RecordedSession } from '../../formats/recorded.ts';
import {
  countField,
  countNote,
  countSession,
  countUnreadable,
  type Importer,
  type ImportOptions,
  RESUMED_TOKENS,
  type Tally,
  type TraceText,
} from '../importer.ts';
import { appendedBlocks, BlockMinter, isNewContext, type PromptBefore } from '../parts/blocks.ts';
import { infiniteCacheHits } from '../parts/hits.ts';
import { hasDocumentLines, parsedJson } from '../parts/rows.ts';
import { checkSession, type WekaAgent, type WekaCall, type WekaSession } from './rows.ts';

/** kv-cache-tester's block, where a file does not say. */
const BLOCK_TOKENS = 64;
/** Starts of main calls are whole seconds, markers are milliseconds: comparisons of the two allow for one second. */
const CLOCK_MS = 1000;

export const weka: Importer = {
  name: 'weka',
  doc: 'Weka / kv-cache-tester agent sessions: JSON, a JSON array or JSONL, flat or with sub-agents.',
  detect: head =>
    /^\s*[[{]/m.test(head) &&
    /"requests"\s*:/.test(head) &&
    /"(hash_ids|hash_id_scope|block_size)"\s*:/.test(head),
  *read(text, tally, options) {
    for (const { value, where, fallbackId } of partsOf(text, tally)) {
      const checked = checkSession(value, where, fallbackId, tally);
      if (checked !== null) yield sessionOf(checked, text.file, tally, options);
    }
  },
};

interface Part {
  value: unknown;
  where: string;
  fallbackId: string;
}

/** The sessions in a text: one object, an array, or one per line. */
function* partsOf(text: TraceText, tally: Tally): Generator<Part> {
  const { file, name } = text;
  if (isLines(text)) {
    for (const { text: line, number } of text.lines()) {
      const row = parsedJson(line);
      const where = `${file}:${number}`;
      if ('why' in row) countUnreadable(tally, where, row.why);
      else yield { value: row.value, where, fallbackId: `${name}:${number}` };
    }
    return;
  }
  const whole = parsedJson(text.whole());
  if ('why' in whole) countUnreadable(tally, file, whole.why);
  else if (!Array.isArray(whole.value)) yield { value: whole.value, where: file, fallbackId: name };
  else {
    for (const [index, value] of whole.value.entries())
      yield { value, where: `${file}, session ${index + 1}`, fallbackId: `${name}:${index + 1}` };
  }
}

/** One session per line: so named, unless it is pretty-printed; or its first line is not the only one. */
function isLines({ head, file }: TraceText): boolean {
  const [, first = '', rest = ''] = /^\s*([^\n]*)\n?([\s\S]*)$/.exec(head) ?? [];
  if (file.endsWith('.jsonl')) return !/^[[{]\s*$/.test(first);
  return rest.trim() !== '' && hasDocumentLines(head);
}

/** A call with its place in time and graph. `startMs` and `endMs` count from the file's zero. */
interface Placed {
  row: WekaCall;
  id: string;
  agent: string;
  startMs: number;
  endMs: number;
  /** False where the file has no api_time and the end is an estimate. */
  endKnown: boolean;
  blocks: number[];
  parents: Placed[];
  gapMs: number;
  gapKind: RecordedCall['gapKind'];
  gapProvenance: Provenance;
}

/** A sub-agent's calls, when it was spawned, and when the main thread learned of its end (null: it did not wait). */
interface Spawned {
  calls: Placed[];
  spawnMs: number;
  spawnKnown: boolean;
  completedMs: number | null;
}

/**
 *   rows ─▶ main calls placed ─▶ sub-agents placed by spawn ─▶ block ids ─▶ linked ─▶ session, counted
 */
function sessionOf(
  checked: WekaSession,
  source: string,
  tally: Tally,
  options: ImportOptions,
): RecordedSession {
  const blockTokens = checked.blockTokens ?? options.blockTokens ?? BLOCK_TOKENS;
  countField(tally, 'blockTokens', checked.blockTokens === null ? 'defaulted' : 'recorded');
  countField(tally, 'systemTokens', checked.systemTokens === null ? 'defaulted' : 'recorded');
  const agents = checked.rows.filter(row => row.kind === 'agent');
  tally.subagents += agents.length;

  // 1. Place the calls in time.
  const pace = msPerToken(checked);
  const mainRows = checked.rows.filter(row => row.kind === 'call');
  const main = placeThread(mainRows, { agent: 'main', originMs: 0, closeMs: null, pace });
  const spawned = placeAgents(agents, main, pace, tally);

  // 2. Name the blocks of calls that have none.
  const mint = minterFor(checked);
  for (const calls of [main, ...spawned.map(agent => agent.calls)]) {
    nameBlocks(calls, blockTokens, checked.systemTokens ?? 0, mint, tally);
  }

  // 3. Link, in an order in which parents come first.
  const zeroMs = [main, ...spawned.map(agent => agent.calls)].reduce(
    (least, [first]) => Math.min(least, first?.startMs ?? least),
    Number.POSITIVE_INFINITY,
  );
  const linked = link(main, spawned, zeroMs, tally);

  // 4. Write down, in order of start; a call never comes before one that it waits for.
  const orderMs = new Map<Placed, number>();
  for (const call of linked) {
    orderMs.set(
      call,
      latest(call.startMs, call.parents, parent => orderMs.get(parent)!),
    );
  }
  const calls = new Map(linked.map(call => [call, recordedCall(call, zeroMs, checked, tally)]));
  const session: RecordedSession = {
    id: checked.id,
    source,
    tenant: null,
    user: null,
    arrivalMs: null,
    blockTokens,
    blockScope: checked.scope === 'global' ? 'weka/global' : `weka/${checked.id}`,
    systemTokens: 0,
    calls: linked.toSorted((a, b) => orderMs.get(a)! - orderMs.get(b)!).map(call => calls.get(call)!),
  };
  const first = session.calls[0]!;
  session.systemTokens = Math.min(checked.systemTokens ?? 0, first.promptTokens);
  if (first.promptTokens >= RESUMED_TOKENS) countNote(tally, 'resumedSessions');

  // 5. Count, hits in file order.
  const byRow = new Map(linked.map(call => [call.row, calls.get(call)!]));
  const fileOrder = checked.rows
    .flatMap(row => (row.kind === 'call' ? [row] : row.calls))
    .map(row => byRow.get(row)!);
  countField(tally, 'arrival', 'defaulted');
  countSession(tally, session, infiniteCacheHits(session, fileOrder));
  return session;
}

function recordedCall(call: Placed, zeroMs: number, checked: WekaSession, tally: Tally): RecordedCall {
  const { row } = call;
  countField(tally, 'model', row.model === null ? 'defaulted' : 'recorded');
  countField(tally, 'end', call.endKnown ? 'recorded' : 'inferred');
  countField(tally, 'gap', call.gapProvenance);
  return {
    id: call.id,
    agent: call.agent,
    model: row.model ?? checked.models[0] ?? 'unknown',
    parents: call.parents.map(parent => parent.id),
    gapMs: call.gapMs,
    gapKind: call.gapKind,
    gapProvenance: call.gapProvenance,
    tool: null,
    promptTokens: row.promptTokens,
    outputTokens: row.outputTokens,
    reasoningTokens: 0,
    blocks: call.blocks,
    recorded: {
      startMs: tidy(call.startMs - zeroMs),
      ttftMs: row.ttft === null ? null : msOf(row.ttft),
      e2eMs: row.api === null ? null : msOf(row.api),
      cachedTokens: null,
      error: null,
    },
    primedTokens: 0,
  };
}

/** The latest of `sinceMs` and the times of calls: Math.max takes only so many. */
const latest = (sinceMs: number, calls: readonly Placed[], timeOf: (call: Placed) => number): number =>
  calls.reduce((most, call) => Math.max(most, timeOf(call)), sinceMs);

/** Milliseconds to the microsecond: no dust from binary fractions. */
const tidy = (ms: number): number => Math.round(ms * 1000) / 1000;
const msOf = (seconds: number): number => tidy(seconds * 1000);

/** Server time per output token over the session's timed calls, to estimate the ends of the others; null: none timed. */
function msPerToken(checked: WekaSession): number | null {
  let ms = 0;
  let tokens = 0;
  for (const row of checked.rows.flatMap(row => (row.kind === 'call' ? [row] : row.calls))) {
    if (row.api === null) continue;
    ms += row.api * 1000;
    tokens += row.outputTokens;
  }
  return tokens === 0 ? null : ms / tokens;
}

/** One thread in order of start. An end that is not recorded is estimated, never past the next start or `closeMs`. */
function placeThread(
  rows: readonly WekaCall[],
  thread: { agent: string; originMs: number; closeMs: number | null; pace: number | null },
): Placed[] {
  const { agent, originMs, closeMs, pace } = thread;
  const starts = rows
    .map(row => ({ row, startMs: tidy(originMs + row.t * 1000) }))
    .toSorted((a, b) => a.startMs - b.startMs);
  return starts.map(({ row, startMs }, index) => {
    const limitMs =
      starts[index + 1]?.startMs ?? closeMs ?? (pace === null ? startMs : Number.POSITIVE_INFINITY);
    const estimateMs = pace === null ? limitMs : Math.min(limitMs, startMs + row.outputTokens * pace);
    const endMs = row.api === null ? Math.max(startMs, tidy(estimateMs)) : tidy(startMs + row.api * 1000);
    return {
      row,
      id: `${agent}/${index}`,
      agent,
      startMs,
      endMs,
      endKnown: row.api !== null,
      blocks: [],
      parents: [],
      gapMs: 0,
      gapKind: kindOf(row, agent),
      gapProvenance: 'recorded',
    };
  });
}

function kindOf(row: WekaCall, agent: string): RecordedCall['gapKind'] {
  if (row.inputTypes.includes('tool_result')) return 'tool';
  // No human types to a sub-agent.
  if (row.inputTypes.includes('text')) return agent === 'main' ? 'human' : 'client';
  return 'unknown';
}

/**
 * Spawn = completion - duration. Without a duration (async launches): the first inner call's time if nested times are
 * absolute, else the end of the main call before the marker. Nested times are absolute when, over the session's
 * sub-agents, the first ones lie nearer to the spawns than to zero, and none lies more than a second before its spawn.
 */
function placeAgents(
  agents: readonly WekaAgent[],
  main: readonly Placed[],
  pace: number | null,
  tally: Tally,
): Spawned[] {
  const byRow = new Map(main.map(call => [call.row, call]));
  const spawns = agents.map(agent => {
    const known = agent.t !== null && agent.durationMs !== null;
    if (known) return { agent, known, spawnMs: tidy(agent.t! * 1000 - agent.durationMs!) };
    return { agent, known, spawnMs: agent.after === null ? 0 : byRow.get(agent.after)!.endMs };
  });

  let fromZeroMs = 0;
  let fromSpawnMs = 0;
  let possible = true;
  for (const { agent, spawnMs } of spawns) {
    if (agent.calls.length === 0) continue;
    const firstMs = agent.calls[0]!.t * 1000;
    fromZeroMs += Math.abs(firstMs);
    fromSpawnMs += Math.abs(firstMs - spawnMs);
    if (firstMs < spawnMs - CLOCK_MS) possible = false;
  }
  const absolute = possible && fromSpawnMs < fromZeroMs;

  return spawns.map(({ agent, known, spawnMs }) => {
    if (agent.calls.length === 0) countNote(tally, 'emptyAgents');
    if (!known) countNote(tally, 'untimedAgents');
    countField(tally, 'spawn', known ? 'recorded' : 'inferred');
    if (!known && absolute && agent.calls.length > 0) spawnMs = msOf(agent.calls[0]!.t);
    const completedMs = known && !agent.detached ? msOf(agent.t!) : null;
    const originMs = absolute ? 0 : spawnMs;
    const calls = placeThread(agent.calls, { agent: agent.id, originMs, closeMs: completedMs, pace });
    return { calls, spawnMs, spawnKnown: known, completedMs };
  });
}

/** Mints block ids that no call of the session has. */
function minterFor(checked: WekaSession): BlockMinter {
  let last = -1;
  for (const row of checked.rows.flatMap(row => (row.kind === 'call' ? [row] : row.calls))) {
    for (const id of row.ids ?? []) last = Math.max(last, id);
  }
  return new BlockMinter(last + 1);
}

/** Ids as recorded, one per full block; a call without ids appends to the call before it in its thread. */
function nameBlocks(
  calls: readonly Placed[],
  blockTokens: number,
  systemTokens: number,
  mint: BlockMinter,
  tally: Tally,
): void {
  let before: PromptBefore | null = null;
  for (const call of calls) {
    const { promptTokens, ids } = call.row;
    const fullBlocks = Math.floor(promptTokens / blockTokens);
    if (isNewContext(before, promptTokens)) countNote(tally, 'contextEpochs');
    countField(tally, 'blocks', ids === null ? 'defaulted' : 'recorded');
    if (ids !== null) {
      call.blocks = ids.slice(0, fullBlocks);
      if (ids.length > fullBlocks) countNote(tally, 'trimmedBlocks');
    } else {
      countNote(tally, 'mintedBlocks');
      call.blocks = appendedBlocks(before, { promptTokens, blockTokens, systemTokens }, mint);
    }
    before = { promptTokens, blocks: call.blocks };
  }
}

/** Gives every call its parents and gap. Returns the calls, parents before children. */
function link(main: readonly Placed[], spawned: readonly Spawned[], zeroMs: number, tally: Tally): Placed[] {
  const linked: Placed[] = [];
  const waiting = new Set(spawned.filter(agent => agent.calls.length > 0));
  const running = new Set<Spawned>();
  spawnAfter(null);
  for (const [index, call] of main.entries()) {
    const previous = main[index - 1];
    const joined = [...running].filter(
      agent => agent.completedMs !== null && agent.completedMs <= call.startMs + CLOCK_MS,
    );
    for (const agent of joined) running.delete(agent);
    if (joined.length > 0) {
      call.parents = [
        ...(previous === undefined ? [] : [previous]),
        ...joined.map(agent => agent.calls.at(-1)!),
      ];
      call.gapKind = 'client';
      const sinceMs = latest(Number.NEGATIVE_INFINITY, call.parents, parent => parent.endMs);
      waitSince(call, sinceMs, call.parents);
    } else {
      follow(call, previous);
    }
    linked.push(call);
    spawnAfter(call);
  }
  return linked;

  /** Links the sub-agents that `parent` spawned: the last main call that had ended, give or take the clock. */
  function spawnAfter(parent: Placed | null): void {
    for (const agent of waiting) {
      const spawner = main.findLast(call => call.endMs <= agent.spawnMs + CLOCK_MS) ?? null;
      if (spawner !== parent) continue;
      waiting.delete(agent);
      running.add(agent);
      for (const [index, call] of agent.calls.entries()) {
        if (index > 0) {
          follow(call, agent.calls[index - 1]);
        } else {
          call.parents = parent === null ? [] : [parent];
          call.gapKind = 'client';
          waitSince(call, parent?.endMs ?? zeroMs, call.parents);
          if (!agent.spawnKnown) call.gapProvenance = 'inferred';
        }
        linked.push(call);
      }
    }
  }

  /** The next call of a thread: think_time where it is the gap after the call before, else the recorded starts. */
  function follow(call: Placed, previous: Placed | undefined): void {
    if (previous === undefined) {
      call.gapMs = tidy(call.startMs - zeroMs);
      return;
    }
    call.parents = [previous];
    // Where the answer before was not captured, its tool calls were not either: the new input is filed as text.
    if (!previous.endKnown && call.gapKind === 'human') call.gapKind = 'unknown';
    const { think, afterHole } = call.row;
    if (think === null) countNote(tally, 'thinkMissing');
    else if (!previous.endKnown) countNote(tally, 'thinkSpanning');
    if (think !== null && previous.endKnown && !afterHole) {
      call.gapMs = msOf(think);
      return;
    }
    waitSince(call, previous.endMs, call.parents);
    call.gapProvenance = 'inferred';
  }

  /** The gap from the recorded start and the latest end that the call waits for. */
  function waitSince(call: Placed, sinceMs: number, parents: readonly Placed[]): void {
    call.gapMs = Math.max(0, tidy(call.startMs - sinceMs));
    call.gapProvenance = parents.every(parent => parent.endKnown) ? 'recorded' : 'inferred';
  }
}
