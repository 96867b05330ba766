// Reads ServeGen folders and files from disk: the rim of its importer.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { UserError } from '../../base/errors.ts';
import { type CohortImport, type CohortOptions, partnerOf, servegen } from './servegen.ts';

/** Whether one of the paths is a ServeGen file, or a folder that holds some. */
export const isServegen = (paths: readonly string[]): boolean => paths.some(path => filesAt(path).length > 0);

/** The clients of these folders, and of these files with their partners, as a scenario. */
export function readServegen(paths: readonly string[], options: Partial<CohortOptions> = {}): CohortImport {
  const named = paths.flatMap(path => {
    const files = filesAt(path);
    if (files.length > 0) return files;
    throw new UserError(`no ServeGen data at ${path}`, {
      hint: 'name chunk-K-trace.csv or chunk-K-dataset.json, or their folder; subfolders are not searched',
    });
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
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) return [];
  return readdirSync(path)
    .filter(name => servegen.detect(name))
    .toSorted()
    .map(name => join(path, name));
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new UserError(`cannot read ${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
