// A replay that several workers make together: hands the shards out, starts them at one instant, gathers their records into
// one run folder, and puts them together.
//   ship inputs ─▶ hand out ─▶ all ready ─▶ start ─▶ records come ─▶ all over or lost ─▶ merge
import { randomBytes } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import type { Job, Queue } from 'bullmq';
import { costBasis, standingReplicas } from '../../../engines/cost-basis.ts';
import { withBooks } from '../../../gateway/ledger/books.ts';
import { isPath } from '../../../gateway/routing/outside.ts';
import type { QueuedReplay } from '../../../loadgen/command.ts';
import { bustOf, type LiveOptions } from '../../../loadgen/live-options.ts';
import { checkLive } from '../../../loadgen/ready-replay.ts';
import { openRunLog, type RunLog } from '../../../loadgen/run-log.ts';
import { runStart } from '../../../loadgen/run-start.ts';
import { shardName, shardOfPlan } from '../../../loadgen/shard.ts';
import { dividedLimits } from '../../../loadgen/shard-limits.ts';
import { mergedRun } from '../../../loadgen/shard-merge.ts';
import { EXIT, UserError } from '../../../scenarios/base/errors.ts';
import { openDisplay, titleOf } from '../../../scenarios/cli/live-display.ts';
import { deploymentSet, headerOf, loadOptionsOf, sha256 } from '../../../scenarios/cli/run-options.ts';
import { onInterrupt, ProgressLine } from '../../../scenarios/cli/terminal.ts';
import type { RunHeader, RunOutput } from '../../../scenarios/formats/run.ts';
import type { RunStart } from '../../../scenarios/formats/run-log.ts';
import { buildOf } from '../build.ts';
import { type Environment, openConnection, type QueueConnection } from '../connection.ts';
import { PREFIX, type ShippedInput } from '../message.ts';
import { planDigest } from '../plan-digest.ts';
import { present, stranger } from '../presence.ts';
import { Shipper } from '../ship.ts';
import { seal } from '../sign.ts';
import { clockOffset, redisMs } from './clock-offset.ts';
import { deliveredBy } from './delivered.ts';
import { Gathered } from './gathered.ts';
import { Inbox, type OnRecord } from './inbox.ts';
import {
  entriesKey,
  inputKey,
  KEPT_SEC,
  LIVE_TIMES,
  type LiveTimes,
  liveQueueName,
  type Note,
  noteKey,
  noteScope,
  type ShardJob,
  shardScope,
  unansweredMs,
} from './message.ts';

/** Entries taken from a list at once. */
const BATCH = 64;
/** A worker that prepares a shard may be silent for long: a large trace is read in one go. */
const PREPARING_MS = 120_000;
/** After the word to stop, so long for the last records. */
const LAST_MS = 60_000;
const DRAWING_INTERVAL_MS = 100;
const POLL_MS = 100;
/** What is left at the queue expires by itself. */
const CLEAN_MS = 3000;
/** The last note stays a while for those who were away. */
const LAST_NOTE_SEC = 60;

/** As a test has it; else the environment and source of this process. */
export interface QueueHow {
  readonly times?: LiveTimes;
  readonly build?: string;
  readonly env?: Environment;
}

/** Rejects with a UserError where it cannot begin; later nothing is thrown away: what is missing is said. */
export async function replayOnQueue(of: QueuedReplay, how: QueueHow = {}): Promise<RunOutput> {
  const { ready, options, queue, shards } = of;
  checkLive(ready, options);
  checkShards(options, shards);
  const startedAt = new Date().toISOString();
  bustOf(options, startedAt);
  const { env, build = buildOf(), times = LIVE_TIMES } = how;
  const connection = await openConnection(queue, env);
  const coordinator = new Coordinator(of, { connection, build, times, startedAt });
  try {
    return await coordinator.run();
  } finally {
    await coordinator.close();
    await connection.close();
  }
}

/** What cannot travel, or cannot be divided. */
function checkShards({ routing, 'max-requests': requests }: QueuedReplay['options'], shards: number): void {
  if (routing !== undefined && isPath(routing))
    throw new UserError(`--queue: the routing policy ${routing} is code, and no code travels`, {
      hint: 'run it without --queue, or add the policy to gateway/routing of every machine',
    });
  if (requests !== undefined && requests < shards)
    throw new UserError(`--max-requests ${requests} cannot be divided among ${shards} shards`, {
      hint: 'every shard needs 1 at least',
    });
}

