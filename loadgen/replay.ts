// plan ─▶ records against live endpoints. Sessions start by the plan's clock (open loop); inside a session each call
// waits for its parents (closed). Instants handed to the fleet are the wanted ones, so our own lag shows in `sentMs`.
import type { DeploymentSpec, Endpoint, HostedModel, PoolSpec } from '../engines/engine.ts';
import { admissionArrival, GateKeeper } from '../gateway/admission/gate-keeper.ts';
import { gateOf } from '../gateway/admission/index.ts';
import { Balancer } from '../gateway/routing/balancer.ts';
import { routingPolicy } from '../gateway/routing/index.ts';
import type { RoutingPolicy } from '../gateway/routing/policy.ts';
import { Histogram } from '../scenarios/base/histogram.ts';
import { textKey } from '../scenarios/base/key.ts';
import { quantile } from '../scenarios/base/statistics.ts';
import type { Plan } from '../scenarios/formats/plan.ts';
import type { Run } from '../scenarios/formats/prompt.ts';
import { type CallRecord, type GovernedRecords, lagMs, ttftMs } from '../scenarios/formats/record.ts';
import type { RunHeader, RunOutput } from '../scenarios/formats/run.ts';
import type { Fleet } from '../scenarios/workflows/fleet.ts';
import type { Call } from '../scenarios/workflows/progress.ts';
import { fleetOver, type MakeLayer } from '../scenarios/workflows/stack.ts';
import {
  type DelayRequest,
  type CallResult as FleetResult,
  type Reports,
  type SendRequest,
  unsent,
  type World,
} from '../scenarios/workflows/world.ts';
import { type CallHandle, type CallResult, type Client, createClient } from './client.ts';
import type { Clock } from './clock.ts';
import { AnswerLengths, toldOf } from './hints.ts';
import { createPacer, type Pacer } from './pacer.ts';
import { PromptWriter } from './prompts.ts';
import { ServerWatch } from './watch.ts';

/** A run whose p99 lag is above the larger of 50 ms and 5 % of its median TTFT says so. (DESIGN, loadgen.md) */
const LAG_LIMIT_MS = 50;
const LAG_LIMIT_RATIO = 0.05;
/** Beyond this, counted and planned prompt tokens are not the same thing. */
const TOKENS_LIMIT_RATIO = 0.02;
const WARM_SOCKETS = 8;
const WARM_ROUNDS = 8;
const WARM_TIMEOUT_MS = 2000;

export interface ReplayOptions {
  plan: Plan;
  deployment: DeploymentSpec;
  poolOf: (model: string) => string;
  header: RunHeader;
  clock: Clock;
  /** Values of the variables that hold keys. */
  environment: Readonly<Record<string, string | undefined>>;
  timeoutMs?: number;
  idleTimeoutMs?: number;
  /** Vocabulary for token-id prompts. */
  vocabTokens?: number;
  /** Mixed into all content; equal salts find each other's cache on the same server. */
  salt?: string;
  onCall?: (record: CallRecord) => void;
  /** Between the sessions and the servers, topmost first. */
  layers?: readonly MakeLayer[];
  /** What the layers have to tell of the run, which ended then. */
  governed?: (endMs: number) => GovernedRecords;
  /** In place of the deployment's: a policy from outside. */
  routing?: RoutingPolicy;
}

/** Where calls go: a pool's live addresses behind its router, or the one address of a provider's model. */
interface LiveTarget {
  readonly name: string;
  readonly modelId: string;
  readonly endpoints: readonly Endpoint[];
  readonly writers: readonly PromptWriter[];
  /** Of a pool. A provider shows no replicas: null. */
  readonly pool: { readonly balancer: Balancer; readonly replicas: readonly string[] } | null;
}

