// Which Windtunnel this is, to the byte: versions and source. Two clones of one version may differ, and a merged result
// is only one result where all of it came of the same code.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { version } from '../../scenarios/cli/version.ts';

export const ROOT = join(import.meta.dirname, '..', '..');
const FOLDERS = ['engines', 'gateway', 'lab', 'loadgen', 'reports', 'scenarios', 'sim'];

function sourcesIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap(entry => {
    // Of editors and file browsers.
    if (entry.name.startsWith('.')) return [];
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return sourcesIn(path);
    return entry.isFile() ? [path] : [];
  });
}

function digestOfSource(): string {
  const hash = createHash('sha256');
  const files = [join(ROOT, 'package.json'), ...FOLDERS.flatMap(folder => sourcesIn(join(ROOT, folder)))];
  const named = files.map(path => ({ path, name: relative(ROOT, path).replaceAll('\\', '/') }));
  for (const { path, name } of named.toSorted((a, b) => (a.name < b.name ? -1 : 1)))
    hash.update(`${name}\n`).update(createHash('sha256').update(readFileSync(path)).digest());
  return hash.digest('hex');
}

let build: string | null = null;

/** Version and digest of the source, e.g. `0.1.0-3f9a5c0e`. */
export function buildOf(): string {
  build ??= `${version}-${digestOfSource().slice(0, 8)}`;
  return build;
}
