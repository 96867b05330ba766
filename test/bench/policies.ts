// The policy bench: every routing policy on the mixed fleet, ten loads, ten seeds, the whole command.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PolicyBenchResult } from '../../scenarios/formats/policy-bench.ts';
import type { Figure } from './figure.ts';

const ROOT = join(import.meta.dirname, '..', '..');

/** Seconds on the clock; the processor's are beside them, since a machine is seldom idle. */
export function policyBench(): Figure {
  const folder = mkdtempSync(join(tmpdir(), 'windtunnel-bench-'));
  const command = 'bench-policies mixed-fleet -d 8xh200-mistral-small-4 --quiet --out';
  const timed = spawnSync(
    'bash',
    ['-c', `time "$0" bin/windtunnel.js ${command} "$1" >/dev/null`, process.execPath, join(folder, 'out')],
    { cwd: ROOT, encoding: 'utf8', env: { ...process.env, TIMEFORMAT: '%R %U %S' } },
  );
  if (timed.status !== 0) throw new Error(`the bench did not run: ${timed.stderr}`);
  const [wall = 0, user = 0, system = 0] = (timed.stderr.trim().split('\n').at(-1) ?? '')
    .split(' ')
    .map(Number);
  const result = JSON.parse(readFileSync(join(folder, 'out', 'result.json'), 'utf8')) as PolicyBenchResult;
  rmSync(folder, { recursive: true });
  const { curves, loadRatios, seeds, runs, callsMin } = result;
  return {
    value: wall,
    unit: 's',
    detail: `${curves.length} policies x ${loadRatios.length} loads x ${seeds.length} seeds = ${runs} runs of ${callsMin} calls or more, ${(user + system).toFixed(0)} CPU s`,
  };
}
