// One streamed call in flight: a transport's handler on one side, a handle for the driver on the other.
// Rule: it ends once, with a result, whatever the server or the socket does.
import type { StreamDelta, StreamReader } from '../engines/wire/delta.ts';
import { errorOfBody, promptRefusal } from '../engines/wire/errors.ts';
import type { Histogram } from '../scenarios/base/histogram.ts';
import type { Clock } from './clock.ts';
import { StreamMeter } from './measure.ts';
import { retryAfterMs } from './retry-after.ts';
import { SseParser } from './sse.ts';
import type { Abandon, ResponseHandler, ResponseHeaders } from './transport/exchange.ts';

/** Times are the clock's milliseconds; what did not happen is null. */
export interface CallResult {
  outcome: 'ok' | 'error' | 'cancelled';
  /**
   * `connect` (refused, reset or timed out before headers), `client_limit` (this machine had no more sockets), `http_<status>`, `timeout`, `stall`, `stream_error`
   * (an error inside a 200 stream), `stream_cut` (ended without finish_reason and [DONE]), `too_long` and
   * `content_policy` (what the server says of the prompt, or of its own answer), `bad_response`, `bad_request` (never
   * sent: an invalid URL or header), `cancelled`; null when ok.
   */
  error: string | null;
  message: string | null;
  httpStatus: number | null;
  /** From the headers Retry-After or retry-after-ms. */
  retryAfterMs: number | null;
  /** From x-should-retry: the server knows better than a status code; null: it does not say. */
  shouldRetry: boolean | null;
  /** Handed to the pool: connecting counts as latency. */
  sentMs: number;
  /** A socket was there and the request written to it. */
  writtenMs: number | null;
  headersMs: number | null;
  firstTokenMs: number | null;
  lastTokenMs: number | null;
  /** [DONE], or the end of the stream, or the failure. */
  endMs: number;
  /** Largest gap between two reads with tokens. */
  itlMsMax: number | null;
  /** Reads with tokens. */
  chunks: number;
  /** From the server's usage when given, else counted. Reasoning included. */
  outputTokens: number;
  reasoningTokens: number;
  /** As the server counts them; null without usage. */
  promptTokens: number | null;
  cachedTokens: number | null;
  outputText: string;
  reasoningText: string;
  tokenIds: number[] | null;
  finishReason: string | null;
  usageFromServer: boolean;
}

export interface CallHandle {
  readonly sentMs: number;
  /** Of it so far, reasoning included. */
  readonly outputTokens: number;
  /** Never rejects. Its connection is free for the next call then. */
  readonly result: Promise<CallResult>;
  /** Ends the call as `cancelled` and closes its socket; nothing happens when it has ended. */
  abort(): void;
}

/** Longest error body kept, in bytes. */
const ERROR_BODY_BYTES = 65_536;
/** This machine has no more descriptors, ports or buffers for another connection. */
const OUT_OF_SOCKETS = /\b(EMFILE|ENFILE|EADDRNOTAVAIL|ENOBUFS|EAGAIN)\b/;
/** How long a server may take to end a response after [DONE] before we close it. */
const AFTER_DONE_MS = 1_000;

/** Why a call did not end well: a reason code and words. */
interface Failure {
  error: string;
  message: string;
}

export interface Limits {
  idleTimeoutMs: number;
  timeoutMs: number;
  /** Told once. */
  onFirstToken?: ((atMs: number) => void) | undefined;
  /** Told of the tokens so far whenever some have come. */
  onTokens?: ((tokens: number) => void) | undefined;
}

/** Where the gaps of a call's stream go. */
export interface Gaps {
  /** Between tokens, ms. */
  itlMs: Histogram;
  /** Between reads with tokens, ms. */
  chunkGapMs: Histogram;
}

export class StreamedCall implements CallHandle, ResponseHandler {
  readonly sentMs: number;
  readonly result: Promise<CallResult>;
  private readonly clock: Clock;
  private readonly gaps: Gaps;
  private readonly read: StreamReader;
  private readonly limits: Limits;
  private readonly meter = new StreamMeter();
  private readonly sse: SseParser;
  private settle: (result: CallResult) => void = () => {};
  private abandon: Abandon | null = null;
  private watchdog: NodeJS.Timeout;
  private settled = false;
  /** The transport is through with the response. */
  private isOver = false;
  private httpStatus: number | null = null;
  private retryAfterMs: number | null = null;
  private shouldRetry: boolean | null = null;
  private writtenMs: number | null = null;
  private headersMs: number | null = null;
  private lastByteMs: number;
  private doneMs: number | null = null;
  /** Body of a response that is not an event stream. */
  private plainBody: Buffer[] | null = null;
  private plainBytes = 0;
  private readMs = 0;

