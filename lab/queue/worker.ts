// A worker: takes jobs of its own build and key, runs their cases on threads, and reports what came of them. It trusts
// nothing that it reads: signature, digest of every file and the plan are checked before a case runs.
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { Job, Worker } from 'bullmq';
import type { QueueConnection } from './connection.ts';
import {
  type CaseJob,
  type CaseReport,
  fileKey,
  jobScope,
  PREFIX,
  queueName,
  type Report,
  reportScope,
  reportsKey,
  sweepKey,
} from './message.ts';
import { announce, leave, type Presence, present, stranger } from './presence.ts';
import { seal, unseal } from './sign.ts';
import { CaseThread } from './threads.ts';
import { Unpacked } from './unpack.ts';

const LOCK_MS = 10_000;
const PRESENT_MS = 10_000;
const PRESENT_EVERY_MS = 2_000;
/** Between two looks whether anybody still waits for the cases in hand. */
const WANTED_EVERY_MS = 5_000;
/** A worker that is to end waits so long for a Redis that is away. */
const LOST_MS = 2_000;

export interface WorkerOptions {
  readonly connection: QueueConnection;
  readonly build: string;
  /** Cases at once. */
  readonly jobs: number;
  /** Not heard of for so long, it is taken for dead, and its cases go to another. */
  readonly lockMs?: number;
  /** Told in words what it does. */
  readonly tell: (line: string) => void;
}

export interface WorkerCounts {
  readonly cases: number;
  readonly jobs: number;
  /** Time that cases ran, over all threads. */
  readonly busyMs: number;
}

export interface RunningWorker {
  readonly name: string;
  counts(): WorkerCounts;
  /** Takes nothing more and finishes what it has. */
  stop(): Promise<void>;
  /** Gives back what it has. */
  giveBack(): void;
  /** Takes no case meanwhile. */
  pause(isPaused: boolean): void;
  /** Resolves when it has ended: null, or why it left by itself. */
  readonly ended: Promise<string | null>;
}

/** The same whatever comes of it: what went wrong inside a job is told and reported, never thrown out of here. */
export function startWorker(options: WorkerOptions): RunningWorker {
  return new CaseWorker(options);
}

class CaseWorker implements RunningWorker {
  private readonly id = randomBytes(6).toString('hex');
  readonly name = `${hostname()}/${process.pid}`;
  private readonly options: WorkerOptions;
  private readonly presence: Presence;
  private readonly unpacked = new Unpacked();
  private readonly idle: CaseThread[];
  private readonly threads: readonly CaseThread[];
  private readonly worker: Worker;
  private readonly timer: NodeJS.Timeout;
  /** Sweeps that are none of ours, told once. */
  private readonly strangers = new Set<string>();
  private readonly sweeps = new Set<string>();
  private readonly underWay = new Map<string, Promise<void>>();
  private readonly counted = { cases: 0, jobs: 0, busyMs: 0 };
  private isReady = false;
  private isGivingBack = false;
  private leftFor: string | null = null;
  readonly ended: Promise<string | null>;
  private finish: (why: string | null) => void = () => {};

  constructor(options: WorkerOptions) {
    this.options = options;
    const { connection, build, jobs, lockMs = LOCK_MS } = options;
    const { redis, signer, bullmq } = connection;
    this.presence = { name: this.name, build, key: signer.id, slots: jobs };
    this.threads = Array.from({ length: jobs }, () => new CaseThread());
    this.idle = [...this.threads];
    this.ended = new Promise(resolve => {
      this.finish = resolve;
    });
    this.worker = new bullmq.Worker(queueName(build, signer), (job, token) => this.once(job, token), {
      connection: redis,
      prefix: PREFIX,
      name: this.name,
      concurrency: jobs,
      lockDuration: lockMs,
      stalledInterval: lockMs / 5,
      // The coordinator counts deaths, and knows which case it was.
      maxStalledCount: Number.MAX_SAFE_INTEGER,
      removeOnComplete: { count: 0 },
      removeOnFail: { count: 0 },
      runRetryDelay: 1_000,
      autorun: false,
    });
    this.worker.on('error', error => this.onError(error));
    connection.onChange(isAway =>
      options.tell(isAway ? `${connection.shown} is away: waiting for it` : `${connection.shown} is back`),
    );
    this.timer = setInterval(() => void this.beat(), PRESENT_EVERY_MS);
    void this.begin();
  }

