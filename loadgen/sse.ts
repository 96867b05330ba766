// Server-sent events, read incrementally from bytes by the WHATWG rules. Rule: any cut of the bytes into reads gives
// the same events. Unlike a browser, an event that the end of the stream cuts off before its blank line is given too.

/** One event. `event` is its type, 'message' when it has none. */
export interface SseEvent {
  event: string;
  data: string;
}

const EMPTY = Buffer.alloc(0);
const DATA = Buffer.from('data');
const EVENT = Buffer.from('event');

const LF = 10;
const CR = 13;
const COLON = 58;
const SPACE = 32;

/** Longest line accepted, in bytes. */
const MAX_LINE_BYTES = 16 * 1024 * 1024;

/** A line longer than the parser accepts: not an event stream. */
export class SseLimitError extends Error {}

export class SseParser {
  private readonly onEvent: (event: SseEvent) => void;
  /** Bytes of the unfinished line, from earlier reads. */
  private held: Buffer[] = [];
  private heldBytes = 0;
  /** The last byte was a CR, so an LF that comes next belongs to it. */
  private afterCr = false;
  private atStart = true;
  private event = '';
  /** Null until a data line is seen: an event without one is not given. */
  private data: string | null = null;

  constructor(onEvent: (event: SseEvent) => void) {
    this.onEvent = onEvent;
  }

  /** Hot. Takes bytes [from, to); they may be reused by the caller afterwards. */
  push(bytes: Buffer, from = 0, to = bytes.length): void {
    let start = this.wholeEvents(bytes, from, to);
    for (let at = start; at < to; at++) {
      const byte = bytes[at];
      if (byte !== LF && byte !== CR) continue;
      // The LF of a CR LF ends no line of its own.
      if (byte !== LF || at !== start || !this.afterCr) this.line(bytes, start, at);
      this.afterCr = byte === CR;
      start = at + 1;
    }
    if (start < to) this.afterCr = false;
    if (start >= to) return;
    this.held.push(Buffer.from(bytes.subarray(start, to)));
    this.heldBytes += to - start;
    if (this.heldBytes > MAX_LINE_BYTES) throw new SseLimitError(`a line of over ${MAX_LINE_BYTES} bytes`);
  }

  /**
   * Gives the events in front that are whole, of one data line each and ended by LF: what servers send. Returns where the
   * rest begins, which is read byte by byte.
   */
  private wholeEvents(bytes: Buffer, from: number, to: number): number {
    if (this.heldBytes > 0 || this.afterCr || this.atStart || this.data !== null) return from;
    let start = from;
    while (this.event === '' && startsWith(bytes, start, to, DATA) && bytes[start + 5] === SPACE) {
      const end = bytes.indexOf(LF, start);
      if (end < 0 || end + 1 >= to || bytes[end + 1] !== LF) break;
      const data = bytes.toString('utf8', start + 6, end);
      if (data.includes('\r')) break;
      start = end + 2;
      this.onEvent({ event: 'message', data });
    }
    return start;
  }

  /** The stream ended: gives what an unfinished last event holds. */
  end(): void {
    if (this.heldBytes > 0) this.line(EMPTY, 0, 0);
    this.dispatch();
  }

  /** What earlier reads left of it, and bytes [from, to). */
  private line(bytes: Buffer, from: number, to: number): void {
    if (this.heldBytes === 0) {
      this.field(bytes, from, to);
      return;
    }
    const whole = Buffer.concat([...this.held, bytes.subarray(from, to)]);
    this.held = [];
    this.heldBytes = 0;
    this.field(whole, 0, whole.length);
  }

  private field(bytes: Buffer, from: number, to: number): void {
    if (this.atStart) {
      this.atStart = false;
      if (bytes[from] === 0xef && bytes[from + 1] === 0xbb && bytes[from + 2] === 0xbf) from += 3;
    }
    if (from === to) {
      this.dispatch();
      return;
    }
    // All other fields, and comments (keep-alives are sent as one), mean nothing here.
    const isData = startsWith(bytes, from, to, DATA);
    if (!isData && !startsWith(bytes, from, to, EVENT)) return;
    const colon = from + (isData ? DATA.length : EVENT.length);
    const value =
      colon === to ? '' : bytes.toString('utf8', colon + (bytes[colon + 1] === SPACE ? 2 : 1), to);
    if (!isData) this.event = value;
    else this.data = this.data === null ? value : `${this.data}\n${value}`;
  }

  private dispatch(): void {
    const { data } = this;
    const event = this.event === '' ? 'message' : this.event;
    this.event = '';
    this.data = null;
    if (data !== null) this.onEvent({ event, data });
  }
}

/** The line is the field of that name: a colon or nothing follows. */
function startsWith(bytes: Buffer, from: number, to: number, name: Buffer): boolean {
  const end = from + name.length;
  if (end > to || (end < to && bytes[end] !== COLON)) return false;
  for (let i = 0; i < name.length; i++) if (bytes[from + i] !== name[i]) return false;
  return true;
}
