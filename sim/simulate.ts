// plan ─▶ records in simulated time. One loop: whatever is due next (the cluster, a tool, a session's start) happens, in
// that order at equal instants; ends are handed to the fleet, which says what starts.

import { type FrontEnd, NO_FRONT_END } from '../engines/engine.ts';
import { GateKeeper } from '../gateway/admission/gate-keeper.ts';
import type { Gate } from '../gateway/admission/policy.ts';
import { invariant, UserError } from '../scenarios/base/errors.ts';
import type { HistogramCounts } from '../scenarios/base/histogram.ts';
import { IdTable } from '../scenarios/base/id-table.ts';
import type { Plan } from '../scenarios/formats/plan.ts';
import type {
  CallRecord,
  GovernedRecords,
  ReplicaSpan,
  TimelineSample,
  WorkflowRecord,
} from '../scenarios/formats/record.ts';
import type { RunHeader, RunOutput, RunSoFar } from '../scenarios/formats/run.ts';
import { endless, type Fleet } from '../scenarios/workflows/fleet.ts';
import { fleetOver, type MakeLayer } from '../scenarios/workflows/stack.ts';
import {
  type CallResult,
  type DelayRequest,
  type Reports,
  type SendRequest,
  unsent,
  type World,
} from '../scenarios/workflows/world.ts';
import { CallSubmission } from './call-submission.ts';
import type { ClusterEvent, ManagedCluster } from './cluster.ts';
import { Crashes } from './crashes.ts';
import { beyondHorizon } from './horizon.ts';
import { Timers } from './timers.ts';

const NS_PER_MS = 1e6;
/** Samples kept in the timeline, and the fewest instants; beyond, every second one is dropped and the interval doubles. */
const TIMELINE_SAMPLES = 32_768;
const TIMELINE_INSTANTS_MIN = 512;
const TIMELINE_INSTANTS_MAX = 4096;
const FIRST_INTERVAL_MS = 100;
/** Calls that wait so long while nothing happens wait for ever. */
const ASLEEP_NS = 24 * 3600 * 1e9;
/** So many events at one instant are a loop that never ends, not work. */
const LIVELOCK_EVENTS = 5_000_000;

/** Whole nanoseconds of a time in ms. Exact to 104 days (2^53 ns). */
export const toNs = (ms: number): number => Math.round(ms * NS_PER_MS);
const toMs = (ns: number): number => ns / NS_PER_MS;

/** A call on its way through the cluster. */
interface InFlight {
  result: CallResult;
  /** When it reaches the engine's queue. */
  submitNs: number;
  reasoningTokens: number;
}

export interface SimulationOptions {
  plan: Plan;
  cluster: ManagedCluster;
  poolOf: (model: string) => string;
  /** By pool; nothing where absent. */
  frontEnds?: ReadonlyMap<string, FrontEnd>;
  header: RunHeader;
  /** Between the sessions and the cluster, topmost first. */
  layers?: readonly MakeLayer[];
  /** What the layers have to tell, at the end. */
  governed?: () => GovernedRecords;
  /** Who is let in; everybody where absent. */
  gate?: Gate | null;
  /** Told of each call as it ends, and of each session. */
  onCall?: (record: CallRecord) => void;
  onSession?: (record: WorkflowRecord) => void;
  /** False: neither records nor a timeline are kept. Default true. */
  keepRecords?: boolean;
}

/** One simulated run: `step` until done, then `finish`. */
export class Simulation implements World {
  private readonly options: SimulationOptions;
  private readonly fleet: Fleet;
  /** Who hears of ends: the fleet, or the lowest layer above this. */
  private readonly reports: Reports;
  private readonly stopLayers: (nowMs: number) => void;
  private readonly layersAreIdle: () => boolean;
  private readonly timers = new Timers();
  /** Tickets of delays that are still wanted. */
  private readonly waiting = new IdTable<true>();
  private readonly inFlight = new IdTable<InFlight>();
  private readonly timeline = new Timeline();
  private readonly gate: GateKeeper | null;
  private readonly crashes: Crashes;
  /** Aborted while they waited at the gate. */
  private readonly withdrawn: number[] = [];
  /** By pool: when its front end is done with the last request. */
  private readonly frontFreeMs = new Map<string, number>();
  private nowNs = 0;
  private sameInstant = 0;
  /** When a call, a tool or a session last did something. */
  private awakeNs = 0;
  private interrupted = false;
  /** The cluster was brought to now in the middle of something, and may have events to tell. */
  private hasLooked = false;