  /** No case waits for threads that still load: on a busy machine that takes longer than the case. */
  private async begin(): Promise<void> {
    try {
      await Promise.all(this.threads.map(thread => thread.ready()));
      this.isReady = true;
      await Promise.all([this.beat(), this.worker.run()]);
    } catch (error) {
      if (this.closing === null) this.leave(`its threads did not start: ${(error as Error).message}`);
    }
  }

  counts(): WorkerCounts {
    return { ...this.counted };
  }

  async stop(): Promise<void> {
    await this.close();
    this.finish(this.leftFor);
  }

  pause(isPaused: boolean): void {
    if (isPaused) void this.worker.pause(true);
    else this.worker.resume();
  }

  giveBack(): void {
    this.isGivingBack = true;
    for (const thread of this.threads) thread.end();
  }

  private closing: Promise<void> | null = null;

  private close(): Promise<void> {
    this.closing ??= (async () => {
      await this.closed();
      clearInterval(this.timer);
      if (this.options.connection.awayMs() === 0)
        await leave(this.options.connection.redis, 'worker', this.id).catch(() => {});
      for (const thread of this.threads) thread.end();
      this.unpacked.remove();
    })();
    return this.closing;
  }

  /** What is under way ends first; where Redis stays away nobody can be told of it, and nothing is waited for. */
  private async closed(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const isLost = new Promise<void>(resolve => {
      timer = setInterval(() => {
        if (this.options.connection.awayMs() > LOST_MS) resolve();
      }, LOST_MS / 4);
    });
    await Promise.race([this.worker.close(), isLost]);
    clearInterval(timer);
  }

  /** A sign of life, and a look at who else is there. */
  private async beat(): Promise<void> {
    const { connection, tell } = this.options;
    if (!this.isReady || connection.awayMs() > 0) return;
    try {
      const { redis } = connection;
      await announce(redis, { kind: 'worker', id: this.id, presence: this.presence, forMs: PRESENT_MS });
      for (const [id, sweep] of await present(redis, 'sweep')) {
        const why = stranger(this.presence, sweep);
        if (why === null || this.strangers.has(id)) continue;
        this.strangers.add(id);
        tell(`a sweep of ${sweep.name} waits here that ${why}: this worker takes none of its cases`);
      }
    } catch (error) {
      this.onError(error as Error);
    }
  }

  /** The driver says by itself when Redis goes and comes; a lock that was lost meanwhile means a case runs twice. */
  private onError({ message }: Error): void {
    if (this.options.connection.awayMs() > 0 || /connection|ECONN|\block\b|Missing key/i.test(message))
      return;
    this.options.tell(`the queue: ${message}`);
  }

  /** A job whose lock was lost, on a machine with too much to do, may come back while it is under way: it runs once. */
  private once(job: Job<string>, token: string | undefined): Promise<void> {
    const id = job.id as string;
    const known = this.underWay.get(id);
    if (known !== undefined) return known;
    const work = this.process(job, token).finally(() => this.underWay.delete(id));
    this.underWay.set(id, work);
    return work;
  }

