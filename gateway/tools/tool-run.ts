// What is remembered of a tool while it lasts: the wish, and each attempt: what it claims of its runtime, how long it
// runs there and how it ends, drawn from its key alone.
import { extend, extendText, type Key, uniform } from '../../scenarios/base/key.ts';
import type { ToolRecord, Waste } from '../../scenarios/formats/record.ts';
import type { ToolRuntimeSpec } from '../../scenarios/formats/rules.ts';
import type { DelayRequest } from '../../scenarios/workflows/world.ts';
import type { FaultWindows } from '../fault-windows.ts';
import type { Timer } from '../timers.ts';
import { bytesOf, type Claim, milliCoresOf, type Runtime } from './runtime.ts';

export type ToolRequest = Extract<DelayRequest, { kind: 'tool' }>;

/** What a timer of the layer is for. */
export type Wake =
  | { readonly kind: 'refused'; readonly ask: Ask; readonly error: string }
  | { readonly kind: 'agreed' | 'again' | 'too_late' | 'all_too_late'; readonly ask: Ask }
  | { readonly kind: 'ready' | 'killed'; readonly run: ToolRun }
  | { readonly kind: 'room'; readonly runtime: ToolRuntime };

/** A session with tools under way. */
export interface ToolSession {
  tools: number;
  /** It has ended: nobody wants what still runs. */
  isOver: boolean;
  /** Runs that may have changed something, by their key: a session that starts again asks for them again. */
  mayHaveRun: Set<string> | null;
}

/** A tool that a session waits for. */
export interface Ask {
  readonly ticket: number;
  readonly session: ToolSession;
  readonly what: ToolRequest;
  /** Since when its attempts and pauses count. */
  sinceMs: number;
  consentMs: number;
  attempt: number;
  lastPauseMs: number;
  /** An attempt may have done something, though it did not end well. */
  mayHaveRun: boolean;
  /** The attempt under way, or the one after this pause, is a retry. */
  isRetry: boolean;
  /** The attempt under way; null: it waits for a human, a pause or to be told. */
  run: ToolRun | null;
  /** Of consent, of a pause, of a refusal. */
  timer: Timer<Wake> | null;
  attemptTimer: Timer<Wake> | null;
  totalTimer: Timer<Wake> | null;
}

export type ToolRuntime = Runtime<ToolRun>;

export interface ToolRun extends Claim {
  readonly ask: Ask;
  /** As it goes down: further attempts have keys of their own. */
  readonly what: ToolRequest;
  readonly runtime: ToolRuntime | null;
  readonly attempt: number;
  readonly askedMs: number;
  /** It ran before, may have done something, and does it again. */
  readonly isDoubled: boolean;
  /** Ticket of the run below; null: it does not run. */
  ticket: number | null;
  /** When it got its place, and when its sandbox was ready; null: not yet. */
  placedMs: number | null;
  startMs: number | null;
  isCold: boolean;
  /** How it will end if nothing else happens. */
  error: string | null;
  /** Of the start of its sandbox, then of its runtime's limit. */
  timer: Timer<Wake> | null;
  /** Nobody waits for it any more, and it goes on; null: somebody does. */
  leftAs: { readonly error: string; readonly waste: Waste } | null;
}

/** The next attempt at what is asked. */
export function newRun(ask: Ask, runtime: ToolRuntime | null, nowMs: number): ToolRun {
  const { what, attempt } = ask;
  const { rules, session, key } = what;
  return {
    ask,
    what: attempt === 0 ? what : { ...what, key: extend(key, attempt) },
    runtime,
    attempt,
    askedMs: nowMs,
    isDoubled: ask.mayHaveRun && !rules.idempotent,
    sessionId: session.id,
    milliCores: runtime === null ? 0 : milliCoresOf(rules.cpuCores, runtime.spec),
    bytes: runtime === null ? 0 : bytesOf(rules.memoryBytes, runtime.spec),
    waits: false,
    ticket: null,
    placedMs: null,
    startMs: null,
    isCold: false,
    error: null,
    timer: null,
    leftAs: null,
  };
}

/** How long it runs from now on, and how it ends. */
export function fate(
  { what, attempt, runtime }: ToolRun,
  faults: readonly FaultWindows[],
  nowMs: number,
): { readonly runMs: number; readonly error: string | null } {
  const { rules, key } = what;
  let { delayMs: runMs, fails: error } = what.attempt(attempt);
  for (const window of faults) {
    const { target, factor } = window.fault;
    if ((target !== null && target !== rules.tool) || !window.isOn(nowMs)) continue;
    runMs *= factor;
    if (window.hits(key)) error = 'tool_failed';
  }
  if (runtime === null) return { runMs, error };
  const { spec } = runtime;
  runMs *= slowdown(rules.cpuCores, spec);
  if (spec.failRatio > 0 && fails(key, spec.failRatio)) error = 'tool_failed';
  const most = spec.limits.memoryBytes;
  // Memory is taken to grow evenly over a run: it is killed at the share of its time at which it reaches the limit.
  if (most !== null && rules.memoryBytes !== null && rules.memoryBytes > most)
    return { runMs: runMs * (most / rules.memoryBytes), error: 'oom' };
  return { runMs, error };
}

const fails = (key: Key, ratio: number): boolean => uniform(extendText(key, 'runtime/fail')) < ratio;

/** Cores beyond those of its sandbox, or of the machine, are not there: it takes longer in proportion. */
function slowdown(cores: number | null, { limits, cpu }: ToolRuntimeSpec): number {
  const most = Math.min(limits.cpu ?? Number.POSITIVE_INFINITY, cpu ?? Number.POSITIVE_INFINITY);
  return cores === null || cores <= most ? 1 : cores / most;
}

const MS_PER_HOUR = 3_600_000;

/** What is kept of a run that is over. `storeUsd`: of the operation on its store. */
export function recordOf(
  run: ToolRun,
  end: {
    readonly nowMs: number;
    readonly outcome: ToolRecord['outcome'];
    readonly error: string | null;
    readonly waste: Waste | null;
    readonly storeUsd: number;
  },
): ToolRecord {
  const { what, runtime, placedMs, startMs, askedMs } = run;
  const { session, path, step, rules } = what;
  const heldMs = placedMs === null ? 0 : end.nowMs - placedMs;
  return {
    session: session.id,
    call: path,
    workflow: session.program.workflow,
    tenant: session.tenant,
    user: session.user,
    step,
    tool: rules.tool,
    runtime: runtime?.spec.name ?? null,
    attempt: run.attempt,
    askedMs,
    queueMs: (placedMs ?? end.nowMs) - askedMs,
    coldStartMs: placedMs === null || !run.isCold ? 0 : (startMs ?? end.nowMs) - placedMs,
    isCold: run.isCold,
    consentMs: run.attempt === 0 ? run.ask.consentMs : 0,
    startMs,
    endMs: end.nowMs,
    outcome: end.outcome,
    error: end.error,
    isDoubled: run.isDoubled,
    usd: (heldMs / MS_PER_HOUR) * (runtime?.spec.usdPerHour ?? 0) + (startMs === null ? 0 : end.storeUsd),
    // What never held a sandbox cost nothing.
    waste: placedMs === null ? null : end.waste,
  };
}
