// The interpreter: walks one session's agent graph, in both worlds. It says what starts now; a driver (the simulator or
// the load generator) carries it out and reports each end. It knows no clock: instants are handed in.
//
//   start ─▶ actions (call, delay, abort, done) ─▶ driver ─▶ finish(node, …) ─▶ actions ─▶ …
//
// Laws: every node ends exactly once (completed, failed, skipped or cancelled); a join fires once; nothing starts
// before its parents have ended; cancelling reaches every live descendant.
import { invariant } from '../base/errors.ts';
import { IdTable } from '../base/id-table.ts';
import type { Key } from '../base/key.ts';
import type { PromptPart, Retention, Run } from '../formats/prompt.ts';
import type { NodeKind, NodeRecord, NodeStatus } from '../formats/record.ts';
import type { StepRules, ToolRules, WorkflowRules } from '../formats/rules.ts';

/** One logical LLM call, as the interpreter asks for it. */
export interface Call {
  readonly step: string;
  readonly role: string | null;
  /** Alias in the scenario, or the trace's model name. */
  readonly model: string;
  /** Higher goes first in an engine with priorities; null: as its session. */
  readonly priority: number | null;
  /** Pass of the innermost enclosing repeat, from 0; null outside of one. */
  readonly iteration: number | null;
  /** Name of that repeat. */
  readonly loop: string | null;
  readonly prompt: readonly Run[];
  readonly parts: readonly PromptPart[];
  /** What its prefix segments are worth keeping; absent: nothing is said of any. */
  readonly retention?: readonly Retention[] | undefined;
  readonly promptTokens: number;
  /** Visible and reasoning tokens together. */
  readonly outputTokens: number;
  readonly reasoningTokens: number;
  /** Names the output, reasoning first; sums to outputTokens. */
  readonly output: readonly Run[];
  /** Leading tokens that a warm-started cache already holds. */
  readonly warmTokens: number;
  /** What the gateway obeys of its step; absent: nothing is said. */
  readonly rules?: StepRules | undefined;
}

/** What the gateway obeys of a tool's run, and what each further run would draw. */
export interface ToolRun {
  readonly rules: ToolRules;
  readonly key: Key;
  readonly argsKey: Key;
  readonly resultTokens: number;
  attempt(n: number): { readonly delayMs: number; readonly fails: string | null };
}

/** A leaf of the graph that is running: an LLM call, a tool, a pause. */
export interface LiveNode {
  /** Unique in the session, from 0, in order of start. */
  readonly row: number;
  readonly path: string;
  readonly step: string;
  readonly kind: NodeKind;
  readonly startMs: number;
  readonly cause: string | null;
  readonly call: Call | null;
  /** Of a tool; null of anything else. */
  readonly tool: ToolRun | null;
  /** Of the fleet, while a world works on it. */
  ticket: number | null;
  /** Ticket of the last call on the way to it; null where none came before. */
  readonly after: number | null;
}

export type Action =
  | { readonly kind: 'call'; readonly node: LiveNode; readonly call: Call }
  | { readonly kind: 'delay'; readonly node: LiveNode; readonly delayMs: number }
  | { readonly kind: 'abort'; readonly node: LiveNode }
  | {
      readonly kind: 'done';
      readonly status: 'completed' | 'failed' | 'cancelled';
      readonly error: string | null;
    };

/** What a finished piece of the graph hands on. */
export interface Answer {
  readonly runs: readonly Run[];
  readonly tokens: number;
}
export const NO_ANSWER: Answer = { runs: [], tokens: 0 };

export type Ending =
  | { readonly ok: true; readonly answer: Answer }
  | { readonly ok: false; readonly error: string };

/** A block that is running: it hears of each child's end once, and ends once itself. */
export interface Frame {
  readonly parent: Frame | null;
  /** `child` is what this frame passed when it started the child. */
  childEnded(child: number, ending: Ending, cause: string | null): void;
  /** Gives up every live descendant. */
  cancel(): void;
}

/** What frames use of the session: starting leaves, and telling the end. */
export interface Host {
  /** Starts a call or a delay as child number `child` of `frame`. Returns its row. */
  startLeaf(frame: Frame, child: number, leaf: LeafRequest, cause: string | null): number;
  /** Ends a leaf that is no longer wanted. */
  cancelLeaf(row: number): void;
  /** Notes a leaf step that never started because its list failed before it. */
  skip(path: string, step: string, kind: NodeKind, role: string | null): void;
}

/** A leaf to start. A delay knows its end beforehand: a soft failure (`stops` false) hands its answer on. */
export type LeafRequest = { path: string; step: string; kind: NodeKind; answer: Answer } & (
  | { call: Call }
  | { call: null; delayMs: number; failure: { error: string; stops: boolean } | null; tool?: ToolRun }
);

/** How a session's graph begins: given its host and root frame, starts the first nodes. */
export interface Program {
  /** For records. */
  readonly workflow: string;
  /** What the gateway obeys of it; absent: nothing is said. */
  readonly rules?: WorkflowRules;
  open(host: Host, root: Frame): Frame & { begin(cause: string | null): void };
}

interface Live extends LiveNode {
  readonly frame: Frame;
  readonly child: number;
  readonly request: LeafRequest;
}

