// The coordinator: sends cases to the workers of a queue and puts each outcome in the place of its case, so that the
// answer does not depend on who ran what, how often, or what died meanwhile.
//
//   cases ──pack──▶ jobs ──queue──▶ workers ──reports──▶ outcomes by index
//                    ▲──── died, lost or unread: again ─────┘
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { gzipSync } from 'node:zlib';
import type { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { EXIT, UserError } from '../../scenarios/base/errors.ts';
import { loadScenario } from '../../scenarios/cli/load.ts';
import type { GridCase, Outcome } from '../grid/case.ts';
import { CaseRunner } from '../grid/run-case.ts';
import type { GridOptions } from '../grid/run-grid.ts';
import { buildOf } from './build.ts';
import { type Environment, openConnection, type QueueConnection } from './connection.ts';
import {
  type CaseJob,
  type CaseReport,
  fileKey,
  jobKey,
  jobScope,
  KEPT_SEC,
  PREFIX,
  queueName,
  type Report,
  reportScope,
  reportsKey,
  type ShippedInput,
} from './message.ts';
import type { Runner } from './options.ts';
import { casesPerJob, jobsOut } from './pack.ts';
import { planDigest } from './plan-digest.ts';
import { announce, leave, type Presence, present, stranger } from './presence.ts';
import { Shipper } from './ship.ts';
import { seal, unseal } from './sign.ts';

/** Redis may be away for so long before a sweep gives up. */
const GIVE_UP_MS = 60_000;
/** How long one read waits for reports. */
const READ_MS = 250;
const LOOK_EVERY_MS = 1_000;
const ALIVE_EVERY_MS = 10_000;
/** Without a report for so long, jobs are looked for. */
const RECONCILE_MS = 5_000;
/** Until a user is told that nobody takes the cases. */
const NOBODY_MS = 3_000;
/** A job that vanished or could not be read so often fails its cases. */
const SENDS_MAX = 4;
/** A case that so many workers died with, while they had no other, is set aside. */
const DEATHS_MAX = 3;
/** After Redis was away, locks have run out and the living look dead. */
const BLAMELESS_MS = 20_000;
/** Durations that the size of jobs goes by. */
const RECENT = 64;

export interface OpenOptions {
  readonly env?: Environment;
  readonly build?: string;
  /** Told in words what the queue does that a user should know. */
  readonly tell?: (line: string) => void;
  readonly giveUpMs?: number;
}

/** What a sweep met, beside its outcomes. */
export interface QueueCounts {
  /** Of our build and key, now. */
  workers: number;
  slots: number;
  jobs: number;
  /** Cases that were sent again, and outcomes that came twice and were counted once. */
  again: number;
  twice: number;
  /** Time that cases ran on workers, as they measured it. */
  busyMs: number;
}

export interface OpenQueue extends Runner {
  readonly counts: Readonly<QueueCounts>;
}

const toStderr = (line: string): void => {
  process.stderr.write(`${process.stderr.isTTY ? '\r\u001b[2K' : ''}queue: ${line}\n`);
};

/** A UserError within seconds where Redis cannot be reached, or does not know us. */
export async function openQueue(
  url: string,
  { env = process.env, build = buildOf(), tell = toStderr, giveUpMs = GIVE_UP_MS }: OpenOptions = {},
): Promise<OpenQueue> {
  const connection = await openConnection(url, env);
  const name = queueName(build, connection.signer);
  const queue = new connection.bullmq.Queue(name, {
    connection: connection.redis,
    prefix: PREFIX,
    streams: { events: { maxLen: 100 } },
  });
  queue.on('error', () => {});
  const counts: QueueCounts = { workers: 0, slots: 0, jobs: 0, again: 0, twice: 0, busyMs: 0 };
  const context: Context = {
    connection,
    queue,
    reader: connection.another(),
    presence: { name: `${hostname()}/${process.pid}`, build, key: connection.signer.id, slots: 0 },
    tell,
    giveUpMs,
    counts,
    told: new Set(),
    checks: new Map(),
    returns: 0,
    backMs: Number.NEGATIVE_INFINITY,
  };
  connection.onChange(isAway => {
    if (!isAway) {
      context.returns += 1;
      context.backMs = performance.now();
    }
    const wait = `waiting for up to ${Math.round(giveUpMs / 1000)} s`;
    tell(`${connection.shown} ${isAway ? `is away; ${wait}` : 'is back'}`);
  });
  return {
    run: (cases, options = {}) => new Sweep(context, cases, options).run(),
    counts,
    status() {
      const { workers, slots, again } = counts;
      const who = `${workers} worker${workers === 1 ? '' : 's'}, ${slots} case${slots === 1 ? '' : 's'} at once`;
      return again === 0 ? who : `${who}, ${again} sent again`;
    },
    close: () => connection.close(),
  };
}

/** What the sweeps of one command share. */
interface Context {
  readonly connection: QueueConnection;
  readonly queue: Queue;
  /** For reads that wait. */
  readonly reader: Redis;
  readonly presence: Presence;
  readonly tell: (line: string) => void;
  readonly giveUpMs: number;
  readonly counts: QueueCounts;
  /** Workers, and what else is said once. */
  readonly told: Set<string>;
  /** By the content of a scenario and its options but the seed. */
  readonly checks: Map<string, CaseJob['check']>;
  /** How often Redis has come back, and when it last did. */
  returns: number;
  backMs: number;
}

/** A job that is out. */
interface Sent {
  readonly cases: readonly number[];
  readonly sealed: string;
  readonly inputs: readonly ShippedInput[];
  sends: number;
}

class Sweep {
  private readonly id = randomBytes(6).toString('hex');
  private readonly context: Context;
  private readonly redis: Redis;
  private readonly shipper = new Shipper();
  private readonly cases: readonly GridCase[];
  private readonly options: GridOptions;
  private readonly outcomes: (Outcome | null)[];
  private done = 0;
  /** The first case that was never sent, and those to be sent again, each alone. */
  private next = 0;
  private readonly alone: number[] = [];
  private readonly deaths = new Map<number, number>();
  private readonly unreadTimes = new Map<number, number>();
  private readonly out = new Map<string, Sent>();
  private jobs = 0;
  private readonly fileKeys = new Set<string>();
  private readonly recentMs: number[] = [];
  /** Of the last report that was read. */
  private lastId = '0-0';
  private readonly startedMs = performance.now();
  private heardMs = performance.now();
  private returns: number;
  private isOver = false;

  constructor(context: Context, cases: readonly GridCase[], options: GridOptions) {
    this.context = context;
    this.redis = context.connection.redis;
    this.returns = context.returns;
    this.cases = cases;
    this.options = options;
    this.outcomes = cases.map(() => null);
  }

  async run(): Promise<(Outcome | null)[]> {
    if (this.cases.length === 0) return [];
    const patience = this.patience();
    try {
      await Promise.race([this.loop(), patience.isOver]);
    } catch (error) {
      throw this.inWords(error as Error);
    } finally {
      this.isOver = true;
      patience.end();
      await this.end();
    }
    return this.outcomes;
  }

  private async loop(): Promise<void> {
    await this.begin();
    let lookMs = Number.NEGATIVE_INFINITY;
    let aliveMs = performance.now();
    while (this.done < this.cases.length && !this.isOver) {
      const isStopped = this.options.isStopped?.() === true;
      if (isStopped && (await this.withdraw())) return;
      const nowMs = performance.now();
      if (nowMs - lookMs >= LOOK_EVERY_MS) {
        lookMs = nowMs;
        await this.look();
      }
      if (nowMs - aliveMs >= ALIVE_EVERY_MS) {
        aliveMs = nowMs;
        await this.stayAlive();
      }
      if (!isStopped) await this.topUp();
      await this.read(READ_MS);
      if (this.returns < this.context.returns || performance.now() - this.heardMs > RECONCILE_MS)
        await this.reconcile();
    }
  }

  // ---- the queue's side -------------------------------------------------------------------------------------------

  private async begin(): Promise<void> {
    await this.stayAlive();
    await this.redis.xadd(reportsKey(this.id), '*', 'sweep', this.id);
    await this.redis.expire(reportsKey(this.id), KEPT_SEC);
  }

  /** Everything of this sweep goes away by itself when we do. */
  private async stayAlive(): Promise<void> {
    const forMs = 6 * ALIVE_EVERY_MS;
    await announce(this.redis, { kind: 'sweep', id: this.id, presence: this.context.presence, forMs });
    const pipeline = this.redis.pipeline();
    for (const key of [reportsKey(this.id), ...this.fileKeys]) pipeline.expire(key, KEPT_SEC);
    pipeline.xtrim(reportsKey(this.id), 'MINID', this.lastId);
    await pipeline.exec();
  }

  /** Cases are sent as they are taken, so that sizes follow what cases turn out to cost. */
  private async topUp(): Promise<void> {
    const { counts } = this.context;
    const slots = Math.max(1, counts.slots);
    while (this.out.size < jobsOut(slots)) {
      const left = this.cases.length - this.next;
      if (left === 0 && this.alone.length === 0) return;
      const indices =
        left > 0
          ? Array.from({ length: casesPerJob({ caseMs: this.caseMs(), left, slots }) }, () => this.next++)
          : this.alone.splice(0, 1);
      const job = await this.packed(indices.filter(index => this.outcomes[index] === null));
      if (job !== null) await this.send(job);
    }
  }

  private caseMs(): number | null {
    const { recentMs } = this;
    return recentMs.length === 0 ? null : recentMs.reduce((sum, ms) => sum + ms, 0) / recentMs.length;
  }

  /** What cannot travel fails here, with the words that it would have without a queue. */
  private async packed(indices: readonly number[]): Promise<string | null> {
    const inputs = new Map<string, ShippedInput>();
    const cases: { index: number; of: GridCase }[] = [];
    for (const index of indices) {
      try {
        const portable = this.shipper.portable(this.cases[index]!);
        for (const input of portable.inputs) inputs.set(input.id, input);
        cases.push({ index, of: portable.of });
      } catch (error) {
        this.settle({ index, ms: 0, outcome: await this.failureOf(index, error) });
      }
    }
    const [first] = cases;
    if (first === undefined) return null;
    const check = this.checkOf(this.cases[first.index]!.scenario, first.of.scenario);
    const id = `${this.id}-${this.jobs++}`;
    const message: CaseJob = { inputs: [...inputs.values()], cases, check };
    const sealed = seal(this.context.connection.signer, jobScope(this.id, id), message);
    this.out.set(id, {
      cases: cases.map(({ index }) => index),
      sealed,
      inputs: message.inputs,
      sends: 0,
    });
    return id;
  }

  private async failureOf(index: number, error: unknown): Promise<Outcome> {
    const outcome = await new CaseRunner().run(this.cases[index]!);
    if (!outcome.ok) return outcome;
    if (!(error instanceof UserError)) throw error;
    const { message, hint, exitCode } = error;
    return { ok: false, failure: { message, hint, exitCode } };
  }

  /** Once for each scenario, at the first of its seeds that is sent. */
  private checkOf(ours: GridCase['scenario'], portable: GridCase['scenario']): CaseJob['check'] {
    const { seed: _seed, ...options } = ours.options;
    const { checks } = this.context;
    const key = JSON.stringify([portable.input, options]);
    const known = checks.get(key);
    if (known !== undefined) return known;
    let check: CaseJob['check'] = null;
    try {
      const planSha256 = planDigest(loadScenario(ours.input, ours.options));
      if (planSha256 !== null) check = { scenario: portable, planSha256 };
    } catch {
      // The case says what is wrong with it.
    }
    checks.set(key, check);
    return check;
  }

  private async send(id: string): Promise<void> {
    const sent = this.out.get(id);
    if (sent === undefined) return;
    sent.sends += 1;
    if (sent.sends > SENDS_MAX) {
      this.out.delete(id);
      for (const index of sent.cases) this.settle({ index, ms: 0, outcome: untaken('the queue lost it') });
      return;
    }
    for (const { files } of sent.inputs)
      for (const { sha256 } of files) await this.ship(sha256, sent.sends > 1);
    await this.context.queue.add(this.id, sent.sealed, {
      jobId: id,
      removeOnComplete: true,
      removeOnFail: true,
    });
    const pipeline = this.redis.pipeline().expire(jobKey(this.context.queue.name, id), KEPT_SEC);
    for (const part of ['wait', 'active', 'marker', 'meta', 'events', 'id'])
      pipeline.expire(jobKey(this.context.queue.name, part), KEPT_SEC);
    await pipeline.exec();
    this.context.counts.jobs += sent.sends === 1 ? 1 : 0;
    if (sent.sends > 1) this.context.counts.again += sent.cases.length;
  }

  private async ship(sha256: string, isAgain: boolean): Promise<void> {
    const key = fileKey(this.id, sha256);
    if (this.fileKeys.has(key) && !(isAgain && (await this.redis.exists(key)) === 0)) return;
    await this.redis.set(key, gzipSync(this.shipper.bytesOf(sha256), { level: 1 }), 'EX', KEPT_SEC);
    this.fileKeys.add(key);
  }

  /** Takes the reports that are there, or that come within `waitMs`. */
  private async read(waitMs: number): Promise<void> {
    const block = waitMs > 0 ? (['BLOCK', waitMs] as const) : null;
    const from = ['STREAMS', reportsKey(this.id), this.lastId] as const;
    const streams =
      block === null
        ? await this.context.reader.xread('COUNT', 100, ...from)
        : await this.context.reader.xread('COUNT', 100, ...block, ...from);
    for (const [id, fields] of streams?.[0]?.[1] ?? []) {
      this.lastId = id;
      if (fields[0] === 'report') this.take(fields[1] ?? '');
    }
  }

  private take(sealed: string): void {
    const { connection, tell } = this.context;
    const opened = unseal(connection.signer, reportScope(this.id), sealed);
    if (!opened.ok) {
      tell(`refused a result that is ${opened.why}`);
      return;
    }
    const report = opened.value as Report;
    const sent = this.out.get(report.job);
    this.heardMs = performance.now();
    if (report.kind === 'done') {
      for (const each of report.cases) this.settle(each);
      this.out.delete(report.job);
      // None should be missing; one that is goes again.
      this.alone.push(...(sent?.cases ?? []).filter(index => this.outcomes[index] === null));
    } else if (report.kind === 'died') {
      if (sent === undefined) return;
      this.out.delete(report.job);
      this.died(sent.cases.filter(index => this.outcomes[index] === null));
    } else if (report.kind === 'unread') {
      tell(`worker ${report.worker}: ${report.why}`);
      this.out.delete(report.job);
      this.fileKeys.clear();
      for (const index of sent?.cases ?? []) this.unread(index, report.why);
    } else tell(`worker ${report.worker} left: ${report.why}`);
  }

  /** Each goes again alone, after all others: a new worker is slow at first, and would meet the same end. */
  private died(cases: readonly number[]): void {
    const { counts, tell, backMs } = this.context;
    const [only] = cases;
    const times = (this.deaths.get(only ?? -1) ?? 0) + 1;
    if (only !== undefined && cases.length === 1 && performance.now() - backMs > BLAMELESS_MS) {
      this.deaths.set(only, times);
      tell(`a worker died with case ${only + 1} (${times} of ${DEATHS_MAX} times)`);
      if (times === DEATHS_MAX) {
        this.settle({ index: only, ms: 0, outcome: SET_ASIDE });
        return;
      }
    } else if (cases.length > 1) tell(`a worker died with ${cases.length} cases: each is sent again`);
    this.alone.push(...cases);
    counts.again += cases.length;
  }

  /** Its inputs are sent anew, a few times. */
  private unread(index: number, why: string): void {
    const times = (this.unreadTimes.get(index) ?? 0) + 1;
    this.unreadTimes.set(index, times);
    if (times < SENDS_MAX) this.alone.push(index);
    else this.settle({ index, ms: 0, outcome: untaken(why) });
  }

  /** Once for each case, whoever else runs it too. */
  private settle({ index, ms, outcome }: CaseReport): void {
    const { counts } = this.context;
    counts.busyMs += ms;
    if (this.outcomes[index] !== null) {
      counts.twice += 1;
      return;
    }
    this.outcomes[index] = outcome;
    if (ms > 0) this.recentMs.push(ms);
    if (this.recentMs.length > RECENT) this.recentMs.shift();
    this.done += 1;
    this.options.onDone?.(this.done, index, outcome);
  }

  /** Jobs that Redis lost, such as the last of a second before it was killed, are sent again. */
  private async reconcile(): Promise<void> {
    this.returns = this.context.returns;
    this.heardMs = performance.now();
    await this.begin();
    const ids = [...this.out.keys()];
    const pipeline = this.redis.pipeline();
    for (const id of ids) pipeline.exists(jobKey(this.context.queue.name, id));
    const found = (await pipeline.exec()) ?? [];
    // A worker reports before its job goes: what was reported meanwhile is read first.
    await this.read(0);
    for (const [i, id] of ids.entries()) if (found[i]?.[1] === 0) await this.send(id);
  }

  // ---- people and time --------------------------------------------------------------------------------------------

  private async look(): Promise<void> {
    const { counts, tell, connection, presence, told } = this.context;
    let [workers, slots] = [0, 0];
    for (const [id, worker] of await present(this.redis, 'worker')) {
      const why = stranger(presence, worker);
      if (why === null) {
        workers += 1;
        slots += worker.slots;
      } else if (!told.has(id)) {
        told.add(id);
        tell(`worker ${worker.name} ${why}: it takes none of these cases`);
      }
    }
    counts.workers = workers;
    counts.slots = slots;
    if (workers > 0 || told.has('nobody') || performance.now() - this.startedMs < NOBODY_MS) return;
    told.add('nobody');
    tell(`no worker is there: start some with \`windtunnel worker --queue ${connection.shown}\``);
  }

  /** Takes back what nobody has begun; true when nothing is under way any more. */
  private async withdraw(): Promise<boolean> {
    for (const id of this.out.keys()) {
      const isRemoved = await this.context.queue.remove(id);
      if (isRemoved === 1 || (await this.redis.exists(jobKey(this.context.queue.name, id))) === 0) {
        await this.read(0);
        this.out.delete(id);
      }
    }
    return this.out.size === 0 || this.context.counts.workers === 0;
  }

  /** Ends a sweep whose Redis stays away: with an error, or quietly where its user has stopped it. */
  private patience(): { isOver: Promise<void>; end(): void } {
    const { connection, giveUpMs } = this.context;
    let timer: NodeJS.Timeout | undefined;
    const isOver = new Promise<void>((resolve, reject) => {
      const look = (): void => {
        const awayMs = connection.awayMs();
        if (awayMs > 0 && this.options.isStopped?.() === true) resolve();
        if (awayMs < giveUpMs) return;
        const forSec = Math.round(giveUpMs / 1000);
        reject(
          new UserError(`the queue at ${connection.shown} has been away for ${forSec} s`, {
            hint: `${this.soFar()}; start Redis, then the same command again`,
            exitCode: EXIT.interrupted,
          }),
        );
      };
      timer = setInterval(look, Math.min(LOOK_EVERY_MS, giveUpMs / 4));
    });
    return { isOver, end: () => clearInterval(timer) };
  }

  /** What Redis refuses is for the user to mend. */
  private inWords(error: Error): Error {
    if (error instanceof UserError || error.name !== 'ReplyError') return error;
    return new UserError(`the queue at ${this.context.connection.shown} refused: ${error.message}`, {
      hint: `${this.soFar()}; docs/scale-out.md says what Redis needs`,
      exitCode: EXIT.interrupted,
    });
  }

  private soFar(): string {
    return `${this.done} of ${this.cases.length} cases are done`;
  }

  /** Nothing of the sweep stays. Where Redis is away it expires. */
  private async end(): Promise<void> {
    const { connection, queue } = this.context;
    if (connection.awayMs() > 0) return;
    await Promise.allSettled([
      ...[...this.out.keys()].map(id => queue.remove(id)),
      this.redis.del(reportsKey(this.id), ...this.fileKeys),
      leave(this.redis, 'sweep', this.id),
    ]);
  }
}

const SET_ASIDE: Outcome = {
  ok: false,
  failure: {
    message: `set aside: ${DEATHS_MAX} workers died while they ran this case and no other`,
    hint: 'run it alone with `windtunnel simulate`: too little memory is the usual reason',
    exitCode: EXIT.internal,
  },
};

const untaken = (why: string): Outcome => ({
  ok: false,
  failure: {
    message: `no worker could take it, ${SENDS_MAX} times: ${why}`,
    hint: 'what the workers say tells more',
    exitCode: EXIT.internal,
  },
});
