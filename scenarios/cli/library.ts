// The files that come with Windtunnel, by name, and how paths are read and shown.
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UserError } from '../base/errors.ts';
import { didYouMean } from '../formats/suggest.ts';

export const LIBRARY = join(dirname(fileURLToPath(import.meta.url)), '..', 'library');

export type LibraryKind = 'scenarios' | 'deployments';

/** Where entries of a kind lie: scenarios by themselves, and those made to be extended. */
const FOLDERS: Record<LibraryKind, readonly string[]> = {
  scenarios: [LIBRARY, join(LIBRARY, 'presets')],
  deployments: [join(LIBRARY, 'deployments')],
};

/** What studies (lab/studies) run: named `studies/NAME`, and in no list. */
const STUDIES = join(LIBRARY, '..', 'studies');
const STUDY_FOLDERS: Record<LibraryKind, readonly string[]> = {
  scenarios: [STUDIES],
  deployments: [join(STUDIES, 'deployments')],
};

/** A study may run a written plan. */
const ENDINGS = ['.yaml', '.plan.jsonl'] as const;

const entriesIn = (folder: string): string[] =>
  existsSync(folder)
    ? readdirSync(folder)
        .filter(name => name.endsWith('.yaml'))
        .map(name => name.slice(0, -5))
    : [];

/** Names of built-in files: scenarios with presets, or deployments. */
export const libraryNames = (kind: LibraryKind): string[] => FOLDERS[kind].flatMap(entriesIn).sort();

/** Names of scenarios that are made to be extended. */
export const presetNames = (): string[] => entriesIn(join(LIBRARY, 'presets')).sort();

/** The file of a library entry, named with or without `library/` and `.yaml`, or of a study; null when there is none. */
export function libraryPath(input: string, kind: LibraryKind): string | null {
  const isStudy = input.startsWith('studies/');
  const name = input.replace(/^(library|studies)\//, '').replace(/\.yaml$/, '');
  const folders = (isStudy ? STUDY_FOLDERS : FOLDERS)[kind];
  const files = folders.flatMap(folder => ENDINGS.map(ending => join(folder, `${name}${ending}`)));
  return files.find(path => existsSync(path)) ?? null;
}

/** The path of what a user named: a file or folder, or a library entry. */
export function findInput(input: string, kind: LibraryKind): string {
  const path = libraryPath(input, kind);
  // A bare name is the library's, whatever folder of that name lies around; `./name` is the folder.
  if (/^[\w-]+$/.test(input) && path !== null) return path;
  if (existsSync(input)) return input;
  if (path !== null) return path;
  const names = libraryNames(kind);
  const what = kind === 'scenarios' ? 'scenario, plan or trace' : 'deployment';
  throw new UserError(`no ${what} "${input}": neither a file nor in the library`, {
    hint: didYouMean(input, names) ?? `library: ${names.join(', ')}`,
  });
}

/** A file's text, or a UserError. */
export const readText = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new UserError(`cannot read ${path}: ${(error as Error).message}`, {
      hint: 'name a file that you may read',
    });
  }
};

/** The first characters of a file, which may be too long to be read whole. */
export function headOf(path: string): string {
  const bytes = Buffer.alloc(256);
  const file = openSync(path, 'r');
  try {
    return bytes.toString('utf8', 0, readSync(file, bytes));
  } finally {
    closeSync(file);
  }
}

/** A path as messages show it: from here, or from the library. */
export const shown = (path: string): string => {
  const near = relative(process.cwd(), resolve(path));
  return near.startsWith('..') && path.startsWith(LIBRARY) ? `library/${relative(LIBRARY, path)}` : near;
};
