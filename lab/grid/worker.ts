// A thread of a grid: cases come in, outcomes go out.
import { parentPort } from 'node:worker_threads';
import type { GridCase } from './case.ts';
import { CaseRunner } from './run-case.ts';

const runner = new CaseRunner();
parentPort?.on('message', async ({ index, of }: { index: number; of: GridCase }) =>
  parentPort?.postMessage({ index, outcome: await runner.run(of) }),
);
