// plan ─▶ records against live endpoints. Sessions start by the plan's clock (open loop); inside a session each call
// waits for its parents (closed). Instants handed to the fleet are the wanted ones, so our own lag shows in `sentMs`.
import { type Environment, variablesOf } from '../engines/endpoint.ts';
import type { DeploymentSpec, Endpoint } from '../engines/engine.ts';
import { admissionArrival, GateKeeper } from '../gateway/admission/gate-keeper.ts';
import { gateOf } from '../gateway/admission/index.ts';
import type { RoutingPolicy } from '../gateway/routing/policy.ts';
import type { Plan } from '../scenarios/formats/plan.ts';
import type { CallRecord, GovernedRecords, TimelineSample } from '../scenarios/formats/record.ts';
import type { RunHeader, RunOutput, RunSoFar } from '../scenarios/formats/run.ts';
import type { Fleet, FleetOptions } from '../scenarios/workflows/fleet.ts';
import { fleetOver, type MakeLayer } from '../scenarios/workflows/stack.ts';
import {
  type DelayRequest,
  type CallResult as FleetResult,
  type Reports,
  type SendRequest,
  unsent,
  type World,
} from '../scenarios/workflows/world.ts';
import { type Client, createClient } from './client.ts';
import { type ClientUse, clientReport, lagProblem, mergedCounts, ourOwnProblem } from './client-report.ts';
import type { Clock } from './clock.ts';
import { Connections } from './connect.ts';
import { sessionsTogether } from './first-wave.ts';
import { AnswerLengths, toldOf } from './hints.ts';
import { type LiveTarget, liveTargets } from './live-targets.ts';
import { createPacer, type Pacer } from './pacer.ts';
import { mergedReports, promptEvidence, promptWarnings } from './prompts/tally.ts';
import type { CacheBust } from './prompts.ts';
import type { SenderReport, Senders, SentResult } from './sender.ts';
import type { Spending } from './spending.ts';
import { openSenders } from './threads.ts';
import { ServerWatch } from './watch.ts';

/** Connections to each address that are open before the first call: one for each session of a first wave, within these. */
const WARM_SOCKETS_MIN = 8;
const WARM_SOCKETS_MAX = 256;
/** A server that shows no metrics within so long shows none. */
const LOOK_TIMEOUT_MS = 3000;

export interface ReplayOptions {
  plan: Plan;
  deployment: DeploymentSpec;
  poolOf: (model: string) => string;
  header: RunHeader;
  clock: Clock;
  /** Values of the variables that hold keys. */
  environment: Environment;
  timeoutMs?: number;
  idleTimeoutMs?: number;
  /** Threads that stream, each with whole sessions; 1 (default): this one. */
  workers?: number;
  /** Vocabulary for token-id prompts; absent: as the server has it. */
  vocabTokens?: number;
  /** Mixed into all content; equal salts find each other's cache on the same server. */
  salt?: string;
  /** Whose prompts find each other's cache; absent: all of the run. */
  cacheBust?: CacheBust;
  onCall?: (record: CallRecord) => void;
  /** Told of the other records as they come. */
  onRecord?: Pick<FleetOptions, 'onNode' | 'onStart' | 'onSession'>;
  /** Between the sessions and the servers, topmost first. */
  layers?: readonly MakeLayer[];
  /** What the layers have to tell of the run, which ended then. */
  governed?: (endMs: number) => GovernedRecords;
  /** In place of the deployment's: a policy from outside. */
  routing?: RoutingPolicy;
  /** What may be sent and spent at most: beyond it the run stops. */
  spending?: Spending | null;
  /** DCGM exporters of the servers' GPUs. */
  gpuUrls?: readonly string[];
  /** Asked when all is ready: the run's zero on `clock`, which may still be to come. Absent: now. */
  startAt?: () => Promise<number>;
}

/** A call on its way, and which endpoint of which target serves it. */
interface LiveCall {
  readonly target: LiveTarget;
  readonly row: number;
  readonly request: SendRequest;
  /** When it came to the gate that held it; null: none did. */
  readonly heldMs: number | null;
}

/** One live run. `run` resolves when every session has ended, or after `interrupt` when all calls have been given up. */
export class Replay implements World {
  private readonly options: ReplayOptions;
  private readonly fleet: Fleet;
  /** Who hears of ends: the fleet, or the lowest layer above this. */
  private readonly reports: Reports;
  private readonly stopLayers: (nowMs: number) => void;
  private readonly layersAreIdle: () => boolean;
  private readonly senders: Senders;
  /** For looks at metrics: they share no connection with calls. */
  private readonly looks: Client;
  private readonly connections: Connections;
  private readonly pacer: Pacer;
  private readonly targets: ReadonlyMap<string, LiveTarget>;
  private readonly live = new Map<number, LiveCall>();
  private inFlightMax = 0;
  private readonly timers = new Map<number, () => void>();
  private readonly lengths = new AnswerLengths();
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
  /** Why the run ended itself early; null: it did not. */
  stopReason: string | null = null;
  private lastEndMs = 0;
  /** When the next start will be looked at. */
  private armedMs = Number.POSITIVE_INFINITY;
  private finished: () => void = () => {};
  private failed: (error: unknown) => void = () => {};

