// Reads ServeGen folders and files from disk: the rim of its importer.
import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { UserError } from '../../base/errors.ts';
import { checkFile, filesIn, isFolder, reading } from '../paths.ts';
import { type CohortImport, type CohortOptions, partnerOf, servegen } from './servegen.ts';

/** Whether one of the paths is a ServeGen file, or a folder that holds some. */
export const isServegen = (paths: readonly string[]): boolean => paths.some(path => filesAt(path).length > 0);

/** The clients of these folders, and of these files with their partners, as a scenario. */
export function readServegen(paths: readonly string[], options: Partial<CohortOptions> = {}): CohortImport {
  const named = paths.flatMap(path => {
    const files = filesAt(path);
    if (files.length === 0)
      throw new UserError(`no ServeGen data at ${path}`, {
        hint: 'name chunk-K-trace.csv or chunk-K-dataset.json, or their folder; subfolders are not searched',
      });
    refuseOthers(path, files.length);
    return files;
  });
  const files = [...new Set(named.flatMap(file => [file, partnerOf(file)]))].filter(file => existsSync(file));
  const first = resolve(paths[0] as string);
  const folder = servegen.detect(first) ? dirname(first) : first;
  return servegen.read(
    files.map(file => ({ file, text: textOf(file) })),
    { name: basename(folder), ...options },
  );
}

function filesAt(path: string): string[] {
  if (servegen.detect(path)) return existsSync(path) ? [path] : [];
  return isFolder(path) ? filesIn(path, servegen.detect) : [];
}

/** A generator and recorded sessions cannot be read at once: nothing of a folder is passed over in silence. */
function refuseOthers(path: string, count: number): void {
  if (!isFolder(path)) return;
  const others = filesIn(path, name => /\.(jsonl?|csv)$/.test(name) && !servegen.detect(name));
  const [first] = others;
  if (first === undefined) return;
  const more = others.length > 1 ? ` and ${others.length - 1} more` : '';
  throw new UserError(
    `${path} holds ${count} files of ServeGen data, and beside them ${basename(first)}${more}`,
    {
      hint: 'name the files of the one or the other',
    },
  );
}

function textOf(file: string): string {
  checkFile(file);
  return reading(file, () => readFileSync(file, 'utf8'));
}
