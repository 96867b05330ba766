// One shard of a live run on a worker, from the job to the last record that the coordinator has read.
//   unpack ─▶ check ─▶ ask servers ─▶ measure the clock ─▶ ready ─▶ (all are) ─▶ load, lines each second ─▶ end
import { setTimeout } from 'node:timers/promises';
import { loadDeployment, type ReadyRun, readyRun, withRouting } from '../../../engines/load.ts';
import { routingPolicies } from '../../../gateway/routing/index.ts';
import { refuseWarm } from '../../../loadgen/command.ts';
import { hostIsAllowed } from '../../../loadgen/hosts.ts';
import type { LiveOptions } from '../../../loadgen/live-options.ts';
import { readyReplay } from '../../../loadgen/ready-replay.ts';
import type { Replay } from '../../../loadgen/replay.ts';
import { recordLines } from '../../../loadgen/run-log.ts';
import { type Shard, shardName, shardOfPlan, shareOf } from '../../../loadgen/shard.ts';
import { dividedLimits } from '../../../loadgen/shard-limits.ts';
import { startReplay } from '../../../loadgen/start.ts';
import { UserError } from '../../../scenarios/base/errors.ts';
import { type LoadedScenario, loadScenario } from '../../../scenarios/cli/load.ts';
import { InputIssues } from '../../../scenarios/cli/terminal.ts';
import type { LineKind } from '../../../scenarios/formats/run-log.ts';
import { formatIssues } from '../../../scenarios/formats/source.ts';
import type { GridCase } from '../../grid/case.ts';
import type { QueueConnection } from '../connection.ts';
import { planDigest } from '../plan-digest.ts';
import type { Signer } from '../sign.ts';
import { Unpacked } from '../unpack.ts';
import { clockOffset, redisMs } from './clock-offset.ts';
import { inputKey, type Note, type ShardJob, type ShardProgress } from './message.ts';
import { Notes } from './notes.ts';
import type { Outbox } from './outbox.ts';

const SILENT = { json: true, quiet: true };
/** Records since the last entry from which on one goes at once. */
const LINES_MAX = 5000;

export interface ShardRunOptions {
  readonly connection: QueueConnection;
  readonly run: string;
  readonly shard: ShardJob;
  readonly worker: string;
  readonly outbox: Outbox;
  readonly tell: (line: string) => void;
}

/** Told to end before its start. */
class CalledOff extends Error {}

export class ShardRun {
  private readonly options: ShardRunOptions;
  private readonly shard: Shard;
  private readonly notes: Notes;
  private readonly bundle = new LineBundle();
  private readonly told = recordLines((kind, record) => {
    this.bundle.add(kind, record);
    if (this.bundle.count >= LINES_MAX) this.deliver();
  });
  private replay: Replay | null = null;
  private note: Note | null = null;
  /** Why it ends early by itself; null: it does not. */
  private lost: string | null = null;
  /** From here on its calls may have been sent. */
  private hasStarted = false;
  private isOver = false;
  private noteCame: () => void = () => {};

  constructor(options: ShardRunOptions) {
    this.options = options;
    const { connection, run, shard } = options;
    this.shard = { index: shard.index, count: shard.count };
    this.notes = new Notes({
      redis: connection.redis,
      signer: connection.signer,
      run,
      times: shard.times,
      onNote: note => this.read(note),
      onGone: why => this.giveUp(`was lost: its worker ${why}`),
    });
  }

  /** Never rejects: what goes wrong is an entry. */
  async toTheEnd(): Promise<void> {
    const { outbox, tell, run, worker, shard } = this.options;
    const name = `${shardName(this.shard)} of run ${run}`;
    tell(`took ${name}`);
    outbox.add({ kind: 'taken', worker });
    // While nobody reads, empty ones would only pile up.
    const beat = setInterval(() => {
      if (this.replay !== null) this.told.takeSamples(this.replay);
      if (this.bundle.count > 0 || outbox.unread === 0) this.deliver();
    }, shard.times.entryMs);
    try {
      await this.send();
      tell(`${name} ${this.lost ?? 'is done'}`);
    } catch (error) {
      this.failed(name, error);
    } finally {
      clearInterval(beat);
    }
    await this.delivered();
    this.notes.close();
    outbox.close();
  }