  constructor(options: SimulationOptions) {
    this.options = options;
    const { gate, cluster } = options;
    this.gate = gate == null ? null : new GateKeeper(gate, { view: pool => cluster.view(pool) });
    this.crashes = new Crashes(options.plan, [...(options.frontEnds?.keys() ?? [])]);
    const { fleet, reports, stop, isIdle } = fleetOver(options, this, options.layers ?? [], () => this.nowMs);
    this.fleet = fleet;
    this.reports = reports;
    this.stopLayers = stop;
    this.layersAreIdle = isIdle;
  }

  get nowMs(): number {
    return toMs(this.nowNs);
  }

  /** Calls to a pool that the gate holds. */
  waitingAtGate(pool: string): number {
    return this.gate?.waitingFor(pool) ?? 0;
  }

  /** Gaps between tokens up to now. */
  get itlMs(): HistogramCounts {
    return this.options.cluster.itlMs();
  }

  /** The run up to now; its lists go on growing. */
  get soFar(): RunSoFar {
    const { sessionsStarted, activeSessions, callsInFlight, calls, nodes, workflows } = this.fleet;
    const { nowMs, timeline } = this;
    return {
      nowMs,
      sessionsStarted,
      activeSessions,
      callsInFlight,
      calls,
      nodes,
      workflows,
      timeline: timeline.samples,
    };
  }

  /** Handles up to `events` instants; false when nothing is left. */
  step(events: number): boolean {
    for (let i = 0; i < events; i++) if (!this.advance()) return false;
    return true;
  }

  /** Ends the run early: what is under way is recorded as unfinished. */
  interrupt(): void {
    if (this.interrupted) return;
    this.interrupted = true;
    this.fleet.stop(this.nowMs);
    for (const [ticket, { result, reasoningTokens }] of [...this.inFlight.entries()].sort(
      ([a], [b]) => a - b,
    )) {
      result.outputTokens = this.options.cluster.generatedTokens(ticket);
      result.reasoningTokens = Math.min(reasoningTokens, result.outputTokens);
      this.inFlight.delete(ticket);
      this.reports.callEnded(ticket, { ...result, outcome: 'unfinished', error: 'interrupted' }, this.nowMs);
    }
    this.stopLayers(this.nowMs);
  }

  replicaSpans(): ReplicaSpan[] {
    return this.options.cluster.replicaSpans();
  }

  finish(): RunOutput {
    const { plan, header, governed } = this.options;
    return {
      ...(governed === undefined ? {} : { governed: governed() }),
      header: { ...header, warnings: [...this.options.cluster.beyondRange(), ...header.warnings] },
      calls: this.fleet.calls,
      nodes: this.fleet.nodes,
      workflows: this.fleet.workflows,
      timeline: this.timeline.samples,
      replicas: this.replicaSpans(),
      busy: this.options.cluster
        .counters()
        .map(({ pool, replica, busyNs }) => ({ pool, replica, busyMs: toMs(busyNs) })),
      itlMs: this.options.cluster.itlMs(),
      assertions: [...plan.assertions],
      durationMs: this.nowMs,
      interrupted: this.interrupted,
      valid: true,
      invalidReason: null,
    };
  }

  private advance(): boolean {
    const { cluster } = this.options;
    if (this.interrupted) return false;
    if (this.fleet.isDone && cluster.isIdle() && this.layersAreIdle()) return false;
    const startNs = this.startNs();
    const timerNs = this.timerNs();
    const clusterNs = cluster.nextNs();
    const gateNs = this.gateNs();
    const crashNs = this.crashNs();
    const nextNs = Math.min(startNs, timerNs, clusterNs, gateNs, crashNs);
    if (nextNs === Number.POSITIVE_INFINITY) {
      invariant(
        this.fleet.isDone,
        () => `nothing is due, but ${this.fleet.activeSessions} sessions are waiting`,
      );
      return false;
    }
    if (nextNs > Number.MAX_SAFE_INTEGER) throw beyondHorizon();
    invariant(nextNs >= this.nowNs, () => `time went back from ${this.nowNs} to ${nextNs} ns`);
    this.sameInstant = nextNs === this.nowNs ? this.sameInstant + 1 : 0;
    if (this.sameInstant >= LIVELOCK_EVENTS) throw endless(`${LIVELOCK_EVENTS} events at ${this.nowMs} ms`);
    if (this.options.keepRecords !== false) this.timeline.upTo(toMs(nextNs), atMs => cluster.sample(atMs));
    this.nowNs = nextNs;
    if (clusterNs === nextNs) {
      cluster.advanceTo(nextNs);
      const events = cluster.drain();
      if (events.length > 0) this.awakeNs = nextNs;
      else if (nextNs - this.awakeNs > ASLEEP_NS && cluster.heldAt().length > 0)
        throw asleep(cluster.heldAt());
      for (const event of events) this.onClusterEvent(event);
    } else if (crashNs === nextNs) {
      for (const { pool, draw } of this.crashes.due(this.nowMs)) cluster.crash(nextNs, pool, draw);
    } else if (gateNs === nextNs) {
      this.bringCluster();
    } else if (timerNs === nextNs) {
      this.awakeNs = nextNs;
      const ticket = this.timers.nextTicket;
      this.timers.pop();
      this.waiting.delete(ticket);
      this.reports.delayEnded(ticket, this.nowMs);
    } else {
      this.awakeNs = nextNs;
      // The planned instant itself: rounded to whole nanoseconds it may lie a hair before it.
      this.fleet.startDue(this.fleet.nextStartMs());
    }
    if (this.gate !== null) this.passGate(this.gate);
    return true;
  }

