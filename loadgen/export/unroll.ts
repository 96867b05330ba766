// A session written out: every call and wait that its draws lead to, in the lists, fan-outs and tries that they stand in.
// The interpreter itself is walked, so content and decisions are those of every other run of the plan. Joins that do not
// wait for all, and steps that run on an error, are walked once more, so that what may run besides is there too.
import { Heap } from '../../scenarios/base/heap.ts';
import type { PlannedSession } from '../../scenarios/formats/plan.ts';
import type { NodeKind } from '../../scenarios/formats/record.ts';
import type { ToolRules } from '../../scenarios/formats/rules.ts';
import { FanOutFrame } from '../../scenarios/workflows/fan-out.ts';
import type { Call, Ending, Frame, Host, LeafRequest, Program } from '../../scenarios/workflows/progress.ts';
import { TryFrame } from '../../scenarios/workflows/try.ts';

export interface CallPiece {
  readonly kind: 'call';
  readonly path: string;
  readonly call: Call;
}

export interface WaitPiece {
  readonly kind: 'wait';
  readonly path: string;
  readonly step: string;
  readonly of: NodeKind;
  readonly delayMs: number;
  /** Of a tool: its reason code; null: it goes well. */
  readonly fails: string | null;
  /** Its failure fails its list. */
  readonly stops: boolean;
  /** Of a tool; null: a pause. */
  readonly rules: ToolRules | null;
}

export interface FanOutPiece {
  readonly kind: 'fan-out';
  readonly path: string;
  readonly branches: Piece[];
  /** Branches that must end well, and that run at once at most. */
  readonly need: number;
  readonly width: number;
}

export interface TryPiece {
  readonly kind: 'try';
  readonly path: string;
  readonly body: Piece;
  /** What runs when the body fails; null: nothing, and the session goes on. */
  readonly otherwise: Piece | null;
}

/** A recorded session: each call after those of the rows that it waits for, and its gap. */
export interface GraphPiece {
  readonly kind: 'graph';
  readonly rows: readonly {
    readonly after: readonly number[];
    readonly gap: WaitPiece | null;
    readonly call: CallPiece;
  }[];
}

export interface ListPiece {
  readonly kind: 'list';
  readonly pieces: Piece[];
}

export type Piece = CallPiece | WaitPiece | ListPiece | FanOutPiece | TryPiece | GraphPiece;

export interface Unrolled {
  readonly root: Piece;
  /** What runs when all goes as planned, in order of start. */
  readonly calls: readonly { readonly path: string; readonly call: Call; readonly startMs: number }[];
  readonly makespanMs: number;
}

/** How leaves end: as planned; all well, and joins wait for all; or so, but in bodies of tries inside of n others. */
type Mood = 'planned' | 'thorough' | number;

/** One session; in the walk a call takes `callMs(call)`. */
export function unroll(session: PlannedSession, callMs: (call: Call) => number = () => 1000): Unrolled {
  const { program } = session;
  const planned = new Walk(program, 'planned', callMs);
  const { calls, nowMs: makespanMs } = planned;
  const { waitsFor } = program;
  if (waitsFor !== undefined) return { root: graphOf(planned, waitsFor), calls, makespanMs };
  const thorough = planned.isSelective ? new Walk(program, 'thorough', callMs) : planned;
  const failing = Array.from({ length: thorough.tryDepth }, (_, depth) => new Walk(program, depth, callMs));
  const root = completed(planned.root, [planned, thorough, ...failing]);
  return { root, calls, makespanMs };
}

/** Every leaf of a tree, in the order of the text; without what runs on an error where `onError` is false. */
export function* leavesOf(piece: Piece, onError = true): Generator<CallPiece | WaitPiece> {
  switch (piece.kind) {
    case 'call':
    case 'wait':
      yield piece;
      break;
    case 'list':
      for (const each of piece.pieces) yield* leavesOf(each, onError);
      break;
    case 'fan-out':
      for (const each of piece.branches) yield* leavesOf(each, onError);
      break;
    case 'try':
      yield* leavesOf(piece.body, onError);
      if (onError && piece.otherwise !== null) yield* leavesOf(piece.otherwise);
      break;
    case 'graph':
      for (const { gap, call } of piece.rows) {
        if (gap !== null) yield gap;
        yield call;
      }
  }
}

interface Live {
  readonly frame: Frame;
  readonly child: number;
  readonly leaf: LeafRequest;
}

/** A fan-out or a try, and the lists of it that have begun. */
interface Block {
  readonly kind: 'block';
  readonly path: string;
  readonly lists: Raw[];
  /** Null: a try. */
  readonly fanOut: { readonly join: FanOutFrame['join']; readonly frame: FanOutFrame } | null;
}
type Raw = CallPiece | WaitPiece | { readonly kind: 'list'; readonly pieces: Raw[] } | Block;

