// Looks at the servers' metrics while a run goes on: for routers that read them, and for the timeline.
import type { Endpoint } from '../engines/engine.ts';
import type { Balancer, Signals } from '../gateway/routing/balancer.ts';
import type { TimelineSample } from '../scenarios/formats/record.ts';
import { sampleOf } from './scrape.ts';

/** For the timeline. A router that reads metrics has them as often as its deployment says, but no more often than a server can take. */
const TIMELINE_INTERVAL_MS = 1000;
const SCRAPE_INTERVAL_MIN_MS = 50;

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
  /** The body of a GET; null when it fails. */
  text: (baseUrl: string, path: string) => Promise<string | null>;
  /** Of the run. */
  nowMs: () => number;
}

export class ServerWatch {
  readonly timeline: TimelineSample[] = [];
  private readonly options: WatchOptions;
  private next: NodeJS.Timeout | undefined;
  private timelineMs = Number.NEGATIVE_INFINITY;
  private isOver = false;

  constructor(options: WatchOptions) {
    this.options = options;
  }

  /** Looks once, and from then on. */
  async start(): Promise<void> {
    await this.look();
    this.arm();
  }

  /** Looks a last time. */
  async stop(): Promise<void> {
    this.isOver = true;
    clearTimeout(this.next);
  }

  /** One look after the other, never two at once. */
  private arm(): void {
    const { targets, intervalMs } = this.options;
    const isRead = targets.some(({ balancer }) => balancer.wantsScrapes);
    const asked = Math.max(SCRAPE_INTERVAL_MIN_MS, intervalMs);
    this.next = setTimeout(
      async () => {
        await this.look();
        if (!this.isOver) this.arm();
      },
      isRead ? Math.min(asked, TIMELINE_INTERVAL_MS) : TIMELINE_INTERVAL_MS,
    );
  }

  private async look(): Promise<void> {
    const nowMs = this.options.nowMs();
    const isForTimeline = nowMs - this.timelineMs >= TIMELINE_INTERVAL_MS - SCRAPE_INTERVAL_MIN_MS;
    if (isForTimeline) this.timelineMs = nowMs;
    await Promise.all(this.options.targets.map(target => this.lookAt(target, isForTimeline)));
  }

  private async lookAt(
    { name, endpoints, replicas, balancer }: WatchedPool,
    isForTimeline: boolean,
  ): Promise<void> {
    const { text: read, nowMs } = this.options;
    const samples = await Promise.all(
      endpoints.map(async ({ url }, row) => {
        const text = await read(url.replace(/\/v1$/, ''), '/metrics');
        return text === null ? null : sampleOf(text, nowMs(), name, replicas[row] as string);
      }),
    );
    if (isForTimeline) this.timeline.push(...samples.filter(sample => sample !== null));
    // A server that tells nothing now is as it was.
    if (samples.every(sample => sample === null)) return;
    balancer.scraped(nowMs(), row => {
      const sample = samples[row];
      return sample == null ? NO_SIGNALS : signalsOf(sample);
    });
  }
}

const NO_SIGNALS: Signals = { running: 0, waiting: 0, kvUsedRatio: 0 };
const signalsOf = ({ runningRequests, waitingRequests, kvUsedRatio }: TimelineSample): Signals => ({
  running: runningRequests,
  waiting: waitingRequests,
  kvUsedRatio,
});
