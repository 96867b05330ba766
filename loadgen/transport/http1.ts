// HTTP/1.1 over connections of our own: one exchange each at a time, kept open between them, as many as there are calls
// in flight. All reads land in one buffer, and the clock is read before a byte of it is looked at.
import type { Socket } from 'node:net';
import type { buildConnector } from 'undici';
import type { Clock } from '../clock.ts';
import type { Abandon, HttpRequest, ResponseHandler, Transport } from './exchange.ts';
import { ResponseParser } from './response.ts';

type Connect = ReturnType<typeof buildConnector>;

export interface Http1Options {
  readonly origin: URL;
  /** How connections are opened, given what their reads call. */
  connector(onread: OnRead): Connect;
  readonly clock: Clock;
  /** A connection without an exchange is closed after this. */
  readonly keepAliveMs: number;
}

/** net.connect's `onread`: reads come without a buffer of their own. */
export interface OnRead {
  buffer: Buffer;
  callback(this: unknown, bytes: number, buffer: Uint8Array): boolean;
}

const READ_BYTES = 256 * 1024;

interface Exchange {
  readonly request: HttpRequest;
  readonly handler: ResponseHandler;
  /** Null while it waits for one, and when it is over. */
  connection: Connection | null;
}

/** Its last bytes came, or went, at `usedMs`. */
interface Connection {
  readonly socket: Socket;
  readonly parser: ResponseParser;
  exchange: Exchange | null;
  usedMs: number;
}

export class Http1 implements Transport {
  opened = 0;
  private readonly options: Http1Options;
  private readonly connect: Connect;
  private readonly buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  /** Connections that exist, and those of them without an exchange, latest used last. */
  private readonly connections = new Map<unknown, Connection>();
  private readonly idle: Connection[] = [];
  private readonly waiting = new Set<Exchange>();
  private connecting = 0;
  private sweeping: NodeJS.Timeout | undefined;
  private isClosed = false;

  constructor(options: Http1Options) {
    this.options = options;
    const { buffer } = this;
    const onRead = (socket: unknown, bytes: number) => this.read(socket, bytes);
    this.connect = options.connector({
      buffer,
      callback(bytes) {
        onRead(this, bytes);
        return true;
      },
    });
  }

  begin(request: HttpRequest, handler: ResponseHandler): Abandon {
    checkHeaders(request.headers);
    const exchange: Exchange = { request, handler, connection: null };
    const free = this.idle.pop();
    if (free !== undefined) this.start(free, exchange);
    else {
      this.waiting.add(exchange);
      this.open();
    }
    return () => this.abandon(exchange);
  }

  async close(): Promise<void> {
    this.isClosed = true;
    clearInterval(this.sweeping);
    for (const { socket } of this.connections.values()) socket.destroy();
  }

  /** One more connection, where exchanges wait that none is being opened for. */
  private open(): void {
    const { origin } = this.options;
    if (this.connecting >= this.waiting.size) return;
    this.connecting++;
    const host = origin.hostname.replace(/^\[|\]$/g, '');
    this.connect(
      { hostname: host, host: origin.host, protocol: origin.protocol, port: origin.port },
      (...[error, socket]) => {
        this.connecting--;
        if (error !== null) this.refused(error);
        else this.connected(socket);
      },
    );
  }

  private connected(socket: Socket): void {
    if (this.isClosed) {
      socket.destroy();
      return;
    }
    this.opened++;
    const connection: Connection = { socket, parser: new ResponseParser(), exchange: null, usedMs: 0 };
    this.connections.set(socket, connection);
    socket.on('error', error => this.lost(connection, error));
    socket.on('end', () => this.lost(connection, null));
    socket.on('close', () => this.lost(connection, null));
    this.sweeping ??= setInterval(() => this.sweep(), this.options.keepAliveMs / 4).unref();
    this.free(connection);
  }

