// Keys that are notes for readers and records: nothing acts on them, so an author should not count on them.
import type { ScenarioFile } from '../formats/scenario.ts';

const LABELS = ['idempotent', 'sensitivity', 'complexity'];

/** The labels that a file uses. */
export function labelsOf(file: ScenarioFile): string[] {
  const used = new Set<string>();
  const look = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return;
    for (const [key, value] of Object.entries(node)) {
      if (LABELS.includes(key)) used.add(key);
      look(value);
    }
  };
  for (const section of [file.prefixes, file.tools, file.workflows]) look(section);
  return LABELS.filter(label => used.has(label));
}
