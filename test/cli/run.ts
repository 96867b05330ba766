// Runs the real command in a process of its own, as a user does, in an empty folder.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

export const ROOT = resolve(import.meta.dirname, '..', '..');
const MAIN = join(ROOT, 'bin', 'windtunnel.js');

export interface Ran {
  code: number | null;
  out: string;
  err: string;
}

export const emptyFolder = (): string => mkdtempSync(join(tmpdir(), 'windtunnel-cli-'));

export function windtunnel(args: readonly string[], cwd: string): Ran {
  const ran = spawnSync(process.execPath, [MAIN, ...args], {
    cwd,
    encoding: 'utf8',
    env: { ...process.env, NO_COLOR: '1' },
  });
  return { code: ran.status, out: ran.stdout, err: ran.stderr };
}

/** Starts a command that goes on; `until` resolves when its output holds a text. */
export function start(args: readonly string[], cwd: string) {
  const child = spawn(process.execPath, [MAIN, ...args], { cwd, env: { ...process.env, NO_COLOR: '1' } });
  const ran: Ran = { code: null, out: '', err: '' };
  const watchers: (() => void)[] = [];
  child.stdout.on('data', chunk => {
    ran.out += String(chunk);
    for (const watch of watchers) watch();
  });
  child.stderr.on('data', chunk => {
    ran.err += String(chunk);
    for (const watch of watchers) watch();
  });
  const ended = new Promise<Ran>(done =>
    child.on('close', code => {
      ran.code = code;
      done(ran);
    }),
  );
  const until = (text: string): Promise<void> =>
    new Promise((found, lost) => {
      const watch = (): void => {
        if (ran.out.includes(text) || ran.err.includes(text)) found();
      };
      watchers.push(watch);
      watch();
      void ended.then(() =>
        lost(new Error(`ended with ${ran.code} before "${text}":\n${ran.out}\n${ran.err}`)),
      );
    });
  return { child, ended, until };
}

export const write = (folder: string, name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return name;
};
