// The coordinator's note as a worker reads it, a few times a second, and how long it has been silent.
import type { Redis } from 'ioredis';
import { type Signer, unseal } from '../sign.ts';
import { type LiveTimes, type Note, noteKey, noteScope, unansweredMs } from './message.ts';

export interface NotesOptions {
  readonly redis: Redis;
  readonly signer: Signer;
  readonly run: string;
  readonly times: LiveTimes;
  /** Told of each new note. */
  readonly onNote: (note: Note) => void;
  /** Told once, when nobody is to be expected any more, and why. */
  readonly onGone: (why: string) => void;
}

export class Notes {
  private readonly options: NotesOptions;
  private last = -1;
  /** Of the last new note; and of the last answer of Redis. */
  private heardMs = performance.now();
  private answeredMs = performance.now();
  private isAsking = false;
  private isGone = false;
  private readonly timer: NodeJS.Timeout;

  constructor(options: NotesOptions) {
    this.options = options;
    this.timer = setInterval(() => this.look(), options.times.noteMs);
  }

  close(): void {
    clearInterval(this.timer);
  }

  private look(): void {
    this.judge();
    if (this.isAsking) return;
    this.isAsking = true;
    const { redis, run } = this.options;
    redis
      .get(noteKey(run))
      .then(
        text => this.read(text),
        () => {},
      )
      .finally(() => {
        this.isAsking = false;
      });
  }

  private read(text: string | null): void {
    const nowMs = performance.now();
    // Redis was away: the coordinator could not be heard meanwhile.
    if (nowMs - this.answeredMs > unansweredMs(this.options.times)) this.heardMs = nowMs;
    this.answeredMs = nowMs;
    const { signer, run, onNote } = this.options;
    const read = text === null ? null : unseal(signer, noteScope(run), text);
    if (read?.ok !== true) return;
    const note = read.value as Note;
    if (note.number <= this.last) return;
    this.last = note.number;
    this.heardMs = nowMs;
    onNote(note);
  }

  private judge(): void {
    const { times, onGone } = this.options;
    if (this.isGone) return;
    const nowMs = performance.now();
    const awayMs = nowMs - this.answeredMs;
    const isAway = awayMs > unansweredMs(times);
    const why =
      isAway && awayMs > times.awayMs
        ? `lost the queue for ${seconds(awayMs)}`
        : !isAway && nowMs - this.heardMs > times.goneMs
          ? `did not hear of its coordinator for ${seconds(nowMs - this.heardMs)}`
          : null;
    if (why === null) return;
    this.isGone = true;
    onGone(why);
  }
}

const seconds = (ms: number): string => `${Math.round(ms / 1000)} s`;