/** One live run. `run` resolves when every session has ended, or after `interrupt` when all calls have been given up. */
export class Replay implements World {
  private readonly options: ReplayOptions;
  private readonly fleet: Fleet;
  /** Who hears of ends: the fleet, or the lowest layer above this. */
  private readonly reports: Reports;
  private readonly stopLayers: (nowMs: number) => void;
  private readonly layersAreIdle: () => boolean;
  private readonly client: Client;
  private readonly pacer: Pacer;
  private readonly targets = new Map<string, LiveTarget>();
  private readonly live = new Map<number, CallHandle>();
  private readonly timers = new Map<number, () => void>();
  private readonly outputs = new Map<string, { writer: PromptWriter; output: readonly Run[] }[]>();
  private readonly lengths = new AnswerLengths();
  private readonly itl = new Histogram();
  private readonly gate: GateKeeper | null;
  /** When calls that wait at the gate came to it: what they wait there is no lateness of ours. */
  private readonly held = new Map<number, number>();
  /** Aborted between the gate's word and their sending. */
  private readonly unwanted = new Set<number>();
  /** When the gate will be looked at next. */
  private gateMs = Number.POSITIVE_INFINITY;
  private readonly watch: ServerWatch;
  /** The instant that the fleet is being told of. */
  private wantedMs = 0;
  /** Clock time of the run's zero. */
  private zeroMs = 0;
  private interrupted = false;
  private lastEndMs = 0;
  /** When the next start will be looked at. */
  private armedMs = Number.POSITIVE_INFINITY;
  private finished: () => void = () => {};
  private failed: (error: unknown) => void = () => {};

