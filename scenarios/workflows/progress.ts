// The interpreter: walks one session's agent graph, in both worlds. It says what starts now; a driver (the simulator or
// the load generator) carries it out and reports each end. It knows no clock: instants are handed in.
//
//   start ─▶ actions (call, delay, abort, done) ─▶ driver ─▶ finish(node, …) ─▶ actions ─▶ …
//
// Laws: every node ends exactly once (completed, failed, skipped or cancelled); a join fires once; nothing starts
// before its parents have ended; cancelling reaches every live descendant. A session that starts again has another life:
// the same graph and draws, and paths with its number behind them.
import { invariant } from '../base/errors.ts';
import { IdTable } from '../base/id-table.ts';
import type { Key } from '../base/key.ts';
import { headOf, type PromptMakeup, type PromptPart, type Retention, type Run } from '../formats/prompt.ts';
import type { NodeKind, NodeRecord, NodeStatus } from '../formats/record.ts';
import {
  type Reason,
  reasonOf,
  type StepRules,
  type ToolRules,
  type WorkflowRules,
} from '../formats/rules.ts';
import { type Ended, Past } from './past.ts';

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
  /** Of `prompt`; absent: it is told in one piece. */
  readonly makeup?: PromptMakeup;
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
  /** Names what is asked: equal where a step asks the same again; absent: nobody knows. */
  readonly argsKey?: Key;
  /** Sub-agents that it is inside of; absent: none. */
  readonly agentDepth?: number;
}

/** What the gateway obeys of a tool's run, and what each further run would draw. */
export interface ToolRun {
  readonly rules: ToolRules;
  readonly key: Key;
  /** Names what is asked: equal where a step asks the same again. */
  readonly argsKey: Key;
  /** Of its result where it goes well. */
  readonly resultTokens: number;
  /** 0: as it is planned; else drawn anew. `fails`: null, or its reason code. */
  attempt(n: number): { readonly delayMs: number; readonly fails: string | null };
}

/** A tool's run as its list needs it. */
export interface PlannedTool extends ToolRun {
  /** As it is planned: null, or its reason code. */
  readonly fails: string | null;
  /** A failure fails its list; else the agent reads the error text. */
  readonly stops: boolean;
  /** The result, or the error text. */
  answerOf(hasFailed: boolean): Answer;
  /** The same run, drawn anew for a further life of its session. */
  anew(life: number): PlannedTool;
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

/** Of a leaf that failed and whose list goes on: its thread gains nothing of it. */
export const SKIPPED: Ending = { ok: true, answer: NO_ANSWER };

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
  /** Only steps of role `final` start from now on. */
  readonly isFinalizing: boolean;
  /** Starts a call or a delay as child number `child` of `frame`. Returns its row. */
  startLeaf(frame: Frame, child: number, leaf: LeafRequest, cause: string | null): number;
  /** Ends a leaf that is no longer wanted. */
  cancelLeaf(row: number): void;
  /** Notes a leaf step that never started: its list failed before it, or the session is being finalised. */
  skip(path: string, step: string, kind: NodeKind, role: string | null): void;
  /** null: a sub-agent may start inside of so many others, itself counted; else the reason code why not. */
  refusesAgent(path: string, depth: number): string | null;
}

/** A leaf to start, and what it hands on when it ends as planned. */
export interface LeafRequest {
  readonly path: string;
  readonly step: string;
  readonly kind: NodeKind;
  /** null: a tool or a pause. */
  readonly call: Call | null;
  /** As planned; 0 of a call. */
  readonly delayMs: number;
  readonly answer: Answer;
  /** Of a tool that the scenario describes. */
  readonly tool: PlannedTool | null;
}

/** How a session's graph begins: given its host and root frame, starts the first nodes. */
export interface Program {
  /** For records. */
  readonly workflow: string;
  /** What the gateway obeys of it; absent: nothing is said. */
  readonly rules?: WorkflowRules;
  /** Label of the fault that makes it run away; absent: it behaves. */
  readonly injected?: string;
  /** Of a recorded session: for each call the rows of those that it waits for. */
  readonly waitsFor?: readonly (readonly number[])[];
  /** Begins anew each time. */
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
  /** It starts again; of its last life only what had ended by `sinceMs` counts (null: nothing). */
  onRestart?(sinceMs: number | null, nowMs: number): void;
  /** null: it may start. Depth 1: inside of no other. */
  refusesAgent?(path: string, depth: number): string | null;
}

/** How a leaf ended beside its error. */
export interface LeafEnd {
  /** Its list goes on without its answer. */
  readonly isSkipped: boolean;
  /** Output tokens that were generated, reasoning first; null: as planned. */
  readonly answerTokens: number | null;
}

/** A leaf of a further life that ends as it did before. */
interface Replayed {
  readonly frame: Frame;
  readonly child: number;
  readonly ended: Ended;
}

/** Never added to. */
const NO_ACTIONS: Action[] = [];

/** Failures that another life would only repeat. */
const LASTING: readonly Reason[] = ['budget', 'denied', 'cancelled'];

