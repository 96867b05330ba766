// What stands before the engines of one set of replicas (a pool, or one half of a disaggregated one): the router with
// what it sees, and the replicas that come and go. Both engines have the same one, so that no policy means two things.
import type { DeploymentSpec, PolicyChoice, PoolSpec, SignalAges } from '../engines/engine.ts';
import { Balancer, type Signals } from '../gateway/routing/balancer.ts';
import { routingPolicy } from '../gateway/routing/index.ts';
import type { RoutingArrival, RoutingPolicy, RoutingView } from '../gateway/routing/policy.ts';
import { extendText, type Key } from '../scenarios/base/key.ts';
import type { Run } from '../scenarios/formats/prompt.ts';
import type { ClusterOptions } from './cluster.ts';
import { FlowCounter } from './scaling/flow-counter.ts';
import { scalingPolicy } from './scaling/index.ts';
import { Lifecycle, type Member } from './scaling/lifecycle.ts';
import type { OracleView, ReplicaSignals } from './scaling/policy.ts';

const NS_PER_MS = 1e6;

/** The engines of a set, by id of the replica. */
export interface Engines {
  /** A new one, idle. */
  start(id: number, name: string): void;
  /** It has gone; what it still has fails. */
  stop(id: number, atNs: number): void;
  signals(id: number, atNs: number): Signals;
  /** It holds something for others although its own part is over: KV that is still to be fetched. */
  holds?(id: number): boolean;
  /** Tokens at the start of a prompt whose KV it has now. */
  cachedTokens(id: number, prompt: readonly Run[], promptTokens: number): number;
  /** Of its tiers, tokens beyond those. */
  behind?(
    id: number,
    prompt: readonly Run[],
    promptTokens: number,
    deviceTokens: number,
  ): {
    host: number;
    disk: number;
  };
}

export interface FrontOptions {
  readonly spec: PoolSpec;
  /** Names of replicas begin with it. */
  readonly name: string;
  readonly role: 'both' | 'prefill' | 'decode';
  readonly routing: PolicyChoice & { readonly by: RoutingPolicy };
  readonly signals: SignalAges;
  readonly engines: Engines;
  /** Cold starts are drawn from it. */
  readonly key: Key;
  readonly oracle: OracleView | null;
  /** Calls that wait because no replica is ready. */
  readonly held: () => number;
  /** Calls that the gate holds: they have not come yet, but whoever scales must see them. */
  readonly atGate: () => number;
}

/** What all fronts of a deployment have in common. */
export const frontOptions = (
  { routing, signals }: DeploymentSpec,
  pool: string,
  { routing: outside, oracle, atGate }: ClusterOptions,
): Pick<FrontOptions, 'routing' | 'signals' | 'oracle' | 'atGate'> => ({
  routing: { ...routing, by: outside ?? routingPolicy(routing.policy) },
  signals,
  oracle: oracle?.(pool) ?? null,
  atGate: () => atGate?.(pool) ?? 0,
});

export class Front {
  readonly lifecycle: Lifecycle;
  private readonly balancer: Balancer;
  private readonly options: FrontOptions;
  /** Only where replicas come and go. */
  private readonly flow: FlowCounter | null;
  /** By session: the replica it was last sent to; only where a drain waits for sessions. */
  private readonly homes: Map<string, number> | null;
  /** By id: sessions that are at home there. */
  private readonly sessions: number[] = [];
  /** By id: requests sent there and not over, on their way to it included. */
  private readonly sent: number[] = [];
  private readonly scrapeNs: number;
  private nextScrapeNs = Number.POSITIVE_INFINITY;

