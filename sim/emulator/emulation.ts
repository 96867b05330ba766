// Requests on one side, the simulated cluster on the other: wall time becomes virtual nanoseconds on one line; every
// request and every alarm brings the cluster to now and writes out what it gave.
//
//   request ─▶ submit(arrival) ─▶ advanceTo(now) ─▶ drain ─▶ chunks ─▶ alarm at nextNs
import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { runOfTokenId, tokenIdOf, wordOf } from '../../engines/words.ts';
import { unreachable } from '../../scenarios/base/errors.ts';
import { extend, type Key, textKey } from '../../scenarios/base/key.ts';
import type { Cluster, ClusterEvent } from '../cluster.ts';
import type { Answer, AnswerWriter } from './answer.ts';
import { openStream, refuse, sendJson } from './http.ts';
import { type InjectedFault, type Injection, injectedFault } from './inject.ts';
import { metricsText, ServedLatencies } from './metrics.ts';
import { type EmulatedRequest, type HttpError, modelNotFound } from './request.ts';
import { EMULATOR_VOCAB_TOKENS, Tokenizer } from './tokenizer.ts';
import { Wake } from './wake.ts';
import { idOf, writerOf } from './writers.ts';

export interface EmulationOptions {
  cluster: Cluster;
  /** Monotonic milliseconds. */
  clock: () => number;
  /** What is served under which name, by which pool. */
  models: readonly { name: string; pool: string }[];
  /** Virtual seconds to a wall second. */
  speed?: number;
  /** Makes outputs unique to this server; drawn when absent. */
  nonce?: string;
  /** Faults that it brings about; none where absent. */
  injection?: Injection | null;
  log?: (line: string) => void;
}

/** How a request came in. */
export interface Arrival {
  /** Virtual time at which its head was there. */
  arrivedNs: number;
  /** For affinity; null when the client names none. */
  session: string | null;
  response: ServerResponse;
}

/** A request between submission and end. */
interface Live {
  readonly id: number;
  readonly response: ServerResponse;
  readonly answer: Answer;
  readonly writer: AnswerWriter;
  readonly arrivedNs: number;
  scheduledNs: number;
  firstNs: number;
  lastNs: number;
  replica: string;
  cachedTokens: number;
  /** Tokens generated, and of these written. */
  generated: number;
  written: number;
  isEnded: boolean;
  readonly fault: InjectedFault | null;
  /** Nothing is written meanwhile; null: it has not stalled. */
  isStalled: boolean | null;
}

export class Emulation {
  readonly cluster: Cluster;
  readonly models: EmulationOptions['models'];
  readonly tokenizer = new Tokenizer();
  readonly createdUnixS = Math.floor(Date.now() / 1000);
  /** Virtual time, by the wall clock. */
  readonly nowNs: () => number;
  private readonly alarmAtNext: () => void;
  private readonly wake: Wake;
  private readonly log: (line: string) => void;
  private readonly injection: Injection | null;
  /** Since its start, ms of the wall. */
  private readonly wallMs: () => number;
  /** Root of the content of all outputs. */
  private readonly outputs: Key;
  private readonly idPrefix: string;
  private readonly latencies = new ServedLatencies();
  private readonly live = new Map<number, Live>();
  private requestCount = 0;
  private advancedNs = 0;
  private stopped = false;

  constructor(options: EmulationOptions) {
    const { cluster, clock, models, speed = 1, nonce = randomUUID(), log = () => {} } = options;
    this.injection = options.injection ?? null;
    this.cluster = cluster;
    this.models = models;
    this.log = log;
    this.outputs = textKey(nonce);
    this.idPrefix = nonce.slice(0, 8);
    const startMs = clock();
    const virtualNsPerMs = 1e6 * speed;
    // The line where wall time becomes virtual time, and below it the way back.
    this.wallMs = () => clock() - startMs;
    this.nowNs = () => Math.floor(this.wallMs() * virtualNsPerMs);
    this.wake = new Wake(this.wallMs, () => this.turn());
    this.alarmAtNext = () => this.wake.set(this.cluster.nextNs() / virtualNsPerMs);
  }

  stop(): void {
    this.stopped = true;
    this.wake.cancel();
  }

  /** Prometheus text of this moment. */
  metrics(): string {
    this.turn();
    const name = (pool: string) => this.models.find(model => model.pool === pool)?.name ?? pool;
    return metricsText(this.cluster.counters(), this.latencies, name);
  }

