// What an autoscaler sees of the calls of a set of replicas: counts since its last look, and metrics of an age.
import type { RoutingArrival } from '../../gateway/routing/policy.ts';
import { IdTable } from '../../scenarios/base/id-table.ts';
import type { Flow, ReplicaSignals, ScalingView } from './policy.ts';

const NS_PER_MS = 1e6;

/** A call on its way, as an autoscaler counts it. */
interface Counted {
  readonly sentNs: number;
  readonly promptTokens: number;
  firstNs: number;
  cachedTokens: number;
}

/** Metrics of replicas as they were, a row for each id. */
interface AgedSignals {
  readonly atNs: number;
  readonly ids: readonly number[];
  readonly replicas: readonly ReplicaSignals[];
}

export class FlowCounter {
  /** When metrics are scraped for the look that comes `ageMs` later. */
  nextNs: number;
  private readonly ageNs: number;
  private readonly intervalNs: number;
  private readonly counted = new IdTable<Counted>();
  private readonly sessions = new Set<string>();
  private scrapes: AgedSignals[] = [];
  private since = noFlow();
  private sinceNs = 0;
  private ttftNs = 0;
  private decodeNs = 0;
  private decodeGaps = 0;
  private lastCameNs = Number.NEGATIVE_INFINITY;
  private nowNs = 0;
  private seen: AgedSignals = { atNs: 0, ids: [], replicas: [] };

  constructor(ageMs: number, intervalMs: number) {
    this.ageNs = Math.round(ageMs * NS_PER_MS);
    this.intervalNs = Math.max(1, Math.round(intervalMs * NS_PER_MS));
    this.nextNs = this.ageNs === 0 ? Number.POSITIVE_INFINITY : Math.max(0, this.intervalNs - this.ageNs);
  }

  scrape(atNs: number, ids: readonly number[], replicas: ReplicaSignals[]): void {
    this.scrapes.push({ atNs, ids, replicas });
    this.nextNs += this.intervalNs;
  }

  look(atNs: number, ids: readonly number[], fresh: () => ReplicaSignals[]): void {
    this.nowNs = atNs;
    if (this.ageNs === 0) this.seen = { atNs, ids, replicas: fresh() };
    while (this.scrapes.length > 0 && this.scrapes[0]!.atNs + this.ageNs <= atNs)
      this.seen = this.scrapes.shift()!;
  }

  came({ id, session, promptTokens }: RoutingArrival, atNs: number): void {
    this.counted.set(id, { sentNs: atNs, promptTokens, firstNs: -1, cachedTokens: 0 });
    this.sessions.add(session);
    this.since.arrivals += 1;
    this.since.promptTokens += promptTokens;
    this.lastCameNs = atNs;
  }

  scheduled(id: number, cachedTokens: number): void {
    const counted = this.counted.get(id);
    if (counted !== undefined) counted.cachedTokens = cachedTokens;
  }

  firstToken(id: number, atNs: number): void {
    const counted = this.counted.get(id);
    if (counted !== undefined && counted.firstNs < 0) counted.firstNs = atNs;
  }

  ended(id: number, outputTokens: number, isOk: boolean, atNs: number): void {
    const counted = this.counted.get(id);
    this.counted.delete(id);
    if (counted === undefined || !isOk) return;
    const { sentNs, cachedTokens } = counted;
    const firstNs = counted.firstNs < 0 ? atNs : counted.firstNs;
    this.since.ended += 1;
    this.since.cachedTokens += cachedTokens;
    this.since.outputTokens += outputTokens;
    this.ttftNs += firstNs - sentNs;
    this.decodeNs += atNs - firstNs;
    this.decodeGaps += Math.max(0, outputTokens - 1);
  }

  sessionEnded(session: string): void {
    this.sessions.delete(session);
  }

  /** Counts since the last look, which begin anew. */
  view(
    ready: readonly number[],
    held: number,
    atGate: number,
  ): Omit<ScalingView, 'ready' | 'starting' | 'draining' | 'min' | 'max'> {
    const { nowNs, since, seen } = this;
    const flow: Flow = {
      ...since,
      overMs: (nowNs - this.sinceNs) / NS_PER_MS,
      ttftMs: since.ended === 0 ? 0 : this.ttftNs / since.ended / NS_PER_MS,
      itlMs: this.decodeGaps === 0 ? 0 : this.decodeNs / this.decodeGaps / NS_PER_MS,
    };
    this.since = noFlow();
    this.sinceNs = nowNs;
    this.ttftNs = 0;
    this.decodeNs = 0;
    this.decodeGaps = 0;
    return {
      nowMs: nowNs / NS_PER_MS,
      replicas: seen.replicas.filter((_, i) => ready.includes(seen.ids[i]!)),
      signalAgeMs: (nowNs - seen.atNs) / NS_PER_MS,
      queuedAtGateway: held + atGate,
      inFlight: this.counted.size + atGate,
      sessions: this.sessions.size,
      flow,
      idleMs: (nowNs - this.lastCameNs) / NS_PER_MS,
    };
  }
}

const noFlow = () => ({ arrivals: 0, ended: 0, promptTokens: 0, cachedTokens: 0, outputTokens: 0 });
