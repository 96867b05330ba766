// Parts of compiled specs that are alike, said once: charts of one kind differ in few numbers from run to run, and gzip
// looks back 32 kB only.

/** Shorter parts cost less than their reference saves. */
const CHARACTERS_MIN = 120;

/** In place of a part that stands in the list of shared ones. */
interface Reference {
  $: number;
}

const isNode = (value: unknown): value is object => typeof value === 'object' && value !== null;

/** The values with every part that occurs twice taken out, and these parts; a part may refer to earlier ones. */
export function sharedParts(values: readonly unknown[]): { values: unknown[]; parts: unknown[] } {
  const texts = new Map<object, string>();
  const counts = new Map<string, number>();
  const counted = (text: string): string => {
    if (text.length >= CHARACTERS_MIN) counts.set(text, (counts.get(text) ?? 0) + 1);
    return text;
  };
  const count = (node: object): string => {
    const known = texts.get(node);
    if (known !== undefined) return counted(known);
    const inner = (value: unknown): string =>
      isNode(value) ? count(value) : (JSON.stringify(value) ?? 'null');
    const text = Array.isArray(node)
      ? `[${node.map(inner).join(',')}]`
      : `{${Object.entries(node)
          .filter(([, value]) => value !== undefined)
          .map(([key, value]) => `${JSON.stringify(key)}:${inner(value)}`)
          .join(',')}}`;
    texts.set(node, text);
    return counted(text);
  };
  for (const value of values) if (isNode(value)) count(value);

  const parts: unknown[] = [];
  const places = new Map<string, number>();
  const taken = (value: unknown): unknown => {
    if (!isNode(value)) return value;
    const text = texts.get(value)!;
    const known = places.get(text);
    if (known !== undefined) return { $: known } satisfies Reference;
    const own = Array.isArray(value)
      ? value.map(taken)
      : Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, taken(inner)]));
    if ((counts.get(text) ?? 0) < 2) return own;
    places.set(text, parts.length);
    parts.push(own);
    return { $: places.get(text)! } satisfies Reference;
  };
  return { values: values.map(taken), parts };
}
