// A streaming server that keeps deadlines and knows its own truth: chunk i of a call is due `ttftMs + i * itlMs` after the
// call came in; a late chunk is sent at once, and the deadlines after it stay where they are. One write per event. It
// logs when it sent what, so that a client can be told how wrong its own measurements are.
import { createServer, type Socket } from 'node:net';
import { Histogram, type HistogramCounts } from '../../scenarios/base/histogram.ts';
import { type ClockZero, startClock } from '../clock.ts';
import { type Answer, answerBook } from './answer.ts';

/** How the server answers. */
export interface Behaviour {
  /** From arrival to the first chunk with tokens. */
  ttftMs: number;
  /** Between chunks. */
  itlMs: number;
  /** Of a call that does not ask for a number itself. */
  tokens: number;
  tokensPerChunk: number;
  reasoningChunks: number;
  earlyRole: boolean;
}

export const USUAL: Behaviour = {
  ttftMs: 100,
  itlMs: 20,
  tokens: 100,
  tokensPerChunk: 1,
  reasoningChunks: 0,
  earlyRole: false,
};

/** What the server did with one call; times of the clock whose zero it was given. */
export interface CallTruth {
  /** `x-request-id` of the call, '' without one. */
  id: string;
  arrivalMs: number;
  /** Of the first chunk with tokens; NaN until then. */
  firstMs: number;
  lastMs: number;
  /** Between two chunks. */
  gapMsMax: number;
  chunks: number;
}

/** Since the last reset. */
export interface ServerTruth {
  arrivals: number;
  inFlight: number;
  inFlightMax: number;
  connections: number;
  chunks: number;
  /** Null before the first. */
  firstArrivalMs: number | null;
  lastSendMs: number | null;
  gapMs: HistogramCounts;
  /** Sent minus due. */
  lateMs: HistogramCounts;
  /** Of its process. */
  cpuMs: number;
  /** In order of arrival; no more than CALLS_KEPT. */
  calls: CallTruth[];
}

/** Calls whose truth is kept one by one. */
export const CALLS_KEPT = 100_000;

interface Stream extends CallTruth {
  readonly socket: Socket;
  readonly answer: Answer;
  dueMs: number;
}

export interface DeadlineServer {
  readonly port: number;
  close(): Promise<void>;
}

