// Looks at the servers' metrics before, during and after a run: for routers that read them, for the timeline, and for
// what the servers counted meanwhile. Rule: a look never disturbs the load: at most one is in flight to a server, and
// reading its answers takes at most a twentieth of the time.
import type { Endpoint } from '../engines/engine.ts';
import { gpusOf } from '../engines/metrics/dcgm.ts';
import { METRICS_PATHS } from '../engines/metrics/index.ts';
import { readGauges, readServer, type ServerReading } from '../engines/metrics/read.ts';
import type { Balancer, Signals } from '../gateway/routing/balancer.ts';
import type { GpuSample, ServerReport } from '../scenarios/formats/measured.ts';
import type { TimelineSample } from '../scenarios/formats/record.ts';
import { ServerCounts } from './server-counts.ts';

/** For the timeline. A router that reads metrics has them as often as its deployment says, but no more often than a server can take. */
const TIMELINE_INTERVAL_MS = 1000;
const SCRAPE_INTERVAL_MIN_MS = 50;
/** Of the time, for reading what a server answers. */
const READING_RATIO_MAX = 0.05;
/** Longest answer that is read, in characters. */
const ANSWER_CHARS_MAX = 32_000_000;
/** The last look does not wait longer for a server. */
const LAST_LOOK_MS = 3000;

/** A pool whose servers are looked at. */
export interface WatchedPool {
  readonly name: string;
  readonly endpoints: readonly Endpoint[];
  /** Names of the replicas behind the endpoints, row by row. */
  readonly replicas: readonly string[];
  readonly balancer: Balancer;
}

export interface WatchOptions {
  targets: readonly WatchedPool[];
  /** Between two scrapes where a router reads them. */
  intervalMs: number;
  /** The body of a GET; null when it fails. `endpoint`: whose metrics they are, for its key and TLS; null: of an exporter. */
  text: (baseUrl: string, path: string, endpoint: Endpoint | null) => Promise<string | null>;
  /** Of the run. */
  nowMs: () => number;
  /** DCGM exporters, such as http://node:9400/metrics. */
  gpuUrls?: readonly string[];
}

/** One server, and what is known of it. */
class WatchedServer {
  readonly pool: string;
  readonly replica: string;
  readonly counts = new ServerCounts();
  /** The latest; null: it has shown none. */
  gauges: ServerReading['gauges'] | null = null;
  reading: ServerReading | null = null;
  version: string | null = null;
  isAsked = false;
  /** No look before: reading its metrics takes long. */
  restUntilMs = Number.NEGATIVE_INFINITY;
  /** Of the latest look that was answered: halfway between question and answer. */
  lookedMs = 0;
  scrapes = 0;
  scrapesFailed = 0;
  private readonly root: string;
  private readonly endpoint: Endpoint;
  private path: string | null = null;

  constructor(endpoint: Endpoint, pool: string, replica: string) {
    this.pool = pool;
    this.replica = replica;
    this.endpoint = endpoint;
    this.root = endpoint.url.replace(/\/+$/, '').replace(/\/v1$/, '');
  }

  /** Finds where it shows its metrics, if it does, and its version. */
  async find(text: WatchOptions['text']): Promise<void> {
    for (const path of METRICS_PATHS) {
      const found = readServer((await text(this.root, path, this.endpoint)) ?? '');
      if (found === null) continue;
      this.path = path;
      const { version } = found.engine;
      if (version !== null)
        this.version = versionIn(await text(this.root, version.path, this.endpoint), version.key);
      return;
    }
  }

  /** One look; `isWhole`: at everything it counts, else at its gauges. False: it did not answer. */
  async look({ text, nowMs }: WatchOptions, isWhole: boolean): Promise<boolean> {
    this.isAsked = true;
    const askedMs = nowMs();
    try {
      const answer = await text(this.root, this.path ?? METRICS_PATHS[0], this.endpoint);
      const answeredMs = nowMs();
      const isRead = answer !== null && this.read(answer, isWhole);
      if (isRead) {
        this.scrapes++;
        this.lookedMs = (askedMs + answeredMs) / 2;
      } else this.scrapesFailed++;
      const readMs = nowMs();
      this.restUntilMs = readMs + (readMs - answeredMs) / READING_RATIO_MAX;
      return isRead;
    } finally {
      this.isAsked = false;
    }
  }