  /** Submits a request, whose answer is written to the response as it comes. */
  generate(request: EmulatedRequest, arrival: Arrival): void {
    const startsMs = (this.injection?.slowStartMs ?? 0) - this.wallMs();
    if (startsMs > 0) {
      setTimeout(() => this.generate(request, arrival), startsMs).unref();
      return;
    }
    const { arrivedNs, session, response } = arrival;
    if (response.destroyed || this.stopped) return;
    const model = this.models.find(({ name }) => name === request.model);
    if (model === undefined) {
      const message = `the model ${JSON.stringify(request.model)} is not served here`;
      refuse(response, modelNotFound(message), request.api);
      return;
    }
    // Before anything of that length is made: a client may ask for any number.
    const windowTokens =
      this.cluster.counters().find(({ pool }) => pool === model.pool)?.maxModelTokens ??
      Number.POSITIVE_INFINITY;
    const wantedTokens = request.prompt.length + request.outputTokens;
    if (wantedTokens > windowTokens) {
      const message = `${request.prompt.length} prompt and ${request.outputTokens} output tokens exceed the window of ${windowTokens}`;
      refuse(response, rejection('too_long', message), request.api);
      return;
    }
    const id = ++this.requestCount;
    const fault = this.injection === null ? null : injectedFault(this.injection, id);
    if (fault?.kind === 'refuse') {
      refuse(response, injectedError(fault.status, fault.retryAfterMs), request.api);
      return;
    }
    const { words, tokenIds, output } = this.outputOf(id, request);
    const promptTokens = request.prompt.length;
    const live = newLive(id, Math.max(arrivedNs, this.advancedNs), response, fault, {
      id: idOf(request.api, `${this.idPrefix}-${id}`),
      createdUnixS: this.createdUnixS,
      request,
      promptTokens,
      words,
      tokenIds,
    });
    this.live.set(id, live);
    response.on('close', () => this.onClose(live));
    this.cluster.submit(live.arrivedNs, {
      id,
      pool: model.pool,
      session: session ?? `request ${id}`,
      prompt: request.prompt,
      promptTokens,
      outputTokens: request.outputTokens,
      output,
      warmTokens: 0,
      priority: request.priority,
    });
    this.turn();
    // Not refused at once: the head goes out now and the tokens when they come, as uvicorn does it for vLLM.
    if (request.stream && this.live.has(id)) openStream(response);
  }

  /** Unique to the request, in words or, for a token-array prompt, ids: what a later prompt will send back. */
  private outputOf(id: number, { outputTokens, isTokenArray, returnTokenIds }: EmulatedRequest) {
    const key = extend(this.outputs, id);
    const words = Array.from({ length: outputTokens }, (_, i) => wordOf(key, i));
    if (!isTokenArray && !returnTokenIds) {
      return { words, tokenIds: null, output: words.map(word => this.tokenizer.runOf(word)) };
    }
    const ids = words.map((_, i) => tokenIdOf(key, i, EMULATOR_VOCAB_TOKENS));
    const output = isTokenArray ? ids.map(runOfTokenId) : words.map(word => this.tokenizer.runOf(word));
    return { words, tokenIds: returnTokenIds ? ids : null, output };
  }

  private onClose(live: Live): void {
    if (live.isEnded || this.stopped) return;
    this.log(`request ${live.id}: the client went away after ${live.written} tokens`);
    this.advancedNs = Math.max(this.advancedNs, this.nowNs());
    this.cluster.cancel(this.advancedNs, live.id);
    this.turn();
  }

  /** Brings the cluster to now, writes what it gave, and sets the alarm. */
  private turn(): void {
    if (this.stopped) return;
    this.advancedNs = Math.max(this.advancedNs, this.nowNs());
    this.cluster.advanceTo(this.advancedNs);
    const touched = new Set<Live>();
    for (const event of this.cluster.drain()) {
      const live = this.live.get(event.id);
      if (live === undefined) continue;
      this.take(live, event);
      touched.add(live);
    }
    for (const live of touched) this.write(live);
    this.alarmAtNext();
  }

