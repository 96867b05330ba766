// Unknown JSON or CSV in, checked rows out. A check throws a Refusal with its reason; the row is then counted as
// unreadable under its file and line, and left out. Hand-written: traces are large, and each reason names its row.
import { countUnreadable, type Tally, type TraceText } from '../importer.ts';

/** A row by field name, unchecked. */
export type Json = Readonly<Record<string, unknown>>;

/** The reason why a part is unreadable. */
export class Refusal extends Error {}

/** No context window is near this; a larger figure is a broken row, and would be made into as many blocks. */
export const MAX_CALL_TOKENS = 16_777_216;

/** Why a prompt is refused that outgrew that turn by turn. */
export const tooLong = (promptTokens: number): string =>
  `with what came before it, its prompt has ${promptTokens} tokens, more than ${MAX_CALL_TOKENS}`;

/** Nanoseconds since 1970 until the year 2286, the largest figure that a trace may have: sums of it stay finite. */
const MAX_NUMBER = 1e19;

export const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export const isText = (item: unknown): item is string => typeof item === 'string';

/** Block ids may be 64-bit hashes: what JSON leaves of those still tells blocks apart. */
export const isBlockId = (item: unknown): item is number =>
  Number.isInteger(item) && (item as number) >= 0 && (item as number) < 2 ** 64;

/** A value as JSON; a Refusal where it is nested deeper than can be written, which JSON.parse reads all the same. */
export function jsonOf(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch {
    throw new Refusal('it is nested too deeply');
  }
}

/** A value as messages show it. */
export function shown(value: unknown): string {
  if (value === undefined) return 'missing';
  let text: string;
  try {
    text = jsonOf(value);
  } catch {
    return 'nested too deeply';
  }
  return text.length > 40 ? `${text.slice(0, 37)}…` : text;
}

export function numberAt(row: Json, key: string): number | null {
  const value = row[key];
  if (value === undefined || value === null) return null;
  if (typeof value !== 'number' || !Number.isFinite(value))
    throw new Refusal(`${key} is ${shown(value)}, not a number`);
  if (Math.abs(value) > MAX_NUMBER)
    throw new Refusal(`${key} is ${value}, which is no time or length of a trace`);
  return value;
}

/** A number that the row must have. */
export function givenNumberAt(row: Json, key: string): number {
  const value = numberAt(row, key);
  if (value === null) throw new Refusal(`${key} is missing`);
  return value;
}

/** A span of time; a negative one says nothing and counts as absent. */
export function spanAt(row: Json, key: string): number | null {
  const value = numberAt(row, key);
  return value !== null && value < 0 ? null : value;
}

export function textAt(row: Json, key: string): string | null {
  const value = row[key];
  if (value === undefined || value === null) return null;
  if (typeof value !== 'string') throw new Refusal(`${key} is ${shown(value)}, not text`);
  return value;
}

/** A name: text, or a number as CSV gives it. */
export function nameAt(row: Json, key: string): string | null {
  const value = row[key];
  return typeof value === 'number' ? String(value) : textAt(row, key);
}

/** Tokens of a prompt or an output, at least `least`. */
export function tokensAt(row: Json, key: string, least: 0 | 1 = 1): number {
  const value = row[key];
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < least) {
    throw new Refusal(`${key} is ${shown(value)}, expected a whole number of tokens from ${least} on`);
  }
  if (value > MAX_CALL_TOKENS) throw new Refusal(`${key} is ${value}, more than ${MAX_CALL_TOKENS} tokens`);
  return value;
}

/** Tokens of an output; null where nothing was generated. */
export function outputAt(row: Json, key: string): number | null {
  const tokens = tokensAt(row, key, 0);
  return tokens === 0 ? null : tokens;
}

export function listAt<T>(
  row: Json,
  key: string,
  what: string,
  fits: (item: unknown) => item is T,
): T[] | null {
  const value = row[key];
  if (value === undefined || value === null) return null;
  if (!Array.isArray(value)) throw new Refusal(`${key} is ${shown(value)}, not a list`);
  const wrong = value.findIndex(item => !fits(item));
  if (wrong >= 0) throw new Refusal(`${key}[${wrong}] is ${shown(value[wrong])}, not ${what}`);
  return value;
}

/** Block ids; null where there are none. */
export function idsAt(row: Json, key: string): number[] | null {
  const ids = listAt(row, key, 'a block id', isBlockId);
  return ids === null || ids.length === 0 ? null : ids;
}