  constructor(options: ReplayOptions) {
    this.options = options;
    const { clock, deployment, plan } = options;
    const { timeoutMs, idleTimeoutMs } = options;
    this.client = createClient({
      clock,
      itlMs: this.itl,
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }),
    });
    this.pacer = createPacer(clock);
    for (const model of deployment.hosted) this.targets.set(model.name, hostedTarget(model, options));
    for (const spec of deployment.pools) this.targets.set(spec.name, poolTarget(spec, options));
    this.watch = new ServerWatch({
      targets: [...this.targets.values()].flatMap(({ name, endpoints, pool }) =>
        pool === null ? [] : [{ name, endpoints, ...pool }],
      ),
      intervalMs: deployment.signals.scrapeMs,
      text: (baseUrl, path) => this.client.text(baseUrl, path),
      nowMs: () => this.nowMs(),
    });
    const view = (pool: string) => this.targets.get(pool)!.pool!.balancer.view(this.nowMs());
    const gate = gateOf(deployment);
    this.gate = gate === null ? null : new GateKeeper(gate, { view });
    const { fleet, reports, stop, isIdle } = fleetOver(
      {
        plan,
        poolOf: options.poolOf,
        ...(options.onCall === undefined ? {} : { onCall: options.onCall }),
        onSession: record => this.forget(record.session),
      },
      this,
      options.layers ?? [],
      () => this.nowMs(),
    );
    this.fleet = fleet;
    this.reports = reports;
    this.stopLayers = stop;
    this.layersAreIdle = isIdle;
  }

  get progress(): {
    sessionsStarted: number;
    activeSessions: number;
    callsEnded: number;
    callsInFlight: number;
  } {
    const { sessionsStarted, activeSessions, calls } = this.fleet;
    return { sessionsStarted, activeSessions, callsEnded: calls.length, callsInFlight: this.live.size };
  }

  /**
   *   warm up sockets ─▶ start sessions by the pacer ─▶ calls, tools, pauses ─▶ records
   */
  async run(): Promise<RunOutput> {
    await this.warmUp();
    this.zeroMs = this.options.clock.nowMs();
    // What is decided first sees a server that has been looked at.
    await this.watch.start();
    this.zeroMs = this.options.clock.nowMs();
    try {
      await new Promise<void>((resolve, reject) => {
        this.finished = resolve;
        this.failed = reject;
        this.armStarts();
        this.settle();
      });
    } finally {
      this.pacer.clear();
      await this.watch.stop();
      await this.client.close();
    }
    return this.output();
  }

  /** Ends the run early: calls under way are given up and recorded as unfinished. */
  interrupt(): void {
    if (this.interrupted) return;
    this.interrupted = true;
    this.fleet.stop(this.nowMs());
    this.stopLayers(this.nowMs());
    // What a gateway that does not propagate would have left running.
    for (const call of this.live.values()) call.abort();
    this.settle();
  }

  private nowMs(): number {
    return this.options.clock.nowMs() - this.zeroMs;
  }

  /** Opens sockets and runs a few calls of one word and one token, so that no measured call pays for our own start. */
  private async warmUp(): Promise<void> {
    const targets = [...this.targets.values()];
    const origins = new Set(targets.flatMap(({ endpoints }) => endpoints.map(({ url }) => url)));
    await Promise.all([...origins].map(url => this.client.warmUp(url, WARM_SOCKETS)));
    for (const { endpoints, writers, pool } of targets) {
      // A provider would bill it.
      if (pool === null) continue;
      for (const [row, { url, model, keyEnv }] of endpoints.entries()) {
        const writer = writers[row] as PromptWriter;
        for (let round = 0; round < WARM_ROUNDS; round++) {
          const run = { key: textKey(`warm-up ${round}`), from: 0, tokens: 1 };
          const wire = {
            model,
            prompt: writer.write([run]),
            outputTokens: 1,
            reasoningTokens: 0,
            strict: false,
          };
          const call = this.client.stream({
            baseUrl: url,
            wire,
            timeoutMs: WARM_TIMEOUT_MS,
            headers: this.keyOf(keyEnv),
          });
          if ((await call.result).outcome !== 'ok') break;
        }
      }
    }
    this.itl.clear();
  }

  /** Runs a piece of the fleet at a wanted instant; what it throws ends the run. */
  private at(wantedMs: number, piece: () => void): void {
    try {
      this.wantedMs = wantedMs;
      piece();
      this.passGate();
      this.armStarts();
      this.settle();
    } catch (error) {
      this.failed(error);
    }
  }

  /** Wakes up for the next session's start. */
  private armStarts(): void {
    const nextMs = this.fleet.nextStartMs();
    if (nextMs >= this.armedMs) return;
    this.armedMs = nextMs;
    this.pacer.at(this.zeroMs + nextMs, () => {
      this.armedMs = Number.POSITIVE_INFINITY;
      this.at(nextMs, () => this.fleet.startDue(nextMs));
    });
  }

  private settle(): void {
    if (this.fleet.isDone && (this.interrupted || this.layersAreIdle())) this.finished();
  }

  send(ticket: number, request: SendRequest): void {
    const nowMs = this.nowMs();
    // The gate stands before replicas of ours.
    const isFree = this.gate === null || this.targets.get(request.pool)?.pool === null;
    if (isFree || this.gate?.arrive(ticket, request, nowMs) === true) this.sendNow(ticket, request);
    else this.held.set(ticket, nowMs);
  }

  /** Calls that waited at the gate go on or are turned away. */
  private passGate(): void {
    const { gate } = this;
    if (gate === null) return;
    for (const { id, request, refusal } of gate.decide(this.nowMs())) {
      // An end of this very list may have made it unwanted.
      if (this.unwanted.delete(id)) {
        if (refusal === null) gate.ended(id, this.nowMs());
        this.endUnsent(id, 'cancelled');
      } else if (refusal === null) this.sendNow(id, request);
      else this.endUnsent(id, refusal);
    }
    const nextMs = gate.nextMs(this.nowMs());
    if (nextMs >= this.gateMs) return;
    this.gateMs = nextMs;
    this.pacer.at(this.zeroMs + nextMs, () => {
      this.gateMs = Number.POSITIVE_INFINITY;
      this.at(Math.max(nextMs, this.nowMs()), () => {});
    });
  }

  /** A call ends that was never sent. */
  private endUnsent(ticket: number, error: string): void {
    const endMs = this.nowMs();
    const sentMs = this.held.get(ticket) ?? endMs;
    this.held.delete(ticket);
    const outcome = error === 'cancelled' ? (this.interrupted ? 'unfinished' : 'cancelled') : 'error';
    this.lastEndMs = Math.max(this.lastEndMs, endMs);
    this.reports.callEnded(ticket, { ...unsent(), outcome, error, sentMs, endMs }, endMs);
  }

  sessionEnded(session: string): void {
    this.gate?.sessionEnded(session, this.nowMs());
  }

  private sendNow(ticket: number, request: SendRequest): void {
    const { call, session } = request;
    const target = this.targets.get(request.pool)!;
    const heldMs = this.held.get(ticket);
    this.held.delete(ticket);
    const { pool } = target;
    if (target.endpoints.length === 0) {
      queueMicrotask(() => this.at(this.nowMs(), () => this.endUnsent(ticket, 'connect')));
      return;
    }
    const row = pool?.balancer.choose(admissionArrival(ticket, request), this.nowMs()) ?? 0;
    const endpoint = target.endpoints[row] as Endpoint;
    const writer = target.writers[row] as PromptWriter;
    const { headers, fields, breakpoints } = toldOf(endpoint, request, this.lengths);
    const handle = this.client.stream({
      baseUrl: endpoint.url,
      headers: { ...headers, ...this.keyOf(endpoint.keyEnv) },
      onFirstToken: () => {
        const nowMs = this.nowMs();
        pool?.balancer.firstToken(ticket, nowMs);
        this.at(nowMs, () => this.reports.firstToken(ticket, nowMs));
      },
      wire: {
        model: endpoint.model,
        prompt: writer.write(call.prompt, call.parts, breakpoints),
        outputTokens: call.outputTokens,
        reasoningTokens: call.reasoningTokens,
        strict: pool === null,
        fields,
      },
    });
    this.live.set(ticket, handle);
    void handle.result.then(result => {
      pool?.balancer.ended(ticket, result.outputTokens, this.nowMs());
      this.live.delete(ticket);
      if (result.outcome === 'ok') {
        this.remember(session.id, target, call, result);
        this.lengths.answered(request, result.outputTokens);
      }
      const ended = this.resultOf(result, pool?.replicas[row] ?? null);
      if (heldMs !== undefined) ended.sentMs = heldMs;
      const endMs = ended.endMs as number;
      this.lastEndMs = Math.max(this.lastEndMs, endMs);
      if (pool !== null) this.gate?.ended(ticket, endMs);
      this.at(endMs, () => this.reports.callEnded(ticket, ended, endMs));
    });
  }

  private keyOf(keyEnv: string | null): Record<string, string> {
    const key = keyEnv === null ? undefined : this.options.environment[keyEnv];
    return key === undefined ? {} : { authorization: `Bearer ${key}` };
  }

  tokensOf(ticket: number): number {
    return this.live.get(ticket)?.outputTokens ?? 0;
  }

  delay(ticket: number, delayMs: number, _what?: DelayRequest): void {
    const dueMs = this.wantedMs + delayMs;
    const cancel = this.pacer.at(this.zeroMs + dueMs, () => {
      this.timers.delete(ticket);
      this.lastEndMs = Math.max(this.lastEndMs, dueMs);
      this.at(dueMs, () => this.reports.delayEnded(ticket, dueMs));
    });
    this.timers.set(ticket, cancel);
  }

  abort(ticket: number): void {
    this.timers.get(ticket)?.();
    this.timers.delete(ticket);
    const live = this.live.get(ticket);
    live?.abort();
    if (live !== undefined || !this.held.has(ticket)) return;
    // Its driver is told when it is done with what it does now.
    if (this.gate?.withdraw(ticket) !== true) this.unwanted.add(ticket);
    else queueMicrotask(() => this.at(this.nowMs(), () => this.endUnsent(ticket, 'cancelled')));
  }

  /** Later calls of the session send back what was answered, to whatever pool; ids mean nothing to another model. */
  private remember(
    session: string,
    from: LiveTarget,
    { output, reasoningTokens }: Call,
    result: CallResult,
  ): void {
    const list = this.outputs.get(session) ?? [];
    for (const { modelId, writers } of this.targets.values()) {
      const received = modelId === from.modelId ? result : { ...result, tokenIds: null };
      for (const writer of new Set(writers)) {
        writer.registerOutput(output, reasoningTokens, received);
        list.push({ writer, output });
      }
    }
    this.outputs.set(session, list);
  }

  private forget(session: string): void {
    for (const { writer, output } of this.outputs.get(session) ?? []) writer.forgetOutput(output);
    this.outputs.delete(session);
  }

  private resultOf(result: CallResult, replica: string | null): FleetResult {
    const relative = (ms: number | null): number | null => (ms === null ? null : ms - this.zeroMs);
    const { cachedTokens, promptTokens, retryAfterMs, shouldRetry } = result;
    return {
      ...unsent(),
      outcome: this.interrupted && result.outcome === 'cancelled' ? 'unfinished' : result.outcome,
      error: result.error,
      replica,
      sentMs: relative(result.sentMs),
      scheduledMs: null,
      firstTokenMs: relative(result.firstTokenMs),
      endMs: relative(result.endMs),
      promptTokens,
      cachedTokens,
      computedTokens:
        cachedTokens === null || promptTokens === null
          ? null
          : promptTokens - cachedTokens + Math.max(0, result.outputTokens - 1),
      outputTokens: result.outputTokens,
      reasoningTokens: result.reasoningTokens,
      itlMsMax: result.itlMsMax,
      preemptions: null,
      retryAfterMs,
      shouldRetry,
    };
  }

  private output(): RunOutput {
    const { plan, header, governed } = this.options;
    const durationMs = this.interrupted ? this.nowMs() : this.lastEndMs;
    const invalidReason = lagProblem(this.fleet.calls);
    const tokenizer = tokenizerProblem(this.fleet.calls);
    return {
      ...(governed === undefined ? {} : { governed: governed(durationMs) }),
      header: tokenizer === null ? header : { ...header, warnings: [...header.warnings, tokenizer] },
      calls: this.fleet.calls,
      nodes: this.fleet.nodes,
      workflows: this.fleet.workflows,
      timeline: this.watch.timeline,
      itlMs: this.itl.toCounts(),
      assertions: [...plan.assertions],
      durationMs,
      interrupted: this.interrupted,
      valid: invalidReason === null,
      invalidReason,
    };
  }
}

