// The contract of a trace importer: text of one file in, recorded sessions and a tally out. What cannot be read is
// named in the tally and never fatal here; what was guessed is counted per field.
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
  | 'renamedSessions';

/** What an import read so far: sums, which add up over files. */
export interface Tally {
  totals: ImportReport['totals'];
  subagents: number;
  provenance: ImportReport['provenance'];
  unreadable: ImportReport['unreadable'];
  notes: Partial<Record<Note, number>>;
}

export interface Imported {
  sessions: RecordedSession[];
  tally: Tally;
}

export interface Importer {
  name: string;
  doc: string;
  /** Whether this text looks like the format. Cheap: reads the head of the text only. Works on truncated files. */
  detect: (text: string, file: string) => boolean;
  /** Reads one file's text; never throws on bad input. */
  read: (text: string, file: string) => Imported;
}

export const emptyTally = (): Tally => ({
  totals: { sessions: 0, calls: 0, inputTokens: 0, outputTokens: 0, hitBlocks: 0, hitTokens: 0 },
  subagents: 0,
  provenance: {},
  unreadable: [],
  notes: {},
});

/** Counts one value of `field` as known this way. */
export function countField(tally: Tally, field: string, provenance: Provenance): void {
  tally.provenance[field] ??= { recorded: 0, inferred: 0, defaulted: 0 };
  tally.provenance[field][provenance] += 1;
}

export function countNote(tally: Tally, note: Note, count = 1): void {
  if (count > 0) tally.notes[note] = (tally.notes[note] ?? 0) + count;
}

/** Adds `from` to `into`. */
export function addTally(into: Tally, from: Tally): void {
  const { totals } = into;
  totals.sessions += from.totals.sessions;
  totals.calls += from.totals.calls;
  totals.inputTokens += from.totals.inputTokens;
  totals.outputTokens += from.totals.outputTokens;
  totals.hitBlocks += from.totals.hitBlocks;
  totals.hitTokens += from.totals.hitTokens;
  into.subagents += from.subagents;
  for (const [field, counts] of Object.entries(from.provenance)) {
    const sum = into.provenance[field] ?? { recorded: 0, inferred: 0, defaulted: 0 };
    sum.recorded += counts.recorded;
    sum.inferred += counts.inferred;
    sum.defaulted += counts.defaulted;
    into.provenance[field] = sum;
  }
  into.unreadable.push(...from.unreadable);
  for (const note of NOTES) countNote(into, note, from.notes[note] ?? 0);
}

/** First calls from this many prompt tokens on continue an older conversation (a quarter of Weka's sessions do). */
export const RESUMED_TOKENS = 100_000;

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
    `${count} calls have no hash_ids: their prompts are taken to append to the call before, so cache hits are a guess`,
  trimmedBlocks: count => `${count} calls have more hash_ids than full blocks: the surplus is ignored`,
  emptyAgents: count => `${count} sub-agents have no readable call: nothing waits for them`,
  untimedAgents: count =>
    `${count} sub-agents have no duration (async_launched): their spawn is inferred and no call waits for them`,
  renamedSessions: count => `${count} sessions repeat an id: renamed with ~2, ~3, …`,
};

const NOTES = Object.keys(WORDS) as Note[];

export function reportOf(tally: Tally, format: string): ImportReport {
  const { totals, subagents, provenance, unreadable } = tally;
  const warnings = NOTES.flatMap(note => {
    const count = tally.notes[note];
    return count === undefined ? [] : [WORDS[note](count, tally)];
  });
  if (unreadable.length > 0)
    warnings.push(`${unreadable.length} parts of the trace are unreadable and left out`);
  return { format, totals, subagents, provenance, unreadable, warnings };
}
