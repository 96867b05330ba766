// What stands at a path that a user named as a trace. Only regular files are read: a trace is looked at before it is read,
// and a pipe gives its bytes once.
import { readdirSync, type Stats, statSync } from 'node:fs';
import { UserError } from '../base/errors.ts';

/** What the disk refuses is for the user to mend. */
export function reading<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`cannot read ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

const statOf = (path: string): Stats | null =>
  reading(path, () => statSync(path, { throwIfNoEntry: false }) ?? null);

export const isFolder = (path: string): boolean => statOf(path)?.isDirectory() === true;

/** Files of these names in a folder, by name; not its subfolders, whatever they are called. */
export function filesIn(folder: string, fits: (name: string) => boolean): string[] {
  const names = reading(folder, () => readdirSync(folder)).filter(fits);
  const files = names.toSorted().map(name => `${folder.replace(/[\\/]+$/, '')}/${name}`);
  return files.filter(file => !isFolder(file));
}

/** Throws where there is no file, or none that can be read twice. */
export function checkFile(path: string): void {
  const stat = statOf(path);
  if (stat === null) {
    throw new UserError(`there is no trace at ${path}`, {
      hint: 'give a trace file, or a folder of *.json, *.jsonl or *.csv',
    });
  }
  if (!stat.isFile()) {
    throw new UserError(`${path} is no file but a pipe or a device, which gives its bytes only once`, {
      hint: 'write the trace to a file first',
    });
  }
}
