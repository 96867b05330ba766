// The reader behind the formats with a call per row: rows in, in any interleaving of sessions; sessions of one thread
// out, as they complete. A format says what its rows hold, this what follows from it; hits are counted in file order.
import { extendText, textKey, uniform } from '../../base/key.ts';
import type { Provenance, RecordedCall, RecordedSession } from '../../formats/recorded.ts';
import {
  countField,
  countFields,
  countNote,
  countUnreadable,
  emptyTally,
  type Importer,
  type ImportOptions,
  type Tally,
  type TraceText,
} from '../importer.ts';
import { gridMs } from './clock.ts';
import { type BlockPrompt, FileBlocks } from './file-blocks.ts';
import { PrefixChains } from './prefix-chains.ts';
import { MAX_CALL_TOKENS, tooLong } from './rows.ts';
import { addCall, newThread, OpenThreads, type Thread } from './threads.ts';

/** A session found by its blocks that gets no call for so long is complete: what comes later is another. */
const CHAIN_IDLE_MS = 30 * 60_000;

/** One call as its row tells it. What a format does not have is absent, what a row does not have null. */
export interface CallRow {
  readonly promptTokens: number;
  /** Null: not recorded; 1 is put in its place. */
  readonly outputTokens: number | null;
  readonly reasoningTokens?: number | null;
  readonly sessionId?: string | null;
  /** Where rows name the calls that they follow: its own id, and that of the call before it or null. */
  readonly link?: { readonly callId: string; readonly parentId: string | null };
  /** No call of its session comes after it. */
  readonly isLast?: boolean;
  /** Start on the clock of the format, ms. */
  readonly atMs?: number | null;
  /** From the end of the call before, ms. */
  readonly delayMs?: number | null;
  readonly gapKind?: RecordedCall['gapKind'];
  readonly tool?: string | null;
  /** Block ids of the prompt, all of them or all but a partial last one. */
  readonly ids?: readonly number[] | null;
  /** Instead of ids: leading tokens that are those of the call before. */
  readonly prefixTokens?: number;
  /** What the prompt holds in front of `promptTokens`: nothing, the prompt before, or that and its output. */
  readonly behind?: 'prompt' | 'exchange' | null;
  readonly model?: string | null;
  readonly user?: string | null;
  readonly hasImages?: boolean;
  readonly recorded?: Partial<Omit<RecordedCall['recorded'], 'startMs'>>;
}

export interface CallFormat {
  readonly name: string;
  /** Its usual block, tokens. */
  readonly blockTokens: number;
  /** What `atMs` counts from: the start of each session, a zero of the file's own, or 1970. */
  readonly clock: 'session' | 'file' | 'wall';
  /** Whether rows that name no session are linked by their blocks; else each is a session. */
  readonly chained: boolean;
  /** The rows that can be read; the others are counted in the tally. */
  rows(text: TraceText, tally: Tally): Iterable<{ readonly row: CallRow; readonly number: number }>;
}

/** An importer of such a format: the format, and what the registry wants to know of it. */
export const callImporter = (format: CallFormat & Omit<Importer, 'read'>): Importer => ({
  ...format,
  read: (text, tally, options) => readCallRows(text, tally, options, format),
});

/**
 *   rows ─▶ prompt in blocks, hits counted ─▶ its session ─▶ call added ─▶ sessions that are complete
 */
