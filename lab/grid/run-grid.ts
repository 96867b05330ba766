// Many simulations in parallel on threads. A case goes to whoever is free, and its outcome to the place of the case: so
// the answer does not depend on the number of threads.
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { EXIT, UserError } from '../../scenarios/base/errors.ts';
import type { GridCase, Outcome } from './case.ts';
import { CaseRunner } from './run-case.ts';

export interface GridOptions {
  /** Threads; by default a thread for each core. */
  jobs?: number | undefined;
  /** Told after each case: how many are done, which one it was and what came of it. */
  onDone?: (done: number, index: number, outcome: Outcome) => void;
  /** Asked before each case; true ends the grid early. */
  isStopped?: () => boolean;
}

/** Runs cases somewhere: the outcome of each in its place, null of those that an early end left out. */
export type RunCases = (cases: readonly GridCase[], options?: GridOptions) => Promise<(Outcome | null)[]>;

/** Threads of this machine, kept from grid to grid with the code they have compiled and the files they have read. */
export interface KeptThreads {
  readonly run: RunCases;
  close(): Promise<void>;
}

/** `close` them in the end; idle ones keep no process alive. */
export function keepThreads(): KeptThreads {
  const idle: Worker[] = [];
  const own = new CaseRunner();
  return {
    async run(cases, { jobs = availableParallelism(), onDone = () => {}, isStopped = () => false } = {}) {
      if (!(Number.isInteger(jobs) && jobs > 0))
        throw new UserError(`--jobs ${jobs}: expected a whole number above 0`, { hint: 'e.g. --jobs 2' });
      const outcomes: (Outcome | null)[] = cases.map(() => null);
      let next = 0;
      let done = 0;
      const take = (): number | null => (next < cases.length && !isStopped() ? next++ : null);
      const settle = (index: number, outcome: Outcome): void => {
        outcomes[index] = outcome;
        onDone(++done, index, outcome);
      };
      const threads = Math.min(jobs, cases.length);
      if (threads === 1) await inThisThread(own, cases, take, settle);
      else await Promise.all(Array.from({ length: threads }, () => inThread(idle, cases, take, settle)));
      return outcomes;
    },
    async close() {
      await Promise.all(idle.splice(0).map(worker => worker.terminate()));
    },
  };
}

/** On threads of this machine, for this grid alone. */
export const runGrid: RunCases = async (cases, options) => {
  const threads = keepThreads();
  try {
    return await threads.run(cases, options);
  } finally {
    await threads.close();
  }
};

type Take = () => number | null;
type Settle = (index: number, outcome: Outcome) => void;

/** Ctrl-C and the terminal are heard between two cases. */
const pause = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

async function inThisThread(
  runner: CaseRunner,
  cases: readonly GridCase[],
  take: Take,
  settle: Settle,
): Promise<void> {
  for (let index = take(); index !== null; index = take()) {
    settle(index, await runner.run(cases[index]!));
    await pause();
  }
}

/** One worker until nothing is left. If the thread itself breaks, its case fails and another thread goes on. */
async function inThread(
  idle: Worker[],
  cases: readonly GridCase[],
  take: Take,
  settle: Settle,
): Promise<void> {
  for (let index = take(); index !== null; ) {
    const worker = idle.pop() ?? new Worker(new URL('./worker.ts', import.meta.url));
    worker.ref();
    index = await new Promise<number | null>(resolve => {
      let current = index as number;
      const send = (): void => worker.postMessage({ index: current, of: cases[current] });
      worker.on('message', ({ index: at, outcome }: { index: number; outcome: Outcome }) => {
        settle(at, outcome);
        const following = take();
        if (following !== null) {
          current = following;
          send();
          return;
        }
        for (const heard of ['message', 'error']) worker.removeAllListeners(heard);
        worker.unref();
        idle.push(worker);
        resolve(null);
      });
      worker.on('error', error => {
        settle(current, { ok: false, failure: brokenThread(error) });
        resolve(take());
      });
      send();
    });
  }
}

const brokenThread = (error: Error) => ({
  message: `the thread broke: ${error.stack ?? error.message}`,
  hint: 'out of memory? fewer --jobs or --calls need less',
  exitCode: EXIT.internal,
});
