// The page of a run of a million calls, and of ten such runs: how large, how long to write, and how soon it is there in
// a browser. The run is simulated once and kept in the system's temporary folder.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Figure } from './figure.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const RUN = join(tmpdir(), 'windtunnel-bench-report-1m');
/** Says the most memory that the process had, at its end. */
const TELL_MEMORY = `data:text/javascript,process.on('exit',()=>console.error('maxrss',process.resourceUsage().maxRSS))`;

function node(args: string[]): { stdout: string; stderr: string; seconds: number } {
  const start = process.hrtime.bigint();
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', cwd: ROOT });
  if (status !== 0) throw new Error(`${args.join(' ')}\n${stderr}`);
  return { stdout, stderr, seconds: Number(process.hrtime.bigint() - start) / 1e9 };
}

interface Cost {
  calls: number;
  simulateSeconds: number;
  simulatedMb: number;
  publishSeconds: number;
  publishedMb: number;
}

function theRun(): Cost {
  const cost = join(RUN, 'cost.json');
  if (!existsSync(cost)) node([join(import.meta.dirname, 'report-run.ts'), RUN]);
  return JSON.parse(readFileSync(cost, 'utf8'));
}

interface Written {
  mb: number;
  seconds: number;
  memoryMb: number;
}

function written(runs: number, out: string): Written {
  const folders = Array.from({ length: runs }, () => RUN);
  const { stderr, seconds } = node([
    '--import',
    TELL_MEMORY,
    'windtunnel.ts',
    'report',
    ...folders,
    '--out',
    out,
  ]);
  const memoryMb = Number(/maxrss (\d+)/.exec(stderr)![1]) / 1024;
  return { mb: statSync(out).size / 1e6, seconds, memoryMb };
}

function inBrowser(page: string): string {
  if (!existsSync('/usr/bin/chromium')) return 'no Chromium here';
  const { stdout } = node([join(import.meta.dirname, 'report-browser.ts'), page]);
  const { firstMs, allMs, charts } = JSON.parse(stdout) as { firstMs: number; allMs: number; charts: number };
  return `first chart ${(firstMs / 1000).toFixed(2)} s, all ${charts} ${(allMs / 1000).toFixed(2)} s`;
}

const told = ({ mb, seconds, memoryMb }: Written): string =>
  `${mb.toFixed(2)} MB in ${seconds.toFixed(1)} s and ${memoryMb.toFixed(0)} MB of memory`;

export function reportOfMillion(): Figure {
  const cost = theRun();
  const folder = mkdtempSync(join(tmpdir(), 'windtunnel-bench-'));
  const [one, ten] = [join(folder, 'one.html'), join(folder, 'ten.html')];
  const [first, all] = [written(1, one), written(10, ten)];
  const detail = [
    `${cost.calls} calls: ${told(first)}, ${inBrowser(one)}`,
    `10 runs: ${told(all)}, ${inBrowser(ten)}`,
    `the run itself: ${cost.simulateSeconds.toFixed(0)} CPU-s and ${cost.simulatedMb.toFixed(0)} MB simulated, ` +
      `${cost.publishSeconds.toFixed(0)} CPU-s and ${cost.publishedMb.toFixed(0)} MB published`,
  ].join('; ');
  rmSync(folder, { recursive: true });
  return { value: first.mb, unit: 'MB', detail };
}
