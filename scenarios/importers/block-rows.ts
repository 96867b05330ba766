// The reader behind the formats whose rows are calls with lengths and block ids that mean the same throughout a file
// (Mooncake and its kin): rows in, sessions out as they complete, hits of an infinite cache counted in file order.
import { extendText, textKey, uniform } from '../base/key.ts';
import type { Provenance, RecordedCall, RecordedSession } from '../formats/recorded.ts';
import { gridMs } from './clock.ts';
import { FileBlocks } from './file-blocks.ts';
import {
  countField,
  countFields,
  countNote,
  type ImportOptions,
  type Tally,
  type TraceText,
} from './importer.ts';
import { PrefixChains } from './prefix-chains.ts';
import { headRows, type Json, jsonRows, Refusal } from './rows.ts';
import { addCall, newThread, OpenThreads, type Thread } from './threads.ts';

/** One call as its row tells it. */
export interface BlockRow {
  /** Null: the row names no session. */
  readonly sessionId: string | null;
  /** Start on the clock of the trace, or of the session, ms. */
  readonly atMs: number | null;
  /** From the end of the call before, ms. */
  readonly delayMs: number | null;
  readonly promptTokens: number;
  /** Null: not recorded. */
  readonly outputTokens: number | null;
  readonly ids: readonly number[] | null;
  /** What the prompt holds in front of `promptTokens`: nothing, the prompt before, or that and its output. */
  readonly behind: 'nothing' | 'prompt' | 'exchange';
  /** Where rows name the calls that they follow: its own id, and that of the call before it or null. */
  readonly link?: { readonly callId: string; readonly parentId: string | null };
}

export interface BlockFormat {
  readonly name: string;
  /** Its usual block, tokens. */
  readonly blockTokens: number;
  /** Whether all sessions share one clock. */
  readonly commonClock: boolean;
  /** Whether rows without a session id are linked by their blocks; else each is a session. */
  readonly chained: boolean;
  check(row: Json): BlockRow;
}

/**
 *   rows ─▶ prompt in blocks, hits counted ─▶ its session ─▶ call added ─▶ sessions that are complete
 */
export function* readBlockRows(
  text: TraceText,
  tally: Tally,
  options: ImportOptions,
  format: BlockFormat,
): Generator<RecordedSession> {
  const head = rowsOfHead(text.head, format);
  const blocks = new FileBlocks(
    head.map(({ promptTokens, ids }) => ({ promptTokens, ids: ids ?? [] })),
    format.blockTokens,
    options,
    tally,
  );
  const arrivalOf = arrivalClock(format, head, options, tally);
  const open = new OpenThreads(tally);
  const chains = new PrefixChains();
  const byCall = new Map<string, Thread>();

  for (const { row, number } of jsonRows(text, tally, format.check)) {
    const { sessionId, atMs, link } = row;
    for (const thread of open.idle(format.commonClock ? atMs : null)) yield complete(thread);

    // 1. The prompt.
    const named = sessionId === null ? null : open.get(sessionId);
    const before = named?.session.calls.at(-1) ?? null;
    const historyTokens = historyOf(row, before);
    const promptTokens = row.promptTokens + historyTokens;
    const ids = historyTokens > 0 ? null : row.ids;
    const prompt =
      ids !== null
        ? blocks.named(ids, promptTokens)
        : sessionId === null
          ? blocks.unnamed()
          : blocks.appended(promptTokens, before);

    // 2. Its session.
    const isChained = format.chained && sessionId === null && atMs !== null;
    const parentId = link?.parentId ?? null;
    const parent = parentId === null ? null : (byCall.get(parentId) ?? null);
    if (parentId !== null && parent === null) countNote(tally, 'orphanTurns');
    const found = named ?? parent ?? (isChained ? chains.before(atMs, promptTokens, prompt) : null);
    const thread = found ?? threadOf(row, number);

    // 3. The call.
    const gap = gapAfter(thread, row);
    if (found !== null) countField(tally, 'gap', gap.gapProvenance);
    if (row.outputTokens === null) countNote(tally, 'unknownOutputs');
    countFields(tally, {
      blocks: ids === null ? 'defaulted' : 'recorded',
      output: row.outputTokens === null ? 'defaulted' : 'recorded',
      model: 'defaulted',
    });
    if (isChained) chains.advance(thread, prompt);
    const call = addCall(thread, {
      ...(found === null ? {} : gap),
      ...(link === undefined ? {} : { id: link.callId }),
      ...(parent === null || parentId === null ? {} : { parents: [parentId] }),
      promptTokens,
      outputTokens: row.outputTokens ?? 1,
      blocks: prompt.blocks,
    });
    thread.hits.hitBlocks += prompt.hitBlocks;
    thread.hits.hitTokens += prompt.hitTokens;
    open.extended(thread, call, atMs ?? (thread.lastMs === null ? null : thread.lastMs + gap.gapMs));
    if (link !== undefined) byCall.set(link.callId, thread);
  }
  for (const thread of open.rest()) yield complete(thread);

  function threadOf({ sessionId, atMs, link }: BlockRow, number: number): Thread {
    const id = sessionId ?? `${text.name}:${number}`;
    const isRecorded = sessionId !== null || link !== undefined;
    countFields(tally, {
      session: isRecorded ? 'recorded' : format.chained ? 'inferred' : 'defaulted',
      blockTokens: blocks.provenance,
      systemTokens: 'defaulted',
    });
    const session = {
      id,
      source: text.file,
      arrivalMs: arrivalOf(id, atMs),
      blockTokens: blocks.blockTokens,
      blockScope: `${format.name}/file:${text.name}`,
    };
    return newThread(session, atMs);
  }

  function complete(thread: Thread): RecordedSession {
    chains.forget(thread);
    for (const call of thread.session.calls) byCall.delete(call.id);
    return thread.session;
  }
}

