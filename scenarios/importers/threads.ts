// Sessions of one thread, put together from rows that may interleave with those of other sessions. Only those that may
// still get a call are held: memory does not grow with the trace.
import type { RecordedCall, RecordedSession } from '../formats/recorded.ts';
import type { Hits } from './hits.ts';
import { countNote, countSession, type Tally } from './importer.ts';

/** A session that gets no call for so long, in the time of the trace, is complete. */
export const IDLE_MS = 30 * 60_000;
/** Block ids in open sessions; beyond, the one that waits longest is closed. About 150 MB. */
const HELD_MAX = 1 << 24;
/** What a call weighs besides its blocks, in block ids. */
const CALL_WEIGHT = 64;

export interface Thread {
  readonly session: RecordedSession;
  readonly hits: Hits;
  /** Time of the first and of the last call on the clock of the trace, ms; null where there is none. */
  readonly firstMs: number | null;
  lastMs: number | null;
}

/** A session without calls; what the format does not know is absent. */
export function newThread(
  known: Pick<RecordedSession, 'id' | 'source' | 'blockTokens' | 'blockScope'> & Partial<RecordedSession>,
  atMs: number | null,
): Thread {
  return {
    session: { tenant: null, user: null, arrivalMs: null, systemTokens: 0, calls: [], ...known },
    hits: { hitBlocks: 0, hitTokens: 0 },
    firstMs: atMs,
    lastMs: atMs,
  };
}

type KnownCall = Pick<RecordedCall, 'promptTokens' | 'outputTokens'> &
  Partial<Omit<RecordedCall, 'recorded'>> & {
    readonly recorded?: Partial<RecordedCall['recorded']>;
  };

/** Adds a call; by default it follows the one before at once, and nothing else is known of it. */
export function addCall({ session }: Thread, known: KnownCall): RecordedCall {
  const before = session.calls.at(-1);
  const startMs = before === undefined ? 0 : before.recorded.startMs + (known.gapMs ?? 0);
  const call: RecordedCall = {
    id: `main/${session.calls.length}`,
    agent: 'main',
    model: 'unknown',
    parents: before === undefined ? [] : [before.id],
    gapMs: 0,
    gapKind: 'unknown',
    gapProvenance: before === undefined ? 'recorded' : 'inferred',
    tool: null,
    reasoningTokens: 0,
    blocks: [],
    primedTokens: 0,
    ...known,
    recorded: { startMs, ttftMs: null, e2eMs: null, cachedTokens: null, error: null, ...known.recorded },
  };
  session.calls.push(call);
  return call;
}

const weightOf = ({ blocks }: RecordedCall): number => blocks.length + CALL_WEIGHT;

/** Sessions that may still get a call, by id, the one extended longest ago first. */
export class OpenThreads {
  private readonly threads = new Map<string, Thread>();
  private readonly tally: Tally;
  private held = 0;

  constructor(tally: Tally) {
    this.tally = tally;
  }

  get(id: string): Thread | null {
    return this.threads.get(id) ?? null;
  }

  /** Opens a thread, or makes it the last one extended; `call` is its new one, at `atMs`. */
  extended(thread: Thread, call: RecordedCall, atMs: number | null): void {
    thread.lastMs = atMs ?? thread.lastMs;
    this.held += weightOf(call);
    this.threads.delete(thread.session.id);
    this.threads.set(thread.session.id, thread);
  }

  /** Closes and yields those that are idle at `nowMs`, and where too much is held those that wait longest. */
  *idle(nowMs: number | null): Generator<Thread> {
    for (const thread of this.threads.values()) {
      const idle = nowMs !== null && thread.lastMs !== null && nowMs - thread.lastMs > IDLE_MS;
      if (!idle && this.held <= HELD_MAX) return;
      if (!idle) countNote(this.tally, 'closedEarly');
      yield this.close(thread);
    }
  }

  /** Closes and yields the others, at the end of the file. */
  *rest(): Generator<Thread> {
    for (const thread of this.threads.values()) yield this.close(thread);
  }

  private close(thread: Thread): Thread {
    const { session, hits } = thread;
    this.threads.delete(session.id);
    for (const call of session.calls) this.held -= weightOf(call);
    countSession(this.tally, session, hits);
    return thread;
  }
}
