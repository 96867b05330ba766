// What two runs must share to be the same run: their records, and nothing of the header. Canonical JSON, a record a
// line, keys sorted; the hash itself is passed in, so that this stays pure.
import type { RunOutput } from '../scenarios/formats/run.ts';

/** A hash (sha256, hex) of the chunks joined. */
export type Digest = (chunks: Iterable<string>) => string;

/** JSON with sorted keys and no white space; a field that is undefined is left out. */
export function canonicalJson(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'number') return Number.isFinite(value) ? `${value}` : 'null';
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null';
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  return `{${fieldsOf(value as Fields, Object.keys(value).sort())}}`;
}

type Fields = Readonly<Record<string, unknown>>;

/** Hot: once per record. The fields of an object in the order of `keys`. */
function fieldsOf(object: Fields, keys: readonly string[]): string {
  let text = '';
  for (const key of keys) {
    const field = object[key];
    if (field !== undefined) text += `${text === '' ? '' : ','}"${key}":${canonicalJson(field)}`;
  }
  return text;
}

/** Lines joined into chunks of about this many characters: hashing many small strings is slow. */
const CHUNK_CHARACTERS = 1 << 16;

/** Records of one kind, a line each. All have the same fields, so the keys are sorted once. */
function* linesOf(
  kind: string,
  records: readonly object[],
  omitted: readonly string[] = [],
): Generator<string> {
  const keys = Object.keys(records[0] ?? {})
    .filter(key => !omitted.includes(key))
    .sort();
  let chunk = '';
  for (const record of records) {
    chunk += `${kind} {${fieldsOf(record as Fields, keys)}}\n`;
    if (chunk.length < CHUNK_CHARACTERS) continue;
    yield chunk;
    chunk = '';
  }
  yield chunk;
}

/** The text under the digest. What explains it is left out: critical paths, why caches missed, time on links. */
export function* recordLines(output: RunOutput): Generator<string> {
  yield* linesOf('call', output.calls, ['misses', 'transfers']);
  yield* linesOf('node', output.nodes);
  yield* linesOf('workflow', output.workflows, ['criticalPath']);
  yield* linesOf('sample', output.timeline);
  yield* linesOf('itl', [output.itlMs]);
}
