// Sessions of one thread, put together from rows that may interleave with those of other sessions. Only those that may
// still get a call are held: memory does not grow with the trace.
import type { RecordedCall, RecordedSession } from '../../formats/recorded.ts';
import { countSession, type Tally } from '../importer.ts';
import type { Hits } from './hits.ts';

/**
 * Block ids in open sessions, about 50 MB; beyond, the one that waits longest is closed. Where it was not complete, a
 * later call repeats its id, which the import counts and renames.
 */
const HELD_MAX = 1 << 22;
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
    readonly recorded: Partial<RecordedCall['recorded']> & Pick<RecordedCall['recorded'], 'startMs'>;
  };

/** Adds a call; what the format does not know is absent. */
export function addCall({ session }: Thread, known: KnownCall): RecordedCall {
  const before = session.calls.at(-1);
  const call: RecordedCall = {
    id: `main/${session.calls.length}`,
    agent: 'main',
    model: 'unknown',
    parents: [],
    gapMs: 0,
    gapKind: 'unknown',
    gapProvenance: before === undefined ? 'recorded' : 'inferred',
    tool: null,
    reasoningTokens: 0,
    blocks: [],
    primedTokens: 0,
    ...known,
    recorded: { ttftMs: null, e2eMs: null, cachedTokens: null, error: null, ...known.recorded },
  };
  session.calls.push(call);
  return call;
}

const weightOf = ({ blocks }: RecordedCall): number => blocks.length + CALL_WEIGHT;

/** Sessions that may still get a call, by id, the one extended longest ago first. */
export class OpenThreads {
  private readonly threads = new Map<string, Thread>();
  private readonly tally: Tally;
  private readonly idleMs: number;
  private held = 0;

  /** One that gets no call for `idleMs` of the trace's time is complete; Infinity: only the file's end tells. */
  constructor(tally: Tally, idleMs: number) {
    this.tally = tally;
    this.idleMs = idleMs;
  }

  get(id: string): Thread | null {
    return this.threads.get(id) ?? null;
  }

  /** Opens a thread, or makes it the last one extended; `call` is its new one, at `atMs` of the trace. */
  extended(thread: Thread, call: RecordedCall, atMs: number | null): void {
    thread.lastMs = atMs ?? thread.lastMs;
    this.held += weightOf(call);
    this.threads.delete(thread.session.id);
    this.threads.set(thread.session.id, thread);
  }

  /** Closes and yields what is complete at `nowMs`, and where too much is held what waits longest. */
  *complete(nowMs: number | null): Generator<Thread> {
    for (const thread of this.threads.values()) {
      const isIdle = nowMs !== null && thread.lastMs !== null && nowMs - thread.lastMs > this.idleMs;
      const isTooMuch = this.held > HELD_MAX && this.threads.size > 1;
      if (!isIdle && !isTooMuch) return;
      yield this.close(thread);
    }
  }

  /** Closes and yields the others, at the end of the file. */
  *rest(): Generator<Thread> {
    for (const thread of this.threads.values()) yield this.close(thread);
  }

  /** Counts a thread that is complete. */
  close(thread: Thread): Thread {
    const { session, hits } = thread;
    this.threads.delete(session.id);
    for (const call of session.calls) this.held -= weightOf(call);
    countSession(this.tally, session, hits);
    return thread;
  }
}