function* readCallRows(
  text: TraceText,
  tally: Tally,
  options: ImportOptions,
  format: CallFormat,
): Generator<RecordedSession> {
  const head = headRows(text, format);
  const blocks = new FileBlocks(
    head.map(({ promptTokens, ids }) => ({ promptTokens, ids: ids ?? [] })),
    format.blockTokens,
    options,
    tally,
  );
  const arrivalOf = arrivalClock(format, head, options, tally);
  const open = new OpenThreads(tally, Number.POSITIVE_INFINITY);
  const openChains = new OpenThreads(tally, CHAIN_IDLE_MS);
  const chains = new PrefixChains();
  const byCall = new Map<string, Thread>();

  for (const { row, number } of format.rows(text, tally)) {
    const { atMs = null, ids = null, link, sessionId = null } = row;
    const where = `${text.file}:${number}`;
    for (const thread of openChains.complete(atMs)) yield finished(thread);
    for (const thread of open.complete(null)) yield finished(thread);

    // 1. The prompt.
    const named = sessionId === null ? null : open.get(sessionId);
    const before = named?.session.calls.at(-1) ?? null;
    const promptTokens = row.promptTokens + historyTokens(row, before);
    if (promptTokens > MAX_CALL_TOKENS) {
      countUnreadable(tally, where, tooLong(promptTokens));
      continue;
    }
    if (link !== undefined && byCall.has(link.callId)) {
      countUnreadable(tally, where, `the call ${link.callId} is there twice`);
      continue;
    }
    const isNamed = ids !== null && promptTokens === row.promptTokens;
    const prompt = isNamed
      ? blocks.named(ids, promptTokens)
      : sessionId === null
        ? blocks.unnamed()
        : blocks.appended(promptTokens, before, row.prefixTokens ?? null);

    // 2. Its session.
    const isChained = format.chained && sessionId === null && isNamed && atMs !== null;
    const parent = link?.parentId == null ? null : (byCall.get(link.parentId) ?? null);
    if (link?.parentId != null && parent === null) countNote(tally, 'orphanTurns');
    const found = named ?? parent ?? (isChained ? chains.before(atMs, promptTokens, prompt) : null);
    const thread = found ?? threadOf(row, number, isChained);

    // 3. The call.
    if (isChained) chains.advance(thread, prompt);
    const call = addTurn(
      thread,
      row,
      { promptTokens, prompt, isNamed },
      parent === null ? null : link!.parentId,
    );

    // 4. What is known to be complete, and what may go on.
    const lastMs = atMs ?? (thread.firstMs === null ? null : thread.firstMs + call.recorded.startMs);
    (isChained ? openChains : open).extended(thread, call, lastMs);
    if (link !== undefined) byCall.set(link.callId, thread);
    const isAlone = sessionId === null && link === undefined && !isChained;
    if (isAlone || row.isLast === true) yield finished(open.close(thread));
  }
  for (const thread of openChains.rest()) yield finished(thread);
  for (const thread of open.rest()) yield finished(thread);

  function threadOf(row: CallRow, number: number, isChained: boolean): Thread {
    const { atMs = null, link, sessionId = null, user = null } = row;
    const id = sessionId ?? `${text.name}:${number}`;
    const isRecorded = sessionId !== null || link !== undefined;
    countFields(tally, {
      session: isRecorded ? 'recorded' : isChained ? 'inferred' : 'defaulted',
      blockTokens: blocks.provenance,
      systemTokens: 'defaulted',
    });
    const session = {
      id,
      source: text.file,
      user,
      arrivalMs: arrivalOf(id, atMs),
      blockTokens: blocks.blockTokens,
      blockScope: `${format.name}/file:${text.name}`,
    };
    return newThread(session, atMs);
  }

  function addTurn(
    thread: Thread,
    row: CallRow,
    { promptTokens, prompt, isNamed }: { promptTokens: number; prompt: BlockPrompt; isNamed: boolean },
    parentId: string | null,
  ): RecordedCall {
    const { calls } = thread.session;
    const before = parentId === null ? calls.at(-1) : calls.find(call => call.id === parentId);
    const gap = gapAfter(before, thread.firstMs, row);
    if (before !== undefined) countField(tally, 'gap', gap.gapProvenance);
    countCall(row, isNamed, tally);
    thread.hits.hitBlocks += prompt.hitBlocks;
    thread.hits.hitTokens += prompt.hitTokens;
    const { atMs = null, gapKind = 'unknown', link, model = null, outputTokens, tool = null } = row;
    const startMs =
      atMs !== null && thread.firstMs !== null ? toMicros(atMs - thread.firstMs) : endOf(before) + gap.gapMs;
    const leastMs = calls.at(-1)?.recorded.startMs ?? 0;
    if (startMs < leastMs) countNote(tally, 'earlyCalls');
    return addCall(thread, {
      ...(before === undefined ? { gapKind } : { ...gap, gapKind, tool }),
      ...(link === undefined ? {} : { id: link.callId }),
      parents: before === undefined ? [] : [before.id],
      ...(model === null ? {} : { model }),
      promptTokens,
      outputTokens: outputTokens ?? 1,
      reasoningTokens: Math.min(row.reasoningTokens ?? 0, outputTokens ?? 1),
      blocks: prompt.blocks,
      recorded: { ...row.recorded, startMs: Math.max(startMs, leastMs) },
    });
  }

  function finished(thread: Thread): RecordedSession {
    chains.forget(thread);
    for (const call of thread.session.calls) byCall.delete(call.id);
    return thread.session;
  }
}