  private read(answer: string, isWhole: boolean): boolean {
    if (answer.length > ANSWER_CHARS_MAX) return false;
    if (!isWhole && this.reading !== null) {
      const { gauges } = readGauges(answer, this.reading.engine, this.endpoint.model);
      if (gauges.runningRequests === null) return false;
      this.gauges = gauges;
      return true;
    }
    const reading = readServer(answer, this.endpoint.model);
    if (reading === null) return false;
    this.reading = reading;
    this.gauges = reading.gauges;
    this.counts.take(reading);
    return true;
  }

  sample(): TimelineSample | null {
    const { runningRequests, waitingRequests, kvUsedRatio } = this.gauges ?? {};
    if (runningRequests == null) return null;
    return {
      atMs: this.lookedMs,
      pool: this.pool,
      replica: this.replica,
      runningRequests,
      waitingRequests: waitingRequests ?? 0,
      kvUsedRatio: kvUsedRatio ?? 0,
    };
  }

  report(): ServerReport {
    const { counters, latencies } = this.counts.total();
    return {
      pool: this.pool,
      replica: this.replica,
      engine: this.reading?.engine.engine ?? null,
      version: this.version,
      latencies,
      ...counters,
      restarted: this.counts.restarted,
      kvBlocks: this.reading?.gauges.kvBlocks ?? null,
      blockTokens: this.reading?.gauges.blockTokens ?? null,
      scrapes: this.scrapes,
      scrapesFailed: this.scrapesFailed,
    };
  }
}

export class ServerWatch {
  readonly timeline: TimelineSample[] = [];
  /** As exporters showed them, each second. */
  readonly gpus: GpuSample[] = [];
  /** Requests that all servers ran or held at most, as sampled; null: none shows them. */
  inFlightMax: number | null = null;
  private readonly options: WatchOptions;
  private readonly servers: ReadonlyMap<WatchedPool, readonly WatchedServer[]>;
  private readonly exporters: { url: string; path: string; isAsked: boolean }[];
  /** Looks under way. */
  private readonly looks = new Set<Promise<unknown>>();
  private next: NodeJS.Timeout | undefined;
  private timelineMs = Number.NEGATIVE_INFINITY;
  private isOver = false;
  /** The run has its results: what still comes is too late. */
  private isClosed = false;

  constructor(options: WatchOptions) {
    this.options = options;
    this.servers = new Map(
      options.targets.map(pool => [
        pool,
        pool.endpoints.map(
          (endpoint, row) => new WatchedServer(endpoint, pool.name, pool.replicas[row] as string),
        ),
      ]),
    );
    this.exporters = (options.gpuUrls ?? []).map(url => ({
      url,
      path: new URL(url).pathname === '/' ? '/metrics' : '',
      isAsked: false,
    }));
  }

  /** Finds the servers' metrics, looks once when `zero` has set the run's zero, and from then on. */
  async start(zero: () => Promise<void> = async () => {}): Promise<void> {
    const { text } = this.options;
    await Promise.all([...this.servers.values()].flat().map(server => server.find(text)));
    await zero();
    await this.look({ isForced: true });
    // What was seen before the run is how it begins.
    for (const sample of [...this.timeline, ...this.gpus]) sample.atMs = 0;
    this.arm();
  }

  /** Looks a last time. */
  async stop(): Promise<void> {
    this.isOver = true;
    clearTimeout(this.next);
    // A server that hangs is not waited for, and the others are looked at nevertheless.
    await within(LAST_LOOK_MS, Promise.all(this.looks));
    await within(LAST_LOOK_MS, this.look({ isForced: true }));
    this.isClosed = true;
  }

  /** What each server counted from the first look to the last. */
  reports(): ServerReport[] {
    return [...this.servers.values()].flat().map(server => server.report());
  }

