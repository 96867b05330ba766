// The prompts of a session as rows of one table of runs: what many calls share stands there once, and a prompt that goes on
// from an earlier one says how much of it.
import { keyText } from '../../scenarios/base/key.ts';
import type { PromptPart, Run } from '../../scenarios/formats/prompt.ts';
import type { Call } from '../../scenarios/workflows/progress.ts';
import type { Role, RunRow } from '../k6/session.ts';

const SYSTEM: Role = 0;
const USER: Role = 1;
const ASSISTANT: Role = 2;
/** Earlier calls that a prompt is compared with. */
const LOOKED_AT = 32;

/** How a prompt is spelled out: the first `keep` runs of call `like`, then `runs`. */
export interface SharedPrompt {
  readonly like: number;
  readonly keep: number;
  readonly runs: readonly number[];
}

export class PromptRuns {
  readonly runs: RunRow[] = [];
  private readonly rows = new Map<string, number>();
  private readonly prompts: number[][] = [];
  /** Contents that calls so far have put out. */
  private readonly answered = new Set<string>();

  /** The next call, in order of start. */
  add({ prompt, parts, output }: Pick<Call, 'prompt' | 'parts' | 'output'>): SharedPrompt {
    const rows = roledRuns(prompt, parts, this.answered).map(row => this.rowOf(row));
    let like = 0;
    let keep = 0;
    for (let at = this.prompts.length - 1; at >= Math.max(0, this.prompts.length - LOOKED_AT); at--) {
      const common = commonRows(rows, this.prompts[at] as number[]);
      if (common > keep) [like, keep] = [at, common];
    }
    this.prompts.push(rows);
    for (const { key } of output) this.answered.add(keyText(key));
    return { like, keep, runs: rows.slice(keep) };
  }

  private rowOf(row: RunRow): number {
    const name = row.join('/');
    const known = this.rows.get(name);
    if (known !== undefined) return known;
    this.rows.set(name, this.runs.length);
    return this.runs.push(row) - 1;
  }
}

/** Contents that calls so far have put out, by key. */
export type Answered = ReadonlySet<string>;

/** A prompt by whose message it stands in: runs end where parts do. As loadgen/prompts.ts has it. */
export function roledRuns(
  prompt: readonly Run[],
  parts: readonly PromptPart[],
  answered: Answered,
): RunRow[] {
  const rows: RunRow[] = [];
  let part = 0;
  let leftOfPart = parts[0]?.tokens ?? Number.POSITIVE_INFINITY;
  for (const { key, from, tokens } of prompt) {
    for (let at = 0; at < tokens; ) {
      const take = Math.min(tokens - at, leftOfPart);
      const role = roleOf(answered.has(keyText(key)), parts[part]?.segment ?? null);
      if (take > 0) rows.push([key.hi >>> 0, key.lo >>> 0, from + at, take, role]);
      at += take;
      leftOfPart -= take;
      if (leftOfPart > 0) continue;
      part++;
      leftOfPart = parts[part]?.tokens ?? Number.POSITIVE_INFINITY;
    }
  }
  return rows;
}

function roleOf(isAnswer: boolean, segment: string | null): Role {
  if (isAnswer && (segment === null || segment === 'history')) return ASSISTANT;
  return segment !== null && !['history', 'reads', 'input'].includes(segment) ? SYSTEM : USER;
}

function commonRows(a: readonly number[], b: readonly number[]): number {
  let common = 0;
  while (common < a.length && a[common] === b[common]) common++;
  return common;
}