/** Listens on loopback. */
export async function listen(initial: Behaviour, zero?: ClockZero): Promise<DeadlineServer> {
  const clock = startClock(zero);
  const answerOf = answerBook();
  let behaviour = initial;
  // All gaps are equal, so streams that wait for their next chunk wait in order of their deadlines; no heap is needed.
  const first = new Fifo<Stream>();
  const next = new Fifo<Stream>();
  const sockets = new Set<Socket>();
  const gaps = new Histogram();
  const late = new Histogram();
  let calls: CallTruth[] = [];
  let arrivals = 0;
  let inFlight = 0;
  let inFlightMax = 0;
  let chunks = 0;
  let firstArrivalMs: number | null = null;
  let lastSendMs: number | null = null;
  let cpu = process.cpuUsage();
  let timer: NodeJS.Timeout | null = null;

  function reset(changes: Partial<Behaviour>): void {
    behaviour = { ...behaviour, ...changes };
    gaps.clear();
    late.clear();
    calls = [];
    arrivals = 0;
    inFlightMax = inFlight;
    chunks = 0;
    firstArrivalMs = null;
    lastSendMs = null;
    cpu = process.cpuUsage();
  }

  function truth(): ServerTruth {
    const { user, system } = process.cpuUsage(cpu);
    return {
      arrivals,
      inFlight,
      inFlightMax,
      connections: sockets.size,
      chunks,
      firstArrivalMs,
      lastSendMs,
      gapMs: gaps.toCounts(),
      lateMs: late.toCounts(),
      cpuMs: (user + system) / 1000,
      calls: calls.map(({ id, arrivalMs, firstMs, lastMs, gapMsMax, chunks: sent }) => {
        return { id, arrivalMs, firstMs, lastMs, gapMsMax, chunks: sent };
      }),
    };
  }

  function begin(socket: Socket, { head, body }: Request, arrivalMs: number): void {
    const asked = /"max_(?:completion_)?tokens": ?(\d+)/.exec(body)?.[1];
    const { tokens, tokensPerChunk, reasoningChunks, earlyRole, ttftMs } = behaviour;
    const answer = answerOf({
      tokens: Math.max(1, asked === undefined ? tokens : Number(asked)),
      tokensPerChunk,
      reasoningChunks,
      earlyRole,
      continuousUsage: /"continuous_usage_stats": ?true/.test(body),
    });
    const id = /^x-request-id: *(.*)$/im.exec(head)?.[1] ?? '';
    const stream: Stream = {
      id,
      arrivalMs,
      firstMs: Number.NaN,
      lastMs: Number.NaN,
      gapMsMax: 0,
      chunks: 0,
      socket,
      answer,
      dueMs: arrivalMs + ttftMs,
    };
    arrivals++;
    inFlight++;
    if (inFlight > inFlightMax) inFlightMax = inFlight;
    firstArrivalMs ??= arrivalMs;
    if (calls.length < CALLS_KEPT) calls.push(stream);
    if (answer.early !== null) socket.write(answer.early);
    first.push(stream);
    if (timer === null) arm(arrivalMs);
  }

  /** Hot: about once per millisecond. */
  function tick(): void {
    timer = null;
    const nowMs = clock.nowMs();
    sendDue(first, nowMs);
    sendDue(next, nowMs);
    arm(clock.nowMs());
  }

  /** Hot. What becomes due again while we send waits for the next turn, after the sockets. */
  function sendDue(queue: Fifo<Stream>, nowMs: number): void {
    for (let stream = queue.peek(); stream !== undefined && stream.dueMs <= nowMs; stream = queue.peek()) {
      queue.shift();
      send(stream);
    }
  }

  /** Hot: once per chunk. */
  function send(stream: Stream): void {
    const { socket, answer } = stream;
    if (socket.destroyed) {
      inFlight--;
      return;
    }
    const atMs = clock.nowMs();
    socket.write(answer.chunks[stream.chunks]!);
    late.record(atMs - stream.dueMs);
    if (stream.chunks === 0) stream.firstMs = atMs;
    else {
      const gapMs = atMs - stream.lastMs;
      gaps.record(gapMs);
      if (gapMs > stream.gapMsMax) stream.gapMsMax = gapMs;
    }
    stream.lastMs = atMs;
    lastSendMs = atMs;
    chunks++;
    stream.chunks++;
    if (stream.chunks < answer.chunks.length) {
      stream.dueMs += behaviour.itlMs;
      next.push(stream);
      return;
    }
    socket.write(answer.tail);
    inFlight--;
  }

  /** Timers count whole milliseconds: the last one may be waited for twice, but no chunk is early. */
  function arm(nowMs: number): void {
    const dueMs = Math.min(first.peek()?.dueMs ?? Infinity, next.peek()?.dueMs ?? Infinity);
    if (dueMs < Infinity) timer = setTimeout(tick, Math.max(1, Math.ceil(dueMs - nowMs)));
  }

  /** Status and body of what is no call. */
  function control(path: string): [number, object] {
    const { pathname, searchParams } = new URL(path, 'http://localhost');
    if (pathname === '/stats') return [200, truth()];
    if (pathname === '/v1/models')
      return [200, { object: 'list', data: [{ id: 'selftest', object: 'model' }] }];
    if (pathname !== '/reset') return [404, { error: { message: `no ${path} here` } }];
    // Deadlines of streams under way are in the order of the gap they began with.
    if (inFlight > 0) return [409, { error: { message: `${inFlight} streams are under way` } }];
    reset(changesOf(searchParams));
    return [200, behaviour];
  }

  const server = createServer({ noDelay: true }, socket => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    const reader = requestReader(request => {
      if (request.path === '/v1/chat/completions') begin(socket, request, clock.nowMs());
      else reply(socket, ...control(request.path));
    });
    socket.on('data', reader);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, resolve);
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    close: async () => {
      if (timer !== null) clearTimeout(timer);
      for (const socket of sockets) socket.destroy();
      await new Promise(resolve => server.close(resolve));
    },
  };
}

/** Settings of a `/reset?ttft_ms=…`; what is not named stays. */
function changesOf(query: URLSearchParams): Partial<Behaviour> {
  const changes: Partial<Behaviour> = {};
  for (const [name, text] of query) {
    const key = name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
    if (key === 'earlyRole') changes.earlyRole = text === 'true';
    else if (key in USUAL) changes[key as Exclude<keyof Behaviour, 'earlyRole'>] = Number(text);
  }
  return changes;
}

function reply(socket: Socket, status: number, body: object): void {
  const text = JSON.stringify(body);
  socket.write(
    `HTTP/1.1 ${status} -\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
  );
}

interface Request {
  path: string;
  head: string;
  body: string;
}

/** Requests with a content-length or without a body, one after the other on a socket. */
function requestReader(onRequest: (request: Request) => void): (bytes: Buffer) => void {
  let held: Buffer | null = null;
  return bytes => {
    let rest = held === null ? bytes : Buffer.concat([held, bytes]);
    held = null;
    while (rest.length > 0) {
      const headEnd = rest.indexOf('\r\n\r\n');
      const head = headEnd < 0 ? '' : rest.toString('latin1', 0, headEnd);
      const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
      const end = headEnd + 4 + length;
      if (headEnd < 0 || rest.length < end) {
        held = rest;
        return;
      }
      const path = head.slice(head.indexOf(' ') + 1, head.indexOf(' HTTP/'));
      onRequest({ path, head, body: rest.toString('latin1', headEnd + 4, end) });
      rest = rest.subarray(end);
    }
  };
}

/** First in, first out, without moving what waits. */
class Fifo<T> {
  private items: T[] = [];
  private head = 0;

  push(item: T): void {
    this.items.push(item);
  }

  peek(): T | undefined {
    return this.items[this.head];
  }

  shift(): void {
    this.head++;
    if (this.head < 1024 || this.head * 2 < this.items.length) return;
    this.items = this.items.slice(this.head);
    this.head = 0;
  }
}
