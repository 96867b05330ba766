// The shards of a live run as the coordinator knows them: what each has delivered, in order and once, and when it was last
// heard of.

import type { LoggedRecords } from '../../../reports/rebuild.ts';
import { unreachable } from '../../../scenarios/base/errors.ts';
import { LINE_FILES, type LineKind, type RunEnd } from '../../../scenarios/formats/run-log.ts';
import { type Signer, unseal } from '../sign.ts';
import type { ClockOffset } from './clock-offset.ts';
import { type Entry, entryScope, type ShardProgress } from './message.ts';
import { entryIn } from './outbox.ts';

export type ShardState = 'waiting' | 'taken' | 'ready' | 'refused' | 'ended' | 'failed';

const LINE_KINDS = Object.keys(LINE_FILES) as LineKind[];

export class Inbox {
  readonly index: number;
  state: ShardState = 'waiting';
  worker: string | null = null;
  clock: (ClockOffset & { wallMs: number }) | null = null;
  progress: ShardProgress = { sessionsStarted: 0, activeSessions: 0, callsInFlight: 0 };
  /** Why it was refused or broke, and what to do. */
  problem: { message: string; hint: string | null } | null = null;
  end: RunEnd | null = null;
  /** It came to an end of its own, and why. */
  lost: string | null = null;
  readonly records: LoggedRecords = {
    call: [],
    node: [],
    session: [],
    sample: [],
    attempt: [],
    tool: [],
    decision: [],
  };
  /** Entries read so far. */
  read = 0;
  /** When the last came, on `performance`'s clock; of one that waits, when it began to. */
  heardMs = performance.now();
  /** Entries that this run's key has not signed. */
  foreign = 0;

  constructor(index: number) {
    this.index = index;
  }

  get isOver(): boolean {
    return this.state === 'ended' || this.state === 'failed' || this.state === 'refused';
  }

  /** Entries of its list in their order; one that came before, or before its time, is left: its sender sends it again. */
  take(
    texts: readonly string[],
    { signer, run, onRecord }: { signer: Signer; run: string; onRecord: OnRecord },
  ): void {
    for (const text of texts) {
      const found = entryIn(text);
      if (found === null) this.foreign++;
      if (found === null || found.sequence !== this.read) continue;
      const opened = unseal(signer, entryScope(run, this.index, found.sequence), found.sealed);
      if (!opened.ok) {
        this.foreign++;
        continue;
      }
      this.read++;
      this.heardMs = performance.now();
      this.accept(opened.value as Entry, onRecord);
    }
  }

  private accept(entry: Entry, onRecord: OnRecord): void {
    switch (entry.kind) {
      case 'taken':
        this.state = 'taken';
        this.worker = entry.worker;
        return;
      case 'ready':
        this.state = 'ready';
        this.clock = entry.clock;
        return;
      case 'refused':
        this.state = 'refused';
        this.problem = { message: entry.message, hint: entry.hint };
        return;
      case 'lines':
        this.progress = entry.progress;
        for (const kind of LINE_KINDS)
          for (const line of entry.lines[kind]?.split('\n') ?? []) {
            const record = JSON.parse(line) as object;
            (this.records[kind] as object[]).push(record);
            onRecord(kind, record, this.index);
          }
        return;
      case 'end':
        this.state = 'ended';
        this.end = entry.end;
        this.lost = entry.lost;
        return;
      case 'failed':
        this.state = 'failed';
        this.problem = { message: entry.message, hint: null };
        this.lost = `was lost: ${entry.message}`;
        return;
      default:
        unreachable(entry);
    }
  }
}

export type OnRecord = (kind: LineKind, record: object, shard: number) => void;