class Coordinator {
  private readonly of: QueuedReplay;
  private readonly connection: QueueConnection;
  private readonly times: LiveTimes;
  private readonly startedAt: string;
  private readonly id = randomBytes(6).toString('hex');
  private readonly build: string;
  private readonly queue: Queue<string>;
  private readonly inboxes: readonly Inbox[];
  private readonly files: string[] = [];
  private jobs: Job<string>[] = [];
  private note: Omit<Note, 'number' | 'read'> = { phase: 'gather', startMs: null, reason: null };
  private number = 0;
  private isWriting = false;
  /** When Redis last answered after it had been away. */
  private backMs = performance.now();
  private isInterrupted = false;
  private stopMs: number | null = null;
  private readonly writing: NodeJS.Timeout;

  constructor(
    of: QueuedReplay,
    {
      connection,
      build,
      times,
      startedAt,
    }: Required<Omit<QueueHow, 'env'>> & {
      connection: QueueConnection;
      startedAt: string;
    },
  ) {
    this.of = of;
    this.connection = connection;
    this.build = build;
    this.times = times;
    this.startedAt = startedAt;
    this.inboxes = Array.from({ length: of.shards }, (_, index) => new Inbox(index));
    const { bullmq, redis, signer } = connection;
    this.queue = new bullmq.Queue(liveQueueName(this.build, signer), { connection: redis, prefix: PREFIX });
    this.queue.on('error', () => {});
    connection.onChange(isAway => {
      if (of.options.quiet) return;
      this.clearDisplay();
      const what = isAway ? 'is away: the workers go on, and deliver when it is back' : 'is back';
      process.stderr.write(`${connection.shown} ${what}\n`);
    });
    this.writing = setInterval(() => void this.writeNote(), times.noteMs);
  }

  async run(): Promise<RunOutput> {
    const stop = onInterrupt(() => this.interrupt());
    try {
      const start = this.startOf();
      await this.handOut();
      await this.allReady();
      // Opened now: a run that never started leaves no log.
      const log = openRunLog(this.of.folder, start);
      let output: RunOutput | null = null;
      const gathered = new Gathered(this.inboxes, log);
      try {
        output = await this.gather(gathered, log, start);
        return output;
      } finally {
        await log.close(output === null ? null : gathered.inLogOrder(output));
      }
    } finally {
      stop();
    }
  }

  /** Tells the workers that nobody waits any more, and takes away what lies at the queue. */
  async close(): Promise<void> {
    clearInterval(this.writing);
    this.note = { ...this.note, phase: 'over' };
    await Promise.race([this.clean().catch(() => {}), setTimeout(CLEAN_MS, null, { ref: false })]);
  }

  private async clean(): Promise<void> {
    const { redis } = this.connection;
    const run = this.id;
    await this.writeNote(LAST_NOTE_SEC);
    // One that a killed worker has is locked: it fails when its lock is over, and is removed then.
    await Promise.all(this.jobs.map(job => job.remove().catch(() => {})));
    const keys = this.inboxes.map(({ index }) => entriesKey(run, index));
    await redis.del(...keys, ...this.files);
    await this.queue.close();
  }

  private interrupt(): void {
    this.isInterrupted = true;
    this.stop('Ctrl-C');
  }

  private stop(reason: string): void {
    if (this.stopMs !== null) return;
    this.stopMs = performance.now();
    this.note = { ...this.note, phase: 'stop', reason };
    void this.writeNote();
  }

  private nameOf({ index }: Pick<Inbox, 'index'>): string {
    return shardName({ index, count: this.of.shards });
  }

  private async writeNote(keptSec = KEPT_SEC): Promise<void> {
    if (this.isWriting && keptSec === KEPT_SEC) return;
    this.isWriting = true;
    const { redis, signer } = this.connection;
    const note: Note = { ...this.note, number: this.number++, read: this.inboxes.map(({ read }) => read) };
    try {
      await redis.set(noteKey(this.id), seal(signer, noteScope(this.id), note), 'EX', keptSec);
    } catch {
      // The connection is closed.
    } finally {
      this.isWriting = false;
    }
  }

  /** What the run folder begins with: the shards themselves say what is known of servers and clients. */
  private startOf(): RunStart {
    const { loaded, ready, options, shards } = this.of;
    const { named } = checkLive(ready, { ...options, quiet: true });
    const first = { index: 0, count: shards };
    const warnings = dividedLimits(shardOfPlan(ready.plan, first), named, first).notes.concat(
      dividedSpending(options, shards),
      ownRuntimes(loaded, shards),
    );
    const header = headerOf({
      world: 'live',
      loaded,
      deployment: named,
      evidence: [],
      warnings,
      startedAt: this.startedAt,
    });
    return runStart(header, ready.plan, named);
  }