  /** Ends it before its time; what it has is delivered. */
  giveUp(why: string): void {
    if (this.lost !== null) return;
    this.lost = why;
    if (this.hasStarted && !this.isOver) this.replay?.interrupt();
    this.noteCame();
  }

  private failed(name: string, error: unknown): void {
    const { tell, outbox } = this.options;
    if (error instanceof CalledOff) {
      tell(`${name} was called off before its start`);
      return;
    }
    const { message, hint } = wordsOf(error);
    tell(`${name}: ${message}`);
    outbox.add(!this.hasStarted ? { kind: 'refused', message, hint } : { kind: 'failed', message });
  }

  private read(note: Note): void {
    this.note = note;
    this.options.outbox.wasRead(note.read[this.shard.index] ?? 0, performance.now());
    if (note.phase === 'stop' && this.hasStarted && !this.isOver) this.replay?.interrupt();
    // It was given up, while it could not be heard.
    else if (note.phase === 'over' && this.hasStarted && !this.isOver) this.giveUp('was given up');
    this.noteCame();
  }

  /** All was read, or nobody is there to read it. */
  private async delivered(): Promise<void> {
    this.isOver = true;
    const { outbox, shard } = this.options;
    while (outbox.unread > 0 && this.note?.phase !== 'over' && this.lost === null) await this.nextNote();
    // Of one who was not heard: a last chance, not a wait.
    if (this.lost !== null && this.note?.phase !== 'over')
      await Promise.race([outbox.empty(), setTimeout(shard.times.lostMs, null, { ref: false })]);
  }

  private nextNote(): Promise<void> {
    return new Promise(resolve => {
      this.noteCame = resolve;
    });
  }

  private async send(): Promise<void> {
    const { connection, run, shard, outbox } = this.options;
    const { redis, signer } = connection;
    const unpacked = new Unpacked();
    try {
      await unpacked.add(shard.inputs, sha256 => redis.getBuffer(inputKey(run, sha256)));
      const { loaded, ready } = readyShard(unpacked, shard, this.shard);
      const options = optionsOf(shard.options, this.shard);
      refuseFar(ready, options, signer);
      const begun = await readyReplay(loaded, ready, options, {
        where: 'measured at',
        startedAt: shard.startedAt,
        share: 1 / shard.count,
      });
      const { clock } = begun.start;
      const toQueue = await clockOffset(
        () => redisMs(redis),
        () => clock.nowMs(),
      );
      const wallMs = Date.now() - (clock.nowMs() + toQueue.offsetMs);
      this.refuseCalledOff();
      this.replay = startReplay({
        ...begun.start,
        onCall: this.told.onCall,
        onRecord: this.told.onRecord,
        listener: this.told.journal,
        startAt: async () => {
          outbox.add({ kind: 'ready', clock: { ...toQueue, wallMs } });
          return (await this.start()) - toQueue.offsetMs;
        },
      });
      const output = await this.replay.run();
      output.header.warnings.push(...begun.missWarnings());
      this.told.takeSamples(this.replay);
      this.deliver();
      outbox.add({ kind: 'end', end: this.told.end(output), lost: this.lost });
    } finally {
      unpacked.remove();
    }
  }

  private deliver(): void {
    const { sessionsStarted, activeSessions, callsInFlight } = this.replay?.progress ?? NOTHING_YET;
    const progress = { sessionsStarted, activeSessions, callsInFlight };
    this.options.outbox.add({ kind: 'lines', lines: this.bundle.take(), progress });
  }

  /** When all shards are ready: the start on the queue's clock. */
  private async start(): Promise<number> {
    for (;;) {
      this.refuseCalledOff();
      if (this.note?.phase === 'start' && this.note.startMs !== null) {
        this.hasStarted = true;
        return this.note.startMs;
      }
      await this.nextNote();
    }
  }

