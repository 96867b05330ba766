// What the time of one step went into: its phases, in order and without overlap, each inside of the step. Rule: what no
// record knows is in no phase; nothing is guessed.
import type {
  AttemptRecord,
  CallRecord,
  NodeRecord,
  ReplicaSpan,
  Span,
  ToolRecord,
} from '../scenarios/formats/record.ts';
import type { BarPhase } from '../scenarios/formats/result.ts';
import { type Reason, reasonOf } from '../scenarios/formats/rules.ts';
import type { RunOutput } from '../scenarios/formats/run.ts';

/** A phase of a step, ms of the run. */
export interface Phase extends Span {
  readonly phase: BarPhase;
}

/** What a run knows of its steps beside their records. */
export interface Background {
  /** By step: attempts that say more than the call itself. */
  readonly attempts: ReadonlyMap<string, readonly AttemptRecord[]>;
  /** By step: runs of a tool that waited, failed or came after others. */
  readonly tools: ReadonlyMap<string, readonly ToolRecord[]>;
  /** Steps that a limit or a budget of ours held before their first attempt. */
  readonly held: ReadonlySet<string>;
  /** By pool: when no replica was ready, or one was starting. */
  readonly cold: ReadonlyMap<string, readonly Span[]>;
}

const NO_BACKGROUND: Background = { attempts: new Map(), tools: new Map(), held: new Set(), cold: new Map() };

const keyOf = ({ session, call }: { session: string; call: string }): string => `${session}\n${call}`;

function grouped<T extends { session: string; call: string }>(
  records: readonly T[],
  tellsMore: (record: T) => boolean,
): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const record of records) {
    if (!tellsMore(record)) continue;
    const group = groups.get(keyOf(record));
    if (group === undefined) groups.set(keyOf(record), [record]);
    else group.push(record);
  }
  return groups;
}

export function backgroundOf({
  governed,
  replicas = [],
  durationMs,
}: Pick<RunOutput, 'governed' | 'replicas' | 'durationMs'>): Background {
  const held = new Set<string>();
  for (const { session, call, policy, decision } of governed?.decisions ?? []) {
    const waits =
      (policy === 'limit' && decision === 'waits') || (policy === 'budget' && decision === 'queue');
    if (waits && call !== null) held.add(keyOf({ session, call }));
  }
  return {
    attempts: grouped(
      governed?.attempts ?? [],
      ({ attempt, because, waste }) => attempt > 0 || because !== null || waste !== null,
    ),
    tools: grouped(
      governed?.tools ?? [],
      ({ attempt, queueMs, coldStartMs, consentMs, outcome }) =>
        attempt > 0 || queueMs + coldStartMs + consentMs > 0 || outcome !== 'ok',
    ),
    held,
    cold: coldSpans(replicas, durationMs),
  };
}

/** By pool: when a replica of it was starting, or one of its sets had none ready. */
function coldSpans(replicas: readonly ReplicaSpan[], durationMs: number): Map<string, Span[]> {
  const sets = Map.groupBy(replicas, ({ replica }) => replica.slice(0, replica.lastIndexOf('/')));
  const spans = new Map<string, Span[]>();
  for (const [, own] of sets) {
    const ready: Span[] = [];
    const cold = spans.get(own[0]!.pool) ?? [];
    spans.set(own[0]!.pool, cold);
    for (const { askedMs, readyMs, goneMs } of own) {
      const endMs = goneMs ?? durationMs;
      cold.push({ startMs: askedMs, endMs: readyMs ?? endMs });
      if (readyMs !== null) ready.push({ startMs: readyMs, endMs });
    }
    cold.push(...without([{ startMs: 0, endMs: durationMs }], united(ready)));
  }
  for (const [pool, own] of spans) spans.set(pool, united(own));
  return spans;
}

/** In order, without overlap, empty ones left out. */
export function united(spans: readonly Span[]): Span[] {
  const merged: { startMs: number; endMs: number }[] = [];
  for (const { startMs, endMs } of [...spans].sort((a, b) => a.startMs - b.startMs)) {
    const last = merged.at(-1);
    if (endMs <= startMs) continue;
    if (last !== undefined && startMs <= last.endMs) last.endMs = Math.max(last.endMs, endMs);
    else merged.push({ startMs, endMs });
  }
  return merged;
}

/** What `holes`, in order and without overlap, leave of the spans. */
function without<T extends Span>(spans: readonly T[], holes: readonly Span[]): T[] {
  return spans.flatMap(span => {
    const left: T[] = [];
    let { startMs } = span;
    for (const hole of holes) {
      if (hole.endMs <= startMs || hole.startMs >= span.endMs) continue;
      if (hole.startMs > startMs) left.push({ ...span, startMs, endMs: hole.startMs });
      startMs = hole.endMs;
    }
    if (startMs < span.endMs) left.push({ ...span, startMs });
    return left;
  });
}

/** The same phases, where `marks` lie on those of `on` called `phase`. `marks`: in order, without overlap. */
function marked(
  phases: readonly Phase[],
  phase: BarPhase,
  marks: readonly Span[],
  on: (of: BarPhase) => boolean,
): Phase[] {
  if (marks.length === 0) return [...phases];
  const kept = phases.flatMap(each => (on(each.phase) ? without([each], marks) : [each]));
  const added = phases
    .filter(each => on(each.phase))
    .flatMap(each =>
      marks.flatMap(mark => {
        const startMs = Math.max(mark.startMs, each.startMs);
        const endMs = Math.min(mark.endMs, each.endMs);
        return startMs < endMs ? [{ phase, startMs, endMs }] : [];
      }),
    );
  return [...kept, ...added].sort((a, b) => a.startMs - b.startMs);
}

