// The part of a live run that talks: writes prompts, streams calls, and knows what each session was answered. One to a
// thread, which has whole sessions; nothing here decides anything.
import { type Environment, takenBy } from '../engines/endpoint.ts';
import type { Endpoint } from '../engines/engine.ts';
import type { CacheBreakpoint } from '../gateway/context/server-hints.ts';
import { Histogram, type HistogramCounts } from '../scenarios/base/histogram.ts';
import { textKey } from '../scenarios/base/key.ts';
import type { PromptReport } from '../scenarios/formats/measured.ts';
import { type Run, runTokens } from '../scenarios/formats/prompt.ts';
import type { Call } from '../scenarios/workflows/progress.ts';
import { type CallHandle, type CallResult, type Client, createClient } from './client.ts';
import { type ClockZero, startClock } from './clock.ts';
import { Connections, type HowToReach } from './connect.ts';
import { LoopDelay } from './loop-delay.ts';
import { learnWordings } from './prompts/ask.ts';
import { addCall, emptyReport } from './prompts/tally.ts';
import { type Wordings, wordingName } from './prompts/wording.ts';
import { type CacheBust, PromptWriter } from './prompts.ts';

const WARM_SOCKETS = 8;
const WARM_CALLS = 8;
const WARM_TIMEOUT_MS = 2000;

/** Plain data: threads are given it. */
export interface SenderSetup {
  readonly zero: ClockZero;
  readonly targets: readonly SenderTarget[];
  /** Values of the variables that the endpoints name. */
  readonly environment: Environment;
  readonly timeoutMs?: number;
  readonly idleTimeoutMs?: number;
  /** Vocabulary for token-id prompts; absent: as the server has it. */
  readonly vocabTokens?: number;
  /** Mixed into all content; equal salts find each other's cache on the same server. */
  readonly salt?: string;
  /** Beside the salt, whose prompts find each other's cache at all; absent: all of the run. */
  readonly cacheBust?: CacheBust;
}

/** Where calls go: a pool's live addresses, or the one address of a provider's model. */
export interface SenderTarget {
  readonly name: string;
  readonly modelId: string;
  readonly endpoints: readonly Endpoint[];
  /** Sold by somebody else. */
  readonly isHosted: boolean;
}

/** A call on its way to one endpoint of one target. */
export interface SendJob {
  readonly ticket: number;
  readonly session: string;
  readonly target: string;
  /** Of the endpoint. */
  readonly row: number;
  readonly call: Pick<Call, 'prompt' | 'parts' | 'output' | 'outputTokens' | 'reasoningTokens'>;
  readonly headers: Readonly<Record<string, string>>;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly breakpoints: readonly CacheBreakpoint[];
}

/** Without what was said. Times of the clock. */
export type SentResult = Omit<CallResult, 'outputText' | 'reasoningText' | 'tokenIds'>;

export interface SenderEvents {
  firstToken(ticket: number, atMs: number): void;
  ended(ticket: number, result: SentResult): void;
}

/** What one thread measured of itself and of its streams. */
export interface SenderReport {
  readonly chunks: number;
  readonly itlMs: HistogramCounts;
  readonly chunkGapMs: HistogramCounts;
  readonly loopDelayMs: HistogramCounts;
  readonly socketsOpened: number;
  readonly prompts: readonly PromptReport[];
}

/** One sender, or several behind one face. */
export interface Senders {
  /**
   * Opens connections and makes a few calls of one word and one token, so that no measured call pays for our own start;
   * measuring begins anew.
   */
  warmUp(how?: WarmUp): Promise<void>;
  send(job: SendJob): void;
  abort(ticket: number): void;
  /** Output tokens of a call that have come. */
  tokensOf(ticket: number): number;
  /** The session is over. */
  forget(session: string): void;
  /** What was measured since the warm-up, of each thread. */
  report(): Promise<SenderReport[]>;
  close(): Promise<void>;
}

export interface WarmUp {
  /** How the servers read text; absent: they are asked. */
  readonly wordings?: Wordings;
  /** Connections to each address; by default a few. */
  readonly sockets?: number;
  /** Calls to each endpoint, one after the other; by default a few. Providers get none: they would bill them. */
  readonly calls?: number;
}

interface Target extends SenderTarget {
  readonly ways: readonly Way[];
}

/** What calls to one endpoint need. */
interface Way {
  readonly endpoint: Endpoint;
  readonly writer: PromptWriter;
  readonly report: PromptReport;
  readonly how: Required<HowToReach>;
}

export class Sender implements Senders {
  private readonly setup: SenderSetup;
  private readonly events: SenderEvents;
  private readonly client: Client;
  private readonly targets: ReadonlyMap<string, Target>;
  private readonly connections: Connections;
  private readonly live = new Map<number, CallHandle>();
  private readonly outputs = new Map<string, { writer: PromptWriter; output: readonly Run[] }[]>();
  private readonly itlMs = new Histogram();
  private readonly chunkGapMs = new Histogram();
  private readonly loopDelay = new LoopDelay();
  private chunks = 0;

