// Mooncake's trace: a call a line, when it comes, how long it is, and its prompt as ids of 512-token blocks, each of which
// stands for all that comes before its end. Times are those of a run without any load.
import { extend, type Key, keyText, textKey } from '../../scenarios/base/key.ts';
import { appendRuns, type Run } from '../../scenarios/formats/prompt.ts';
import { chainsOf, type Exported, type Exporter, type ExportInput } from './exporter.ts';
import { MetRules } from './losses.ts';
import { unloadedMs } from './unloaded.ts';
import { leavesOf, type Piece, unroll } from './unroll.ts';

export const mooncake: Exporter = {
  name: 'mooncake',
  doc: "calls as Mooncake's trace: times, lengths and ids of 512-token blocks; no text, no dependencies",
  export: exportMooncake,
};

const BLOCK_TOKENS = 512;
const EMPTY = textKey('block');
const LOST = [
  'dependencies: every call has a time, that of a run without load (step model of the deployment, nothing in its cache)',
  'tools and pauses: they are gaps between those times',
  'output that was reasoning, tenants, roles, steps, models and whatever judges a run',
];

interface Row {
  timestamp: number;
  input_length: number;
  output_length: number;
  hash_ids: number[];
  /** Of sessions whose calls follow each other: readers that know it keep them together. */
  session_id?: string;
}

function exportMooncake(input: ExportInput): Exported {
  const { plan, deployment, poolOf } = input;
  const callMs = unloadedMs(deployment, poolOf);
  const blocks = new Blocks();
  const met = new MetRules();
  const rows: Row[] = [];
  let sessions = 0;
  let parallel = 0;
  for (const chain of chainsOf(input)) {
    let readyMs = 0;
    for (const { planned, atMs } of chain.sessions) {
      const { root, calls, makespanMs } = unroll(planned, callMs);
      met.workflow(planned.program.rules);
      for (const leaf of leavesOf(root)) {
        if (leaf.kind === 'call') met.step(leaf.call.rules, false);
        else if (leaf.rules !== null) met.tool(leaf.rules);
      }
      const isSequence = isSequential(root);
      if (!isSequence) parallel++;
      const startMs = readyMs + atMs;
      for (const { call, startMs: afterMs } of calls) {
        rows.push({
          timestamp: toMicros(startMs + afterMs),
          input_length: call.promptTokens,
          output_length: call.outputTokens,
          hash_ids: blocks.idsOf(call.prompt),
          ...(isSequence ? { session_id: planned.id } : {}),
        });
      }
      readyMs = startMs + makespanMs;
      sessions++;
    }
  }
  // Of equal times, as they were made.
  rows.sort((a, b) => a.timestamp - b.timestamp);
  const ruled = met.lost(plan, deployment);
  const apart = `sessions with calls at once have no session_id: ${parallel} of ${sessions}`;
  return {
    files: [{ name: 'trace.jsonl', text: rows.map(row => `${JSON.stringify(row)}\n`) }],
    sessions,
    calls: rows.length,
    lost: [...LOST, ...(parallel === 0 ? [] : [apart]), ...(ruled === null ? [] : [ruled])],
    command: 'windtunnel import trace.jsonl',
  };
}

/** No two calls of it are ever under way together. */
function isSequential(piece: Piece): boolean {
  switch (piece.kind) {
    case 'call':
    case 'wait':
      return true;
    case 'list':
      return piece.pieces.every(isSequential);
    case 'try':
      return isSequential(piece.body);
    case 'fan-out': {
      const withCalls = piece.branches.filter(each => [...leavesOf(each)].some(leaf => leaf.kind === 'call'));
      return (withCalls.length <= 1 || piece.width === 1) && piece.branches.every(isSequential);
    }
    case 'graph':
      return piece.rows.every(({ after }, row) => row === 0 || (after.length === 1 && after[0] === row - 1));
  }
}

/** Ids of blocks by all that comes before their end, in order of first sight. */
class Blocks {
  private readonly ids = new Map<string, number>();

  /** The last, partial block has one too. */
  idsOf(prompt: readonly Run[]): number[] {
    const runs: Run[] = [];
    appendRuns(runs, prompt);
    const ids: number[] = [];
    let key = EMPTY;
    let room = BLOCK_TOKENS;
    for (const run of runs) {
      for (let at = 0; at < run.tokens; ) {
        const take = Math.min(run.tokens - at, room);
        key = extend(extend(key, run.key.hi, run.key.lo), run.from + at, take);
        at += take;
        room -= take;
        if (room > 0) continue;
        ids.push(this.idOf(key));
        room = BLOCK_TOKENS;
      }
    }
    if (room < BLOCK_TOKENS) ids.push(this.idOf(key));
    return ids;
  }

  private idOf(key: Key): number {
    const name = keyText(key);
    const known = this.ids.get(name);
    if (known !== undefined) return known;
    this.ids.set(name, this.ids.size);
    return this.ids.size - 1;
  }
}

/** ms to the microsecond: no dust from binary fractions. */
const toMicros = (ms: number): number => Math.round(ms * 1000) / 1000;
