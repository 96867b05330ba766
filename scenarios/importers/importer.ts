// The contract of a trace importer: one file in, recorded sessions out, each as soon as it is complete, and a tally of
// what was read. What cannot be read is named in the tally and never fatal here; what was guessed is counted per field.
import type { ImportReport, Provenance, RecordedSession } from '../formats/recorded.ts';

/** Things worth a warning, with how often they were seen. */
export type Note =
  | 'resumedSessions'
  | 'contextEpochs'
  | 'thinkMissing'
  | 'thinkSpanning'
  | 'mintedBlocks'
  | 'trimmedBlocks'
  | 'emptyAgents'
  | 'untimedAgents'
  | 'misfitBlocks'
  | 'uniquePrompts'
  | 'unknownOutputs'
  | 'failedCalls'
  | 'imageCalls'
  | 'orphanTurns'
  | 'earlyCalls'
  | 'earlyRows'
  | 'quantisedArrivals'
  | 'mergedSpans'
  | 'repeatedSpans'
  | 'loneServers'
  | 'lookupSpans'
  | 'cacheApart'
  | 'estimatedTokens'
  | 'openOutputs'
  | 'renamedSessions';

/** What an import read so far: sums, which add up over files. */
export interface Tally {
  totals: ImportReport['totals'];
  subagents: number;
  /** Wall clock of arrivalMs 0, Unix ms; null where the trace has none. */
  epochMs: number | null;
  /** Step of the grid that timestamps lie on, ms; the widest, null where they lie on none. */
  quantumMs: number | null;
  provenance: ImportReport['provenance'];
  /** The first of them; `unlisted` counts the others. */
  unreadable: ImportReport['unreadable'];
  unlisted: number;
  notes: Partial<Record<Note, number>>;
  /** Names of the importers that read something. */
  formats: string[];
}

/** One file of a trace, read as its importer asks for it. */
export interface TraceText {
  /** As messages name it. */
  readonly file: string;
  /**
   * The file's name without folders and extension; no two files of a trace share one. A session that the trace does
   * not name is called `${name}:${line}`, and block ids that are global to a file have the scope `FORMAT/file:${name}`.
   */
  readonly name: string;
  /** The first 64 KiB, for detection; may end inside a line. */
  readonly head: string;
  /** Lines that are not blank, streamed in constant memory, numbered from 1 in the file. Each call starts over. */
  lines(): Iterable<{ readonly text: string; readonly number: number }>;
  /** The whole text, for formats that are one JSON document; a UserError where that is too large to hold. */
  whole(): string;
}

export interface ImportOptions {
  /** Tokens of one prefix block where the format does not say; null: the importer's own default or inference. */
  readonly blockTokens: number | null;
  /** Spreads arrivals that lie on a coarse grid over its step. */
  readonly jitterQuantum: boolean;
}

/** A format of recorded sessions. Constant memory: only sessions that are still open are held. */
export interface Importer {
  readonly name: string;
  readonly doc: string;
  /** Whether this looks like the format. Cheap: sees the head of the file only, which may be cut off anywhere. */
  detect(head: string, file: string): boolean;
  /** Wall clock at the start of a file, Unix ms; for formats whose arrivals count from the earliest file's. */
  epochMs?(text: TraceText): number | null;
  /** Yields sessions as they complete and counts into `tally`; never throws on bad input. */
  read(text: TraceText, tally: Tally, options: ImportOptions): Iterable<RecordedSession>;
}

export const emptyTally = (): Tally => ({
  totals: { sessions: 0, calls: 0, inputTokens: 0, outputTokens: 0, hitBlocks: 0, hitTokens: 0 },
  subagents: 0,
  epochMs: null,
  quantumMs: null,
  provenance: {},
  unreadable: [],
  unlisted: 0,
  notes: {},
  formats: [],
});

/** Unreadable parts that a tally names; more are only counted. */
const UNREADABLE_MAX = 1000;

/** Of one text of the list. */
const TEXT_MAX = 400;

