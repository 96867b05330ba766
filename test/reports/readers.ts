// Other people's readers of what we write: DuckDB, pandas, OpenTelemetry's own protocol and Kubernetes' schemas, in a Python of their own
// (.ci/parts fetches it). CI has it; elsewhere its tests are skipped, visibly, where it is absent.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

const PYTHON =
  process.env.WINDTUNNEL_READERS ??
  join(process.env.WINDTUNNEL_PARTS ?? join(homedir(), '.cache', 'windtunnel'), 'readers-2', 'bin', 'python');

/** CI never skips: there a missing reader is a failure. */
export const hasReaders = process.env.CI === 'true' || existsSync(PYTHON);

/** Runs a script of test/reports/readers/; what it prints is JSON. */
export function read<Result>(
  script: string,
  options: { args?: string[]; input?: string; cwd?: string },
): Result {
  const { args = [], input = '', cwd = import.meta.dirname } = options;
  const path = join(import.meta.dirname, 'readers', `${script}.py`);
  const ran = spawnSync(PYTHON, [path, ...args], { cwd, input, encoding: 'utf8', maxBuffer: 1 << 26 });
  if (ran.status !== 0) throw new Error(`${PYTHON} ${script}: ${ran.error?.message ?? ran.stderr}`);
  return JSON.parse(ran.stdout) as Result;
}