  /** At whole multiples of the interval since the run's start, whatever a look takes. */
  private arm(): void {
    const { targets, intervalMs, nowMs } = this.options;
    const isRead = targets.some(({ balancer }) => balancer.wantsScrapes);
    const asked = Math.max(SCRAPE_INTERVAL_MIN_MS, intervalMs);
    const stepMs = isRead ? Math.min(asked, TIMELINE_INTERVAL_MS) : TIMELINE_INTERVAL_MS;
    const now = nowMs();
    const dueMs = Math.max(1, Math.floor(now / stepMs + 1e-6) + 1) * stepMs;
    this.next = setTimeout(() => {
      if (this.isOver) return;
      void this.look({ isForced: false });
      this.arm();
    }, dueMs - now);
  }

  /** One look at every server that is not being looked at: once a second, or forced, at all that it counts. */
  private async look({ isForced }: { isForced: boolean }): Promise<void> {
    const nowMs = this.options.nowMs();
    const isForTimeline = nowMs - this.timelineMs >= TIMELINE_INTERVAL_MS - SCRAPE_INTERVAL_MIN_MS;
    if (isForTimeline) this.timelineMs = nowMs;
    const isDue = (server: WatchedServer) => !server.isAsked && (isForced || server.restUntilMs <= nowMs);
    const looks = [...this.servers].map(([pool, servers]) =>
      this.lookAt(pool, servers, {
        due: servers.filter(isDue),
        isWhole: isForced || isForTimeline,
        isForTimeline,
      }),
    );
    if (isForTimeline) looks.push(...this.exporters.map(exporter => this.lookAtGpus(exporter)));
    const all = Promise.all(looks).then(() => this.countInFlight());
    this.looks.add(all);
    await all;
    this.looks.delete(all);
  }

  private async lookAt(
    { balancer }: WatchedPool,
    servers: readonly WatchedServer[],
    { due, isWhole, isForTimeline }: { due: WatchedServer[]; isWhole: boolean; isForTimeline: boolean },
  ): Promise<void> {
    const answered = await Promise.all(due.map(server => server.look(this.options, isWhole)));
    // A server that tells nothing now is as it was.
    if (this.isClosed || !answered.includes(true)) return;
    if (isForTimeline) {
      const told = due.filter((_, i) => answered[i]);
      this.timeline.push(...told.map(server => server.sample()).filter(sample => sample !== null));
    }
    balancer.scraped(this.options.nowMs(), row => signalsOf(servers[row]?.gauges ?? null));
  }

  private async lookAtGpus(exporter: { url: string; path: string; isAsked: boolean }): Promise<void> {
    if (exporter.isAsked) return;
    exporter.isAsked = true;
    const { text, nowMs } = this.options;
    const askedMs = nowMs();
    const answer = await text(exporter.url, exporter.path, null);
    if (answer !== null && !this.isClosed) this.gpus.push(...gpusOf(answer, (askedMs + nowMs()) / 2));
    exporter.isAsked = false;
  }

  private countInFlight(): void {
    let inFlight: number | null = null;
    for (const { gauges } of [...this.servers.values()].flat()) {
      if (gauges?.runningRequests == null) continue;
      inFlight = (inFlight ?? 0) + gauges.runningRequests + (gauges.waitingRequests ?? 0);
    }
    if (inFlight !== null) this.inFlightMax = Math.max(this.inFlightMax ?? 0, inFlight);
  }
}

async function within(limitMs: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<void>(resolve => {
    timer = setTimeout(resolve, limitMs);
  });
  await Promise.race([work, limit]);
  clearTimeout(timer);
}

const signalsOf = (gauges: ServerReading['gauges'] | null): Signals => ({
  running: gauges?.runningRequests ?? 0,
  waiting: gauges?.waitingRequests ?? 0,
  kvUsedRatio: gauges?.kvUsedRatio ?? 0,
});

/** A string under that key of a JSON object. */
function versionIn(answer: string | null, key: string): string | null {
  try {
    const value: unknown = JSON.parse(answer ?? '');
    const found =
      typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : null;
    return typeof found === 'string' ? found.slice(0, 60) : null;
  } catch {
    return null;
  }
}
