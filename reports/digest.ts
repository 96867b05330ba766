// What two runs must share to be the same run: their records, and nothing of the header. Canonical JSON, a record a
// line, keys sorted; the hash itself is passed in, so that this stays pure.
import type { RunOutput } from '../scenarios/formats/run.ts';

/** A hash (sha256, hex) of the chunks joined. */
export type Digest = (chunks: Iterable<string>) => string;

/** JSON with sorted keys and no white space; a field that is undefined is left out. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null';
  const fields = Object.entries(value)
    .filter(([, field]) => field !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${fields.map(([key, field]) => `${JSON.stringify(key)}:${canonicalJson(field)}`).join(',')}}`;
}

/** The lines under the digest. The critical path is derived from them and left out. */
export function* recordLines(output: RunOutput): Generator<string> {
  for (const call of output.calls) yield `call ${canonicalJson(call)}\n`;
  for (const node of output.nodes) yield `node ${canonicalJson(node)}\n`;
  for (const { criticalPath: _, ...workflow } of output.workflows)
    yield `workflow ${canonicalJson(workflow)}\n`;
  for (const sample of output.timeline) yield `sample ${canonicalJson(sample)}\n`;
  yield `itl ${canonicalJson(output.itlMs)}\n`;
}
