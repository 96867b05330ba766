// Reads HTTP/1.1 responses from bytes as they come (RFC 9112). Rule: any cut of the bytes into reads gives the same body.
import type { ResponseHandler, ResponseHeaders } from './exchange.ts';

const LF = 10;
const CR = 13;
const SEMICOLON = 59;

const HEAD_BYTES_MAX = 256 * 1024;

/** What comes next. */
type Stage =
  | 'head'
  | 'length' // of the body, known from the head
  | 'until_close'
  | 'chunk_size'
  | 'chunk_skip' // extensions, up to the end of the line
  | 'chunk'
  | 'chunk_end'
  | 'trailers'
  | 'done';

export class ResponseParser {
  /** After the response the connection may be used again. */
  keepsOpen = false;
  private stage: Stage = 'done';
  private handler: ResponseHandler | null = null;
  /** Head or trailers, from earlier reads. */
  private held: Buffer[] = [];
  private heldBytes = 0;
  /** Bytes of the body or chunk still to come. */
  private left = 0;
  private sizeDigits = 0;
  /** Bytes of the line that ends a trailer. */
  private lineBytes = 0;

  begin(handler: ResponseHandler): void {
    this.handler = handler;
    this.stage = 'head';
    this.held = [];
    this.heldBytes = 0;
  }

  get isDone(): boolean {
    return this.stage === 'done';
  }

  /** The end of the connection is the end of the body. */
  get endsWithConnection(): boolean {
    return this.stage === 'until_close';
  }

  /** Hot. Takes the first `length` bytes; throws what is wrong with them. */
  read(bytes: Buffer, length: number, atMs: number): void {
    let at = 0;
    while (at < length) {
      switch (this.stage) {
        case 'head':
          at = this.head(bytes, at, length);
          break;
        case 'chunk_size':
          at = this.chunkSize(bytes, at, length);
          break;
        case 'chunk':
        case 'length': {
          const to = Math.min(length, at + this.left);
          this.left -= to - at;
          // Before the handler, which may begin the next one.
          if (this.left === 0) this.enter(this.stage === 'chunk' ? 'chunk_end' : 'done');
          this.handler?.data(bytes, at, to, atMs);
          at = to;
          break;
        }
        case 'until_close':
          this.handler?.data(bytes, at, length, atMs);
          return;
        case 'chunk_end':
          // CR and LF.
          if (bytes[at] === LF) this.enter('chunk_size');
          else if (bytes[at] !== CR) throw new Error('a chunk is longer than it said');
          at++;
          break;
        case 'chunk_skip':
          if (bytes[at] === LF) this.sized();
          at++;
          break;
        case 'trailers':
          if (bytes[at] === LF) {
            if (this.lineBytes === 0) this.enter('done');
            this.lineBytes = 0;
          } else if (bytes[at] !== CR) this.lineBytes++;
          at++;
          break;
        case 'done':
          // More than one response to one request.
          this.keepsOpen = false;
          return;
      }
    }
  }

  private enter(stage: Stage): void {
    this.stage = stage;
    if (stage === 'chunk_size') {
      this.left = 0;
      this.sizeDigits = 0;
    }
    this.lineBytes = 0;
  }

  private chunkSize(bytes: Buffer, from: number, length: number): number {
    for (let at = from; at < length; at++) {
      const digit = hexDigit(bytes[at]!);
      if (digit >= 0) {
        this.left = this.left * 16 + digit;
        if (++this.sizeDigits > 12) throw new Error('a chunk with an impossible size');
        continue;
      }
      if (this.sizeDigits === 0) throw new Error('a chunk without a size');
      if (bytes[at] === LF) {
        this.sized();
        return at + 1;
      }
      if (bytes[at] === CR) continue;
      if (bytes[at] !== SEMICOLON && bytes[at] !== 0x20 && bytes[at] !== 0x09) {
        throw new Error('a chunk with an impossible size');
      }
      this.stage = 'chunk_skip';
      return at + 1;
    }
    return length;
  }

  private sized(): void {
    this.stage = this.left === 0 ? 'trailers' : 'chunk';
    this.lineBytes = 0;
  }

  /** Returns where the body begins, or `length` when the head goes on. */
  private head(bytes: Buffer, from: number, length: number): number {
    const earlier = this.heldBytes;
    const piece = bytes.subarray(from, length);
    const whole = earlier === 0 ? piece : Buffer.concat([...this.held, piece]);
    const end = endOfHead(whole, Math.max(0, earlier - 3));
    if (end < 0) {
      // The caller reuses its buffer.
      this.held.push(Buffer.from(piece));
      this.heldBytes += piece.length;
      if (this.heldBytes > HEAD_BYTES_MAX) throw new Error('a head of over 256 KiB');
      return length;
    }
    this.held = [];
    this.heldBytes = 0;
    this.readHead(whole.toString('latin1', 0, end));
    return from + end - earlier;
  }

  private readHead(text: string): void {
    const [first = '', ...lines] = text.trimEnd().split(/\r?\n/);
    const match = /^HTTP\/1\.([01]) (\d{3})(?: |$)/.exec(first);
    if (match === null) throw new Error(`not an HTTP/1.1 response: ${first.slice(0, 80)}`);
    const status = Number(match[2]);
    if (status >= 100 && status < 200) {
      if (status === 101) throw new Error('the server changed the protocol');
      // The real answer follows.
      return;
    }
    const headers = headersOf(lines);
    const connection = String(headers.connection ?? '').toLowerCase();
    this.keepsOpen = match[1] === '1' ? !connection.includes('close') : connection.includes('keep-alive');
    const encoding = String(headers['transfer-encoding'] ?? '').toLowerCase();
    const given = headers['content-length'];
    if (status === 204 || status === 304) this.enter('done');
    else if (encoding.endsWith('chunked')) this.enter('chunk_size');
    else if (given !== undefined && encoding === '') {
      this.left = Number(Array.isArray(given) ? given[0] : given);
      if (!Number.isSafeInteger(this.left) || this.left < 0) throw new Error('an impossible content-length');
      this.enter(this.left === 0 ? 'done' : 'length');
    } else {
      this.keepsOpen = false;
      this.enter('until_close');
    }
    this.handler?.headers(status, headers);
  }
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

/** Behind the blank line that ends a head; -1: it goes on. */
function endOfHead(bytes: Buffer, from: number): number {
  for (let at = bytes.indexOf(LF, from); at >= 0; at = bytes.indexOf(LF, at + 1)) {
    if (bytes[at + 1] === LF) return at + 2;
    if (bytes[at + 1] === CR && bytes[at + 2] === LF) return at + 3;
  }
  return -1;
}

function headersOf(lines: readonly string[]): ResponseHeaders {
  const headers: Record<string, string | string[]> = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon <= 0) throw new Error(`not a header: ${line.slice(0, 80)}`);
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    const known = headers[name];
    if (known === undefined) headers[name] = value;
    else headers[name] = [...(Array.isArray(known) ? known : [known]), value];
  }
  return headers;
}
