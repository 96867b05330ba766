// One router over the replicas that take requests, and what it sees of them: its own counts, exact; metrics as last
// scraped; the prefix index of KV events, as late as they are. The same in both worlds: a driver tells of replicas,
// scrapes, first tokens and ends.
import { IdTable } from '../../scenarios/base/id-table.ts';
import { commonTokens, type Run } from '../../scenarios/formats/prompt.ts';
import type {
  PrefixHits,
  Router,
  RouterSetup,
  RoutingArrival,
  RoutingPolicy,
  RoutingView,
} from './policy.ts';

/** One replica's metrics at one instant. */
export interface Signals {
  readonly running: number;
  readonly waiting: number;
  /** KV blocks in use over all, 0-1. */
  readonly kvUsedRatio: number;
}

/** What the replicas' caches hold of a prompt now, by their KV events. */
export interface CacheEvents {
  /** From a change of a cache until a router knows it, ms. */
  readonly delayMs: number;
  /** Tokens at the start of the prompt. */
  device(id: number, prompt: readonly Run[], promptTokens: number): number;
  /** Of the tiers behind it, tokens beyond what the device has. */
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

export interface BalancerOptions {
  readonly policy: RoutingPolicy;
  readonly options: Record<string, unknown>;
  readonly setup: RouterSetup;
  /** From a scrape until the router has it, ms. */
  readonly delayMs: number;
  /** Null: engines tell no events. */
  readonly cache: CacheEvents | null;
  /** Asked before a scraped column is read: whoever scrapes only while somebody looks does it now, with `scraped`. */
  readonly refresh?: (nowMs: number) => void;
}

/** A request that was sent and has not ended. */
interface Sent {
  replicaId: number;
  promptTokens: number;
  hasToken: boolean;
}

/** A scrape on its way. */
interface Scrape {
  readonly atMs: number;
  readonly ids: readonly number[];
  readonly signals: readonly Signals[];
}

/** A prompt whose blocks a cache has had for so short a time that the router may not know. */
interface Recent {
  readonly atMs: number;
  readonly replicaId: number;
  readonly prompt: readonly Run[];
  /** What of it was cached before. */
  readonly cachedTokens: number;
}

class View implements RoutingView {
  nowMs = 0;
  replicas: string[] = [];
  ids: number[] = [];
  outstanding: number[] = [];
  prefillTokens: number[] = [];
  decodeTokens: number[] = [];
  readonly scraped = { running: [] as number[], waiting: [] as number[], kvUsedRatio: [] as number[] };
  scrapedMs = Number.NEGATIVE_INFINITY;
  /** A policy has asked for a scraped column: somebody must scrape. */
  wantsScrapes = false;
  settle: () => void = () => {};
  hits: () => PrefixHits | null = () => null;

  private fresh() {
    this.wantsScrapes = true;
    this.settle();
    return this.scraped;
  }
  get ageMs(): number {
    this.fresh();
    return this.nowMs - this.scrapedMs;
  }
  get running(): readonly number[] {
    return this.fresh().running;
  }
  get waiting(): readonly number[] {
    return this.fresh().waiting;
  }
  get kvUsedRatio(): readonly number[] {
    return this.fresh().kvUsedRatio;
  }
  prefixHits(): PrefixHits | null {
    return this.hits();
  }
}

export class Balancer {
  private readonly shown = new View();
  private readonly router: Router;
  private readonly delayMs: number;
  private readonly cache: CacheEvents | null;
  private readonly sent = new IdTable<Sent>();
  /** By id: row of the view; -1 for one that takes no requests. */
  private readonly rows: number[] = [];
  private readonly refresh: ((nowMs: number) => void) | undefined;
  private scrapes: Scrape[] = [];
  private settledMs = Number.NaN;
  private recent: Recent[] = [];
  /** Whether the policy asks for KV events at all. */
  private wantsHits = false;
  private arrival: RoutingArrival | null = null;
  private readonly found = { device: [] as number[], host: [] as number[], disk: [] as number[] };
  private isFound = false;

  constructor({ policy, options, setup, delayMs, cache, refresh }: BalancerOptions) {
    this.refresh = refresh;
    this.router = policy.create(options, setup);
    this.delayMs = delayMs;
    this.cache = cache;
    this.shown.settle = () => this.settle();
    if (cache !== null) this.shown.hits = () => this.hits(cache);
  }