/** One walk of the interpreter in an ideal world, and the frames that its leaves stood in. */
class Walk implements Host {
  readonly isFinalizing = false;
  readonly root: { readonly kind: 'list'; readonly pieces: Raw[] } = { kind: 'list', pieces: [] };
  readonly calls: { path: string; call: Call; startMs: number }[] = [];
  readonly leaves = new Map<string, CallPiece | WaitPiece>();
  readonly blocks = new Map<string, Block>();
  /** Leaves of a recorded session by their number in it: two to a call. */
  readonly numbered = new Map<number, CallPiece | WaitPiece>();
  /** Lists that ended badly. */
  readonly failed = new Set<readonly Raw[]>();
  /** Tries inside of one another. */
  tryDepth = 0;
  /** Some of its branches may be cut off. */
  isSelective = false;
  nowMs = 0;
  private readonly mood: Mood;
  private readonly callMs: (call: Call) => number;
  private readonly live = new Map<number, Live>();
  private readonly due = new Heap<{ atMs: number; row: number }>(
    (a, b) => a.atMs < b.atMs || (a.atMs === b.atMs && a.row < b.row),
  );
  private readonly holders = new Map<Frame, Raw[]>();
  private rows = 0;

  constructor(program: Program, mood: Mood, callMs: (call: Call) => number) {
    this.mood = mood;
    this.callMs = callMs;
    const top: Frame = { parent: null, childEnded: () => {}, cancel: () => {} };
    this.holders.set(top, this.root.pieces);
    program.open(this, top).begin(null);
    for (let next = this.due.pop(); next !== undefined; next = this.due.pop()) this.end(next.atMs, next.row);
  }

  startLeaf(frame: Frame, child: number, leaf: LeafRequest): number {
    const row = this.rows++;
    const { path, step, kind, call, tool, delayMs } = leaf;
    const fails = tool?.fails ?? null;
    const stops = tool?.stops ?? false;
    const piece: CallPiece | WaitPiece =
      call === null
        ? { kind: 'wait', path, step, of: kind, delayMs, fails, stops, rules: tool?.rules ?? null }
        : { kind: 'call', path, call };
    this.holderOf(frame).push(piece);
    this.leaves.set(path, piece);
    this.numbered.set(child, piece);
    if (call !== null) this.calls.push({ path, call, startMs: this.nowMs });
    if (fails !== null && stops) this.isSelective = true;
    this.live.set(row, { frame, child, leaf });
    this.due.push({ atMs: this.nowMs + (call === null ? delayMs : this.callMs(call)), row });
    return row;
  }

  cancelLeaf(row: number): void {
    this.live.delete(row);
  }

  skip(): void {}

  refusesAgent(): null {
    return null;
  }

  private end(atMs: number, row: number): void {
    const live = this.live.get(row);
    if (live === undefined) return;
    this.live.delete(row);
    this.nowMs = atMs;
    const ending = this.endingOf(live);
    if (!ending.ok) this.failAround(live.frame);
    live.frame.childEnded(live.child, ending, live.leaf.path);
  }

  /** What comes behind it in its lists does not begin, up to the branch or the body that it is in. */
  private failAround(frame: Frame): void {
    for (let at: Frame | null = frame; at !== null; at = at.parent) {
      if (at instanceof TryFrame || at instanceof FanOutFrame) return;
      const pieces = this.holders.get(at);
      if (pieces !== undefined) this.failed.add(pieces);
    }
  }

  private endingOf({ frame, leaf: { tool, answer } }: Live): Ending {
    if (typeof this.mood === 'number' && this.isInUntriedBody(frame, this.mood))
      return { ok: false, error: 'tool_failed' };
    const error = this.mood === 'planned' && tool?.stops === true ? tool.fails : null;
    return error === null ? { ok: true, answer } : { ok: false, error };
  }

  /** Inside of a try at that depth that has not begun what runs on an error. */
  private isInUntriedBody(frame: Frame, depth: number): boolean {
    for (let at: Frame | null = frame; at !== null; at = at.parent)
      if (at instanceof TryFrame && (this.holders.get(at)?.length ?? 0) < 2 && triesAround(at) === depth)
        return true;
    return false;
  }

  /** Where the children of a frame are listed. */
  private holderOf(frame: Frame): Raw[] {
    const known = this.holders.get(frame);
    if (known !== undefined) return known;
    const lists: Raw[] = [];
    this.holders.set(frame, lists);
    const holder = frame.parent === null ? this.root.pieces : this.holderOf(frame.parent);
    holder.push(this.blockOf(frame, lists) ?? { kind: 'list', pieces: lists });
    return lists;
  }

