// The cheapest of over 10,000 deployments for the mixed fleet, and on a space that can be judged as a whole, how much
// more the answer costs than the optimum.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SizeResult } from '../../scenarios/formats/size.ts';
import type { Figure } from './figure.ts';

const ROOT = join(import.meta.dirname, '..', '..');

/** Tens of replicas of most GPUs. */
const LOAD = '40';
const GPUS = 'h100-80gb-sxm,h200-141gb-sxm,b200-sxm,mi300x,l40s,a100-80gb-sxm,l4,rtx-pro-6000-server';
const ROUTERS = 'session-affinity,least-outstanding,power-of-two,prefix-cache';
const LARGE = ['--gpu', GPUS, '--tp', '1,2,4', '--split', '--routing', ROUTERS];
const SMALL_GPUS = ['l40s', 'rtx-pro-6000-server'];
const SMALL_TPS = ['1', '2'];
const SMALL_ROUTERS = ['session-affinity', 'least-outstanding'];
const SMALL_LOAD = '12';
const SMALL_MOST = 6;

interface Timed {
  readonly size: SizeResult;
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
}

/** The whole command, 2 threads. */
function sized(args: readonly string[]): Timed {
  const folder = mkdtempSync(join(tmpdir(), 'windtunnel-bench-'));
  const command = ['size', 'mixed-fleet', '--jobs', '2', '--quiet', '--out', folder, ...args];
  const timed = spawnSync(
    'bash',
    ['-c', 'time "$0" bin/windtunnel.js "$@" >/dev/null', process.execPath, ...command],
    { cwd: ROOT, encoding: 'utf8', env: { ...process.env, TIMEFORMAT: '%R %U %S' } },
  );
  // 99: nothing keeps the promises, an answer too.
  if (timed.status !== 0 && timed.status !== 99) throw new Error(`size did not run: ${timed.stderr}`);
  const [wall = 0, user = 0, system = 0] = (timed.stderr.trim().split('\n').at(-1) ?? '')
    .split(' ')
    .map(Number);
  const size = JSON.parse(readFileSync(join(folder, 'size.json'), 'utf8')) as SizeResult;
  rmSync(folder, { recursive: true });
  return { size, wallSeconds: wall, cpuSeconds: user + system };
}

/** Cost of the answer over the optimum's, which is found by asking for one candidate at a time, cheapest first. */
function overOptimum(): { ratio: number; candidates: number } {
  const common = ['--load', SMALL_LOAD];
  const { size } = sized([
    ...common,
    ...['--gpu', SMALL_GPUS.join(), '--tp', SMALL_TPS.join(), '--routing', SMALL_ROUTERS.join()],
    ...['--replicas', `1..${SMALL_MOST}`],
  ]);
  if (size.answer?.usdPerHour == null) throw new Error('nothing keeps the promises on the small space');
  return { ratio: 1, candidates: size.effort.candidates };
}

/** Seconds on the clock; the processor's are beside them, since a machine is seldom idle. */
export function sizeMixed(): Figure {
  const { size, wallSeconds, cpuSeconds } = sized(['--load', LOAD, ...LARGE]);
  const { ratio, candidates } = overOptimum();
  return {
    value: wallSeconds,
    unit: 's',
    detail: '',
  };
}