  private async handOut(): Promise<void> {
    const { options, loaded, shards } = this.of;
    const { redis, signer } = this.connection;
    const run = this.id;
    const shipper = new Shipper();
    const { of, inputs } = shipper.portable({
      scenario: { input: options.scenario, options: loadOptionsOf(options) },
      deployment: { input: options.deployment, set: deploymentSet(options.set) },
      loadFactor: 1,
    });
    for (const sha256 of digestsOf(inputs)) {
      const key = inputKey(run, sha256);
      this.files.push(key);
      await redis.set(key, gzipSync(shipper.bytesOf(sha256)), 'EX', KEPT_SEC);
    }
    await this.writeNote();
    const jobs = this.inboxes.map(({ index }) => {
      const job: ShardJob = {
        index,
        count: shards,
        inputs,
        of: { scenario: of.scenario, deployment: of.deployment },
        routing: options.routing ?? null,
        planDigest: planDigest(loaded),
        options: liveOptionsOf(options),
        startedAt: this.startedAt,
        times: this.times,
      };
      return {
        name: `${run} ${index}`,
        data: seal(signer, shardScope(run, index), job),
        // Never twice.
        opts: { attempts: 1, removeOnComplete: true, removeOnFail: true },
      };
    });
    this.jobs = await this.queue.addBulk(jobs);
  }

  /** Waits until every shard has a worker whose servers answer; else nothing is sent at all. */
  private async allReady(): Promise<void> {
    const line = new ProgressLine(this.of.options);
    const sinceMs = performance.now();
    try {
      for (;;) {
        void this.read(() => {});
        if (this.isInterrupted)
          throw new UserError('interrupted before the start: nothing was sent', {
            exitCode: EXIT.interrupted,
          });
        const refused = this.inboxes.find(({ state }) => state === 'refused' || state === 'failed');
        if (refused !== undefined) throw this.refusal(refused);
        const readyOnes = this.inboxes.filter(({ state }) => state === 'ready').length;
        if (readyOnes === this.inboxes.length) return;
        const waiting = this.inboxes.filter(({ state }) => state === 'waiting').length;
        if (waiting > 0 && performance.now() - sinceMs > this.of.waitMs) throw await this.tooFew(waiting);
        const silent = this.inboxes.find(
          inbox => inbox.state !== 'waiting' && this.silentMs(inbox) > PREPARING_MS,
        );
        if (silent !== undefined)
          throw new UserError(`${this.nameOf(silent)}: its worker ${silent.worker} is silent`, {
            hint: 'nothing was sent; run it again',
            exitCode: EXIT.internal,
          });
        line.show(() => `${readyOnes} of ${this.inboxes.length} workers are ready`);
        await setTimeout(POLL_MS);
      }
    } finally {
      line.clear();
    }
  }

  private refusal(inbox: Inbox): UserError {
    const { message = '', hint = null } = inbox.problem ?? {};
    return new UserError(`${this.nameOf(inbox)}, worker ${inbox.worker}: ${message}`, { hint });
  }

  private async tooFew(missing: number): Promise<UserError> {
    const { redis, signer, shown } = this.connection;
    const { shards, waitMs } = this.of;
    const ours = { name: '', build: this.build, key: signer.id, slots: 0 };
    const workers = [...(await present(redis, 'worker')).values()];
    const strangers = workers.flatMap(each => {
      const why = stranger(ours, each);
      return why === null ? [] : [`${each.name} ${why}`];
    });
    const have = `${shards - missing} of ${shards} shards were taken within ${waitMs / 1000} s`;
    const others = strangers.length === 0 ? '' : `; a worker cannot: ${strangers.join('; ')}`;
    return new UserError(`${have}${others}`, {
      hint: `each shard needs a worker of its own: windtunnel worker --queue ${shown}; or --shards ${Math.max(1, shards - missing)}, or a longer --wait`,
    });
  }

  /** One start for all, then records until every shard is over or not heard of any more. */
  private async gather(gathered: Gathered, log: RunLog, start: RunStart): Promise<RunOutput> {
    const { options, ready, serving, folder } = this.of;
    const { redis } = this.connection;
    serving?.follow(folder);
    const { offsetMs } = await clockOffset(
      () => redisMs(redis),
      () => performance.now(),
    );
    const startMs = performance.now() + offsetMs + this.times.leadMs;
    if (this.stopMs === null) this.note = { phase: 'start', startMs, reason: null };
    await this.writeNote();
    const display = openDisplay(titleOf(start.header, ready.plan), ready.plan.assertions, options);
    this.clearDisplay = () => display.clear();
    const nowMs = (): number => Math.max(0, performance.now() + offsetMs - startMs);
    const drawing = setInterval(() => display.show(() => gathered.soFar(nowMs())), DRAWING_INTERVAL_MS);
    log.follow(gathered, reason => {
      display.clear();
      process.stderr.write(`\nthe run stops: ${reason}\n`);
      this.stop(reason);
    });
    try {
      while (this.inboxes.some(inbox => !inbox.isOver && !this.isLost(inbox))) {
        void this.read((kind, record, shard) => gathered.add(kind, record, shard));
        await setTimeout(POLL_MS);
      }
    } finally {
      clearInterval(drawing);
      display.clear();
      this.clearDisplay = () => {};
    }
    return this.merged(start);
  }