  private crashNs(): number {
    const ms = this.crashes.nextMs();
    return ms === Number.POSITIVE_INFINITY ? ms : Math.max(this.nowNs, toNs(ms));
  }

  private gateNs(): number {
    if (this.withdrawn.length > 0 || this.hasLooked) return this.nowNs;
    const ms = this.gate?.nextMs(this.nowMs) ?? Number.POSITIVE_INFINITY;
    return ms === Number.POSITIVE_INFINITY ? ms : Math.max(this.nowNs, toNs(ms));
  }

  /** The gate looks at the cluster as it is now; nothing is due there before. */
  private bringCluster(): void {
    this.hasLooked = false;
    this.options.cluster.advanceTo(this.nowNs);
    for (const event of this.options.cluster.drain()) this.onClusterEvent(event);
  }

  /** Calls that waited at the gate go on or are turned away. */
  private passGate(gate: GateKeeper): void {
    for (const ticket of this.withdrawn.splice(0)) this.endEarly(ticket, 'cancelled', 'cancelled');
    for (const { id, request, refusal } of gate.decide(this.nowMs)) {
      // An end of this very list may have made it unwanted.
      if (this.withdrawn.includes(id)) {
        if (refusal === null) gate.ended(id, this.nowMs);
      } else if (refusal === null) this.submit(id, request, this.inFlight.get(id)!);
      else this.endEarly(id, 'error', refusal);
    }
  }

  /** A call ends that never reached an engine. */
  private endEarly(ticket: number, outcome: 'error' | 'cancelled', error: string): void {
    const flight = this.inFlight.get(ticket);
    if (flight === undefined) return;
    this.inFlight.delete(ticket);
    this.reports.callEnded(ticket, { ...flight.result, outcome, error, endMs: this.nowMs }, this.nowMs);
  }

  private startNs(): number {
    const startMs = this.fleet.nextStartMs();
    return startMs === Number.POSITIVE_INFINITY
      ? startMs
      : Math.max(this.nowNs, this.inNs(startMs - this.nowMs));
  }

  send(ticket: number, request: SendRequest): void {
    const { call } = request;
    const result = unsent();
    result.sentMs = this.nowMs;
    result.preemptions = 0;
    const flight = { result, submitNs: Number.NaN, reasoningTokens: call.reasoningTokens };
    this.inFlight.set(ticket, flight);
    if (this.gate === null || this.gate.arrive(ticket, request, this.nowMs))
      this.submit(ticket, request, flight);
  }

  /** On its way to the engine's queue. */
  private submit(ticket: number, request: SendRequest, flight: InFlight): void {
    const { call, session, pool, facts, prefers, avoids } = request;
    const submitNs = this.inNs(this.frontEndMs(pool, call.promptTokens));
    flight.submitNs = submitNs;
    const priority = 0 - (call.priority ?? session.priority); // engines count the other way: lower goes first
    const submission = new CallSubmission(ticket, pool, session.id, priority, call, facts);
    submission.prefers = prefers;
    submission.avoids = avoids;
    this.options.cluster.submit(submitNs, submission);
  }

  /** From now until a request of so many tokens is in the engine's queue, behind those that came before it. */
  private frontEndMs(pool: string, promptTokens: number): number {
    const { ms, msPerToken, serialMs } = this.options.frontEnds?.get(pool) ?? NO_FRONT_END;
    if (serialMs === 0) return ms + msPerToken * promptTokens;
    const startMs = Math.max(this.nowMs, this.frontFreeMs.get(pool) ?? 0);
    this.frontFreeMs.set(pool, startMs + serialMs);
    return startMs - this.nowMs + ms + msPerToken * promptTokens;
  }

  sessionEnded(session: string, workflow: string): void {
    this.gate?.sessionEnded(session, this.nowMs);
    this.options.cluster.sessionEnded(this.nowNs, session, workflow);
  }

  tokensOf(ticket: number): number {
    // Nothing is due there before now; what this instant still brings is heard of within it.
    this.options.cluster.advanceTo(this.nowNs);
    this.hasLooked = true;
    return this.options.cluster.generatedTokens(ticket);
  }

