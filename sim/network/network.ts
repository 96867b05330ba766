// The network of a simulated run: a call goes from the agent's place to the gateway's and on to that of its target, its
// answer comes back the same way; a tool's goes to the place of its runtime. What stands in one place passes unchanged.
//
//   send ─▶ connections, legs up ─▶ below ─▶ first token, end ─▶ legs down ─▶ firstToken, callEnded
//
// Laws: nothing arrives before it was sent; no end before its first token; a call or tool ends once, lost or not.

import { type FaultWindows, windowsOf } from '../../gateway/fault-windows.ts';
import { type Timer, Timers } from '../../gateway/timers.ts';
import { IdTable } from '../../scenarios/base/id-table.ts';
import { extend, extendText, type Key } from '../../scenarios/base/key.ts';
import type { PlannedFault } from '../../scenarios/formats/plan.ts';
import type { PlacesSpec } from '../../scenarios/formats/rules.ts';
import { PassingLayer } from '../../scenarios/workflows/passing-layer.ts';
import {
  type CallResult,
  type DelayRequest,
  type LayerSetup,
  type SendRequest,
  unsent,
} from '../../scenarios/workflows/world.ts';
import { Connections } from './connections.ts';
import { type Passage, passage } from './message.ts';
import { Paths, type Way } from './paths.ts';

export interface NetworkOptions {
  readonly places: PlacesSpec;
  /** Where a pool or a hosted model stands; null: with the gateway. */
  readonly placeOf: (target: string) => string | null;
  /** Where a tool runs; null: with the agent. */
  readonly placeOfRuntime: (tool: string) => string | null;
  /** null: with the agents. */
  readonly gatewayPlace: string | null;
  /** Those of kind `network_loss` are obeyed. */
  readonly faults: readonly PlannedFault[];
  readonly seedText: string;
}

/** A token of English is about four letters, and a request carries its whole prompt. */
const BYTES_PER_TOKEN = 4;

/** Of TCP and of TLS 1.3, before the first byte of a request. */
const SETUP_ROUND_TRIPS = 2;

/** A connection from one place to another, and those kept open there. */
interface Leg {
  readonly way: Way;
  readonly connections: Connections;
}

interface Route {
  /** From the agent on; none: everything stands in one place. */
  readonly legs: readonly Leg[];
  /** The part from the gateway on: what attempts after the first go. */
  readonly fromGateway: readonly Leg[];
}

/** A call or a tool on its way there, below, or on its way back. */
interface Trip {
  readonly ticket: number;
  readonly route: Route;
  /** The legs that it goes up, each on a connection of its own. */
  readonly up: readonly Leg[];
  readonly key: Key;
  readonly sentMs: number;
  /** Null: a tool. */
  readonly request: SendRequest | null;
  /** Of a tool. */
  readonly run: { readonly delayMs: number; readonly what: DelayRequest } | null;
  phase: 'up' | 'below' | 'down';
  /** When it reaches its target. */
  thereMs: number;
  isLost: boolean;
  isAborted: boolean;
  /** What it waits for on its way. */
  timer: Timer<Arrival> | null;
  /** When its first token is with the agent; null: none is on its way. */
  tokenMs: number | null;
  result: CallResult | null;
  failure: string | null | undefined;
}

interface Arrival {
  readonly of: 'request' | 'token' | 'end' | 'abort';
  readonly trip: Trip;
}

/** Makes the layer. */
export const networkLayer =
  (options: NetworkOptions) =>
  (setup: LayerSetup): Network =>
    new Network(options, setup);

export class Network extends PassingLayer {
  private readonly options: NetworkOptions;
  private readonly paths: Paths;
  private readonly faults: readonly FaultWindows[];
  private readonly timers: Timers<Arrival>;
  private readonly trips = new IdTable<Trip>();
  private readonly toTarget = new Map<string, Route>();
  private readonly toTool = new Map<string, Route>();
  private isStopped = false;

  constructor(options: NetworkOptions, setup: LayerSetup) {
    super(setup);
    this.options = options;
    this.paths = new Paths(options.places);
    this.faults = windowsOf(options.faults, 'network_loss', options.seedText);
    this.timers = new Timers(delayMs => this.wait(delayMs));
  }

  // ---- as a world ---------------------------------------------------------------------------------------------

  override send(ticket: number, request: SendRequest): void {
    const route = this.routeTo(request.pool);
    if (route.legs.length === 0) {
      super.send(ticket, request);
      return;
    }
    const { call, facts, attempt = 0 } = request;
    const key = attempt === 0 ? facts.key : extend(facts.key, attempt);
    const up = attempt === 0 ? route.legs : route.fromGateway;
    this.leave(ticket, { route, up, key, request, run: null }, call.promptTokens * BYTES_PER_TOKEN);
  }

