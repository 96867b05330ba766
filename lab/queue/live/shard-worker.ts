// The part of a worker that sends live load: takes one shard at a time, and no other while it lasts. Rule: a shard is taken
// once. Nobody takes it up again, whatever becomes of this worker, since its calls may have been sent.
import { hostname } from 'node:os';
import type { Job } from 'bullmq';
import type { QueueConnection } from '../connection.ts';
import { PREFIX } from '../message.ts';
import { unseal } from '../sign.ts';
import type { RunningWorker } from '../worker.ts';
import { claimKey, KEPT_SEC, liveQueueName, type ShardJob, shardScope } from './message.ts';
import { Outbox } from './outbox.ts';
import { ShardRun } from './shard-run.ts';

/** A claim outlives any run. */
const CLAIM_SEC = 24 * KEPT_SEC;

export interface ShardWorkerOptions {
  readonly connection: QueueConnection;
  readonly build: string;
  /** Told in words what it does. */
  readonly tell: (line: string) => void;
  /** Told when a shard begins and ends: other work of this machine would spoil what it measures. */
  readonly onBusy?: (isBusy: boolean) => void;
}

export interface RunningShardWorker {
  readonly name: string;
  /** Takes nothing more; resolves when the shard that it has is over. */
  stop(): Promise<void>;
  /** Ends that shard now: what it has is delivered, and the run says that it was lost. */
  giveUp(): void;
}

/** One worker for both kinds of work: while it has a shard, it takes no case. */
export function withShards(
  worker: RunningWorker,
  options: Omit<ShardWorkerOptions, 'onBusy'>,
): RunningWorker {
  const shards = startShardWorker({ ...options, onBusy: isBusy => worker.pause(isBusy) });
  return {
    name: worker.name,
    counts: () => worker.counts(),
    pause: isPaused => worker.pause(isPaused),
    stop: async () => {
      await Promise.all([worker.stop(), shards.stop()]);
    },
    giveBack: () => {
      worker.giveBack();
      shards.giveUp();
    },
    ended: worker.ended.then(async why => {
      await shards.stop();
      return why;
    }),
  };
}

export function startShardWorker({
  connection,
  build,
  tell,
  onBusy,
}: ShardWorkerOptions): RunningShardWorker {
  const { bullmq, redis, signer } = connection;
  const name = `${hostname()}/${process.pid}`;
  let running: ShardRun | null = null;

  async function take(job: Job<string>): Promise<void> {
    // `RUN SHARD`; what it says is believed once the signature fits.
    const [run = '', index = ''] = job.name.split(' ');
    const opened = unseal(signer, shardScope(run, Number(index)), job.data);
    if (!opened.ok) {
      tell(`refused a shard that is ${opened.why}`);
      return;
    }
    const shard = opened.value as ShardJob;
    if ((await redis.set(claimKey(run, shard.index), name, 'EX', CLAIM_SEC, 'NX')) === null) {
      tell(`left a shard of run ${run}: another worker had it`);
      return;
    }
    const outbox = new Outbox({ redis, signer, run, shard: shard.index });
    running = new ShardRun({ connection, run, shard, worker: name, outbox, tell });
    onBusy?.(true);
    try {
      await running.toTheEnd();
    } finally {
      running = null;
      onBusy?.(false);
    }
  }

  const worker = new bullmq.Worker<string>(liveQueueName(build, signer), take, {
    connection: redis,
    prefix: PREFIX,
    name,
    concurrency: 1,
    // One whose worker is gone fails, and stays so.
    maxStalledCount: 0,
    removeOnComplete: { count: 0 },
    removeOnFail: { count: 0 },
    runRetryDelay: 1_000,
  });
  // A lock that was lost while Redis was away, or the loss itself, which the connection tells.
  worker.on('error', () => {});
  return {
    name,
    stop: () => worker.close(),
    giveUp: () => running?.giveUp('was lost: its worker was stopped'),
  };
}