function poolTarget(spec: PoolSpec, options: ReplayOptions): LiveTarget {
  const { name, modelId, endpoints } = spec;
  const replicas = endpoints.map((_, row) => `${name}/${row}`);
  const balancer = balancerOf(spec, options.deployment, options.routing);
  for (const [row, replica] of replicas.entries()) balancer.open(row, replica);
  return { name, modelId, endpoints, writers: writersOf(endpoints, options), pool: { balancer, replicas } };
}

function hostedTarget({ name, modelId, endpoint }: HostedModel, options: ReplayOptions): LiveTarget {
  const endpoints = endpoint === null ? [] : [endpoint];
  return { name, modelId, endpoints, writers: writersOf(endpoints, options), pool: null };
}

/** Endpoints send no KV events: policies remember what they sent. What is scraped is seen at once. */
function balancerOf(
  { limits }: PoolSpec,
  { routing }: DeploymentSpec,
  outside: RoutingPolicy = routingPolicy(routing.policy),
): Balancer {
  const { blockTokens, kvBlocks, maxBatchedTokens, maxSequences } = limits;
  const kvTokens = kvBlocks * blockTokens;
  return new Balancer({
    policy: outside,
    options: routing.options,
    setup: { role: 'both', blockTokens, kvTokens, maxBatchedTokens, maxSequences },
    delayMs: 0,
    cache: null,
  });
}