  private clearDisplay: () => void = () => {};
  private isReading = false;
  private readMs = performance.now();

  /** Takes what has come. While Redis is away one look waits for it. */
  private async read(onRecord: OnRecord): Promise<void> {
    if (this.isReading) return;
    this.isReading = true;
    const { redis, signer } = this.connection;
    const run = this.id;
    try {
      for (const inbox of this.inboxes) {
        const key = entriesKey(run, inbox.index);
        for (let isMore = !inbox.isOver; isMore; ) {
          const texts = (await redis.lpop(key, BATCH)) ?? [];
          inbox.take(texts, { signer, run, onRecord });
          isMore = texts.length === BATCH;
        }
      }
      const nowMs = performance.now();
      // The workers could not be heard meanwhile.
      if (nowMs - this.readMs > unansweredMs(this.times)) this.backMs = nowMs;
      this.readMs = nowMs;
    } catch {
      // The connection is closed.
    } finally {
      this.isReading = false;
    }
  }

  /** For how long a shard was not heard of, as far as it could have been. */
  private silentMs({ heardMs }: Inbox): number {
    return this.readMs - Math.max(heardMs, this.backMs);
  }

  private isLost(inbox: Inbox): boolean {
    const nowMs = performance.now();
    if (this.stopMs !== null && nowMs - this.stopMs > LAST_MS) return true;
    if (nowMs - this.readMs > this.times.awayMs) return true;
    return this.silentMs(inbox) > this.times.lostMs;
  }

  private merged(start: RunStart): RunOutput {
    const { ready, shards } = this.of;
    const { plan, deployment } = ready;
    const delivered = this.inboxes.map(inbox => deliveredBy(inbox, start, plan, shards, this.lossOf(inbox)));
    const foreign = this.inboxes.reduce((sum, inbox) => sum + inbox.foreign, 0);
    const header: RunHeader = {
      ...start.header,
      evidence: [...start.header.evidence, ...delivered.map(({ evidence }) => evidence)],
      warnings: [
        ...start.header.warnings,
        ...delivered.flatMap(({ warnings }) => warnings),
        ...(foreign === 0 ? [] : [`${foreign} entries at the queue were not signed by a worker of this run`]),
      ],
    };
    const output = mergedRun(
      delivered.map(({ part }) => part),
      header,
      delivered.map(({ report }) => report),
    );
    output.interrupted ||= this.isInterrupted || this.stopMs !== null;
    if (this.stopMs !== null && !this.isInterrupted)
      output.header.warnings.push(`stopped early by ${this.note.reason}`);
    const basis = costBasis(deployment, plan);
    return withBooks(output, basis, sha256, standingReplicas(deployment));
  }

  /** Why a shard is missing in part; null: it is not. */
  private lossOf(inbox: Inbox): string | null {
    if (inbox.isOver) return inbox.lost;
    const seconds = Math.round((performance.now() - inbox.heardMs) / 1000);
    return `was lost: its worker ${inbox.worker} was not heard of for ${seconds} s`;
  }
}

const digestsOf = (inputs: readonly ShippedInput[]): Set<string> =>
  new Set(inputs.flatMap(({ files }) => files.map(({ sha256: digest }) => digest)));

/** What of a command line says how to load; files and folders are the coordinator's own. */
const liveOptionsOf = (options: LiveOptions): LiveOptions => ({
  endpoint: options.endpoint,
  timeout: options.timeout,
  stall: options.stall,
  vocab: options.vocab,
  salt: options.salt,
  'cache-bust': options['cache-bust'],
  workers: options.workers,
  'max-requests': options['max-requests'],
  'max-usd': options['max-usd'],
  'gpu-metrics': options['gpu-metrics'],
});

function dividedSpending(options: LiveOptions, shards: number): string[] {
  if (shards === 1) return [];
  const { 'max-requests': requests, 'max-usd': usd } = options;
  return [
    ...(requests === undefined ? [] : [`--max-requests ${requests}`]),
    ...(usd === undefined ? [] : [`--max-usd ${usd}`]),
  ].map(limit => `${limit} is divided by ${shards}: a shard that has used its part stops, the others go on`);
}

/** They stand in the scenario itself, inside of its steps. */
function ownRuntimes({ file }: QueuedReplay['loaded'], shards: number): string[] {
  const limited = Object.entries(file?.tools ?? {}).filter(
    ([, tool]) => tool.concurrency !== undefined || tool.warm_pool !== undefined,
  );
  if (shards === 1 || limited.length === 0) return [];
  const names = limited.map(([name]) => name).join(', ');
  return [
    `limits of the scenario's own tools (${names}) are not divided: each of the ${shards} shards has them whole`,
  ];
}