  /** A replica takes requests from now on. Ids count up; each is used once. */
  open(id: number, name: string): void {
    const { shown } = this;
    this.rows[id] = shown.ids.length;
    // A new array, so that policies notice by its identity.
    shown.replicas = [...shown.replicas, name];
    shown.ids = [...shown.ids, id];
    for (const column of this.columns()) column.push(0);
  }

  /** It takes no more; what it has goes on. */
  close(id: number, atMs: number): void {
    const row = this.rows[id] ?? -1;
    if (row < 0) return;
    const { shown } = this;
    shown.replicas = shown.replicas.toSpliced(row, 1);
    shown.ids = shown.ids.toSpliced(row, 1);
    for (const column of this.columns()) column.splice(row, 1);
    this.rows[id] = -1;
    for (let each = row; each < shown.ids.length; each++) this.rows[shown.ids[each]!] = each;
    this.router.observe?.({ kind: 'left', replicaId: id, atMs });
  }

  private columns(): number[][] {
    const { shown, found } = this;
    const { running, waiting, kvUsedRatio } = shown.scraped;
    const own = [shown.outstanding, shown.prefillTokens, shown.decodeTokens];
    return [...own, running, waiting, kvUsedRatio, found.device, found.host, found.disk];
  }

  get isOpen(): boolean {
    return this.shown.ids.length > 0;
  }

  /** Ids of the replicas that take requests. */
  get ids(): readonly number[] {
    return this.shown.ids;
  }

  /** What a policy of another kind, such as admission, may see of these replicas. */
  view(nowMs: number): RoutingView {
    this.shown.nowMs = nowMs;
    this.settledMs = Number.NaN;
    return this.shown;
  }

  get wantsScrapes(): boolean {
    return this.shown.wantsScrapes;
  }

  /** What all replicas that take requests showed at one instant; seen `delayMs` later. */
  scraped(atMs: number, signalsOf: (id: number) => Signals): void {
    const { scrapes } = this;
    const { ids } = this.shown;
    const last = scrapes.at(-1);
    // Of those that have come the last one counts, and none overtakes another.
    while (scrapes.length > 1 && scrapes[1]!.atMs + this.delayMs <= atMs) scrapes.shift();
    scrapes.push({ atMs: Math.max(atMs, last?.atMs ?? atMs), ids, signals: ids.map(signalsOf) });
  }

  /** Scrapes that have come are seen. */
  private settle(): void {
    const { shown } = this;
    if (this.settledMs !== shown.nowMs) {
      this.settledMs = shown.nowMs;
      this.refresh?.(shown.nowMs);
    }
    let last: Scrape | undefined;
    while (this.scrapes.length > 0 && this.scrapes[0]!.atMs + this.delayMs <= shown.nowMs)
      last = this.scrapes.shift();
    if (last === undefined) return;
    shown.scrapedMs = last.atMs;
    for (const [i, id] of last.ids.entries()) {
      const row = this.rows[id]!;
      if (row < 0) continue;
      const { running, waiting, kvUsedRatio } = last.signals[i]!;
      shown.scraped.running[row] = running;
      shown.scraped.waiting[row] = waiting;
      shown.scraped.kvUsedRatio[row] = kvUsedRatio;
    }
  }

  /** Sends a request: the id of the replica it goes to. It counts there until `ended`. */
  choose(arrival: RoutingArrival, nowMs: number): number {
    const { shown } = this;
    this.arrival = arrival;
    this.isFound = false;
    this.settledMs = Number.NaN;
    shown.nowMs = nowMs;
    const row = this.preferred(arrival) ?? this.unavoided(this.router.route(arrival, shown), arrival);
    const id = shown.ids[row];
    if (id === undefined) throw new RangeError(`the router chose row ${row} of ${shown.ids.length} replicas`);
    this.enter(arrival, id);
    return id;
  }

  /** Row of the replica that has its prefix; null: none is known, or it takes no requests. */
  private preferred({ prefers, avoids }: RoutingArrival): number | null {
    if (prefers == null || avoids?.includes(prefers) === true) return null;
    const row = this.shown.replicas.indexOf(prefers);
    return row < 0 ? null : row;
  }

