// Calls to live endpoints: request bodies out, results back, each over a connection of its own while it lasts.
// Rule: a failed call is a result with a reason code, never an exception, never dropped.
import { buildConnector } from 'undici';
import { dialectOf } from '../engines/wire/dialect.ts';
import type { WireRequest } from '../engines/wire/request.ts';
import { Histogram } from '../scenarios/base/histogram.ts';
import type { Clock } from './clock.ts';
import type { Connection, HowToReach } from './connect.ts';
import { type CallHandle, type CallResult, type Gaps, StreamedCall } from './streamed-call.ts';
import { dispatchedTransport } from './transport/dispatched.ts';
import type { Abandon, HttpRequest, ResponseHandler, Transport } from './transport/exchange.ts';
import { Http1 } from './transport/http1.ts';

export type { CallHandle, CallResult, HowToReach };

export interface ClientOptions {
  clock: Clock;
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

export interface CallRequest extends HowToReach {
  /** Up to and including /v1. */
  baseUrl: string;
  wire: WireRequest;
  /** Overrides the client's. */
  timeoutMs?: number;
  onFirstToken?: (atMs: number) => void;
  onTokens?: ((tokens: number) => void) | undefined;
}

export interface Client {
  stream(request: CallRequest): CallHandle;
  /** Opens `sockets` connections by as many concurrent GETs of /models; returns how many answered. */
  warmUp(baseUrl: string, sockets: number, how?: HowToReach): Promise<number>;
  /** The body of a GET, e.g. of /metrics, or of a POST of JSON; null when it fails or is not a 200. */
  text(baseUrl: string, path: string, how?: HowToReach, json?: string): Promise<string | null>;
  /** Calls in flight. */
  readonly inFlight: number;
  /** Connections opened so far. */
  readonly socketsOpened: number;
  close(): Promise<void>;
}

/** A look at a server, and a socket that is warmed up. */
const GET_TIMEOUT_MS = 10_000;

export function createClient(options: ClientOptions): Client {
  const { clock, connectTimeoutMs = 10_000, idleTimeoutMs = 300_000, timeoutMs = 900_000 } = options;
  const gaps: Gaps = {
    itlMs: options.itlMs ?? new Histogram(),
    chunkGapMs: options.chunkGapMs ?? new Histogram(),
  };
  const calls = new Set<StreamedCall>();
  /** By how they are reached, and where. */
  const transports = new Map<Connection | null, Map<string, Transport>>();

  function transportTo(url: URL, connection: Connection | null): Transport {
    const known = transports.get(connection) ?? new Map<string, Transport>();
    transports.set(connection, known);
    const transport = known.get(url.origin) ?? newTransport(url, connection);
    known.set(url.origin, transport);
    return transport;
  }

  function newTransport(origin: URL, connection: Connection | null): Transport {
    if (!/^https?:$/.test(origin.protocol)) throw new Error(`${origin.protocol} is not http`);
    if (connection?.dispatcher != null) return dispatchedTransport(connection.dispatcher, origin, clock);
    const settings = { allowH2: false, timeout: connectTimeoutMs, ...connection?.connectOptions };
    return new Http1({
      origin,
      connector: onread => buildConnector({ ...settings, ...{ onread } }),
      clock,
      keepAliveMs: options.keepAliveMs ?? 4_000,
    });
  }

  function stream(request: CallRequest): CallHandle {
    const { wire, baseUrl, headers } = request;
    const dialect = dialectOf(wire.prompt.api);
    const body = Buffer.from(dialect.body(wire));
    const call = new StreamedCall(clock, gaps, dialect.reader(), {
      idleTimeoutMs,
      timeoutMs: request.timeoutMs ?? timeoutMs,
      onFirstToken: request.onFirstToken,
      onTokens: request.onTokens,
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
      return transportTo(url, request.connection ?? null).begin(sent, handler);
    });
    return call;
  }

  /** The status and body of a GET, or of a POST of JSON; null when nothing answers. */
  async function get(
    baseUrl: string,
    path: string,
    { headers = {}, connection }: HowToReach,
    json: string | null = null,
  ): Promise<{ status: number; text: string } | null> {
    const url = urlBelow(baseUrl, path);
    const request: HttpRequest = {
      method: json === null ? 'GET' : 'POST',
      path: url.pathname + url.search,
      headers: {
        accept: '*/*',
        ...(json === null ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      body: json === null ? null : Buffer.from(json),
    };
    return new Promise(resolve => {
      const pieces: Buffer[] = [];
      let abandon: Abandon = () => {};
      // A server that says nothing holds nobody up.
      const timer = setTimeout(
        () => {
          abandon();
          resolve(null);
        },
        json === null ? Math.min(idleTimeoutMs, GET_TIMEOUT_MS) : idleTimeoutMs,
      );
      const done = (answer: { status: number; text: string } | null): void => {
        clearTimeout(timer);
        resolve(answer);
      };
      let status = 0;
      const handler: ResponseHandler = {
        written() {},
        headers(given) {
          status = given;
        },
        data: (bytes, from, to) => void pieces.push(Buffer.from(bytes.subarray(from, to))),
        ended: () => done({ status, text: Buffer.concat(pieces).toString('utf8') }),
        failed: () => done(null),
      };
      try {
        abandon = transportTo(url, connection ?? null).begin(request, handler);
      } catch {
        done(null);
      }
    });
  }

  async function warmUp(baseUrl: string, sockets: number, how: HowToReach = {}): Promise<number> {
    const answers = await Promise.all(Array.from({ length: sockets }, () => get(baseUrl, '/models', how)));
    return answers.filter(answer => answer !== null).length;
  }

  async function text(
    baseUrl: string,
    path: string,
    how: HowToReach = {},
    json: string | null = null,
  ): Promise<string | null> {
    const answer = await get(baseUrl, path, how, json);
    return answer?.status === 200 ? answer.text : null;
  }

  const all = (): Transport[] => [...transports.values()].flatMap(known => [...known.values()]);

  return {
    stream,
    warmUp,
    text,
    get inFlight() {
      return calls.size;
    },
    get socketsOpened() {
      return all().reduce((sum, transport) => sum + (transport.opened ?? 0), 0);
    },
    async close() {
      for (const call of calls) call.abort();
      await Promise.all([...calls].map(call => call.result));
      await Promise.all(all().map(transport => transport.close()));
    },
  };
}

const urlBelow = (baseUrl: string, path: string): URL => new URL(baseUrl.replace(/\/+$/, '') + path);
