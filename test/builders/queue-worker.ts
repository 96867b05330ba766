// A worker of a queue as a process of its own, to be killed. Run: node queue-worker.ts URL BUILD LOCK_MS [POISON_SEED]
// With POISON_SEED the case of that seed kills the process that runs it, as one that needs too much memory does.
import { spawn } from 'node:child_process';
import { openConnection } from '../../lab/queue/connection.ts';
import { CaseThread } from '../../lab/queue/threads.ts';
import { startWorker } from '../../lab/queue/worker.ts';

export interface WorkerProcess {
  readonly pid: number;
  /** What it said. */
  said(): string;
  /** Resolves when it has said so, after the first `from` characters, or has ended. */
  until(text: string, from?: number): Promise<void>;
  kill(signal?: NodeJS.Signals): void;
  readonly ended: Promise<number | null>;
}

export interface WorkerProcessOptions {
  url: string;
  build: string;
  lockMs?: number;
  poisonSeed?: number;
  env?: Readonly<Record<string, string>>;
}

export function workerProcess({
  url,
  build,
  lockMs,
  poisonSeed,
  env = {},
}: WorkerProcessOptions): WorkerProcess {
  const args = [import.meta.filename, url, build, String(lockMs ?? 5000), String(poisonSeed ?? '')];
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  const watchers = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', chunk => {
      said += String(chunk);
      for (const watch of watchers) watch();
    });
  const ended = new Promise<number | null>(resolve => child.once('close', code => resolve(code)));
  return {
    pid: child.pid as number,
    said: () => said,
    until: (text, from = 0) =>
      new Promise(resolve => {
        const watch = (): void => {
          if (said.includes(text, from)) resolve();
        };
        watchers.add(watch);
        watch();
        void ended.then(() => resolve());
      }),
    kill: (signal = 'SIGKILL') => void child.kill(signal),
    ended,
  };
}

async function main([url, build, lockMs, poisonSeed]: readonly string[]): Promise<void> {
  if (poisonSeed !== undefined && poisonSeed !== '') {
    const run = CaseThread.prototype.run;
    CaseThread.prototype.run = function runOrDie(cases, onRan) {
      if (cases.some(({ scenario }) => String(scenario.options.seed) === poisonSeed))
        process.kill(process.pid, 'SIGKILL');
      return run.call(this, cases, onRan);
    };
  }
  const connection = await openConnection(url as string);
  const tell = (line: string): void => void process.stdout.write(`${line}\n`);
  const worker = startWorker({ connection, build: build as string, jobs: 1, lockMs: Number(lockMs), tell });
  process.on('SIGTERM', () => void worker.stop());
  tell('joined');
  process.on('SIGUSR2', () => {
    // Of this thread alone: what it costs to take, keep and report cases.
    const { user, system } = process.threadCpuUsage();
    tell(`own CPU ${(user + system) / 1000} ms`);
  });
  await worker.ended;
  tell(JSON.stringify(worker.counts()));
  await connection.close();
}

if (process.argv[1] === import.meta.filename) await main(process.argv.slice(2));