/** Who hears of a session's nodes, and is asked before sub-agents start. */
export interface Observer {
  onNode(node: NodeRecord): void;
  /** null: it may start. Depth 1: inside of no other. */
  refusesAgent?(path: string, depth: number): string | null;
}

/** How a leaf ended beside its error. */
export interface LeafEnd {
  /** Its list goes on without its answer. */
  readonly isSkipped: boolean;
  /** Output tokens of the answer; null: as planned. */
  readonly answerTokens: number | null;
}

/** One session on its way. */
export class SessionProgress implements Host {
  readonly session: string;
  readonly key: Key;
  private readonly program: Program;
  private readonly observer: Observer;
  private readonly live = new IdTable<Live>(8);
  private actions: Action[] = [];
  private graph: (Frame & { begin(cause: string | null): void }) | null = null;
  private rows = 0;
  private nowMs = 0;
  /** Of the node that ends now: what it starts comes after it. */
  private lastCall: number | null = null;
  private ended = false;

  constructor(session: string, key: Key, program: Program, observer: Observer) {
    this.session = session;
    this.key = key;
    this.program = program;
    this.observer = observer;
  }

  get isDone(): boolean {
    return this.ended;
  }

  start(nowMs: number): Action[] {
    invariant(this.graph === null, () => `session ${this.session} started twice`);
    this.nowMs = nowMs;
    const root: Frame = {
      parent: null,
      childEnded: (_child, ending) => this.graphEnded(ending),
      cancel: () => {},
    };
    this.graph = this.program.open(this, root);
    this.graph.begin(null);
    return this.take();
  }

  /** A call, a tool or a pause ended. `error` null means it went well. */
  finish(row: number, error: string | null, nowMs: number, _end?: LeafEnd): Action[] {
    const live = this.live.get(row);
    invariant(live !== undefined, () => `${this.session}: node ${row} ended, but is not live`);
    this.nowMs = nowMs;
    this.live.delete(row);
    const { request } = live;
    const failure = error !== null ? { error, stops: true } : request.call === null ? request.failure : null;
    this.lastCall = live.call === null ? live.after : live.ticket;
    this.record(live, failure === null ? 'completed' : 'failed');
    const ending: Ending = failure?.stops
      ? { ok: false, error: failure.error }
      : { ok: true, answer: request.answer };
    live.frame.childEnded(live.child, ending, live.path);
    return this.take();
  }

  /** A tool or a pause ended: as it was planned, or well (null), or with a reason code. */
  delayEnded(row: number, nowMs: number, failure?: string | null): Action[] {
    return this.finish(row, failure ?? null, nowMs);
  }

  /** From now on only steps of role `final` start. */
  finalize(_nowMs: number): Action[] {
    return [];
  }

  /** It starts again; leaves that had ended by `sinceMs` end at once. */
  restart(_sinceMs: number | null, _nowMs: number): Action[] {
    return [];
  }

  /** The user left, or the run is being stopped. */
  cancel(reason: string, nowMs: number): Action[] {
    if (this.ended) return [];
    this.nowMs = nowMs;
    this.graph?.cancel();
    this.ended = true;
    this.actions.push({ kind: 'done', status: 'cancelled', error: reason });
    return this.take();
  }

  private graphEnded(ending: Ending): void {
    invariant(!this.ended, () => `${this.session} ended twice`);
    invariant(this.live.size === 0, () => `${this.session} ended with ${this.live.size} live nodes`);
    this.ended = true;
    this.actions.push({
      kind: 'done',
      status: ending.ok ? 'completed' : 'failed',
      error: ending.ok ? null : ending.error,
    });
  }

  startLeaf(frame: Frame, child: number, request: LeafRequest, cause: string | null): number {
    const row = this.rows++;
    const { path, step, kind, call } = request;
    const { nowMs: startMs, lastCall: after } = this;
    const tool = call === null ? (request.tool ?? null) : null;
    const own = { row, path, step, kind, startMs, cause, call, tool, ticket: null, after };
    const node: Live = { ...own, frame, child, request };
    this.live.set(row, node);
    this.actions.push(
      call === null ? { kind: 'delay', node, delayMs: request.delayMs } : { kind: 'call', node, call },
    );
    return row;
  }

  cancelLeaf(row: number): void {
    const live = this.live.get(row);
    if (live === undefined) return;
    this.live.delete(row);
    this.actions.push({ kind: 'abort', node: live });
    this.record(live, 'cancelled');
  }

  skip(path: string, step: string, kind: NodeKind, role: string | null): void {
    const { session, nowMs } = this;
    this.observer.onNode({
      session,
      call: path,
      step,
      kind,
      role,
      status: 'skipped',
      startMs: nowMs,
      endMs: nowMs,
      cause: null,
    });
  }

  private record(node: LiveNode, status: NodeStatus): void {
    this.observer.onNode({
      session: this.session,
      call: node.path,
      step: node.step,
      kind: node.kind,
      role: node.call?.role ?? null,
      status,
      startMs: node.startMs,
      endMs: this.nowMs,
      cause: node.cause,
    });
  }

  private take(): Action[] {
    const actions = this.actions;
    this.actions = [];
    return actions;
  }
}