  /** What the router chose, or, where that is to be avoided, the least busy that is not. */
  private unavoided(row: number, { avoids }: RoutingArrival): number {
    const { replicas, outstanding } = this.shown;
    if (avoids == null || avoids.length === 0 || !avoids.includes(replicas[row] ?? '')) return row;
    let best = -1;
    for (let each = 0; each < replicas.length; each++)
      if (!avoids.includes(replicas[each]!) && (best < 0 || outstanding[each]! < outstanding[best]!))
        best = each;
    return best < 0 ? row : best;
  }

  /** Sends it to a replica that was not asked for, such as one that drains and has its session; the router hears its end. */
  enter({ id, promptTokens }: Pick<RoutingArrival, 'id' | 'promptTokens'>, replicaId: number): void {
    this.sent.set(id, { replicaId, promptTokens, hasToken: false });
    const row = this.rows[replicaId]!;
    if (row < 0) return;
    this.shown.outstanding[row]! += 1;
    this.shown.prefillTokens[row]! += promptTokens;
  }

  /** Admitted by its engine, whose cache has its prompt from now on. */
  scheduled(id: number, of: { readonly prompt: readonly Run[] }, cachedTokens: number, atMs: number): void {
    const { cache } = this;
    if (!this.wantsHits || cache === null || cache.delayMs === 0) return;
    const sent = this.sent.get(id);
    if (sent === undefined) return;
    const { recent } = this;
    const known = recent.findIndex(each => each.atMs + cache.delayMs > atMs);
    if (known > 0) recent.splice(0, known);
    else if (known < 0) recent.length = 0;
    recent.push({ atMs, replicaId: sent.replicaId, prompt: of.prompt, cachedTokens });
  }

  firstToken(id: number, atMs: number): void {
    const sent = this.sent.get(id);
    if (sent === undefined || sent.hasToken) return;
    sent.hasToken = true;
    const { replicaId, promptTokens } = sent;
    const row = this.rows[replicaId]!;
    if (row >= 0) {
      this.shown.prefillTokens[row]! -= promptTokens;
      this.shown.decodeTokens[row]! += promptTokens;
    }
    this.router.observe?.({ kind: 'first_token', id, replicaId, atMs });
  }

  /** Answered, refused, failed or given up. Returns the replica it was sent to. */
  ended(id: number, outputTokens: number, atMs: number): number {
    const sent = this.sent.get(id);
    if (sent === undefined) throw new RangeError(`request ${id} ends and was not sent`);
    this.sent.delete(id);
    const { replicaId, promptTokens, hasToken } = sent;
    const row = this.rows[replicaId]!;
    if (row >= 0) {
      const { shown } = this;
      shown.outstanding[row]! -= 1;
      const tokens = hasToken ? shown.decodeTokens : shown.prefillTokens;
      tokens[row]! -= promptTokens;
    }
    this.router.observe?.({ kind: 'ended', id, replicaId, atMs, outputTokens });
    return replicaId;
  }

  /** Where a request was sent; undefined when it is over. */
  placeOf(id: number): number | undefined {
    return this.sent.get(id)?.replicaId;
  }

  /**
   * The caches as their events told. What an engine stored less than `delayMs` ago is not known yet; what it has lost
   * is known at once.
   */
  private hits(cache: CacheEvents): PrefixHits | null {
    this.wantsHits = true;
    const { found, shown, recent } = this;
    if (this.isFound) return found;
    this.isFound = true;
    const { prompt, promptTokens } = this.arrival!;
    const { ids } = shown;
    for (let row = 0; row < ids.length; row++) {
      const id = ids[row]!;
      const device = cache.device(id, prompt, promptTokens);
      found.device[row] = device;
      const behind = cache.behind?.(id, prompt, promptTokens, device);
      found.host[row] = behind?.host ?? 0;
      found.disk[row] = behind?.disk ?? 0;
    }
    for (const { atMs, replicaId, prompt: theirs, cachedTokens } of recent) {
      const row = this.rows[replicaId]!;
      if (row < 0 || atMs + cache.delayMs <= shown.nowMs || found.device[row]! <= cachedTokens) continue;
      if (commonTokens(theirs, prompt) > cachedTokens) found.device[row] = cachedTokens;
    }
    return found;
  }
}
