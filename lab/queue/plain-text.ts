// Plain data as JSON and back, without loss: what threads can send one another, a queue can carry. JSON alone would turn
// an infinity into null and a map into nothing.

/** Marks what JSON has no form for; a mapping of the data that has this key is marked itself. */
const MARK = '$plain';
type Marked = { readonly [MARK]: string; readonly of?: unknown };

const ARRAYS = {
  Float64Array,
  Float32Array,
  Int32Array,
  Uint32Array,
  Int16Array,
  Uint16Array,
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
} as const;

const marked = (kind: string, of?: unknown): Marked => ({ [MARK]: kind, ...(of !== undefined && { of }) });

function encoded(value: unknown): unknown {
  if (typeof value === 'number')
    return Number.isFinite(value) && !Object.is(value, -0)
      ? value
      : marked('number', Object.is(value, -0) ? '-0' : String(value));
  if (typeof value === 'bigint') return marked('bigint', String(value));
  if (value === undefined) return marked('undefined');
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(encoded);
  if (value instanceof Map) return marked('map', [...value].map(encoded));
  if (value instanceof Set) return marked('set', [...value].map(encoded));
  for (const [name, Kind] of Object.entries(ARRAYS))
    if (value instanceof Kind) return marked(name, Array.from(value, encoded));
  const entries = Object.entries(value).flatMap(([key, inner]) =>
    inner === undefined ? [] : [[key, encoded(inner)] as const],
  );
  // A list of pairs, so that a key of the data can never be taken for our mark.
  return Object.hasOwn(value, MARK) ? marked('mapping', entries) : Object.fromEntries(entries);
}

function decoded(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(decoded);
  if (!Object.hasOwn(value, MARK))
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, decoded(inner)]));
  const { [MARK]: kind, of } = value as Marked;
  const list = (): unknown[] => (of as unknown[]).map(decoded);
  if (kind === 'number') return Number(of);
  if (kind === 'bigint') return BigInt(of as string);
  if (kind === 'undefined') return undefined;
  if (kind === 'map') return new Map(list() as [unknown, unknown][]);
  if (kind === 'set') return new Set(list());
  if (kind === 'mapping') return Object.fromEntries(list() as [string, unknown][]);
  const Kind = ARRAYS[kind as keyof typeof ARRAYS];
  if (Kind === undefined) throw new Error(`no plain data is called ${JSON.stringify(kind)}`);
  return new Kind(list() as number[]);
}

/** Plain data (structured clone, but for dates and errors) as JSON. Keys that are undefined are left out. */
export const toText = (value: unknown): string => JSON.stringify(encoded(value));

/** What `toText` was given. */
export const fromText = (text: string): unknown => decoded(JSON.parse(text));