/** Texts quote the trace, and are printed: nothing in them may steer a terminal, turn its lines round or fill it. */
function printable(text: string): string {
  const short = text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX - 1)}…` : text;
  return short.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '\uFFFD');
}

/** Counts a part of the trace that is left out, and says which and why. */
export function countUnreadable(tally: Tally, where: string, why: string): void {
  if (tally.unreadable.length < UNREADABLE_MAX)
    tally.unreadable.push({ where: printable(where), why: printable(why) });
  else tally.unlisted += 1;
}

/** Counts a session that is about to be yielded. */
export function countSession(
  tally: Tally,
  session: RecordedSession,
  hits: { hitBlocks: number; hitTokens: number },
): void {
  const { totals } = tally;
  totals.sessions += 1;
  totals.calls += session.calls.length;
  for (const call of session.calls) {
    totals.inputTokens += call.promptTokens;
    totals.outputTokens += call.outputTokens;
  }
  totals.hitBlocks += hits.hitBlocks;
  totals.hitTokens += hits.hitTokens;
}

/** Counts one value of `field` as known this way. */
export function countField(tally: Tally, field: string, provenance: Provenance): void {
  tally.provenance[field] ??= { recorded: 0, inferred: 0, defaulted: 0 };
  tally.provenance[field][provenance] += 1;
}

/** Counts one value each of several fields. */
export function countFields(tally: Tally, fields: Readonly<Record<string, Provenance>>): void {
  for (const field in fields) countField(tally, field, fields[field] as Provenance);
}

export function countNote(tally: Tally, note: Note, count = 1): void {
  if (count > 0) tally.notes[note] = (tally.notes[note] ?? 0) + count;
}

/** First calls from this many prompt tokens on continue an older conversation (a quarter of Weka's sessions do). */
export const RESUMED_TOKENS = 100_000;

/** Output of a request that sets no limit: the median of Azure's chat trace (docs/figures.md row 37). */
export const OPEN_OUTPUT_TOKENS = 129;

const WORDS: Record<Note, (count: number, tally: Tally) => string> = {
  resumedSessions: (count, tally) =>
    `${count} of ${tally.totals.sessions} sessions are resumed: their first prompt has ${RESUMED_TOKENS} tokens or more, ` +
    'which an empty cache prefills in full; --warm starts them with that context cached',
  contextEpochs: count =>
    `${count} calls begin a new context (compaction or /clear): their prompt is more than 20 % shorter than the call before`,
  thinkMissing: count => `${count} calls have no think_time: the gap is inferred from the recorded starts`,
  thinkSpanning: count =>
    `${count} calls follow one without api_time, so that their think_time also spans that call: ` +
    'the gap is inferred from the recorded starts instead',
  mintedBlocks: count =>
    `${count} calls name no content: their prompts are taken to append to the call before, so cache hits are a guess`,
  trimmedBlocks: count => `${count} calls have more hash_ids than full blocks: the surplus is ignored`,
  emptyAgents: count => `${count} sub-agents have no readable call: nothing waits for them`,
  untimedAgents: count =>
    `${count} sub-agents have no duration (async_launched): their spawn is inferred and no call waits for them`,
  misfitBlocks: count =>
    `${count} calls have more or fewer hash_ids than blocks of the block size: ids beyond the prompt are ignored, ` +
    'a rest without ids is content of its own; --block-size sets another',
  uniquePrompts: count =>
    `${count} calls name no content: their prompts share nothing, so nothing is found in a cache`,
  unknownOutputs: count => `${count} calls have no recorded output: 1 token each`,
  failedCalls: count =>
    `${count} calls failed when they were recorded: replayed with the output that was recorded, 1 token if none`,
  imageCalls: count => `${count} calls came with images: their prompts are counted without them`,
  orphanTurns: count =>
    `${count} calls follow one that is not in the file before them: they begin sessions of their own`,
  earlyCalls: count =>
    `${count} calls start before the call above them in their session: they are taken to start with it`,
  earlyRows: count => `${count} sessions start before the first row of their file: they arrive at its start`,
  quantisedArrivals: (count, { quantumMs }) =>
    `${count} sessions arrive on a grid of ${quantumMs} ms: the trace has coarse timestamps, and replays as bursts ` +
    'that the service did not see; --jitter-quantum spreads arrivals over the step',
  mergedSpans: count =>
    `${count} spans tell of a call that another span tells of too (framework, client and server): counted once`,
  repeatedSpans: count => `${count} spans are in the trace twice: counted once`,
  loneServers: count =>
    `${count} server spans have a client span that is not in their file: where another file holds it, the call is ` +
    'counted twice; put both into one',
  lookupSpans: count => `${count} spans are embeddings, retrieval or reranking, which are no calls: left out`,
  cacheApart: count => `${count} calls count cached tokens apart from their input: added to it`,
  estimatedTokens: count =>
    `${count} calls have text instead of token counts: a token is taken for 4 characters`,
  openOutputs: count =>
    `${count} turns do not limit their output: taken for ${OPEN_OUTPUT_TOKENS} tokens each`,
  renamedSessions: count => `${count} sessions repeat an id: renamed with ~2, ~3, …`,
};

const NOTES = Object.keys(WORDS) as Note[];

export function reportOf(tally: Tally): ImportReport {
  const { totals, subagents, epochMs, provenance, unreadable, unlisted } = tally;
  const warnings = NOTES.flatMap(note => {
    const count = tally.notes[note];
    return count === undefined ? [] : [WORDS[note](count, tally)];
  });
  if (unreadable.length > 0) {
    const listed = unlisted > 0 ? `, the first ${unreadable.length} of them listed` : '';
    warnings.push(`${unreadable.length + unlisted} parts of the trace are unreadable and left out${listed}`);
  }
  return {
    format: tally.formats.join(', '),
    totals,
    subagents,
    epochMs,
    provenance,
    unreadable,
    warnings,
  };
}
