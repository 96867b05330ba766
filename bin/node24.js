// Finds a Node that runs TypeScript unbuilt (22.19 or later) for a machine whose own Node is older: the pinned
// binary from the optional dependency node-<platform>-<arch>. Plain ES2018, so that any Node can read it.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** True where the running Node strips types without a flag and is new enough for our dependencies. */
export function isRecentNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  return major > 22 || (major === 22 && minor >= 19);
}

/** The path of a Node that can run the sources, or null. */
export function recentNode() {
  if (isRecentNode()) return process.execPath;
  const platform = process.platform === 'win32' ? 'win' : process.platform;
  const name = process.platform === 'win32' ? 'node.exe' : 'node';
  const pinned = join(root, 'node_modules', `node-${platform}-${process.arch}`, 'bin', name);
  return existsSync(pinned) ? pinned : null;
}

export const tooOld =
  `windtunnel needs Node 22.19 or later; this is ${process.versions.node}, and no pinned Node is installed.\n` +
  'hint: run "npm install" in the clone (it brings Node 24 on Linux and Windows), or install a newer Node.';

/** Runs a program, passes signals on, and resolves to its exit code. */
export function run(command, args, options = {}) {
  return new Promise(resolve => {
    const child = spawn(command, args, { stdio: 'inherit', ...options });
    const forward = signal => child.kill(signal);
    // A terminal sends Ctrl-C to the whole group: the child has it already; a plain kill reaches only us.
    const signals = process.stdin.isTTY ? ['SIGTERM', 'SIGHUP'] : ['SIGINT', 'SIGTERM', 'SIGHUP'];
    if (process.stdin.isTTY) process.on('SIGINT', () => {});
    for (const signal of signals) process.on(signal, forward);
    child.on('error', error => {
      console.error(String(error.message));
      resolve(1);
    });
    child.on('exit', (code, signal) => resolve(code ?? (signal === 'SIGINT' ? 105 : 1)));
  });
}
