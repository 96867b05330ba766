// Traces for tests: a text as an importer sees it, without a file.
import type { RecordedSession } from '../../scenarios/formats/recorded.ts';
import {
  emptyTally,
  type Importer,
  type ImportOptions,
  type Tally,
  type TraceText,
} from '../../scenarios/importers/importer.ts';

/** A text as the rim would give it. */
export const traceText = (text: string, file: string): TraceText => ({
  file,
  name: file.replace(/^.*\//, '').replace(/\.\w+$/, ''),
  head: text.slice(0, 65_536),
  *lines() {
    for (const [index, line] of text.split(/\r?\n/).entries())
      if (line.trim() !== '') yield { text: line, number: index + 1 };
  },
  whole: () => text,
});

/** All sessions of a text, and what was counted. */
export function importText(
  importer: Importer,
  text: string,
  file: string,
  options: Partial<ImportOptions> = {},
): { sessions: RecordedSession[]; tally: Tally } {
  const tally = emptyTally();
  const all = { blockTokens: null, jitterQuantum: false, ...options };
  const sessions = [...importer.read(traceText(text, file), tally, all)];
  return { sessions, tally };
}