  constructor(clock: Clock, gaps: Gaps, read: StreamReader, limits: Limits) {
    this.clock = clock;
    this.gaps = gaps;
    this.read = read;
    this.limits = limits;
    this.sse = new SseParser(({ event, data }) => this.onEvent(event, data));
    this.result = new Promise(resolve => {
      this.settle = resolve;
    });
    this.sentMs = clock.nowMs();
    this.lastByteMs = this.sentMs;
    this.watchdog = setTimeout(() => this.watch(), Math.min(limits.idleTimeoutMs, limits.timeoutMs));
  }

  get outputTokens(): number {
    return this.meter.outputTokens;
  }

  abort(): void {
    // After [DONE] only the end of the response is missing: that call was complete.
    const isComplete = this.doneMs !== null;
    this.end(isComplete ? this.verdict('') : { error: 'cancelled', message: 'ended by the client' });
  }

  /** Lets it begin; what `begin` throws is wrong with the request. */
  begin(begin: (handler: ResponseHandler) => Abandon): void {
    try {
      this.abandon = begin(this);
    } catch (error) {
      this.end({ error: 'bad_request', message: (error as Error).message });
    }
  }

  written(): void {
    this.writtenMs = this.clock.nowMs();
  }

  headers(status: number, headers: ResponseHeaders): void {
    this.headersMs = this.clock.nowMs();
    this.lastByteMs = this.headersMs;
    this.httpStatus = status;
    this.retryAfterMs = retryAfterMs(headers, this.clock.zero.unixMs + this.headersMs);
    const told = headers['x-should-retry'];
    if (told === 'true' || told === 'false') this.shouldRetry = told === 'true';
    const isStream = status === 200 && /^text\/event-stream/i.test(String(headers['content-type']));
    if (!isStream) this.plainBody = [];
  }

  /** Hot: once per HTTP chunk. */
  data(bytes: Buffer, from: number, to: number, atMs: number): void {
    this.readMs = atMs;
    if (this.settled) return;
    this.lastByteMs = atMs;
    if (this.plainBody !== null) {
      if (this.plainBytes < ERROR_BODY_BYTES) this.plainBody.push(Buffer.from(bytes.subarray(from, to)));
      this.plainBytes += to - from;
      return;
    }
    try {
      this.sse.push(bytes, from, to);
    } catch (error) {
      this.end({ error: 'bad_response', message: (error as Error).message }, atMs);
    }
  }

  ended(atMs: number): void {
    this.isOver = true;
    this.readMs = atMs;
    if (!this.settled && this.plainBody === null) this.sse.end();
    this.end(this.verdict('the stream ended without finish_reason and [DONE]'), this.doneMs ?? atMs);
  }

  failed(error: Error): void {
    this.isOver = true;
    const isOurs = (error as { code?: unknown }).code === 'UND_ERR_INVALID_ARG';
    const message = describe(error);
    const failure = isOurs
      ? { error: 'bad_request', message: error.message }
      : OUT_OF_SOCKETS.test(message)
        ? { error: 'client_limit', message }
        : this.verdict(message);
    this.end(failure, this.doneMs ?? this.clock.nowMs());
  }

  private onEvent(event: string, data: string): void {
    if (this.settled || this.doneMs !== null) return;
    const delta = this.read(data, event);
    const failure = failureOf(delta, event, data);
    if (delta === null || failure !== null) {
      this.end(failure, this.readMs);
      return;
    }
    const isFirst = this.meter.firstTokenMs === null;
    this.meter.take(delta, this.readMs);
    this.limits.onTokens?.(this.meter.outputTokens);
    if (isFirst && this.meter.firstTokenMs !== null) this.limits.onFirstToken?.(this.readMs);
    if (!delta.done) return;
    this.doneMs = this.readMs;
    clearTimeout(this.watchdog);
    this.watchdog = setTimeout(() => this.end(this.verdict(''), this.readMs), AFTER_DONE_MS);
  }

