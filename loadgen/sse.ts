// Server-sent events, read incrementally from bytes by the WHATWG rules. Rule: any cut of the bytes into reads gives
// the same events. Unlike a browser, an event that the end of the stream cuts off before its blank line is given too.

/** One event. `event` is its type, 'message' when it has none. */
export interface SseEvent {
  event: string;
  data: string;
}

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

  /** Takes the next bytes; they may be reused by the caller afterwards. */
  push(bytes: Buffer): void {
    let start = 0;
    for (let at = 0; at < bytes.length; at++) {
      const byte = bytes[at];
      if (byte !== LF && byte !== CR) {
        this.afterCr = false;
        continue;
      }
      if (byte === LF && this.afterCr) {
        this.afterCr = false;
        start = at + 1;
        continue;
      }
      this.afterCr = byte === CR;
      this.line(this.joined(bytes, start, at));
      start = at + 1;
    }
    if (start >= bytes.length) return;
    this.held.push(Buffer.from(bytes.subarray(start)));
    this.heldBytes += bytes.length - start;
    if (this.heldBytes > MAX_LINE_BYTES) throw new SseLimitError(`a line of over ${MAX_LINE_BYTES} bytes`);
  }

  /** The stream ended: gives what an unfinished last event holds. */
  end(): void {
    if (this.heldBytes > 0) this.line(this.joined(Buffer.alloc(0), 0, 0));
    this.dispatch();
  }

  private joined(bytes: Buffer, start: number, end: number): Buffer {
    const piece = bytes.subarray(start, end);
    if (this.heldBytes === 0) return piece;
    const whole = Buffer.concat([...this.held, piece]);
    this.held = [];
    this.heldBytes = 0;
    return whole;
  }

  private line(line: Buffer): void {
    if (this.atStart) {
      this.atStart = false;
      if (line[0] === 0xef && line[1] === 0xbb && line[2] === 0xbf) line = line.subarray(3);
    }
    if (line.length === 0) {
      this.dispatch();
      return;
    }
    const colon = line.indexOf(COLON);
    if (colon === 0) return; // a comment: keep-alives are sent as one
    const name = line.toString('latin1', 0, colon < 0 ? line.length : colon);
    if (name !== 'data' && name !== 'event') return;
    const from = colon < 0 ? line.length : line[colon + 1] === SPACE ? colon + 2 : colon + 1;
    const value = line.toString('utf8', from);
    if (name === 'event') this.event = value;
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
