// What a command that runs many cases offers: threads of this machine, or with --queue the workers of many.
import type { Argv } from 'yargs';
import { keepThreads, type RunCases } from '../grid/run-grid.ts';

export interface QueueOptions {
  queue: string | undefined;
}

/** Where the cases of a command run. */
export interface Runner {
  readonly run: RunCases;
  /** Workers and retries in words, for a line of progress; empty on threads of this machine. */
  status(): string;
  close(): Promise<void>;
}

export const withQueue = <T>(yargs: Argv<T>) =>
  yargs.option('queue', {
    type: 'string',
    describe: 'run on the workers of this Redis, redis://HOST:PORT; see docs/scale-out.md',
  });

/** `close` it in the end: what the queue holds of it is removed. */
export async function runnerOf({ queue }: Partial<QueueOptions>): Promise<Runner> {
  if (queue === undefined) return { ...keepThreads(), status: () => '' };
  const { openQueue } = await import('./run-on-queue.ts');
  return openQueue(queue);
}
