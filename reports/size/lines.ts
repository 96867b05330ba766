// An answer on a terminal: labels with a text beside them, marks before one, columns.
import { wrap } from '../../scenarios/formats/wrap.ts';

export const WIDTH = 110;
const INDENT = 14;

/** A mark, and a text beside it over as many lines as it takes. */
export const marked = (mark: string, text: string): string[] =>
  wrap(text, WIDTH - mark.length).map((line, i) => `${i === 0 ? mark : ' '.repeat(mark.length)}${line}`);

/** A label before the first of some texts; nothing where there is none. */
export const labelled = (label: string, texts: readonly (string | null)[]): string[] =>
  texts
    .filter(text => text !== null)
    .flatMap((text, i) => marked((i === 0 ? `  ${label}` : '').padEnd(INDENT), text));

/** Columns as wide as they need to be. */
export function tableLines(columns: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = columns.map((name, i) => Math.max(name.length, ...rows.map(cells => cells[i]!.length)));
  return [columns, ...rows].map(cells =>
    `  ${cells.map((cell, i) => cell.padEnd(widths[i]!)).join('  ')}`.trimEnd(),
  );
}
