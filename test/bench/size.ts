// The cheapest of over 10,000 deployments for the mixed fleet; and on a space that can be judged as a whole, how far the
// answer's cost is from the optimum's.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SizeResult } from '../../scenarios/formats/size.ts';
import type { Figure } from './figure.ts';
import type { Optimum } from './size-optimum.ts';

const ROOT = join(import.meta.dirname, '..', '..');

/** Forty times the mixed fleet needs tens of replicas of the smaller GPUs. */
const ARGS = [
  ...['size', 'mixed-fleet', '--load', '40', '--split', '--tp', '1,2,4', '--replicas', '1..64'],
  ...['--gpu', 'h100-80gb-sxm,h200-141gb-sxm,b200-sxm,mi300x,l40s,a100-80gb-sxm,l4,rtx-pro-6000-server'],
  ...['--price', 'l4=0.80/h', '--routing', 'session-affinity,least-outstanding,power-of-two,prefix-cache'],
  ...['--jobs', '2', '--quiet', '--out'],
];

/** Seconds on the clock, the whole command; the processor's are beside them, since a machine is seldom idle. */
export function sizeMixed(): Figure {
  const folder = mkdtempSync(join(tmpdir(), 'windtunnel-bench-'));
  const timed = spawnSync(
    'bash',
    ['-c', 'time "$0" bin/windtunnel.js "$@" >/dev/null', process.execPath, ...ARGS, folder],
    { cwd: ROOT, encoding: 'utf8', env: { ...process.env, TIMEFORMAT: '%R %U %S' } },
  );
  if (timed.status !== 0) throw new Error(`size did not run: ${timed.stderr}`);
  const [wall = 0, user = 0, system = 0] = (timed.stderr.trim().split('\n').at(-1) ?? '')
    .split(' ')
    .map(Number);
  const { answer, effort, trials } = JSON.parse(
    readFileSync(join(folder, 'size.json'), 'utf8'),
  ) as SizeResult;
  rmSync(folder, { recursive: true });
  const { candidates, runs, calls } = effort;
  return {
    value: wall,
    unit: 's',
    detail:
      `${candidates} candidates, ${trials.length} trials in the search, ${runs} runs of ${calls} calls in all, ` +
      `${(user + system).toFixed(0)} CPU s; ${answer?.name}; ${optimumText()}`,
  };
}

function optimumText(): string {
  const ran = spawnSync(process.execPath, [join(import.meta.dirname, 'size-optimum.ts')], {
    encoding: 'utf8',
  });
  if (ran.status !== 0) throw new Error(`the optimum was not found: ${ran.stderr}`);
  const { candidates, found, best, ratio } = JSON.parse(ran.stdout) as Optimum;
  return `of ${candidates} that were judged one by one ${ratio.toFixed(3)} x the optimum's cost (${found}, ${best})`;
}