/** One session on its way. */
export class SessionProgress implements Host {
  readonly session: string;
  readonly key: Key;
  isFinalizing = false;
  private readonly program: Program;
  private readonly observer: Observer;
  private readonly live = new IdTable<Live>(8);
  private actions = NO_ACTIONS;
  private graph: (Frame & { begin(cause: string | null): void }) | null = null;
  private rows = 0;
  /** Leaves from this row on have not been told to the driver yet. */
  private untoldRow = 0;
  private nowMs = 0;
  /** Of the node that ends now: what it starts comes after it. */
  private lastCall: number | null = null;
  private ended = false;
  /** A leaf was given up before the driver was told of it. */
  private hasWithdrawn = false;
  private life = 1;
  /** The graph is given up for another life: what did not start in this one is not told. */
  private isAbandoned = false;
  /** The graph has failed and starts again. */
  private hasFailed = false;
  /** null where nothing is ever saved. */
  private readonly past: Past | null;
  /** By row, in order of start; null while there are none. */
  private replayed: Map<number, Replayed> | null = null;
  /** Path of the leaf that ended last; null where something else ended its list. */
  private lastPath: string | null = null;

  constructor(session: string, key: Key, program: Program, observer: Observer) {
    this.session = session;
    this.key = key;
    this.program = program;
    this.observer = observer;
    const { rules } = program;
    this.past = (rules?.checkpoint ?? rules?.restarts ?? null) === null ? null : new Past();
  }

  get isDone(): boolean {
    return this.ended;
  }

  /** Times that it started again. */
  get restarts(): number {
    return this.life - 1;
  }

  start(nowMs: number): Action[] {
    invariant(this.graph === null, () => `session ${this.session} started twice`);
    this.nowMs = nowMs;
    this.begin();
    return this.take();
  }

  private begin(): void {
    const root: Frame = {
      parent: null,
      childEnded: (_child, ending) => this.graphEnded(ending),
      cancel: () => {},
    };
    this.graph = this.program.open(this, root);
    this.graph.begin(null);
  }

  /** A call, a tool or a pause ended. `error` null means it went well, or as it was planned. */
  finish(row: number, error: string | null, nowMs: number, end?: LeafEnd): Action[] {
    const live = this.takeLive(row, nowMs);
    const { request } = live;
    if (end?.isSkipped) return this.close(live, 'failed', SKIPPED);
    if (error !== null) return this.close(live, 'failed', { ok: false, error });
    const { tool } = request;
    if (tool !== null && tool.fails !== null) return this.closeFailed(live, tool.fails, request.answer);
    const answerTokens = end?.answerTokens ?? null;
    const answer = answerTokens === null ? request.answer : cut(request, answerTokens);
    return this.close(live, 'completed', { ok: true, answer });
  }

  /** A tool or a pause ended: as it was planned, or well (null), or with a reason code. */
  delayEnded(row: number, nowMs: number, failure?: string | null): Action[] {
    if (failure === undefined) return this.finish(row, null, nowMs);
    const live = this.takeLive(row, nowMs);
    const { tool, answer } = live.request;
    if (failure !== null) return this.closeFailed(live, failure, tool?.answerOf(true) ?? NO_ANSWER);
    return this.close(live, 'completed', { ok: true, answer: tool?.answerOf(false) ?? answer });
  }

  private takeLive(row: number, nowMs: number): Live {
    const live = this.live.get(row);
    invariant(live !== undefined, () => `${this.session}: node ${row} ended, but is not live`);
    this.nowMs = nowMs;
    this.live.delete(row);
    return live;
  }

  /** The agent reads the error text, or its list fails. */
  private closeFailed(live: Live, error: string, text: Answer): Action[] {
    const stops = live.request.tool?.stops ?? true;
    return this.close(live, 'failed', stops ? { ok: false, error } : { ok: true, answer: text });
  }

  private close(live: Live, status: NodeStatus, ending: Ending): Action[] {
    const lastCall = live.call === null ? live.after : live.ticket;
    this.lastCall = lastCall;
    this.lastPath = live.request.path;
    this.record(live, status);
    this.past?.note(this.lastPath, { ending, path: live.path, endMs: this.nowMs, lastCall });
    live.frame.childEnded(live.child, ending, live.path);
    return this.take();
  }

  /** From now on only steps of role `final` start; what is under way goes on. */
  finalize(): void {
    this.isFinalizing = true;
  }

  /** All that has ended until now is saved. */
  checkpointed(nowMs: number): void {
    if (this.past !== null) this.past.checkpointMs = nowMs;
  }

  /** It starts again; leaves that had ended by `sinceMs` end at once, as they did. */
  restart(sinceMs: number | null, nowMs: number): Action[] {
    if (this.ended || this.graph === null) return [];
    this.nowMs = nowMs;
    this.isAbandoned = true;
    this.graph.cancel();
    this.isAbandoned = false;
    this.beginAgain(sinceMs);
    return this.take();
  }

  private beginAgain(sinceMs: number | null): void {
    this.life++;
    this.lastCall = null;
    this.past?.forgetSince(sinceMs);
    this.observer.onRestart?.(sinceMs, this.nowMs);
    this.begin();
  }

