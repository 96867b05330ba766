// What the library holds, a line each: for `catalog library` and `init --list`.
import { parseSource } from '../formats/source.ts';
import { type LibraryKind, libraryNames, libraryPath, presetNames, readText } from './library.ts';

export interface LibraryEntry {
  readonly kind: 'scenario' | 'preset' | 'deployment';
  readonly name: string;
  /** One line, from the file. */
  readonly description: string;
}

/** Scenarios, presets and deployments, in this order, each by name. */
export function libraryEntries(): LibraryEntry[] {
  const presets = presetNames();
  const scenarios = libraryNames('scenarios').filter(name => !presets.includes(name));
  const of = (kind: LibraryEntry['kind'], folder: LibraryKind, names: readonly string[]): LibraryEntry[] =>
    names.map(name => ({ kind, name, description: descriptionOf(name, folder) }));
  return [
    ...of('scenario', 'scenarios', scenarios),
    ...of('preset', 'scenarios', presets),
    ...of('deployment', 'deployments', libraryNames('deployments')),
  ];
}

function descriptionOf(name: string, folder: LibraryKind): string {
  const { value } = parseSource(readText(libraryPath(name, folder) as string), name);
  const { description } = (value ?? {}) as { description?: unknown };
  return typeof description === 'string' ? description : '';
}

const HEADINGS: Readonly<Record<LibraryEntry['kind'], string>> = {
  scenario: 'scenarios, to run as they are',
  preset: 'presets, workloads with their sources, to run or to extend',
  deployment: 'deployments, behind -d',
};

/** A line an entry, under a heading for each kind. */
export function libraryLines(entries: readonly LibraryEntry[]): string[] {
  const width = Math.max(0, ...entries.map(each => each.name.length));
  return Object.entries(HEADINGS).flatMap(([kind, heading]) => {
    const lines = entries
      .filter(each => each.kind === kind)
      .map(each => `  ${each.name.padEnd(width)}  ${each.description}`);
    return lines.length === 0 ? [] : [`${heading}:`, ...lines];
  });
}