  constructor(setup: SenderSetup, events: SenderEvents) {
    const { zero, targets, timeoutMs, idleTimeoutMs } = setup;
    const { itlMs, chunkGapMs } = this;
    this.setup = setup;
    this.connections = new Connections(setup.environment);
    this.events = events;
    this.client = createClient({
      clock: startClock(zero),
      itlMs,
      chunkGapMs,
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }),
    });
    this.targets = new Map(
      targets.map(target => [target.name, { ...target, ways: this.waysOf(target, setup) }]),
    );
  }

  async warmUp({ wordings, sockets = WARM_SOCKETS, calls = WARM_CALLS }: WarmUp = {}): Promise<void> {
    this.speak(wordings ?? (await learnWordings(this.setup)));
    const targets = [...this.targets.values()];
    const ways = new Map(targets.flatMap(each => each.ways.map(way => [way.endpoint.url, way] as const)));
    await Promise.all([...ways].map(([url, { how }]) => this.client.warmUp(url, sockets, how)));
    for (const { ways, isHosted } of targets)
      if (!isHosted) for (const way of ways) await this.warm(way, calls);
    this.chunks = 0;
    this.itlMs.clear();
    this.chunkGapMs.clear();
    this.loopDelay.start();
  }

  private speak(wordings: Wordings): void {
    for (const { name, ways } of this.targets.values()) {
      for (const { endpoint, writer, report } of ways) {
        const wording = wordings[wordingName(name, endpoint.api)]!;
        writer.speak(wording);
        report.how = wording.how;
      }
    }
  }

  private async warm({ endpoint, writer, how }: Way, calls: number): Promise<void> {
    for (let round = 0; round < calls; round++) {
      const run = { key: textKey(`warm-up ${round}`), from: 0, tokens: 1 };
      const { result } = this.client.stream({
        baseUrl: endpoint.url,
        wire: {
          model: endpoint.model,
          prompt: writer.write([run]),
          outputTokens: 1,
          reasoningTokens: 0,
          takes: takenBy(endpoint),
        },
        timeoutMs: WARM_TIMEOUT_MS,
        ...how,
      });
      if ((await result).outcome !== 'ok') return;
    }
  }

  /** `onTokens` is told of its output tokens so far. */
  send(
    { ticket, session, target: name, row, call, headers, fields, breakpoints }: SendJob,
    onTokens?: (tokens: number) => void,
  ): void {
    const target = this.targets.get(name)!;
    const { endpoint, writer, report, how } = target.ways[row]!;
    const place = { session, marker: this.markerOf(session, ticket) };
    const handle = this.client.stream({
      baseUrl: endpoint.url,
      headers: { ...headers, ...how.headers },
      connection: how.connection,
      onFirstToken: atMs => this.events.firstToken(ticket, atMs),
      onTokens,
      wire: {
        model: endpoint.model,
        prompt: writer.write(call.prompt, call.parts, breakpoints, place),
        outputTokens: call.outputTokens,
        reasoningTokens: call.reasoningTokens,
        takes: takenBy(endpoint),
        fields,
      },
    });
    this.live.set(ticket, handle);
    void handle.result.then(result => {
      this.live.delete(ticket);
      this.chunks += result.chunks;
      if (result.outcome === 'ok') {
        this.remember(session, target, call, result);
        const { promptTokens: countedTokens, outputTokens } = result;
        const plannedTokens = runTokens(call.prompt);
        const wantedOutputTokens = call.outputTokens;
        addCall(report, { plannedTokens, countedTokens, wantedOutputTokens, outputTokens });
        if (countedTokens !== null) writer.counted(session, call.prompt, countedTokens);
      }
      const { outputText, reasoningText, tokenIds, ...sent } = result;
      this.events.ended(ticket, sent);
    });
  }

  abort(ticket: number): void {
    this.live.get(ticket)?.abort();
  }

  tokensOf(ticket: number): number {
    return this.live.get(ticket)?.outputTokens ?? 0;
  }

  forget(session: string): void {
    for (const { writer, output } of this.outputs.get(session) ?? []) writer.forgetOutput(output);
    this.outputs.delete(session);
    for (const { ways } of this.targets.values())
      for (const { writer } of ways) writer.forgetSession(session);
  }

  private markerOf(session: string, ticket: number): string | null {
    const { cacheBust } = this.setup;
    return cacheBust === 'session' ? session : cacheBust === 'call' ? `${session} ${ticket}` : null;
  }

  async report(): Promise<SenderReport[]> {
    const { client, chunks, itlMs, chunkGapMs, loopDelay } = this;
    const ways = [...this.targets.values()].flatMap(target => target.ways);
    return [
      {
        chunks,
        itlMs: itlMs.toCounts(),
        chunkGapMs: chunkGapMs.toCounts(),
        loopDelayMs: loopDelay.counts(),
        socketsOpened: client.socketsOpened,
        prompts: [...new Set(ways.map(({ report }) => report))],
      },
    ];
  }

  async close(): Promise<void> {
    this.loopDelay.stop();
    await this.client.close();
    await this.connections.close();
  }

  /** Endpoints of one dialect share a writer, so that what one gave another can be told. */
  private waysOf(target: SenderTarget, { salt = '' }: SenderSetup): Way[] {
    const known = new Map<Endpoint['api'], Pick<Way, 'writer' | 'report'>>();
    return target.endpoints.map(endpoint => {
      const { api } = endpoint;
      const made = () => ({
        writer: new PromptWriter({ api, salt }),
        report: emptyReport(target.name, api, ''),
      });
      const shared = known.get(api) ?? made();
      known.set(api, shared);
      return { endpoint, ...shared, how: this.connections.to(endpoint) };
    });
  }

  /** Later calls of the session send back what was answered, to whatever pool; ids mean nothing to another model. */
  private remember(
    session: string,
    from: Target,
    { output, reasoningTokens }: SendJob['call'],
    result: CallResult,
  ): void {
    const list = this.outputs.get(session) ?? [];
    for (const { modelId, ways } of this.targets.values()) {
      const received = modelId === from.modelId ? result : { ...result, tokenIds: null };
      for (const writer of new Set(ways.map(way => way.writer))) {
        writer.registerOutput(output, reasoningTokens, received);
        list.push({ writer, output });
      }
    }
    this.outputs.set(session, list);
  }
}
