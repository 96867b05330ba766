// Servers that take a minute to start are shared by the test files of a live run, and end with it.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endGroup } from './vllm.ts';

export default function setup(): () => void {
  // Whoever tries one file again and again may share servers that are there.
  if (process.env.WINDTUNNEL_LIVE_SERVERS !== undefined) return () => {};
  const folder = mkdtempSync(join(tmpdir(), 'windtunnel-live-'));
  process.env.WINDTUNNEL_LIVE_SERVERS = folder;
  return () => {
    for (const name of readdirSync(folder))
      endGroup(Number(readFileSync(join(folder, name, 'pid.txt'), 'utf8')));
    rmSync(folder, { recursive: true, force: true });
  };
}