/** The rows in the head of a file that pass the format's check; a first look, so nothing is counted. */
function rowsOfHead(head: string, format: BlockFormat): BlockRow[] {
  const rows: BlockRow[] = [];
  for (const row of headRows(head)) {
    try {
      rows.push(format.check(row));
    } catch (refusal) {
      if (!(refusal instanceof Refusal)) throw refusal;
    }
  }
  return rows;
}

/** Tokens in front of what the row gives. */
function historyOf({ behind }: BlockRow, before: RecordedCall | null): number {
  if (before === null || behind === 'nothing') return 0;
  return before.promptTokens + (behind === 'exchange' ? before.outputTokens : 0);
}

/**
 * The gap before a call of a thread: its delay, or the time since the call before it started. No row says when a call
 * ended, so that the gap holds the recorded server's time as well, and causal replay is later by its own.
 */
function gapAfter(
  { lastMs }: Thread,
  { atMs, delayMs }: BlockRow,
): { gapMs: number; gapProvenance: Provenance } {
  if (delayMs !== null) return { gapMs: delayMs, gapProvenance: 'recorded' };
  if (atMs === null || lastMs === null) return { gapMs: 0, gapProvenance: 'defaulted' };
  return { gapMs: Math.max(0, atMs - lastMs), gapProvenance: 'inferred' };
}

/**
 * Arrivals from the first row on, ms; null where the trace has no common clock. Coarse timestamps are reported, and
 * with `jitterQuantum` spread over their step by a draw that belongs to the session.
 */
function arrivalClock(
  { commonClock }: BlockFormat,
  head: readonly BlockRow[],
  { jitterQuantum }: ImportOptions,
  tally: Tally,
): (id: string, atMs: number | null) => number | null {
  const stepMs = commonClock ? gridMs(head.flatMap(row => row.atMs ?? [])) : null;
  if (stepMs !== null) tally.quantumMs = Math.max(tally.quantumMs ?? 0, stepMs);
  let zeroMs: number | null = null;
  return (id, atMs) => {
    if (!commonClock || atMs === null) {
      countField(tally, 'arrival', 'defaulted');
      return null;
    }
    zeroMs ??= atMs;
    if (atMs < zeroMs) countNote(tally, 'earlyRows');
    if (stepMs !== null) countNote(tally, 'quantisedArrivals');
    const spread = stepMs !== null && jitterQuantum;
    countField(tally, 'arrival', spread ? 'inferred' : 'recorded');
    const jitterMs = spread ? stepMs * uniform(extendText(textKey('arrival jitter'), id)) : 0;
    return Math.max(0, atMs - zeroMs) + jitterMs;
  };
}
