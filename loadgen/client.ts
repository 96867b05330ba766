// Streamed calls against live endpoints: request bodies out by undici's dispatch (half the cost of fetch), results back.
// Rule: a failed call is a result with a reason code, never an exception, never dropped.
import { Agent } from 'undici';
import { requestBody, requestPath, type WireRequest } from '../engines/openai.ts';
import type { Histogram } from '../scenarios/base/histogram.ts';
import type { Clock } from './clock.ts';
import { afterSocketIsFree, type CallHandle, type CallResult, StreamedCall } from './streamed-call.ts';

export type { CallHandle, CallResult };

export interface ClientOptions {
  clock: Clock;
  /** Sockets per origin at most; null opens one per call in flight, so that nothing queues unseen. */
  connections?: number | null;
  connectTimeoutMs?: number;
  /** No byte for that long, headers included, is a `stall`. */
  idleTimeoutMs?: number;
  /** From sent to the end; beyond is a `timeout`. */
  timeoutMs?: number;
  /** A socket without a call is closed after this. Below uvicorn's 5 s, so that the server never closes first. */
  keepAliveMs?: number;
  /** Gaps between tokens of all calls are added here. */
  itlMs?: Histogram | null;
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
  close(): Promise<void>;
}

export function createClient(options: ClientOptions): Client {
  const {
    clock,
    itlMs = null,
    connectTimeoutMs = 10_000,
    idleTimeoutMs = 300_000,
    timeoutMs = 900_000,
  } = options;
  const agent = new Agent({
    connections: options.connections ?? null,
    pipelining: 1,
    allowH2: false,
    bodyTimeout: 0,
    headersTimeout: 0,
    keepAliveTimeout: options.keepAliveMs ?? 4_000,
    connect: { timeout: connectTimeoutMs },
  });
  const calls = new Set<StreamedCall>();

  function stream(request: CallRequest): CallHandle {
    const { wire, baseUrl, headers } = request;
    const body = Buffer.from(requestBody(wire));
    const call = new StreamedCall(clock, itlMs, {
      idleTimeoutMs,
      timeoutMs: request.timeoutMs ?? timeoutMs,
      onFirstToken: request.onFirstToken,
    });
    calls.add(call);
    void call.result.then(() => calls.delete(call));
    try {
      const url = urlBelow(baseUrl, requestPath(wire.prompt.api));
      agent.dispatch(
        {
          origin: url.origin,
          path: url.pathname + url.search,
          method: 'POST',
          headers: { 'content-type': 'application/json', accept: 'text/event-stream', ...headers },
          body,
        },
        call,
      );
    } catch (error) {
      call.end({ error: 'bad_request', message: (error as Error).message });
    }
    return call;
  }

  async function warmUp(baseUrl: string, sockets: number, path = '/models'): Promise<number> {
    const url = urlBelow(baseUrl, path);
    const one = async (): Promise<number> => {
      try {
        const { body } = await agent.request({ origin: url.origin, path: url.pathname, method: 'GET' });
        await body.dump();
        return 1;
      } catch {
        return 0;
      }
    };
    const answered = await Promise.all(Array.from({ length: sockets }, one));
    await new Promise<void>(afterSocketIsFree);
    return answered.reduce((sum, n) => sum + n, 0);
  }

  async function text(baseUrl: string, path: string): Promise<string | null> {
    const url = urlBelow(baseUrl, path);
    try {
      const { statusCode, body } = await agent.request({
        origin: url.origin,
        path: url.pathname,
        method: 'GET',
      });
      const read = await body.text();
      return statusCode === 200 ? read : null;
    } catch {
      return null;
    }
  }

  return {
    stream,
    warmUp,
    text,
    get inFlight() {
      return calls.size;
    },
    async close() {
      for (const call of calls) call.abort();
      await Promise.all([...calls].map(call => call.result));
      await agent.destroy();
    },
  };
}

const urlBelow = (baseUrl: string, path: string): URL => new URL(baseUrl.replace(/\/+$/, '') + path);
