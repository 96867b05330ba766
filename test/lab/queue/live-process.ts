// A worker or a coordinator of a live run as a process of its own, to be killed.
// Run: node live-process.ts worker URL | node live-process.ts replay URL SCENARIO DEPLOYMENT SHARDS OUT
import { spawn } from 'node:child_process';
import { loadDeployment, readyRun } from '../../../engines/load.ts';
import { routingPolicies } from '../../../gateway/routing/index.ts';
import { openConnection } from '../../../lab/queue/connection.ts';
import { type QueueHow, replayOnQueue } from '../../../lab/queue/live/coordinate.ts';
import type { LiveTimes } from '../../../lab/queue/live/message.ts';
import { startShardWorker } from '../../../lab/queue/live/shard-worker.ts';
import type { QueuedReplay } from '../../../loadgen/command.ts';
import { loadRun } from '../../../scenarios/cli/run-options.ts';
import type { RunOutput } from '../../../scenarios/formats/run.ts';

/** Both ends of a test run the same source, whoever edits it meanwhile. */
export const BUILD = 'a-build';
export const TIMES: LiveTimes = {
  noteMs: 50,
  entryMs: 100,
  leadMs: 600,
  lostMs: 4000,
  goneMs: 4000,
  awayMs: 20_000,
};

export interface LiveProcess {
  said(): string;
  until(text: string): Promise<void>;
  kill(signal?: NodeJS.Signals): void;
  readonly ended: Promise<number | null>;
}

export function liveProcess(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): LiveProcess {
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', import.meta.filename, ...args],
    { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let said = '';
  const watchers = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', chunk => {
      said += String(chunk);
      for (const watch of watchers) watch();
    });
  const ended = new Promise<number | null>(resolve => child.once('close', code => resolve(code)));
  return {
    said: () => said,
    until: text =>
      new Promise((found, lost) => {
        const watch = (): void => {
          if (said.includes(text)) found();
        };
        watchers.add(watch);
        watch();
        void ended.then(code => lost(new Error(`ended with ${code} before "${text}":\n${said}`)));
      }),
    kill: (signal = 'SIGKILL') => void child.kill(signal),
    ended,
  };
}

export interface LiveRun {
  url: string;
  scenario: string;
  deployment: string;
  shards: number;
  folder: string;
  more?: Partial<QueuedReplay['options']>;
  waitMs?: number;
}

const USUAL = { json: true, quiet: true, set: [], strict: false, endpoint: [], timeout: '1m', stall: '1m' };

/** As the command makes it. */
export function replayed(
  { url, scenario, deployment, shards, folder, more = {}, waitMs = 20_000 }: LiveRun,
  how: QueueHow = {},
): Promise<RunOutput> {
  const options = { ...USUAL, scenario, deployment, out: folder, ...more } as QueuedReplay['options'];
  const loaded = loadRun(options);
  const ready = readyRun(loaded, loadDeployment(deployment, routingPolicies), options, 'live');
  return replayOnQueue(
    { loaded, ready, options, queue: url, shards, waitMs, folder, serving: null },
    { build: BUILD, times: TIMES, ...how },
  );
}

async function main([kind, url = '', scenario = '', deployment = '', shards = '', folder = '']: string[]) {
  const tell = (line: string): void => void process.stdout.write(`${line}\n`);
  if (kind === 'replay') {
    const output = await replayed({ url, scenario, deployment, shards: Number(shards), folder });
    tell(JSON.stringify({ interrupted: output.interrupted, calls: output.calls.length }));
    return;
  }
  const connection = await openConnection(url);
  const worker = startShardWorker({ connection, build: BUILD, tell });
  process.on('SIGTERM', () => {
    worker.giveUp();
    void worker.stop().then(() => connection.close());
  });
  tell('joined');
}

if (process.argv[1] === import.meta.filename) await main(process.argv.slice(2));