  /** What came since the last time, as far as its fault lets it through. */
  private write(live: Live): void {
    const { fault, response, generated } = live;
    if (live.isStalled === true || response.destroyed || response.writableEnded) return;
    const half = Math.ceil(live.answer.request.outputTokens / 2);
    if ((fault?.kind === 'cut' || fault?.kind === 'content_filter') && generated >= half) {
      breakOff(live, fault.kind, half);
      if (!live.isEnded) this.cluster.cancel(this.advancedNs, live.id);
      live.isEnded = true;
      this.live.delete(live.id);
      return;
    }
    writeTokens(live);
    if (fault?.kind !== 'stall' || generated === 0 || live.isStalled !== null) return;
    live.isStalled = true;
    if (fault.ms === Number.POSITIVE_INFINITY) return;
    const goOn = (): void => {
      live.isStalled = false;
      this.write(live);
    };
    setTimeout(goOn, fault.ms).unref();
  }

  private take(live: Live, event: ClusterEvent): void {
    switch (event.kind) {
      case 'scheduled':
        live.scheduledNs = event.atNs;
        live.replica = event.replica;
        live.cachedTokens = event.cachedTokens;
        this.latencies.add(event.replica, 'queue', event.atNs - live.arrivedNs);
        return;
      case 'token': {
        const isFirst = live.generated === 0;
        if (isFirst) {
          live.firstNs = event.atNs;
          this.latencies.add(live.replica, 'ttft', event.atNs - live.arrivedNs);
          this.latencies.add(live.replica, 'prefill', event.atNs - live.scheduledNs);
        } else this.latencies.add(live.replica, 'itl', event.atNs - live.lastNs);
        live.lastNs = event.atNs;
        live.generated = event.index + 1;
        return;
      }
      case 'end':
        this.latencies.add(live.replica, 'e2e', event.atNs - live.arrivedNs);
        this.latencies.add(live.replica, 'decode', event.atNs - live.firstNs);
        live.isEnded = true;
        this.live.delete(live.id);
        return;
      case 'cancelled':
      case 'failed':
        live.isEnded = true;
        this.live.delete(live.id);
        return;
      case 'rejected':
        live.isEnded = true;
        this.live.delete(live.id);
        refuse(live.response, rejection(event.reason, event.message), live.answer.request.api);
        return;
      default:
        unreachable(event);
    }
  }
}

function newLive(
  id: number,
  arrivedNs: number,
  response: ServerResponse,
  fault: InjectedFault | null,
  answer: Answer,
): Live {
  return {
    id,
    response,
    answer,
    writer: writerOf(answer),
    arrivedNs,
    scheduledNs: arrivedNs,
    firstNs: arrivedNs,
    lastNs: arrivedNs,
    replica: '',
    cachedTokens: 0,
    generated: 0,
    written: 0,
    isEnded: false,
    fault,
    isStalled: null,
  };
}

/** The first tokens of an answer, and its end. */
function breakOff(live: Live, how: 'cut' | 'content_filter', tokens: number): void {
  const { response, answer, writer, written, cachedTokens } = live;
  if (!answer.request.stream) {
    if (how === 'cut') response.destroy();
    else sendJson(response, 200, writer.whole(cachedTokens, tokens));
    return;
  }
  openStream(response);
  const text = (written === 0 ? writer.begin() : '') + writer.tokens(written, tokens);
  if (how === 'content_filter') response.end(text + writer.filtered(cachedTokens, tokens), 'latin1');
  else response.write(text, 'latin1', () => response.destroy());
}

const injectedError = (status: number, retryAfterMs: number | null): HttpError =>
  status === 429
    ? {
        status,
        message: 'injected: too many requests',
        type: 'requests',
        code: 'rate_limit_exceeded',
        retryAfterMs,
      }
    : { status, message: 'injected: the server failed', type: 'server_error', code: 'injected' };

/** Writes the tokens that came since the last time: of one instant, in one write. */
function writeTokens(live: Live): void {
  const { response, answer, writer, generated, written } = live;
  if (!answer.request.stream) {
    if (live.isEnded) sendJson(response, 200, writer.whole(live.cachedTokens));
    return;
  }
  let text = '';
  if (generated > written) {
    openStream(response);
    text = (written === 0 ? writer.begin() : '') + writer.tokens(written, generated);
    live.written = generated;
  }
  if (live.isEnded) response.end(text + writer.end(live.cachedTokens), 'latin1');
  else if (text !== '') response.write(text, 'latin1');
}

function rejection(reason: 'too_long' | 'queue_full' | 'no_pool', message: string): HttpError {
  switch (reason) {
    case 'too_long':
      return { status: 400, message, type: 'BadRequestError', code: 'context_length_exceeded' };
    case 'queue_full':
      return { status: 503, message, type: 'ServiceUnavailableError', code: 'queue_full' };
    case 'no_pool':
      return modelNotFound(message);
    default:
      return unreachable(reason);
  }
}
