// Serves the page of a run while it goes on, from a thread of its own.
import { stat } from 'node:fs/promises';
import { Worker } from 'node:worker_threads';
import { EXIT, UserError } from '../../scenarios/base/errors.ts';
import type { Assertion } from '../../scenarios/formats/assertion.ts';
import type { RunResult } from '../../scenarios/formats/result.ts';
import type { RunHeader, RunSoFar, ServeRun } from '../../scenarios/formats/run.ts';
import { summarise } from '../summary.ts';
import { ofSimulation } from './so-far.ts';
import type { FromPage, ToPage } from './thread.ts';

const MEMORY_MB = 2048;
const PAUSE_MS = 2000;
/** Of the run's time, what summaries may take. */
const SHARE = 0.1;

function refusal(host: string, port: number, code: string, message: string): UserError {
  const at = `${host}:${port}`;
  if (code === 'EADDRINUSE')
    return new UserError(`the page cannot be served on ${at}: the port is taken`, {
      hint: `name another one with --serve PORT, or 0 for any that is free`,
    });
  if (code === 'EACCES')
    return new UserError(`the page cannot be served on ${at}: this port is not for everybody`, {
      hint: 'name one above 1023 with --serve PORT',
    });
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
    return new UserError(`the page cannot be served on ${at}: this machine has no such address`, {
      hint: 'name a port alone for this machine only, or 0.0.0.0:PORT for everybody',
    });
  return new UserError(`the page cannot be served on ${at}: ${message}`, { exitCode: EXIT.internal });
}

export const serveRun: ServeRun = async ({ host, port }) => {
  // The threads that wait for files are made by whoever waits first, with its priority: not by the one below.
  await stat('.');
  // A run too long for its page in memory goes on without it.
  const thread = new Worker(new URL('./thread.ts', import.meta.url), {
    workerData: { host, port },
    resourceLimits: { maxOldGenerationSizeMb: MEMORY_MB },
  });
  const tell = (message: ToPage): void => thread.postMessage(message);
  const ended = new Promise<void>(resolve => thread.once('exit', () => resolve()));
  let readers = 0;
  let nextMs = 0;
  const url = await new Promise<string>((resolve, reject) => {
    thread.on('message', (message: FromPage) => {
      if (message.kind === 'listening') resolve(message.url);
      else if (message.kind === 'refused') reject(refusal(host, port, message.code, message.message));
      else readers = message.readers;
    });
    thread.on('error', error => {
      reject(error);
      process.stderr.write(`warning: the page is not served any more: ${error.message}\n`);
    });
  });
  thread.unref();
  return {
    url,
    follow: folder => tell({ kind: 'follow', folder }),
    show: (header: RunHeader, assertions: readonly Assertion[], run: () => RunSoFar) => {
      const startedMs = performance.now();
      // The first is there for whoever comes.
      if (startedMs < nextMs || (readers === 0 && nextMs > 0)) return;
      tell({ kind: 'show', result: summarise(ofSimulation(header, assertions, run()), () => '') });
      const tookMs = performance.now() - startedMs;
      nextMs = performance.now() + Math.max(PAUSE_MS, tookMs / SHARE);
    },
    last: result => tell({ kind: 'show', result: result as RunResult }),
    end: async () => {
      thread.ref();
      tell({ kind: 'end' });
      await ended;
    },
  };
};
