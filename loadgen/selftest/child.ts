// The deadline server in a process of its own, so that it shares no event loop with the client it measures.
import { fork } from 'node:child_process';
import { join } from 'node:path';
import type { ClockZero } from '../clock.ts';
import { type Behaviour, type ServerTruth, USUAL } from './server.ts';

export interface ServerProcess {
  /** Up to /v1. */
  readonly baseUrl: string;
  readonly pid: number;
  /** Forgets what it logged, and changes how it answers. No stream may be under way. */
  reset(changes?: Partial<Behaviour>): Promise<void>;
  truth(): Promise<ServerTruth>;
  close(): Promise<void>;
}

/** Its times count from `zero`. */
export async function startServer(zero: ClockZero, changes: Partial<Behaviour> = {}): Promise<ServerProcess> {
  const settings = JSON.stringify({ zero, behaviour: { ...USUAL, ...changes } });
  const child = fork(join(import.meta.dirname, 'serve.ts'), [settings], {
    execArgv: ['--disable-warning=ExperimentalWarning'],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const ended = new Promise<void>(resolve => child.once('exit', () => resolve()));
  const port = await new Promise<number>((resolve, reject) => {
    child.once('message', message => resolve((message as { port: number }).port));
    child.once('error', reject);
    child.once('exit', code => reject(new Error(`the server ended with ${code} before it listened`)));
  });
  const origin = `http://127.0.0.1:${port}`;
  const get = async (path: string): Promise<unknown> => {
    const response = await fetch(origin + path);
    const body: unknown = await response.json();
    if (!response.ok) throw new Error(`${path}: ${response.status} ${JSON.stringify(body)}`);
    return body;
  };
  return {
    baseUrl: `${origin}/v1`,
    pid: child.pid as number,
    async reset(behaviour = {}) {
      const query = Object.entries(behaviour).map(
        ([name, value]) => `${name.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`)}=${value}`,
      );
      await get(`/reset?${query.join('&')}`);
    },
    truth: async () => (await get('/stats')) as ServerTruth,
    async close() {
      child.disconnect();
      await ended;
    },
  };
}