  delay(ticket: number, delayMs: number, _what?: DelayRequest): void {
    this.waiting.set(ticket, true);
    this.timers.push(this.inNs(delayMs), ticket);
  }

  /** When the next timer is due that somebody still waits for. */
  private timerNs(): number {
    const { timers, waiting } = this;
    while (timers.size > 0 && !waiting.has(timers.nextTicket)) timers.pop();
    return timers.nextNs;
  }

  /** The instant `delayMs` from now, inside the horizon of exact nanoseconds. */
  private inNs(delayMs: number): number {
    const atNs = this.nowNs + toNs(delayMs);
    if (atNs <= Number.MAX_SAFE_INTEGER) return atNs;
    throw beyondHorizon();
  }

  abort(ticket: number): void {
    this.waiting.delete(ticket);
    const flight = this.inFlight.get(ticket);
    if (flight !== undefined && this.gate !== null && Number.isNaN(flight.submitNs)) {
      this.gate.withdraw(ticket);
      // Its driver is told when it is done with what it does now.
      this.withdrawn.push(ticket);
      return;
    }
    // A request still on its way is cancelled on arrival: what follows it cannot overtake it.
    if (flight !== undefined && !this.interrupted) {
      this.options.cluster.cancel(Math.max(this.nowNs, flight.submitNs), ticket);
    }
  }

  private onClusterEvent(event: ClusterEvent): void {
    const flight = this.inFlight.get(event.id);
    if (flight === undefined) return;
    const { result } = flight;
    const atMs = toMs(event.atNs);
    switch (event.kind) {
      case 'scheduled':
        result.scheduledMs = atMs;
        result.replica = event.replica;
        result.cachedTokens = event.cachedTokens;
        break;
      case 'token':
        if (event.index > 0) break;
        result.firstTokenMs = atMs;
        this.reports.firstToken(event.id, atMs);
        break;
      case 'end':
      case 'failed':
      case 'cancelled':
        result.outputTokens = event.outputTokens;
        result.reasoningTokens = Math.min(flight.reasoningTokens, event.outputTokens);
        result.itlMsMax = event.outputTokens > 1 ? toMs(event.itlMaxNs) : null;
        result.computedTokens = event.computedTokens;
        result.preemptions = event.preemptions;
        if (event.transfer !== undefined)
          result.transfers = [{ startMs: toMs(event.transfer.startNs), endMs: toMs(event.transfer.endNs) }];
        result.outcome = event.kind === 'end' ? 'ok' : event.kind === 'failed' ? 'error' : 'cancelled';
        result.error = event.kind === 'end' ? null : event.kind === 'failed' ? event.reason : 'cancelled';
        this.end(event.id, result, atMs);
        break;
      case 'rejected':
        result.outcome = 'error';
        result.error = event.reason === 'queue_full' ? 'http_503' : event.reason;
        this.end(event.id, result, atMs);
        break;
    }
  }

  private end(ticket: number, result: CallResult, atMs: number): void {
    result.endMs = atMs;
    this.inFlight.delete(ticket);
    this.gate?.ended(ticket, atMs);
    this.reports.callEnded(ticket, result, atMs);
  }
}

/** An autoscaler that never has a replica ready for the calls that wait. */
function asleep(pools: readonly string[]): UserError {
  const message = `calls have waited for a day: pool ${pools.join(' and ')} has no replica ready, and its autoscaler gets none`;
  return new UserError(message, {
    hint: 'give the autoscaler `min: 1`, or a longer `down_window` or `cooldown` than the cold start',
  });
}

/** Samples at an even interval, which doubles whenever there would be too many. */
class Timeline {
  samples: TimelineSample[] = [];
  private intervalMs = FIRST_INTERVAL_MS;
  private nextMs = 0;
  private instants = 0;
  private most = TIMELINE_INSTANTS_MAX;

  upTo(ms: number, take: (atMs: number) => TimelineSample[]): void {
    while (this.nextMs <= ms) {
      const samples = take(this.nextMs);
      const instants = TIMELINE_SAMPLES / Math.max(1, samples.length);
      this.most = Math.min(TIMELINE_INSTANTS_MAX, Math.max(TIMELINE_INSTANTS_MIN, instants));
      this.samples.push(...samples);
      this.nextMs += this.intervalMs;
      if (++this.instants > this.most) this.thin();
    }
  }

  private thin(): void {
    this.intervalMs *= 2;
    this.samples = this.samples.filter(sample => sample.atMs % this.intervalMs === 0);
    this.instants = new Set(this.samples.map(sample => sample.atMs)).size;
    this.nextMs = Math.ceil(this.nextMs / this.intervalMs) * this.intervalMs;
  }
}

/** Runs to the end at once. */
export function simulate(options: SimulationOptions): RunOutput {
  const simulation = new Simulation(options);
  while (simulation.step(10_000));
  return simulation.finish();
}