  override delay(ticket: number, delayMs: number, what?: DelayRequest): void {
    const route = what?.kind === 'tool' ? this.routeToTool(what.rules.tool) : null;
    if (what?.kind !== 'tool' || route === null || route.legs.length === 0)
      super.delay(ticket, delayMs, what);
    else
      this.leave(ticket, { route, up: route.legs, key: what.key, request: null, run: { delayMs, what } }, 0);
  }

  /** It follows what was sent and cannot overtake it. What has come to an end below only has to arrive. */
  override abort(ticket: number): void {
    const { below } = this.setup;
    const trip = this.trips.get(ticket);
    if (trip === undefined) {
      super.abort(ticket);
      return;
    }
    const nowMs = this.setup.nowMs();
    if (trip.request === null) {
      this.timers.cancel(trip.timer);
      this.trips.delete(ticket);
      if (trip.phase === 'below') below.abort(ticket);
      return;
    }
    if (trip.isAborted) return;
    trip.isAborted = true;
    if (trip.isLost) {
      this.timers.cancel(trip.timer);
      const result = trip.result ?? unsent();
      trip.result = { ...result, outcome: 'cancelled', error: 'cancelled' };
      trip.timer = this.timers.set(nowMs, { of: 'end', trip }, nowMs);
    } else if (trip.phase !== 'down') {
      const { ms } = this.pass(trip, trip.up, 'abort', 0, nowMs);
      this.timers.set(Math.max(nowMs + ms, trip.thereMs), { of: 'abort', trip }, nowMs);
    }
  }

  /** No time passes any more: what is on its way is told as it stands, what is below is told from there. */
  override stop(nowMs: number): void {
    this.isStopped = true;
    super.stop(nowMs);
    for (const [ticket, trip] of [...this.trips.entries()].sort(([a], [b]) => a - b)) {
      if (trip.request === null || trip.phase === 'below') continue;
      this.trips.delete(ticket);
      const result = trip.result ?? unsent();
      const { sentMs } = trip;
      const told = { ...result, sentMs, endMs: nowMs, outcome: 'unfinished', error: 'interrupted' } as const;
      this.setup.above.callEnded(ticket, told, nowMs);
    }
  }

  override isIdle(): boolean {
    return this.trips.size === 0 && super.isIdle();
  }

  // ---- up -----------------------------------------------------------------------------------------------------

  private leave(
    ticket: number,
    what: Pick<Trip, 'route' | 'up' | 'key' | 'request' | 'run'>,
    bytes: number,
  ): void {
    const nowMs = this.setup.nowMs();
    const trip: Trip = {
      ...what,
      ticket,
      sentMs: nowMs,
      phase: 'up',
      thereMs: nowMs,
      isLost: false,
      isAborted: false,
      timer: null,
      tokenMs: null,
      result: null,
      failure: undefined,
    };
    this.trips.set(ticket, trip);
    for (const { way, connections } of trip.up)
      if (connections.take(nowMs) && way.tls) trip.thereMs += SETUP_ROUND_TRIPS * way.rttMs;
    const { ms, isLost } = this.pass(trip, trip.up, 'up', bytes, nowMs);
    trip.thereMs += ms;
    trip.isLost = isLost;
    if (isLost) this.loses(trip);
    trip.timer = this.timers.set(trip.thereMs, { of: isLost ? 'end' : 'request', trip }, nowMs);
  }

  /** It is at its target. */
  private arrive(trip: Trip): void {
    const { ticket, request, run } = trip;
    trip.phase = 'below';
    if (request !== null) this.setup.below.send(ticket, request);
    else if (run !== null) this.setup.below.delay(ticket, run.delayMs, run.what);
  }

  // ---- down ---------------------------------------------------------------------------------------------------

  override firstToken(ticket: number, nowMs: number): void {
    const trip = this.trips.get(ticket);
    if (trip === undefined || this.isStopped) {
      super.firstToken(ticket, nowMs);
      return;
    }
    if (trip.isAborted) return;
    const { ms, isLost } = this.pass(trip, trip.route.legs, 'token', BYTES_PER_TOKEN, nowMs);
    // A stream without its beginning has no end either: the end finds that out.
    if (isLost) return;
    trip.tokenMs = nowMs + ms;
    this.timers.set(trip.tokenMs, { of: 'token', trip }, nowMs);
  }

  override callEnded(ticket: number, result: CallResult, nowMs: number): void {
    const trip = this.trips.get(ticket);
    if (trip === undefined) {
      super.callEnded(ticket, result, nowMs);
      return;
    }
    trip.result = result;
    if (this.isStopped) this.deliver(trip, nowMs);
    else this.comeBack(trip, 0, nowMs);
  }

