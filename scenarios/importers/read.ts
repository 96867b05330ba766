// Reads trace files and folders: the rim of the importers. Streams: of a file only its head, one chunk of lines and what
// its importer holds are in memory.
import { closeSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import { UserError } from '../base/errors.ts';
import type { ImportReport, RecordedSession } from '../formats/recorded.ts';
import {
  countNote,
  countUnreadable,
  emptyTally,
  type Importer,
  type ImportOptions,
  reportOf,
  type Tally,
  type TraceText,
} from './importer.ts';
import { detectImporter, importerNamed, importers } from './index.ts';
import { checkFile, filesIn, isFolder, reading } from './paths.ts';

export interface ReadOptions extends Partial<ImportOptions> {
  /** An importer's name; without it, each file's text decides. */
  format?: string;
  /** An unreadable part is an error instead of a count. */
  strict?: boolean;
}

const HEAD_BYTES = 65_536;
const CHUNK_BYTES = 1 << 20;
/** Of one document or one line: half of what a JavaScript string can hold. */
const TEXT_BYTES_MAX = 1 << 28;

/**
 * The sessions of trace files as they complete, in the order given; of a folder its *.json, *.jsonl and *.csv by name,
 * not its subfolders. Counts into `tally`. A UserError where nothing can be read, or with `strict` not everything.
 *
 *   paths ──▶ files, each with its importer (by name or by head) ──▶ sessions + tally ──▶ unique ids
 */
export function* traceSessions(
  paths: readonly string[],
  options: ReadOptions,
  tally: Tally,
): Generator<RecordedSession> {
  const chosen = options.format === undefined ? null : importerNamed(options.format);
  const importOptions: ImportOptions = {
    blockTokens: options.blockTokens ?? null,
    jitterQuantum: options.jitterQuantum ?? false,
  };
  const ids = new SessionIds(tally);

  // 1. The files with their importers, and the earliest of their clocks.
  const files = paths
    .flatMap(filesAt)
    .map(namedTexts())
    .map(text => ({ text, importer: chosen ?? detectImporter(text.head, text.file) }));
  for (const { text, importer } of files) {
    const epochMs = importer?.epochMs?.(text) ?? null;
    if (epochMs !== null) tally.epochMs = Math.min(epochMs, tally.epochMs ?? epochMs);
  }

  // 2. Each through its importer.
  for (const { text, importer } of files) {
    if (importer === null) {
      countUnreadable(tally, text.file, 'no importer recognises its format');
      refuseUnreadable(tally, options);
      continue;
    }
    if (!tally.formats.includes(importer.name)) tally.formats.push(importer.name);
    for (const session of importer.read(text, tally, importOptions)) {
      refuseUnreadable(tally, options);
      // 3. Ids name content and draws, so no two sessions share one.
      ids.makeUnique(session, text, importer);
      yield session;
    }
    refuseUnreadable(tally, options);
  }

  // 4. Nothing to go on with.
  if (tally.totals.sessions > 0) return;
  if (tally.unreadable.length > 0) throw unreadable(tally);
  throw new UserError(`no sessions in ${paths.join(', ')}`, {
    hint: 'name files or folders that hold recorded sessions',
  });
}

/** All sessions of trace files, and the report of their import. */
export function readTrace(
  paths: readonly string[],
  options: ReadOptions = {},
): { sessions: RecordedSession[]; report: ImportReport } {
  const tally = emptyTally();
  const sessions = [...traceSessions(paths, options, tally)];
  return { sessions, report: reportOf(tally) };
}

function refuseUnreadable(tally: Tally, { strict }: ReadOptions): void {
  if (strict === true && tally.unreadable.length > 0) throw unreadable(tally);
}

function unreadable({ unreadable, unlisted, totals }: Tally): UserError {
  const [first] = unreadable;
  const others = unreadable.length - 1 + unlisted;
  const more = others > 0 ? ` (and ${others} more)` : '';
  return new UserError(`unreadable trace (WT1301): ${first?.where}: ${first?.why}${more}`, {
    hint:
      totals.sessions > 0
        ? 'without --strict, unreadable parts are counted and left out'
        : `formats that can be read: ${importers.map(importer => importer.name).join(', ')}; name one with --format`,
  });
}

function filesAt(path: string): string[] {
  if (!isFolder(path)) {
    checkFile(path);
    return [path];
  }
  const files = filesIn(path, name => /\.(jsonl?|csv)$/.test(name));
  if (files.length === 0) {
    throw new UserError(`no *.json, *.jsonl or *.csv in ${path}`, {
      hint: 'subfolders are not searched: name them',
    });
  }
  for (const file of files) checkFile(file);
  return files;
}

/** Opens files under names of their own: a second `calls.csv` is `calls~2`. */
function namedTexts(): (file: string) => TraceText {
  const taken = new Set<string>();
  return file => {
    const stem = file.replace(/^.*[\\/]/, '').replace(/\.(jsonl?|csv)$/, '');
    let name = stem;
    for (let copy = 2; taken.has(name); copy += 1) name = `${stem}~${copy}`;
    taken.add(name);
    return {
      file,
      name,
      // Read when asked for: a folder may hold thousands of files.
      get head() {
        return headOf(file);
      },
      lines: () => linesOf(file),
      whole: () => wholeOf(file),
    };
  };
}

function headOf(file: string): string {
  return reading(file, () => {
    const fd = openSync(file, 'r');
    try {
      const bytes = Buffer.alloc(HEAD_BYTES);
      const head = bytes.subarray(0, readSync(fd, bytes));
      if (head[0] === 0x1f && head[1] === 0x8b) {
        throw new UserError(`${file} is compressed`, { hint: `unpack it first: gunzip -k ${file}` });
      }
      const mark = head.length > 1 ? head.readUInt16BE(0) : 0;
      if (mark === 0xfffe || mark === 0xfeff)
        throw new UserError(`${file} is UTF-16 text`, { hint: 'save it as UTF-8: PowerShell writes UTF-16' });
      return new TextDecoder().decode(head);
    } finally {
      closeSync(fd);
    }
  });
}

function* linesOf(file: string): Generator<{ text: string; number: number }> {
  const fd = reading(file, () => openSync(file, 'r'));
  try {
    // Keeps a character that two chunks share, and drops a byte order mark.
    const decoder = new TextDecoder();
    const bytes = Buffer.alloc(CHUNK_BYTES);
    let number = 0;
    let rest = '';
    for (let size = -1; size !== 0; ) {
      size = reading(file, () => readSync(fd, bytes));
      // The end of the file ends its last line.
      const chunk =
        size === 0 ? `${decoder.decode()}\n` : decoder.decode(bytes.subarray(0, size), { stream: true });
      let from = 0;
      for (let end = chunk.indexOf('\n'); end >= 0; end = chunk.indexOf('\n', from)) {
        const text = rest + chunk.slice(from, end);
        rest = '';
        from = end + 1;
        number += 1;
        if (text.trim() !== '') yield { text: text.endsWith('\r') ? text.slice(0, -1) : text, number };
      }
      rest += chunk.slice(from);
      if (rest.length > TEXT_BYTES_MAX) {
        throw new UserError(`${file}:${number + 1}: a line of more than ${TEXT_BYTES_MAX >> 20} MB`, {
          hint: 'JSONL has one session or call per line',
        });
      }
    }
  } finally {
    closeSync(fd);
  }
}

function wholeOf(file: string): string {
  return reading(file, () => {
    const { size } = statSync(file);
    if (size > TEXT_BYTES_MAX) {
      throw new UserError(
        `${file} is one document of ${Math.ceil(size / (1 << 20))} MB; the limit is ${TEXT_BYTES_MAX >> 20} MB`,
        {
          hint: 'JSONL is streamed, whatever its size: write one session per line, for example with jq -c, to a *.jsonl',
        },
      );
    }
    return readFileSync(file, 'utf8').replace(/^\uFEFF/, '');
  });
}

/** The ids given out. Grows with the sessions that a trace names; those numbered by file and line need no memory. */
class SessionIds {
  private readonly taken = new Set<string>();
  private readonly tally: Tally;

  constructor(tally: Tally) {
    this.tally = tally;
  }

  /** A repeated id becomes `id~2`; blocks of its own scope move with it. */
  makeUnique(session: RecordedSession, text: TraceText, importer: Importer): void {
    const given = session.id;
    if (given.startsWith(`${text.name}:`) && /^\d+$/.test(given.slice(text.name.length + 1))) return;
    for (let copy = 2; this.taken.has(session.id); copy += 1) session.id = `${given}~${copy}`;
    this.taken.add(session.id);
    if (session.id === given) return;
    if (session.blockScope === `${importer.name}/${given}`)
      session.blockScope = `${importer.name}/${session.id}`;
    countNote(this.tally, 'renamedSessions');
  }
}