  private async process(job: Job<string>, token: string | undefined): Promise<void> {
    const { connection, tell } = this.options;
    const [sweep, id] = [job.name, job.id as string];
    const opened = unseal(connection.signer, jobScope(sweep, id), job.data);
    if (!opened.ok) {
      tell(`refused a job that is ${opened.why}`);
      throw new connection.bullmq.UnrecoverableError(`refused: ${opened.why}`);
    }
    if (!(await this.isWanted(sweep))) return;
    const { inputs, cases, check } = opened.value as CaseJob;
    if (job.stalledCounter > 0) {
      await this.report(sweep, { kind: 'died', job: id, worker: this.name });
      return;
    }
    if (!this.sweeps.has(sweep)) {
      this.sweeps.add(sweep);
      tell(`took the first cases of sweep ${sweep}`);
    }
    const thread = this.idle.pop() ?? new CaseThread();
    try {
      const unread = await this.fetch(sweep, inputs);
      if (unread !== null) {
        tell(`sweep ${sweep}: ${unread}`);
        await this.report(sweep, { kind: 'unread', job: id, worker: this.name, why: unread });
        return;
      }
      const problem = check === null ? null : await this.checked(check, thread);
      if (problem !== null) {
        await this.report(sweep, { kind: 'refused', job: id, worker: this.name, why: problem });
        this.leave(problem);
        await this.handBack(job, token);
      }
      const reports = await this.runAll(sweep, cases, thread);
      if (this.isGivingBack) await this.handBack(job, token);
      if (reports !== null)
        await this.report(sweep, { kind: 'done', job: id, worker: this.name, cases: reports });
    } finally {
      this.idle.push(thread);
    }
  }

  private async runAll(
    sweep: string,
    cases: CaseJob['cases'],
    thread: CaseThread,
  ): Promise<CaseReport[] | null> {
    if (this.isGivingBack) return null;
    const reports: CaseReport[] = [];
    const local = cases.map(({ of }) => this.unpacked.local(of));
    let [isWanted, isRunning] = [true, true];
    const looking = setInterval(async () => {
      if (this.options.connection.awayMs() > 0) return;
      const found = await this.isWanted(sweep).catch(() => true);
      if (found || !isRunning) return;
      isWanted = false;
      thread.end();
    }, WANTED_EVERY_MS);
    await thread.run(local, (ms, outcome) => {
      reports.push({
        index: cases[reports.length]!.index,
        ms,
        outcome: this.unpacked.withoutFolder(outcome),
      });
      this.counted.cases += 1;
      this.counted.busyMs += ms;
    });
    isRunning = false;
    clearInterval(looking);
    if (this.isGivingBack || !isWanted) return null;
    this.counted.jobs += 1;
    return reports;
  }

  /** What is wrong with the inputs; null: they are here, as announced. */
  private async fetch(sweep: string, inputs: CaseJob['inputs']): Promise<string | null> {
    const { redis } = this.options.connection;
    const bytesOf = (sha256: string) => redis.getBuffer(fileKey(sweep, sha256));
    return this.unpacked.add(inputs, bytesOf).then(
      () => null,
      ({ message }: Error) => message,
    );
  }

  /** Why this worker must not run the cases; null: it may. */
  private async checked(check: NonNullable<CaseJob['check']>, thread: CaseThread): Promise<string | null> {
    try {
      return await thread.check({ ...check, scenario: this.unpacked.localScenario(check.scenario) });
    } catch (error) {
      return this.isGivingBack ? null : (error as Error).message;
    }
  }

  /** Whether a coordinator still waits for it. */
  private async isWanted(sweep: string): Promise<boolean> {
    return (await this.options.connection.redis.exists(sweepKey(sweep))) === 1;
  }

  /** To nobody where the coordinator is gone. */
  private async report(sweep: string, report: Report): Promise<void> {
    const { redis, signer } = this.options.connection;
    const sealed = seal(signer, reportScope(sweep), report);
    await redis.xadd(reportsKey(sweep), 'NOMKSTREAM', '*', 'report', sealed);
  }

  /** Puts the job back in front; never returns. */
  private async handBack(job: Job, token: string | undefined): Promise<never> {
    await job.moveToWait(token);
    throw new this.options.connection.bullmq.WaitingError();
  }

  /** Ends by itself, once. */
  private leave(why: string): void {
    if (this.leftFor !== null) return;
    this.leftFor = why;
    void this.stop();
  }
}