  constructor(options: ReplayOptions) {
    this.options = options;
    const { clock, deployment, plan } = options;
    this.connections = new Connections(options.environment);
    this.looks = createClient({ clock, connectTimeoutMs: LOOK_TIMEOUT_MS, idleTimeoutMs: LOOK_TIMEOUT_MS });
    this.pacer = createPacer(clock);
    this.targets = liveTargets(deployment, options.routing);
    this.watch = new ServerWatch({
      targets: [...this.targets.values()].flatMap(({ name, endpoints, pool }) =>
        pool === null ? [] : [{ name, endpoints, ...pool }],
      ),
      intervalMs: deployment.signals.scrapeMs,
      text: (baseUrl, path, endpoint) =>
        this.looks.text(baseUrl, path, endpoint === null ? {} : this.connections.to(endpoint)),
      nowMs: () => this.nowMs(),
      gpuUrls: options.gpuUrls ?? [],
    });
    this.senders = this.openSenders();
    const view = (pool: string) => this.targets.get(pool)!.pool!.balancer.view(this.nowMs());
    const gate = gateOf(deployment);
    this.gate = gate === null ? null : new GateKeeper(gate, { view });
    const { fleet, reports, stop, isIdle } = fleetOver(
      {
        plan,
        poolOf: options.poolOf,
        ...options.onRecord,
        ...(options.onCall === undefined ? {} : { onCall: options.onCall }),
        onSession: record => {
          this.senders.forget(record.session);
          options.onRecord?.onSession?.(record);
        },
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

  /** The run up to now; its lists go on growing. */
  get soFar(): RunSoFar {
    const { sessionsStarted, activeSessions, calls, nodes, workflows } = this.fleet;
    const { timeline, live } = this;
    // Sockets are opened before the run's zero.
    const nowMs = this.zeroMs === 0 ? 0 : this.nowMs();
    return {
      nowMs,
      sessionsStarted,
      activeSessions,
      callsInFlight: live.size,
      calls,
      nodes,
      workflows,
      timeline,
    };
  }

  /**
   *   warm up sockets ─▶ start sessions by the pacer ─▶ calls, tools, pauses ─▶ records
   */
  async run(): Promise<RunOutput> {
    try {
      return await this.toTheEnd();
    } finally {
      this.pacer.clear();
      await this.senders.close();
      await this.looks.close();
      await this.connections.close();
    }
  }

  private async toTheEnd(): Promise<RunOutput> {
    const ended = new Promise<void>((resolve, reject) => {
      this.finished = resolve;
      this.failed = reject;
    });
    // A thread may break before anything waits for the end.
    ended.catch(() => {});
    const sockets = Math.min(
      Math.max(sessionsTogether(this.options.plan), WARM_SOCKETS_MIN),
      WARM_SOCKETS_MAX,
    );
    await Promise.race([this.senders.warmUp({ sockets }), ended]);
    this.zeroMs = this.options.clock.nowMs();
    // What is decided first sees a server that has been looked at.
    const { startAt } = this.options;
    await Promise.race([
      this.watch.start(async () => {
        if (startAt !== undefined) this.zeroMs = await startAt();
      }),
      ended,
    ]);
    if (startAt === undefined) this.zeroMs = this.options.clock.nowMs();
    else await Promise.race([new Promise<void>(due => this.pacer.at(this.zeroMs, due)), ended]);
    const cpu = process.cpuUsage();
    try {
      this.at(0, () => {});
      await ended;
    } finally {
      await this.watch.stop();
    }
    const use = { wallMs: this.nowMs(), cpuUs: process.cpuUsage(cpu), inFlightMax: this.inFlightMax };
    return this.output(await this.senders.report(), use);
  }

  /** What the servers showed so far. */
  get timeline(): readonly TimelineSample[] {
    return this.watch.timeline;
  }

  /** Ends the run early: calls under way are given up and recorded as unfinished. */
  interrupt(): void {
    if (this.interrupted) return;
    this.interrupted = true;
    this.fleet.stop(this.nowMs());
    this.stopLayers(this.nowMs());
    // What a gateway that does not propagate would have left running.
    for (const ticket of this.live.keys()) this.senders.abort(ticket);
    this.settle();
  }

  private nowMs(): number {
    return this.options.clock.nowMs() - this.zeroMs;
  }

  private openSenders(): Senders {
    const {
      clock,
      environment,
      timeoutMs,
      idleTimeoutMs,
      vocabTokens,
      salt,
      cacheBust,
      workers = 1,
    } = this.options;
    const targets = [...this.targets.values()].map(({ name, modelId, endpoints, pool }) => ({
      name,
      modelId,
      endpoints,
      isHosted: pool === null,
    }));
    const setup = {
      zero: clock.zero,
      targets,
      environment: namedOf(targets, environment),
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }),
      ...(vocabTokens === undefined ? {} : { vocabTokens }),
      ...(salt === undefined ? {} : { salt }),
      ...(cacheBust === undefined ? {} : { cacheBust }),
    };
    const events = {
      firstToken: (ticket: number) => this.firstToken(ticket),
      ended: (ticket: number, result: SentResult) => this.callEnded(ticket, result),
    };
    return openSenders(workers, setup, events, error => this.failed(error));
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
    const heldMs = this.held.get(ticket) ?? null;
    this.held.delete(ticket);
    const { pool } = target;
    if (target.endpoints.length === 0) {
      queueMicrotask(() => this.at(this.nowMs(), () => this.endUnsent(ticket, 'connect')));
      return;
    }
    const row = pool?.balancer.choose(admissionArrival(ticket, request), this.nowMs()) ?? 0;
    const endpoint = target.endpoints[row] as Endpoint;
    const spend = { target: target.name, model: call.model, ...lengthsOf(call) };
    const refusal = this.options.spending?.begin(ticket, spend, this.nowMs()) ?? null;
    if (refusal !== null) {
      pool?.balancer.ended(ticket, 0, this.nowMs());
      this.stopReason ??= refusal;
      queueMicrotask(() =>
        this.at(this.nowMs(), () => {
          this.interrupt();
          this.endUnsent(ticket, 'cancelled');
        }),
      );
      return;
    }
    this.live.set(ticket, { target, row, request, heldMs });
    this.inFlightMax = Math.max(this.inFlightMax, this.live.size);
    const { prompt, parts, output, outputTokens, reasoningTokens } = call;
    this.senders.send({
      ticket,
      session: session.id,
      target: target.name,
      row,
      call: { prompt, parts, output, outputTokens, reasoningTokens },
      ...toldOf(endpoint, request, this.lengths),
    });
  }

  private firstToken(ticket: number): void {
    const nowMs = this.nowMs();
    this.live.get(ticket)?.target.pool?.balancer.firstToken(ticket, nowMs);
    this.at(nowMs, () => this.reports.firstToken(ticket, nowMs));
  }

  private callEnded(ticket: number, result: SentResult): void {
    const { target, row, request, heldMs } = this.live.get(ticket)!;
    const { pool } = target;
    pool?.balancer.ended(ticket, result.outputTokens, this.nowMs());
    this.live.delete(ticket);
    this.options.spending?.ended(ticket, result);
    if (result.outcome === 'ok') this.lengths.answered(request, result.outputTokens);
    const ended = this.resultOf(result, pool?.replicas[row] ?? null);
    if (heldMs !== null) ended.sentMs = heldMs;
    const endMs = ended.endMs as number;
    this.lastEndMs = Math.max(this.lastEndMs, endMs);
    if (pool !== null) this.gate?.ended(ticket, endMs);
    this.at(endMs, () => this.reports.callEnded(ticket, ended, endMs));
  }

  tokensOf(ticket: number): number {
    return this.senders.tokensOf(ticket);
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
    if (this.live.has(ticket)) {
      this.senders.abort(ticket);
      return;
    }
    if (!this.held.has(ticket)) return;
    // Its driver is told when it is done with what it does now.
    if (this.gate?.withdraw(ticket) !== true) this.unwanted.add(ticket);
    else queueMicrotask(() => this.at(this.nowMs(), () => this.endUnsent(ticket, 'cancelled')));
  }

  private resultOf(result: SentResult, replica: string | null): FleetResult {
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

  private output(senders: readonly SenderReport[], use: ClientUse): RunOutput {
    const { plan, header, governed } = this.options;
    const { calls, nodes, workflows } = this.fleet;
    const durationMs = this.interrupted ? Math.max(0, this.nowMs()) : this.lastEndMs;
    const client = clientReport(calls, workflows, senders, use);
    const invalidReason = ourOwnProblem(calls) ?? lagProblem(calls);
    const stopped = this.stopReason === null ? null : `stopped early by ${this.stopReason}`;
    const prompts = mergedReports(senders.flatMap(sender => sender.prompts));
    const warnings = [...(stopped === null ? [] : [stopped]), ...promptWarnings(prompts)];
    return {
      ...(governed === undefined ? {} : { governed: governed(durationMs) }),
      header: {
        ...header,
        evidence: [...header.evidence, ...promptEvidence(prompts)],
        warnings: [...header.warnings, ...warnings],
      },
      calls,
      nodes,
      workflows,
      timeline: this.watch.timeline,
      measured: {
        client: { ...client, serverInFlightMax: this.watch.inFlightMax },
        prompts,
        servers: this.watch.reports(),
        gpus: this.watch.gpus,
      },
      itlMs: mergedCounts(senders.map(({ itlMs }) => itlMs)),
      assertions: [...plan.assertions],
      durationMs,
      interrupted: this.interrupted,
      valid: invalidReason === null,
      invalidReason,
    };
  }
}

/** The variables that endpoints name, and no others. */
function namedOf(
  targets: readonly { endpoints: readonly Endpoint[] }[],
  environment: Environment,
): Environment {
  const names = targets.flatMap(({ endpoints }) => endpoints.flatMap(variablesOf));
  return Object.fromEntries(names.map(name => [name, environment[name]]));
}

const lengthsOf = ({ promptTokens, outputTokens }: SendRequest['call']) => ({ promptTokens, outputTokens });