export function parsedJson(text: string): { value: unknown } | { why: string } {
  try {
    return { value: JSON.parse(text) };
  } catch (error) {
    return {
      why: `not valid JSON, perhaps cut off: ${error instanceof Error ? error.message : String(error)}`,
    };
  }
}

const isJson = (text: string): boolean => 'value' in parsedJson(text);

/** The first row of JSON lines; the second where the first is broken, as when a log was cut out of a longer one. */
export function firstRow(head: string): string {
  const [first = '', second] = head.trimStart().split('\n', 2);
  return second === undefined || isJson(first) ? first : second.trimStart();
}

/** Whether a text holds a document per line, not one document over several lines. Sees the head only. */
export function hasDocumentLines(head: string): boolean {
  const [first = '', second] = head.trimStart().split('\n', 2);
  if (second === undefined || isJson(first)) return true;
  // Broken, and yet not the beginning of what follows.
  return !/[[{,:]\s*$/.test(first) && second.startsWith('{');
}

/** Whether the first row of JSON lines has all of these fields. Sees text only, so that a cut row will do. */
export function hasFields(head: string, ...fields: readonly string[]): boolean {
  const first = firstRow(head);
  return first.startsWith('{') && fields.every(field => first.includes(`"${field}"`));
}

/** What `check` makes of a row; null where it refuses it, which is counted. */
function checked<T>(row: Json, check: (row: Json) => T, where: string, tally: Tally): T | null {
  try {
    return check(row);
  } catch (refusal) {
    if (!(refusal instanceof Refusal)) throw refusal;
    countUnreadable(tally, where, refusal.message);
    return null;
  }
}

/** The rows of JSON lines that pass `check`, with their line. */
export function* jsonRows<T>(
  { file, lines }: TraceText,
  tally: Tally,
  check: (row: Json) => T,
): Generator<{ row: T; number: number }> {
  for (const { text, number } of lines()) {
    const where = `${file}:${number}`;
    const parsed = parsedJson(text);
    if ('why' in parsed) countUnreadable(tally, where, parsed.why);
    else if (!isObject(parsed.value))
      countUnreadable(tally, where, `is ${shown(parsed.value)}, not an object`);
    else {
      const row = checked(parsed.value, check, where, tally);
      if (row !== null) yield { row, number };
    }
  }
}

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** A cell as JSON would have it: a number where it is one, null where it is empty. */
function cellValue(cell: string): unknown {
  const text = cell.trim();
  if (text === '') return null;
  return NUMBER.test(text) ? Number(text) : text;
}

/** The cells of a line; quoted ones may hold commas and doubled quotes. */
function cellsOf(line: string): string[] {
  if (!line.includes('"')) return line.split(',');
  return [...line.matchAll(/(?:^|,)(?:\s*"((?:[^"]|"")*)"\s*|([^,]*))/g)].map(
    ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? '',
  );
}

/** The column names of a CSV, from its head. */
export const columnsOf = (head: string): string[] =>
  cellsOf(head.split('\n', 1)[0] as string).map(name => name.trim());

/** Whether a CSV has all of these columns, in whatever order. */
export function hasColumns(head: string, names: readonly string[]): boolean {
  const columns = columnsOf(head);
  return names.every(name => columns.includes(name));
}

/** The rows of a CSV that pass `check`, with their line. Fields are found by their name in the header. */
export function* csvRows<T>(
  { file, lines }: TraceText,
  tally: Tally,
  needed: readonly string[],
  check: (row: Json) => T,
): Generator<{ row: T; number: number }> {
  let columns: string[] | null = null;
  for (const { text, number } of lines()) {
    const where = `${file}:${number}`;
    const cells = cellsOf(text);
    if (columns === null) {
      columns = cells.map(name => name.trim());
      const missing = needed.filter(name => !columns?.includes(name));
      if (missing.length === 0) continue;
      countUnreadable(tally, where, `no column ${missing.join(', ')}; there are ${columns.join(', ')}`);
      return;
    }
    if (cells.length !== columns.length) {
      countUnreadable(tally, where, `${cells.length} cells under ${columns.length} columns, perhaps cut off`);
      continue;
    }
    const byName: Record<string, unknown> = {};
    for (const [index, name] of columns.entries()) byName[name] = cellValue(cells[index] as string);
    const row = checked(byName, check, where, tally);
    if (row !== null) yield { row, number };
  }
}
