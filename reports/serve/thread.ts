// The thread of a served page: it reads the log of a live run or is told the summary of a simulated one, makes the page,
// and talks to browsers. Nothing here can hold up the run.
import { readFile } from 'node:fs/promises';
import { constants, setPriority } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import type { RunResult } from '../../scenarios/formats/result.ts';
import { type Listen, openPageServer } from './server.ts';

export type ToPage =
  | { kind: 'follow'; folder: string }
  | { kind: 'show'; result: RunResult }
  | { kind: 'end' };

export type FromPage =
  | { kind: 'listening'; url: string }
  | { kind: 'refused'; code: string; message: string }
  /** Whether anybody looks. */
  | { kind: 'readers'; readers: number };

/** A new version every two seconds at most, and only if making one takes less than a tenth of the time. */
const PAUSE_MS = 2000;
const SHARE = 0.1;
const LOOK_MS = 200;

// On Linux the priority is that of this thread alone: where cores are short, the run comes first.
if (process.platform === 'linux') setPriority(0, constants.priority.PRIORITY_BELOW_NORMAL);

const tell = (message: FromPage): void => parentPort?.postMessage(message);
const script = await readFile(new URL('./live.js', import.meta.url), 'utf8');

try {
  const server = await openPageServer(workerData as Listen, script, readers =>
    tell({ kind: 'readers', readers }),
  );
  tell({ kind: 'listening', url: server.url });
  let isFollowing = false;
  // One page at a time, in the order of what was told.
  let making: Promise<void> = Promise.resolve();
  // Loaded when somebody looks: the run does not wait for it.
  const show = async (result: RunResult): Promise<void> => {
    const { pageOf } = await import('../publish.ts');
    server.show(await pageOf([result]));
  };
  const soFar = async (folder: string): Promise<RunResult> => {
    const [{ readRunLog }, { summarise }, { ofLog }] = await Promise.all([
      import('../run-log.ts'),
      import('../summary.ts'),
      import('./so-far.ts'),
    ]);
    return summarise(ofLog(readRunLog(folder)), () => '');
  };

  const follow = async (folder: string): Promise<void> => {
    isFollowing = true;
    // The first page loads what it needs: its time says nothing of the next.
    let isFirst = true;
    while (isFollowing) {
      const startedMs = performance.now();
      let pauseMs = PAUSE_MS;
      try {
        if (server.readers > 0) {
          await show(await soFar(folder));
          pauseMs = isFirst ? PAUSE_MS : Math.max(PAUSE_MS, (performance.now() - startedMs) / SHARE);
          isFirst = false;
        }
      } catch {
        // Its files are being written or taken away: the next look, or the end, will do.
      }
      const untilMs = startedMs + pauseMs;
      while (isFollowing && (performance.now() < untilMs || server.readers === 0)) await sleep(LOOK_MS);
    }
  };

  parentPort?.on('message', (message: ToPage) => {
    switch (message.kind) {
      case 'follow':
        making = making.then(() => follow(message.folder));
        break;
      case 'show':
        isFollowing = false;
        making = making.then(() => show(message.result)).catch(() => {});
        break;
      case 'end':
        isFollowing = false;
        making = making.then(() => server.end()).then(() => parentPort?.close());
        break;
    }
  });
} catch (error) {
  const { code = '', message } = error as NodeJS.ErrnoException;
  tell({ kind: 'refused', code, message });
  parentPort?.close();
}
