// Reads trace files and folders: the rim of the importers, and the only one of them that touches the disk.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { UserError } from '../base/errors.ts';
import type { ImportReport, RecordedSession } from '../formats/recorded.ts';
import { addTally, countNote, emptyTally, type Importer, reportOf, type Tally } from './importer.ts';
import { detectImporter, importerNamed, importers } from './index.ts';

export interface ReadOptions {
  /** An importer's name; without it, each file's text decides. */
  format?: string;
  /** An unreadable part is an error instead of a count. */
  strict?: boolean;
}

/**
 * The sessions of trace files, in the order given; of a folder its *.json and *.jsonl by name, not its subfolders.
 *
 *   paths ──▶ files ──▶ importer by name or by text ──▶ sessions + tally ──▶ unique ids ──▶ report
 */
export function readTrace(
  paths: readonly string[],
  options: ReadOptions = {},
): { sessions: RecordedSession[]; report: ImportReport } {
  // 1. Files.
  const chosen = options.format === undefined ? null : importerNamed(options.format);
  const files = paths.flatMap(filesAt);

  // 2. Each through its importer.
  const tally = emptyTally();
  const sessions: RecordedSession[] = [];
  const used = new Set<Importer>();
  for (const file of files) {
    const text = textOf(file);
    const importer = chosen ?? detectImporter(text, file);
    if (importer === null) {
      tally.unreadable.push({ where: file, why: 'no importer recognises its format' });
      continue;
    }
    const imported = importer.read(text, file);
    used.add(importer);
    sessions.push(...imported.sessions);
    addTally(tally, imported.tally);
  }

  // 3. Nothing to go on with, or not all of it where all is asked for.
  const [bad] = tally.unreadable;
  if (bad !== undefined && (options.strict === true || sessions.length === 0)) {
    throw new UserError(
      `unreadable trace (WT1301): ${bad.where}: ${bad.why}${others(tally.unreadable.length - 1)}`,
      {
        hint:
          sessions.length > 0
            ? 'without --strict, unreadable parts are counted and left out'
            : `formats that can be read: ${importers.map(importer => importer.name).join(', ')}; name one with --format`,
      },
    );
  }
  if (sessions.length === 0)
    throw new UserError(`no sessions in ${paths.join(', ')}`, {
      hint: 'name files or folders that hold recorded sessions',
    });

  // 4. Ids name content and draws, so no two sessions share one.
  renameRepeats(sessions, tally);
  const format = chosen?.name ?? [...used].map(importer => importer.name).join(', ');
  return { sessions, report: reportOf(tally, format) };
}

const others = (count: number): string => (count > 0 ? ` (and ${count} more)` : '');

function filesAt(path: string): string[] {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) {
    throw new UserError(`there is no trace at ${path}`, {
      hint: 'give a trace file, or a folder of *.json or *.jsonl',
    });
  }
  if (!stat.isDirectory()) return [path];
  const names = readdirSync(path).filter(name => /\.jsonl?$/.test(name));
  if (names.length === 0) {
    throw new UserError(`no *.json or *.jsonl in ${path}`, {
      hint: 'subfolders are not searched: name them',
    });
  }
  const folder = path.replace(/[\\/]+$/, '');
  return names.toSorted().map(name => `${folder}/${name}`);
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8').replace(/^\uFEFF/, '');
  } catch (error) {
    throw new UserError(`cannot read ${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** A repeated id becomes `id~2`; blocks of its own scope move with it. */
function renameRepeats(sessions: RecordedSession[], tally: Tally): void {
  const taken = new Set<string>();
  for (const session of sessions) {
    const given = session.id;
    for (let copy = 2; taken.has(session.id); copy += 1) session.id = `${given}~${copy}`;
    taken.add(session.id);
    if (session.id === given) continue;
    if (session.blockScope.endsWith(`/${given}`))
      session.blockScope = session.blockScope.slice(0, -given.length) + session.id;
    countNote(tally, 'renamedSessions');
  }
}