  /** The exchange that has waited longest has no connection to wait for. */
  private refused(error: Error): void {
    const [first] = this.waiting;
    if (first === undefined) return;
    this.waiting.delete(first);
    first.handler.failed(error);
    this.open();
  }

  private start(connection: Connection, exchange: Exchange): void {
    const { socket, parser } = connection;
    connection.exchange = exchange;
    exchange.connection = connection;
    parser.begin(exchange.handler);
    socket.write(bytesOf(exchange.request, this.options.origin.host));
    exchange.handler.written();
  }

  /** Hot: once for each read of any socket. */
  private read(socket: unknown, bytes: number): void {
    const atMs = this.options.clock.nowMs();
    const connection = this.connections.get(socket);
    if (connection === undefined) return;
    const { parser, exchange } = connection;
    if (exchange === null) {
      // Bytes that nobody asked for: what comes next could not be told from an answer.
      this.drop(connection);
      return;
    }
    try {
      parser.read(this.buffer, bytes, atMs);
    } catch (error) {
      this.fail(connection, error as Error);
      return;
    }
    // A handler may have given it up meanwhile.
    if (!parser.isDone || connection.exchange !== exchange) return;
    connection.exchange = null;
    if (parser.keepsOpen) this.free(connection);
    else this.drop(connection);
    exchange.handler.ended(atMs);
  }

  /** Takes the next exchange that waits, or rests. */
  private free(connection: Connection): void {
    const [next] = this.waiting;
    if (next !== undefined) {
      this.waiting.delete(next);
      this.start(connection, next);
      return;
    }
    connection.usedMs = this.options.clock.nowMs();
    this.idle.push(connection);
  }

  /** The server closed it, or it broke. */
  private lost(connection: Connection, error: Error | null): void {
    const { parser, exchange } = connection;
    if (exchange === null) {
      this.drop(connection);
      return;
    }
    if (error === null && parser.endsWithConnection) {
      connection.exchange = null;
      this.drop(connection);
      exchange.handler.ended(this.options.clock.nowMs());
      return;
    }
    this.fail(connection, error ?? new Error('other side closed the connection'));
  }

  private fail(connection: Connection, error: Error): void {
    const { exchange } = connection;
    connection.exchange = null;
    this.drop(connection);
    exchange?.handler.failed(error);
  }

  private drop(connection: Connection): void {
    const { socket } = connection;
    if (!this.connections.delete(socket)) return;
    const row = this.idle.indexOf(connection);
    if (row >= 0) this.idle.splice(row, 1);
    socket.destroy();
  }

  private abandon(exchange: Exchange): void {
    const { connection } = exchange;
    if (this.waiting.delete(exchange) || connection?.exchange !== exchange) return;
    connection.exchange = null;
    this.drop(connection);
  }

  /** Rests the longest first: the oldest are in front. */
  private sweep(): void {
    const { clock, keepAliveMs } = this.options;
    const sinceMs = clock.nowMs() - keepAliveMs;
    while (this.idle[0] !== undefined && this.idle[0].usedMs < sinceMs) this.drop(this.idle[0]);
  }
}

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** Visible latin-1, blanks and tabs. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

function checkHeaders(headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) {
    if (!TOKEN.test(name)) throw new Error(`invalid header name ${JSON.stringify(name)}`);
    // Never shown: it may be a key.
    if (!VALUE.test(value)) throw new Error(`invalid value of the header ${name}`);
  }
}

/** In one piece: a write costs as much as reading twenty tokens. */
function bytesOf({ method, path, headers, body }: HttpRequest, host: string): Buffer {
  let head = `${method} ${path} HTTP/1.1\r\nhost: ${host}\r\nconnection: keep-alive\r\n`;
  for (const name in headers) head += `${name}: ${headers[name]}\r\n`;
  if (body === null) return Buffer.from(`${head}\r\n`, 'latin1');
  return Buffer.concat([Buffer.from(`${head}content-length: ${body.length}\r\n\r\n`, 'latin1'), body]);
}
