// The emulator in a process of its own, so that the client that measures does not share its event loop.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { UserError } from '../scenarios/base/errors.ts';

const MAIN = fileURLToPath(new URL('../windtunnel.ts', import.meta.url));
const START_TIMEOUT_MS = 30_000;

export interface EmulatorProcess {
  /** Base URL up to /v1. */
  baseUrl: string;
  close(): Promise<void>;
}

/** Starts `windtunnel emulate DEPLOYMENT` on a free port and waits until it listens. */
export function startEmulatorProcess(deployment: string): Promise<EmulatorProcess> {
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', MAIN, 'emulate', deployment, '--port', '0', '--json'],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const ended = new Promise<void>(resolve => child.once('exit', () => resolve()));
  const kill = (): void => {
    child.kill('SIGTERM');
  };
  process.once('exit', kill);
  const close = async (): Promise<void> => {
    process.off('exit', kill);
    kill();
    await ended;
  };
  return new Promise((resolve, reject) => {
    let out = '';
    let err = '';
    const timer = setTimeout(
      () =>
        reject(new UserError(`the emulator did not start in ${START_TIMEOUT_MS / 1000} s`, { exitCode: 1 })),
      START_TIMEOUT_MS,
    );
    child.stderr.on('data', chunk => {
      err += String(chunk);
    });
    child.stdout.on('data', chunk => {
      out += String(chunk);
      const url = /"url": "([^"]+)"/.exec(out)?.[1];
      if (url === undefined) return;
      clearTimeout(timer);
      resolve({ baseUrl: `${url}/v1`, close });
    });
    void ended.then(() => {
      clearTimeout(timer);
      reject(new UserError(`the emulator ended at once: ${err.trim()}`, { exitCode: 1 }));
    });
  });
}