  /** How the call went, now that nothing more will come; `reason` is why. Null when the response was complete. */
  private verdict(reason: string): Failure | null {
    const { meter, httpStatus } = this;
    if (httpStatus === null) return { error: 'connect', message: reason };
    if (this.plainBody !== null) {
      const body = Buffer.concat(this.plainBody).toString('utf8');
      if (httpStatus === 200) {
        return { error: 'bad_response', message: `not an event stream: ${body.slice(0, 200)}` };
      }
      const error = errorOfBody(body);
      const { code, message } = error;
      const saysMore = code !== '' && code !== String(httpStatus);
      const refusal = httpStatus === 400 || httpStatus === 422 ? promptRefusal(error) : null;
      return { error: refusal ?? `http_${httpStatus}`, message: saysMore ? `${code}: ${message}` : message };
    }
    if (!meter.done && meter.finishReason === null) return { error: 'stream_cut', message: reason };
    if (meter.finishReason === 'content_filter')
      return { error: 'content_policy', message: 'the answer was ended by a content filter' };
    if (meter.firstTokenMs === null) return { error: 'bad_response', message: 'the stream held no token' };
    return null;
  }

  /** Re-armed only when it fires, so that a chunk costs no timer. */
  private watch(): void {
    const { idleTimeoutMs, timeoutMs } = this.limits;
    const nowMs = this.clock.nowMs();
    const idleLeftMs = idleTimeoutMs - (nowMs - this.lastByteMs);
    const leftMs = timeoutMs - (nowMs - this.sentMs);
    // setTimeout may fire a fraction of a millisecond early.
    if (leftMs < 1) this.end({ error: 'timeout', message: `not finished after ${timeoutMs} ms` }, nowMs);
    else if (idleLeftMs < 1) {
      const error = this.writtenMs === null ? 'connect' : 'stall';
      this.end({ error, message: `no byte for ${idleTimeoutMs} ms` }, nowMs);
    } else this.watchdog = setTimeout(() => this.watch(), Math.min(idleLeftMs, leftMs));
  }

  /** Ends the call, once; later ends are ignored. */
  end(failure: Failure | null, endMs = this.clock.nowMs()): void {
    if (this.settled) return;
    this.settled = true;
    clearTimeout(this.watchdog);
    const result = this.toResult(failure, endMs);
    // Closes the connection of a response that has not ended, which tells the server.
    if (!this.isOver) this.abandon?.();
    this.settle(result);
  }

  private toResult(failure: Failure | null, endMs: number): CallResult {
    const isCancelled = failure?.error === 'cancelled';
    const { meter, httpStatus, retryAfterMs, shouldRetry, sentMs, writtenMs, headersMs } = this;
    const { firstTokenMs, lastTokenMs, outputTokens, reasoningTokens, outputText, reasoningText } = meter;
    return {
      outcome: failure === null ? 'ok' : isCancelled ? 'cancelled' : 'error',
      error: failure?.error ?? null,
      message: failure?.message ?? null,
      httpStatus,
      retryAfterMs,
      shouldRetry,
      sentMs,
      writtenMs,
      headersMs,
      firstTokenMs,
      lastTokenMs,
      endMs,
      // What ended early is quick or endless: it would flatter or drown the percentiles.
      itlMsMax: meter.gaps(failure === null ? this.gaps : null),
      chunks: meter.chunks,
      outputTokens,
      reasoningTokens,
      promptTokens: meter.usage?.promptTokens ?? null,
      cachedTokens: meter.usage?.cachedTokens ?? null,
      outputText,
      reasoningText,
      tokenIds: meter.tokenIds,
      finishReason: meter.finishReason,
      usageFromServer: meter.usage !== null,
    };
  }
}

/** What is wrong with one event of a stream; null when nothing is. */
function failureOf(delta: StreamDelta | null, event: string, data: string): Failure | null {
  if (delta === null) {
    if (event === 'error') return { error: 'stream_error', message: data.slice(0, 500) };
    return { error: 'bad_response', message: `not a chunk of a stream: ${data.slice(0, 200)}` };
  }
  if (delta.error === null) return null;
  const { code, message } = delta.error;
  return { error: 'stream_error', message: code === '' ? message : `${code}: ${message}` };
}

/** `code: message` of a socket error, its causes' codes where it has none of its own (AggregateError on localhost). */
function describe(error: Error): string {
  const { code, errors } = error as Error & { code?: string; errors?: Error[] };
  const inner = errors?.[0]?.message ?? '';
  const text = error.message === '' ? inner : error.message;
  return code === undefined || text.includes(code) ? text : `${code}: ${text}`;
}