  private refuseCalledOff(): void {
    const phase = this.note?.phase;
    if (phase === 'stop' || phase === 'over' || this.lost !== null) throw new CalledOff();
  }
}

const NOTHING_YET: ShardProgress = { sessionsStarted: 0, activeSessions: 0, callsInFlight: 0 };

/** Lines of each kind since the last entry. */
class LineBundle {
  count = 0;
  private lines = new Map<LineKind, string[]>();

  /** Hot: once per record. */
  add(kind: LineKind, record: object): void {
    const lines = this.lines.get(kind) ?? [];
    this.lines.set(kind, lines);
    lines.push(JSON.stringify(record));
    this.count++;
  }

  /** All at one instant: a session that has ended never travels without its calls. */
  take(): Partial<Record<LineKind, string>> {
    const taken = Object.fromEntries([...this.lines].map(([kind, lines]) => [kind, lines.join('\n')]));
    this.lines = new Map();
    this.count = 0;
    return taken;
  }
}

/** The shard's part of plan and limits; a UserError where it is not what the coordinator has. */
function readyShard(
  unpacked: Unpacked,
  job: ShardJob,
  shard: Shard,
): { loaded: LoadedScenario; ready: ReadyRun } {
  const { scenario, deployment } = unpacked.local({ ...job.of, loadFactor: 1 } satisfies GridCase);
  const loaded = loadScenario(scenario.input, scenario.options);
  refuseWarm(loaded);
  const deployed = loadDeployment(deployment.input, routingPolicies, deployment.set);
  const whole = withRouting(readyRun(loaded, deployed, SILENT, 'live'), job.routing ?? undefined);
  if (planDigest(loaded) !== job.planDigest)
    throw new UserError('the plan of this worker is not that of the coordinator', {
      hint: 'do both run the same source? Their digests of the scenario differ',
    });
  const divided = dividedLimits(shardOfPlan(whole.plan, shard), whole.deployment, shard);
  return { loaded, ready: { ...whole, plan: divided.plan, deployment: divided.deployment } };
}

/** Requests and money are divided; one shard looks at the GPUs for all. */
const optionsOf = (options: LiveOptions, shard: Shard): LiveOptions & typeof SILENT => {
  const { 'max-requests': requests, 'max-usd': usd, 'gpu-metrics': gpus = [] } = options;
  return {
    ...options,
    ...SILENT,
    'max-requests': requests === undefined ? undefined : shareOf(requests, shard),
    'max-usd': usd === undefined ? undefined : usd / shard.count,
    'gpu-metrics': shard.index === 0 ? gpus : [],
  };
};

/**
 * Whoever can write to an unsigned queue could have this worker load any host, and show it the values of its variables:
 * without a key it loads its own machine only.
 */
function refuseFar({ deployment }: ReadyRun, options: LiveOptions, signer: Signer): void {
  if (signer.id !== 'unsigned') return;
  const endpoints = [
    ...deployment.pools.flatMap(pool => pool.endpoints),
    ...deployment.hosted.flatMap(({ endpoint }) => endpoint ?? []),
  ];
  const proxies = endpoints.flatMap(({ proxy }) => (proxy === null || proxy === 'env' ? [] : [proxy]));
  const urls = [...options.endpoint, ...endpoints.map(({ url }) => url), ...proxies];
  const far = [...urls, ...(options['gpu-metrics'] ?? [])].find(url => !hostIsAllowed(url, []));
  if (far === undefined) return;
  throw new UserError(`a worker without WINDTUNNEL_QUEUE_KEY loads its own machine only, and not ${far}`, {
    hint: 'set one key for the coordinator and all workers: openssl rand -hex 32',
  });
}

function wordsOf(error: unknown): { message: string; hint: string | null } {
  if (error instanceof UserError) return { message: error.message, hint: error.hint };
  if (error instanceof InputIssues) {
    const texts = error.groups.map(({ issues, source }) => formatIssues(issues, source, { colour: false }));
    return { message: texts.join('\n'), hint: null };
  }
  return { message: error instanceof Error ? error.message : String(error), hint: null };
}