/** Fills a step from its start on; what lies before what is there already, or behind its end, is cut. */
class Filling {
  readonly phases: Phase[] = [];
  private readonly endMs: number;
  atMs: number;

  constructor({ startMs, endMs }: Span) {
    this.atMs = startMs;
    this.endMs = endMs;
  }

  /** Up to `untilMs` it was `phase`; null: nobody knows what. */
  until(untilMs: number, phase: BarPhase | null): void {
    const endMs = Math.min(untilMs, this.endMs);
    if (endMs <= this.atMs) return;
    if (phase !== null) this.phases.push({ phase, startMs: this.atMs, endMs });
    this.atMs = endMs;
  }
}

/** Refusals of a limit; all else that fails is a failure. */
const LIMITS: readonly Reason[] = ['429', 'shed', 'budget'];
const lossOf = (reason: Reason | null): 'limit' | 'retry' =>
  reason !== null && LIMITS.includes(reason) ? 'limit' : 'retry';

/**
 * The phases of one step. An LLM call queues from sent until scheduled, prefills until its first token and decodes until
 * its end; a live server does not say when it scheduled, so there prefill holds the queue. Before that come attempts
 * that led to nothing with the pauses after them (`retry`; `limit`, where a limit refused them). Queueing while replicas
 * start is `cold`, time on links `transfer`. Time before it was sent that no limit explains is our own, in no phase.
 */
export function phasesOf(
  node: NodeRecord,
  call: CallRecord | undefined,
  background: Background = NO_BACKGROUND,
): Phase[] {
  const filling = new Filling(node);
  if (node.kind === 'tool') fillTool(filling, node, background.tools.get(keyOf(node)) ?? []);
  else if (node.kind !== 'llm' || call === undefined) filling.until(node.endMs, 'run');
  else {
    fillCall(filling, node, call, background);
    const isQueue = (phase: BarPhase): boolean => phase === 'queue';
    const isAnswer = (phase: BarPhase): boolean => ['queue', 'prefill', 'decode'].includes(phase);
    const moved = marked(filling.phases, 'transfer', united(call.transfers ?? []), isAnswer);
    return marked(moved, 'cold', background.cold.get(call.pool) ?? [], isQueue);
  }
  return filling.phases;
}

const sentOf = ({ sentMs, wantedMs }: AttemptRecord): number => sentMs ?? wantedMs;

function fillCall(
  filling: Filling,
  node: NodeRecord,
  call: CallRecord,
  { attempts, held }: Background,
): void {
  // A session that started again may have sent the same step in its life before.
  const all = (attempts.get(keyOf(node)) ?? []).filter(({ endMs }) => (endMs ?? node.endMs) > node.startMs);
  const own = all.sort((a, b) => sentOf(a) - sentOf(b) || a.attempt - b.attempt);
  // An answer that is not among them came from the first attempt, of which the call itself says all.
  const answer = call.outcome === 'ok' ? own.find(({ waste }) => waste === null) : own.at(-1);
  const sentMs = answer === undefined ? (call.sentMs ?? node.endMs) : sentOf(answer);
  const others = own.filter(each => each !== answer);
  const waitFor = ({ because, attempt }: AttemptRecord): BarPhase | null =>
    because !== null || attempt > 0 ? lossOf(because) : held.has(keyOf(node)) ? 'limit' : null;
  const lose = (lost: AttemptRecord, untilMs: number): void => {
    filling.until(Math.min(sentOf(lost), untilMs), waitFor(lost));
    filling.until(Math.min(lost.cancelledMs ?? lost.endMs ?? untilMs, untilMs), lossOf(lost.reason));
  };

  // 1. What led to nothing before the answer was asked for.
  for (const lost of others) if (sentOf(lost) < sentMs) lose(lost, sentMs);
  const wait = answer !== undefined ? waitFor(answer) : held.has(keyOf(node)) ? 'limit' : null;
  filling.until(sentMs, wait);

  // 2. The answer. A refusal of a limit has no phases of its own.
  const endMs = answer?.endMs ?? node.endMs;
  const reason = call.outcome === 'error' && call.error !== null ? reasonOf(call.error) : null;
  const { scheduledMs, firstTokenMs } = call;
  if (reason !== null && lossOf(reason) === 'limit') filling.until(endMs, 'limit');
  // Without a first token, such as a driver that buffers gives, it has no parts.
  else if (call.outcome === 'ok' && firstTokenMs === null) filling.until(endMs, 'run');
  else {
    // A call that never reached a step of the engine spent its whole time queued.
    const neverScheduled = scheduledMs === null && firstTokenMs === null;
    filling.until(neverScheduled ? endMs : (scheduledMs ?? filling.atMs), 'queue');
    filling.until(firstTokenMs ?? endMs, 'prefill');
    filling.until(endMs, 'decode');
  }

  // 3. What was tried after an answer that was not good enough, and did no better.
  for (const lost of others) if (sentOf(lost) >= endMs) lose(lost, node.endMs);
}

function fillTool(filling: Filling, node: NodeRecord, runs: readonly ToolRecord[]): void {
  const own = runs.filter(({ endMs }) => endMs > node.startMs).sort((a, b) => a.askedMs - b.askedMs);
  for (const [i, run] of own.entries()) {
    const { askedMs, queueMs, coldStartMs, consentMs, endMs, error } = run;
    // A human before the first, a pause before the others.
    filling.until(askedMs, run.attempt > 0 ? 'retry' : consentMs > 0 ? 'human' : 'run');
    if (i < own.length - 1) {
      filling.until(endMs, lossOf(error === null ? null : reasonOf(error)));
      continue;
    }
    filling.until(askedMs + queueMs, 'queue');
    filling.until(askedMs + queueMs + coldStartMs, 'cold');
  }
  filling.until(node.endMs, 'run');
}