  /** The user left, or the run is being stopped. */
  cancel(reason: string, nowMs: number): Action[] {
    if (this.ended) return [];
    this.nowMs = nowMs;
    this.graph?.cancel();
    this.ended = true;
    this.ask({ kind: 'done', status: 'cancelled', error: reason });
    return this.take();
  }

  private graphEnded(ending: Ending): void {
    invariant(!this.ended, () => `${this.session} ended twice`);
    invariant(this.live.size === 0, () => `${this.session} ended with ${this.live.size} live nodes`);
    if (!ending.ok && this.mayStartAgain(ending.error)) {
      this.hasFailed = true;
      return;
    }
    this.ended = true;
    this.ask({
      kind: 'done',
      status: ending.ok ? 'completed' : 'failed',
      error: ending.ok ? null : ending.error,
    });
  }

  private mayStartAgain(error: string): boolean {
    const restarts = this.program.rules?.restarts ?? null;
    return restarts !== null && this.restarts < restarts.max && !LASTING.includes(reasonOf(error));
  }

  /** Another life after a failure, which is not remembered: it would come again. */
  private recover(): void {
    this.hasFailed = false;
    const { past, lastPath } = this;
    if (lastPath !== null) past?.forgetFailure(lastPath);
    const savedMs = past?.checkpointMs ?? null;
    this.beginAgain(this.program.rules?.restarts?.from === 'checkpoint' ? savedMs : null);
  }

  startLeaf(frame: Frame, child: number, asked: LeafRequest, cause: string | null): number {
    const row = this.rows++;
    const request = this.life === 1 ? asked : this.inThisLife(asked);
    const ended = this.life === 1 ? undefined : this.past?.endOf(asked.path);
    if (ended !== undefined) {
      this.replayed ??= new Map();
      this.replayed.set(row, { frame, child, ended });
      return row;
    }
    const { step, kind, call, tool } = request;
    const node: Live = {
      row,
      path: this.pathOf(request.path),
      step,
      kind,
      startMs: this.nowMs,
      cause,
      call,
      tool,
      ticket: null,
      after: this.lastCall,
      frame,
      child,
      request,
    };
    this.live.set(row, node);
    this.ask(
      call === null ? { kind: 'delay', node, delayMs: request.delayMs } : { kind: 'call', node, call },
    );
    return row;
  }

  /** What ended a life with its failure is drawn anew. */
  private inThisLife(request: LeafRequest): LeafRequest {
    if (request.tool === null || !this.past?.hasFailed(request.path)) return request;
    const tool = request.tool.anew(this.life);
    return { ...request, tool, delayMs: tool.attempt(0).delayMs, answer: tool.answerOf(tool.fails !== null) };
  }

  private pathOf(path: string): string {
    return this.life === 1 ? path : `${path}~${this.life}`;
  }

  cancelLeaf(row: number): void {
    if (this.replayed?.delete(row)) return;
    const live = this.live.get(row);
    if (live === undefined) return;
    this.live.delete(row);
    if (row < this.untoldRow) {
      this.ask({ kind: 'abort', node: live });
      this.record(live, 'cancelled');
    } else {
      this.hasWithdrawn = true;
      this.record(live, 'skipped');
    }
  }

  refusesAgent(path: string, depth: number): string | null {
    const error = this.observer.refusesAgent?.(path, depth) ?? null;
    if (error !== null) this.lastPath = null;
    return error;
  }

  skip(path: string, step: string, kind: NodeKind, role: string | null): void {
    if (this.isAbandoned) return;
    const { session, nowMs } = this;
    this.observer.onNode({
      session,
      call: this.pathOf(path),
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

  private ask(action: Action): void {
    // Mostly it is one alone: a list that begins with it has no room to grow into.
    if (this.actions === NO_ACTIONS) this.actions = [action];
    else this.actions.push(action);
  }

  /** What the driver has to do. */
  private take(): Action[] {
    this.replay();
    while (this.hasFailed) {
      this.recover();
      this.replay();
    }
    this.untoldRow = this.rows;
    const { actions } = this;
    this.actions = NO_ACTIONS;
    if (!this.hasWithdrawn) return actions;
    this.hasWithdrawn = false;
    return actions.filter(
      each => each.kind === 'abort' || each.kind === 'done' || this.live.has(each.node.row),
    );
  }

  /** Leaves of earlier lives end, and those that start meanwhile behind them. */
  private replay(): void {
    for (const [row, { frame, child, ended }] of this.replayed ?? []) {
      this.replayed?.delete(row);
      this.lastCall = ended.lastCall;
      frame.childEnded(child, ended.ending, ended.path);
    }
    this.replayed = null;
  }
}

/** The answer of a call of which only so many output tokens were generated: reasoning comes first. */
function cut({ call, answer }: LeafRequest, outputTokens: number): Answer {
  const tokens = Math.max(0, outputTokens - (call?.reasoningTokens ?? 0));
  return tokens >= answer.tokens ? answer : { runs: headOf(answer.runs, tokens), tokens };
}
