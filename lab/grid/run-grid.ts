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

/** On threads of this machine. */
export const runGrid: RunCases = async (
  cases,
  { jobs = availableParallelism(), onDone = () => {}, isStopped = () => false } = {},
) => {
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
  if (threads === 1) await inThisThread(cases, take, settle);
  else await Promise.all(Array.from({ length: threads }, () => inThread(cases, take, settle)));
  return outcomes;
};

type Take = () => number | null;
type Settle = (index: number, outcome: Outcome) => void;

/** Ctrl-C and the terminal are heard between two cases. */
const pause = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

async function inThisThread(cases: readonly GridCase[], take: Take, settle: Settle): Promise<void> {
  const runner = new CaseRunner();
  for (let index = take(); index !== null; index = take()) {
    settle(index, await runner.run(cases[index]!));
    await pause();
  }
}

/** One worker until nothing is left. If the thread itself breaks, its case fails and another thread goes on. */
async function inThread(cases: readonly GridCase[], take: Take, settle: Settle): Promise<void> {
  for (let index = take(); index !== null; ) {
    const worker = new Worker(new URL('./worker.ts', import.meta.url));
    index = await new Promise<number | null>(resolve => {
      let current = index as number;
      const send = (): void => worker.postMessage({ index: current, of: cases[current] });
      const after = (): void => {
        const following = take();
        if (following === null) {
          void worker.terminate();
          resolve(null);
          return;
        }
        current = following;
        send();
      };
      worker.on('message', ({ index: at, outcome }: { index: number; outcome: Outcome }) => {
        settle(at, outcome);
        after();
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
