// Calls to live endpoints: request bodies out, results back, each over a connection of its own while it lasts.
// Rule: a failed call is a result with a reason code, never an exception, never dropped.
import { buildConnector } from 'undici';
import type { WireRequest } from '../engines/openai.ts';
import { dialectOf } from '../engines/wire/dialect.ts';
import { Histogram } from '../scenarios/base/histogram.ts';
import type { Clock } from './clock.ts';
import { type CallHandle, type CallResult, type Gaps, StreamedCall } from './streamed-call.ts';
import type { HttpRequest, ResponseHandler, Transport } from './transport/exchange.ts';
import { Http1 } from './transport/http1.ts';

export type { CallHandle, CallResult };

export interface ClientOptions {
  clock: Clock;
  /** Connections per origin at most; null opens one per call in flight, so that nothing queues unseen. */
  connections?: number | null;
  connectTimeoutMs?: number;
  /** No byte for that long, headers included, is a `stall`. */
  idleTimeoutMs?: number;
  /** From sent to the end; beyond is a `timeout`. */
  timeoutMs?: number;
  /** A connection without a call is closed after this. Below uvicorn's 5 s, so that the server never closes first. */
  keepAliveMs?: number;
  /** Gaps between tokens of all calls, and between the reads that held them, are added here. */
  itlMs?: Histogram | null;
  chunkGapMs?: Histogram | null;
}

export interface CallRequest {
  /** Up to and including /v1. */
  baseUrl: string;
  wire: WireRequest;
  /** Authorization, x-session-id and the like. */
  headers?: Readonly<Record<string, string>>;
  /** Overrides the client's. */
  timeoutMs?: number;
  onFirstToken?: () => void;
}

export interface Client {
  stream(request: CallRequest): CallHandle;
  /** Opens `sockets` connections by as many concurrent GETs of `path`; returns how many answered. */
  warmUp(baseUrl: string, sockets: number, path?: string): Promise<number>;
  /** The body of a GET, e.g. of /metrics; null when it fails or is not a 200. */
  text(baseUrl: string, path: string): Promise<string | null>;
  /** Calls in flight. */
  readonly inFlight: number;
  /** Connections opened so far. */
  readonly socketsOpened: number;
  close(): Promise<void>;
}

export function createClient(options: ClientOptions): Client {
  const { clock, connectTimeoutMs = 10_000, idleTimeoutMs = 300_000, timeoutMs = 900_000 } = options;
  const gaps: Gaps = {
    itlMs: options.itlMs ?? new Histogram(),
    chunkGapMs: options.chunkGapMs ?? new Histogram(),
  };
  const calls = new Set<StreamedCall>();
  const transports = new Map<string, Transport>();

  function transportTo(url: URL): Transport {
    const known = transports.get(url.origin);
    if (known !== undefined) return known;
    if (!/^https?:$/.test(url.protocol)) throw new Error(`${url.protocol} is not http`);
    const made = new Http1({
      origin: url,
      connector: onread => buildConnector({ allowH2: false, timeout: connectTimeoutMs, ...{ onread } }),
      clock,
      connections: options.connections ?? null,
      keepAliveMs: options.keepAliveMs ?? 4_000,
    });
    transports.set(url.origin, made);
    return made;
  }

  function stream(request: CallRequest): CallHandle {
    const { wire, baseUrl, headers } = request;
    const dialect = dialectOf(wire.prompt.api);
    const body = Buffer.from(dialect.body(wire));
    const call = new StreamedCall(clock, gaps, dialect.reader(), {
      idleTimeoutMs,
      timeoutMs: request.timeoutMs ?? timeoutMs,
      onFirstToken: request.onFirstToken,
    });
    calls.add(call);
    void call.result.then(() => calls.delete(call));
    call.begin(handler => {
      const url = urlBelow(baseUrl, dialect.path);
      const sent: HttpRequest = {
        method: 'POST',
        path: url.pathname + url.search,
        headers: {
          'content-type': 'application/json',
          accept: 'text/event-stream',
          ...dialect.headers,
          ...headers,
        },
        body,
      };
      return transportTo(url).begin(sent, handler);
    });
    return call;
  }

  /** The status and body of a GET; null when nothing answers. */
  async function get(baseUrl: string, path: string): Promise<{ status: number; text: string } | null> {
    const url = urlBelow(baseUrl, path);
    const request: HttpRequest = {
      method: 'GET',
      path: url.pathname + url.search,
      headers: { accept: '*/*' },
      body: null,
    };
    return new Promise(resolve => {
      const pieces: Buffer[] = [];
      let status = 0;
      const handler: ResponseHandler = {
        written() {},
        headers(given) {
          status = given;
        },
        data: (bytes, from, to) => void pieces.push(Buffer.from(bytes.subarray(from, to))),
        ended: () => resolve({ status, text: Buffer.concat(pieces).toString('utf8') }),
        failed: () => resolve(null),
      };
      try {
        transportTo(url).begin(request, handler);
      } catch {
        resolve(null);
      }
    });
  }

  async function warmUp(baseUrl: string, sockets: number, path = '/models'): Promise<number> {
    const answers = await Promise.all(Array.from({ length: sockets }, () => get(baseUrl, path)));
    return answers.filter(answer => answer !== null).length;
  }

  async function text(baseUrl: string, path: string): Promise<string | null> {
    const answer = await get(baseUrl, path);
    return answer?.status === 200 ? answer.text : null;
  }

  return {
    stream,
    warmUp,
    text,
    get inFlight() {
      return calls.size;
    },
    get socketsOpened() {
      let opened = 0;
      for (const transport of transports.values()) opened += transport.opened ?? 0;
      return opened;
    },
    async close() {
      for (const call of calls) call.abort();
      await Promise.all([...calls].map(call => call.result));
      await Promise.all([...transports.values()].map(transport => transport.close()));
    },
  };
}

const urlBelow = (baseUrl: string, path: string): URL => new URL(baseUrl.replace(/\/+$/, '') + path);