  override delayEnded(ticket: number, nowMs: number, failure?: string | null): void {
    if (this.timers.rings(ticket)) {
      for (let due = this.timers.take(nowMs); due !== undefined; due = this.timers.take(nowMs))
        this.on(due, nowMs);
      return;
    }
    const trip = this.trips.get(ticket);
    if (trip?.run == null) {
      super.delayEnded(ticket, nowMs, failure);
      return;
    }
    trip.failure = failure;
    const { what } = trip.run;
    this.comeBack(trip, what.kind === 'tool' ? what.resultTokens * BYTES_PER_TOKEN : 0, nowMs);
  }

  /** Its end goes down; tokens went before it, as they appeared. */
  private comeBack(trip: Trip, bytes: number, nowMs: number): void {
    trip.phase = 'down';
    const { ms, isLost } = this.pass(trip, trip.route.legs, 'down', bytes, nowMs);
    if (isLost) this.loses(trip);
    const atMs = Math.max(nowMs + ms, trip.tokenMs ?? 0);
    trip.timer = this.timers.set(atMs, { of: 'end', trip }, nowMs);
  }

  private loses(trip: Trip): void {
    trip.isLost = true;
    trip.failure = 'network_lost';
    trip.result = { ...(trip.result ?? unsent()), outcome: 'error', error: 'network_lost' };
  }

  private on({ of, trip }: Arrival, nowMs: number): void {
    switch (of) {
      case 'request':
        this.arrive(trip);
        break;
      case 'token':
        if (!trip.isAborted) this.setup.above.firstToken(trip.ticket, nowMs);
        break;
      case 'end':
        this.deliver(trip, nowMs);
        break;
      case 'abort':
        if (trip.phase === 'below') this.setup.below.abort(trip.ticket);
        break;
    }
  }

  /** It is back, or lost for good. */
  private deliver(trip: Trip, nowMs: number): void {
    const { ticket, route, result } = trip;
    this.trips.delete(ticket);
    // Giving up closes a connection of HTTP/1.1.
    if (!trip.isLost && !trip.isAborted) for (const { connections } of trip.up) connections.release(nowMs);
    if (trip.request === null || result === null) {
      this.setup.above.delayEnded(ticket, nowMs, trip.failure);
      return;
    }
    const { firstTokenMs } = result;
    const downMs = route.legs.reduce((sum, { way }) => sum + way.rttMs / 2, 0);
    if (firstTokenMs !== null) result.firstTokenMs = Math.min(trip.tokenMs ?? firstTokenMs + downMs, nowMs);
    const back = { startMs: firstTokenMs ?? nowMs, endMs: result.firstTokenMs ?? nowMs };
    result.transfers = [{ startMs: trip.sentMs, endMs: trip.thereMs }, ...(result.transfers ?? []), back];
    result.sentMs = trip.sentMs;
    result.endMs = nowMs;
    this.setup.above.callEnded(ticket, result, nowMs);
  }

  // ---- ways ---------------------------------------------------------------------------------------------------

  /** One message over all legs, each with draws of its own. */
  private pass({ key }: Trip, legs: readonly Leg[], message: string, bytes: number, nowMs: number): Passage {
    let ms = 0;
    let isLost = false;
    for (const [index, { way }] of legs.entries()) {
      const of = { key: extend(extendText(key, message), index), bytes };
      const leg = passage(way, of, this.faults, nowMs);
      ms += leg.ms;
      isLost ||= leg.isLost;
    }
    return { ms, isLost };
  }

  private routeTo(target: string): Route {
    let route = this.toTarget.get(target);
    if (route === undefined) {
      const { gatewayPlace, places, placeOf } = this.options;
      const gateway = gatewayPlace ?? places.agents;
      const there = this.legs(gateway, placeOf(target));
      route = { legs: [...this.legs(places.agents, gateway), ...there], fromGateway: there };
      this.toTarget.set(target, route);
    }
    return route;
  }

  private routeToTool(tool: string): Route {
    let route = this.toTool.get(tool);
    if (route === undefined) {
      const { gatewayPlace, places, placeOfRuntime } = this.options;
      const legs = this.legs(places.agents ?? gatewayPlace, placeOfRuntime(tool));
      route = { legs, fromGateway: legs };
      this.toTool.set(tool, route);
    }
    return route;
  }

  /** None where one of the ends is nowhere in particular, or both are the same. */
  private legs(from: string | null, to: string | null): Leg[] {
    if (from === null || to === null || from === to) return [];
    const way = this.paths.way(from, to);
    return [{ way, connections: new Connections(way.keepAliveMs) }];
  }
}