  constructor(options: FrontOptions) {
    const { spec, name, role, routing, signals, engines, key, oracle } = options;
    const { limits, scaling } = spec;
    this.options = options;
    this.scrapeNs = Math.round(signals.scrapeMs * NS_PER_MS);
    this.balancer = new Balancer({
      policy: routing.by,
      options: routing.options,
      setup: {
        role,
        blockTokens: limits.blockTokens,
        kvTokens: limits.kvBlocks * limits.blockTokens,
        maxBatchedTokens: limits.maxBatchedTokens,
        maxSequences: limits.maxSequences,
      },
      // A look at every decision is never late.
      delayMs: this.scrapeNs === 0 ? 0 : signals.delayMs,
      cache:
        signals.kvEventsMs === null || !limits.prefixCaching
          ? null
          : {
              delayMs: signals.kvEventsMs,
              device: (id, prompt, promptTokens) => engines.cachedTokens(id, prompt, promptTokens),
              ...(engines.behind === undefined ? {} : { behind: engines.behind }),
            },
      refresh: nowMs => this.refresh(nowMs),
    });
    const gpusPerReplica = spec.tensorParallel * spec.pipelineStages * spec.dataParallelRanks;
    const autoscaler =
      scaling === null
        ? null
        : scalingPolicy(scaling.policy).create(scaling.options, {
            role,
            limits,
            step: spec.step,
            gpusPerReplica,
            tokensPerStep: spec.speculative?.acceptedTokens ?? 1,
            coldStartMs: spec.coldStart?.medianMs ?? 0,
            oracle,
          });
    this.flow = autoscaler === null ? null : new FlowCounter(scaling!.signalAgeMs, autoscaler.intervalMs);
    this.homes = scaling?.drain === 'workflows' ? new Map() : null;
    this.lifecycle = new Lifecycle({
      name,
      replicas: spec.replicas,
      scaling,
      autoscaler,
      coldStart: spec.coldStart,
      spot: spec.spot,
      key: extendText(key, name),
      view: () => this.flow!.view(this.balancer.ids, options.held(), options.atGate()),
      sink: {
        ready: member => {
          engines.start(member.id, member.name);
          this.balancer.open(member.id, member.name);
        },
        draining: (member, atNs) => this.balancer.close(member.id, atNs / NS_PER_MS),
        gone: ({ id }, started, atNs) => {
          this.balancer.close(id, atNs / NS_PER_MS);
          if (started) engines.stop(id, atNs);
        },
        isBusy: member => this.isBusy(member),
      },
    });
  }

  private isBusy({ id }: Member): boolean {
    if ((this.sent[id] ?? 0) > 0 || this.options.engines.holds?.(id) === true) return true;
    return (this.sessions[id] ?? 0) > 0;
  }

  get name(): string {
    return this.options.name;
  }

  /** A replica takes requests. */
  get isOpen(): boolean {
    return this.balancer.isOpen;
  }

  /** One takes requests, or will. */
  get opens(): boolean {
    return this.isOpen || this.options.spec.scaling !== null || this.lifecycle.count('starting') > 0;
  }

  view(nowNs: number): RoutingView {
    return this.balancer.view(nowNs / NS_PER_MS);
  }

  // ── Time ──

  nextNs(): number {
    return Math.min(
      this.nextScrapeNs,
      this.lifecycle.nextNs(),
      this.flow?.nextNs ?? Number.POSITIVE_INFINITY,
    );
  }

  /** What is due at `atNs` happens: metrics are scraped before anybody looks at them. */
  advanceTo(atNs: number): void {
    if (this.nextScrapeNs <= atNs) this.scrape(atNs);
    if (this.flow !== null && this.flow.nextNs <= atNs)
      this.flow.scrape(atNs, this.balancer.ids, this.signalsOfAll(atNs));
    if (this.lifecycle.nextNs() > atNs) return;
    this.flow?.look(atNs, this.balancer.ids, () => this.signalsOfAll(atNs));
    this.lifecycle.advanceTo(atNs);
  }

  private signalsOfAll(atNs: number): ReplicaSignals[] {
    return this.balancer.ids.map(id => ({
      ...this.options.engines.signals(id, atNs),
      readySinceMs: this.lifecycle.members[id]!.readyNs / NS_PER_MS,
    }));
  }

  private scrape(atNs: number): void {
    let isIdle = true;
    this.balancer.scraped(atNs / NS_PER_MS, id => {
      const signals = this.options.engines.signals(id, atNs);
      // What was sent may still be on its way: a decode half has it while its prompt is computed.
      const isOwed = (this.sent[id] ?? 0) > 0;
      if (isOwed || signals.running > 0 || signals.waiting > 0 || signals.kvUsedRatio > 0) isIdle = false;
      return signals;
    });
    // Nothing changes any more until the next request.
    this.nextScrapeNs = isIdle ? Number.POSITIVE_INFINITY : atNs + this.scrapeNs;
  }