/** The rows in the head of a file: a first look, so nothing is counted. */
function headRows(text: TraceText, { rows }: CallFormat): CallRow[] {
  const lines = text.head.split(/\r?\n/);
  // The last line may be cut.
  if (lines.length > 1) lines.pop();
  const head = {
    ...text,
    *lines() {
      for (const [index, line] of lines.entries())
        if (line.trim() !== '') yield { text: line, number: index + 1 };
    },
  };
  return [...rows(head, emptyTally())].map(({ row }) => row);
}

/** Tokens in front of what the row gives. */
function historyTokens({ behind = null }: CallRow, before: RecordedCall | null): number {
  if (before === null || behind === null) return 0;
  return before.promptTokens + (behind === 'exchange' ? before.outputTokens : 0);
}

/** When a call ended, ms from the session's start; at once where its duration is not recorded. */
const endOf = (call: RecordedCall | undefined): number =>
  call === undefined ? 0 : call.recorded.startMs + (call.recorded.e2eMs ?? 0);

/**
 * The gap before a call: its delay, or the time since the call before it ended. Where no row says when that was, the time
 * since it started: the gap then holds the recorded server's time as well, and causal replay is later by its own.
 */
function gapAfter(
  before: RecordedCall | undefined,
  firstMs: number | null,
  { atMs = null, delayMs = null }: CallRow,
): { gapMs: number; gapProvenance: Provenance } {
  if (delayMs !== null) return { gapMs: delayMs, gapProvenance: 'recorded' };
  if (atMs === null || firstMs === null) return { gapMs: 0, gapProvenance: 'defaulted' };
  const gapMs = Math.max(0, toMicros(atMs - firstMs - endOf(before)));
  return { gapMs, gapProvenance: before?.recorded.e2eMs == null ? 'inferred' : 'recorded' };
}

function countCall(row: CallRow, isNamed: boolean, tally: Tally): void {
  const { prefixTokens, outputTokens, reasoningTokens, model, recorded, hasImages } = row;
  countFields(tally, {
    blocks: isNamed ? 'recorded' : prefixTokens !== undefined ? 'inferred' : 'defaulted',
    output: outputTokens === null ? 'defaulted' : 'recorded',
    model: model == null ? 'defaulted' : 'recorded',
  });
  if (reasoningTokens !== undefined)
    countField(tally, 'reasoning', reasoningTokens === null ? 'defaulted' : 'recorded');
  if (hasImages === true) countNote(tally, 'imageCalls');
  if (recorded?.error != null) countNote(tally, 'failedCalls');
  else if (outputTokens === null) countNote(tally, 'unknownOutputs');
}

/** Milliseconds to the microsecond: no dust from binary fractions. */
const toMicros = (ms: number): number => Math.round(ms * 1000) / 1000;

/**
 * Arrivals of sessions, ms from the first row of the file, or from the earliest clock of the trace; null where sessions
 * have clocks of their own. Coarse timestamps are reported, and with `jitterQuantum` spread over their step by a draw
 * that belongs to the session.
 */
function arrivalClock(
  { clock }: CallFormat,
  head: readonly CallRow[],
  { jitterQuantum }: ImportOptions,
  tally: Tally,
): (id: string, atMs: number | null) => number | null {
  const stepMs = clock === 'session' ? null : gridMs(head.flatMap(row => row.atMs ?? []));
  if (stepMs !== null) tally.quantumMs = Math.max(tally.quantumMs ?? 0, stepMs);
  const isSpread = stepMs !== null && jitterQuantum;
  let firstMs: number | null = null;
  return (id, atMs) => {
    if (clock === 'session' || atMs === null) {
      countField(tally, 'arrival', 'defaulted');
      return null;
    }
    if (clock === 'wall') tally.epochMs ??= atMs;
    firstMs ??= clock === 'wall' ? tally.epochMs : atMs;
    const arrivalMs = toMicros(atMs - (firstMs as number));
    if (arrivalMs < 0) countNote(tally, 'earlyRows');
    if (stepMs !== null && !isSpread) countNote(tally, 'quantisedArrivals');
    countField(tally, 'arrival', isSpread ? 'inferred' : 'recorded');
    const spreadMs = isSpread ? stepMs * uniform(extendText(textKey('arrival'), id)) : 0;
    return Math.max(0, arrivalMs) + spreadMs;
  };
}