/** One writer for each endpoint; endpoints of one kind share it, so that what one gave another can be told. */
function writersOf(
  endpoints: readonly Endpoint[],
  { vocabTokens, salt = '' }: ReplayOptions,
): PromptWriter[] {
  const byApi = new Map<Endpoint['api'], PromptWriter>();
  return endpoints.map(({ api }) => {
    const made = () => new PromptWriter({ api, salt, ...(vocabTokens === undefined ? {} : { vocabTokens }) });
    const writer = byApi.get(api) ?? made();
    byApi.set(api, writer);
    return writer;
  });
}

/** A server with another tokenizer counts other prompts than the plan has: say so, with the way out. */
function tokenizerProblem(calls: readonly CallRecord[]): string | null {
  const ok = calls.filter(call => call.outcome === 'ok');
  const counted = ok.reduce((sum, call) => sum + call.promptTokens, 0);
  const planned = ok.reduce(
    (sum, call) => sum + call.parts.reduce((total, part) => total + part.tokens, 0),
    0,
  );
  if (planned === 0 || Math.abs(counted / planned - 1) <= TOKENS_LIMIT_RATIO) return null;
  return `the server counted ${counted} prompt tokens where the plan has ${planned}: its tokenizer is not one word, one token; use \`api: tokens\` on the endpoint where it takes token ids`;
}

/** Why the run says more about our client than about the server; null when it does not. */
export function lagProblem(calls: readonly CallRecord[]): string | null {
  const lags = calls.map(lagMs).filter(lag => lag !== null);
  const ttfts = calls.map(ttftMs).filter(ttft => ttft !== null);
  if (lags.length === 0) return null;
  const lagP99 = quantile(lags, 0.99);
  const median = ttfts.length === 0 ? 0 : quantile(ttfts, 0.5);
  const limit = Math.max(LAG_LIMIT_MS, LAG_LIMIT_RATIO * median);
  if (lagP99 <= limit) return null;
  return `our client sent late: lag p99 ${lagP99.toFixed(0)} ms, above ${limit.toFixed(0)} ms (the larger of ${LAG_LIMIT_MS} ms and 5 % of the median TTFT)`;
}