  private blockOf(frame: Frame, lists: Raw[]): Block | null {
    const isTry = frame instanceof TryFrame;
    if (!isTry && !(frame instanceof FanOutFrame)) return null;
    const fanOut = isTry ? null : { join: frame.join, frame };
    if (isTry) this.tryDepth = Math.max(this.tryDepth, triesAround(frame) + 1);
    else if (frame.join.need < frame.join.count) this.isSelective = true;
    if (!isTry && this.mood !== 'planned') frame.waitForAll();
    const block: Block = { kind: 'block', path: isTry ? frame.path : frame.join.path, lists, fanOut };
    this.blocks.set(block.path, block);
    return block;
  }
}

const triesAround = ({ parent }: Frame): number =>
  parent === null ? 0 : triesAround(parent) + (parent instanceof TryFrame ? 1 : 0);

/**
 * A tree with what only some walks have seen: a list that did not come to its end as planned (`isPlanned`: those around it
 * did) is that of the walk that got furthest in it; whatever was seen as planned is as planned.
 */
function completed(raw: Raw, walks: readonly [Walk, ...Walk[]], isPlanned = true): Piece {
  const [planned] = walks;
  switch (raw.kind) {
    case 'call':
    case 'wait':
      return planned.leaves.get(raw.path) ?? raw;
    case 'list':
      return listOf(raw.pieces.map(piece => completed(piece, walks, isPlanned)));
    case 'block': {
      const { path, fanOut } = raw;
      const own = placed(planned.blocks.get(path));
      const seen = walks.map(walk => placed(walk.blocks.get(path)));
      const places = [...new Set(seen.flatMap(lists => [...lists.keys()]))].sort((a, b) => a - b);
      const lists = new Map(
        places.map(place => {
          const list = own.get(place);
          const isWhole =
            isPlanned && list?.kind === 'list' && hasEnded(planned.blocks.get(path), place, list, planned);
          return [place, completed(isWhole ? list : fullest(seen, place), walks, isWhole)];
        }),
      );
      if (fanOut === null)
        return { kind: 'try', path, body: lists.get(0) as Piece, otherwise: lists.get(1) ?? null };
      const { need, count, width } = fanOut.join;
      // Branches without a leaf end well at once.
      const left = Math.max(0, need - (count - lists.size));
      return { kind: 'fan-out', path, branches: [...lists.values()], need: left, width };
    }
  }
}

/** The lists of a block by their places: of branches those in their fan-out. */
function placed(block: Block | undefined): Map<number, Raw> {
  const { path = '', lists = [], fanOut = null } = block ?? {};
  return new Map(
    lists.map((list, order) => [
      fanOut === null ? order : Number.parseInt(firstPath(list).slice(path.length + 1), 10),
      list,
    ]),
  );
}

function hasEnded(
  block: Block | undefined,
  place: number,
  list: Extract<Raw, { kind: 'list' }>,
  { failed }: Walk,
): boolean {
  if (block === undefined || failed.has(list.pieces)) return false;
  if (block.fanOut !== null) return block.fanOut.frame.hasEnded(place);
  return place === 1 || block.lists.length < 2;
}

function firstPath(raw: Raw): string {
  if (raw.kind === 'call' || raw.kind === 'wait' || raw.kind === 'block') return raw.path;
  return firstPath(raw.pieces[0] as Raw);
}

/** The list of that place with the most leaves. */
function fullest(seen: readonly ReadonlyMap<number, Raw>[], place: number): Raw {
  const lists = seen.flatMap(each => each.get(place) ?? []);
  return lists.reduce((most, list) => (rawLeaves(list) > rawLeaves(most) ? list : most));
}

function rawLeaves(raw: Raw): number {
  if (raw.kind === 'call' || raw.kind === 'wait') return 1;
  const inside = raw.kind === 'list' ? raw.pieces : raw.lists;
  return inside.reduce((sum, each) => sum + rawLeaves(each), 0);
}

/** A list of one is that one; lists inside of lists are laid out. */
function listOf(pieces: readonly Piece[]): Piece {
  const flat = pieces.flatMap(piece => (piece.kind === 'list' ? piece.pieces : [piece]));
  return flat.length === 1 ? (flat[0] as Piece) : { kind: 'list', pieces: flat };
}

/** Numbers of leaves: 2 x row for the gap before a call, and one more for the call. */
function graphOf({ numbered }: Walk, waitsFor: readonly (readonly number[])[]): GraphPiece {
  return {
    kind: 'graph',
    rows: waitsFor.map((after, row) => {
      const gap = numbered.get(row * 2);
      const call = numbered.get(row * 2 + 1) as CallPiece;
      return { after, gap: gap?.kind === 'wait' ? gap : null, call };
    }),
  };
}