  /**
   * Where nothing was scraped because nothing changed, or nobody looked: the last scrape that has come shows what is
   * there now. A look at every decision is such a scrape, of now.
   */
  private refresh(nowMs: number): void {
    const { engines, signals } = this.options;
    if (this.nextScrapeNs < Number.POSITIVE_INFINITY) return;
    const { scrapeMs, delayMs } = signals;
    const atMs = scrapeMs === 0 ? nowMs : Math.floor((nowMs - delayMs) / scrapeMs) * scrapeMs;
    const atNs = Math.round(nowMs * NS_PER_MS);
    this.balancer.scraped(atMs, id => engines.signals(id, atNs));
  }

  // ── Requests ──

  /** A call has come, whether a replica takes it now or it waits for one. */
  came(arrival: RoutingArrival, atNs: number): void {
    this.flow?.came(arrival, atNs);
  }

  /** It waited for a replica and is no longer wanted. */
  withdrawn(id: number, atNs: number): void {
    this.flow?.ended(id, 0, false, atNs);
  }

  /** Sends a request to a replica that takes some: its id. */
  choose(atNs: number, arrival: RoutingArrival): number {
    const nowMs = atNs / NS_PER_MS;
    const id = this.drainingHome(arrival) ?? this.balancer.choose(arrival, nowMs);
    this.sent[id] = (this.sent[id] ?? 0) + 1;
    this.settleIn(arrival.session, id);
    if (this.nextScrapeNs === Number.POSITIVE_INFINITY && this.scrapeNs > 0 && this.balancer.wantsScrapes)
      this.nextScrapeNs = (Math.floor(atNs / this.scrapeNs) + 1) * this.scrapeNs;
    return id;
  }

  private settleIn(session: string, id: number): void {
    if (this.homes === null) return;
    const before = this.homes.get(session);
    if (before === id) return;
    if (before !== undefined) this.sessions[before]! -= 1;
    this.sessions[id] = (this.sessions[id] ?? 0) + 1;
    this.homes.set(session, id);
  }

  /** A workflow goes on where it began, though that replica drains. */
  private drainingHome(arrival: RoutingArrival): number | null {
    const home = this.homes?.get(arrival.session);
    if (home === undefined || this.lifecycle.members[home]!.state !== 'draining') return null;
    this.balancer.enter(arrival, home);
    return home;
  }

  scheduled(id: number, of: { readonly prompt: readonly Run[] }, cachedTokens: number, atNs: number): void {
    this.balancer.scheduled(id, of, cachedTokens, atNs / NS_PER_MS);
    this.flow?.scheduled(id, cachedTokens);
  }

  firstToken(id: number, atNs: number): void {
    this.balancer.firstToken(id, atNs / NS_PER_MS);
    this.flow?.firstToken(id, atNs);
  }

  /** `isOk`: it was answered. */
  ended(id: number, outputTokens: number, isOk: boolean, atNs: number): void {
    const replicaId = this.balancer.ended(id, outputTokens, atNs / NS_PER_MS);
    this.flow?.ended(id, outputTokens, isOk, atNs);
    this.sent[replicaId]! -= 1;
    this.settle(replicaId, atNs);
  }

  /** Something of a replica is over: if it drains, this may have been the last. */
  settle(replicaId: number, atNs: number): void {
    const member = this.lifecycle.members[replicaId]!;
    if (member.state === 'draining') this.lifecycle.settle(member, atNs);
  }

  placeOf(id: number): number | undefined {
    return this.balancer.placeOf(id);
  }

  sessionEnded(session: string, atNs: number): void {
    this.flow?.sessionEnded(session);
    const home = this.homes?.get(session);
    if (home === undefined) return;
    this.homes!.delete(session);
    this.sessions[home]! -= 1;
    this.settle(home, atNs);
  }

  /** A replica is lost with what it has; another is asked for at once. */
  crash(member: Member, atNs: number): void {
    member.isLost = true;
    this.lifecycle.end(member, atNs);
    this.lifecycle.start(atNs);
  }
}
