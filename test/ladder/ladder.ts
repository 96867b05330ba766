// The figure of calibrate: a server is calibrated, and a scenario that it never saw is predicted at shares of its capacity
// and then replayed, several times, so that the noise of the machine stands beside the error. Client on core 1.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { deviation, mean } from '../../scenarios/base/statistics.ts';
import type { RunResult } from '../../scenarios/formats/result.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const SCENARIO = join(import.meta.dirname, 'unseen.yaml');
/** Chains to fan-outs, as the scenario has them. */
const PARTS = [2 / 3, 1 / 3];

export interface LadderOptions {
  /** Up to /v1. */
  url: string;
  /** An empty folder. */
  folder: string;
  /** Shares of capacity. */
  levels: readonly number[];
  repeats: number;
  /** Of each run. */
  sessions: number;
  /** Options of `calibrate`. */
  calibrate: readonly string[];
  /** A deployment that was calibrated before, in place of doing so. */
  deployment: string | null;
  /** Told of each command's last lines. */
  log: (text: string) => void;
}

export interface LadderRow {
  level: number;
  metric: string;
  predicted: number;
  /** Mean over repeats. */
  measured: number;
  /** (predicted - measured) / measured */
  errorRatio: number;
  /** Deviation of the repeats beside their mean; NaN of one. */
  noiseRatio: number;
  limitRatio: number;
  pass: boolean;
}

const METRICS = [
  ['TTFT', 'ttft'],
  ['TPOT', 'tpot'],
  ['E2E', 'e2e'],
  ['workflow time', 'makespan'],
] as const;
/** The larger of a share and a multiple of the noise. */
const LIMITS = { mean: { ratio: 0.1, noises: 1.5 }, p95: { ratio: 0.2, noises: 2 } } as const;

const hasTaskset = spawnSync('taskset', ['-V']).status === 0;

/** Runs the command on core 1, which the engine does not use. */
function windtunnel(args: readonly string[], folder: string): string {
  const main = [process.execPath, join(ROOT, 'bin', 'windtunnel.js'), ...args];
  const [program, ...rest] = hasTaskset ? ['taskset', '-c', '1', ...main] : main;
  const ran = spawnSync(program!, rest, {
    cwd: folder,
    encoding: 'utf8',
    env: { ...process.env, NO_COLOR: '1' },
    maxBuffer: 1 << 28,
  });
  if (ran.status === 0) return ran.stdout;
  throw new Error(`windtunnel ${args.join(' ')} ended with ${ran.status}:\n${ran.stdout}\n${ran.stderr}`);
}

export function climb(options: LadderOptions): LadderRow[] {
  const { url, folder, levels, repeats, sessions, log } = options;
  let { deployment } = options;
  if (deployment === null) {
    log(
      windtunnel(
        ['calibrate', url, '--quiet', '--out', 'calibrated', '--name', 'mine', ...options.calibrate],
        folder,
      ),
    );
    deployment = join('calibrated', 'mine.deployment.yaml');
  }
  const at = (perSec: number): string[] =>
    PARTS.flatMap((part, i) => [
      '--set',
      `traffic.${i}.arrival.poisson.rate=${(perSec * part).toPrecision(6)}/s`,
      '--set',
      `traffic.${i}.sessions=${Math.round(sessions * part)}`,
    ]);
  const run = (command: string, out: string, more: readonly string[]): RunResult => {
    windtunnel([command, SCENARIO, '-d', deployment, '--quiet', '--out', out, ...more], folder);
    return JSON.parse(readFileSync(join(folder, out, 'result.json'), 'utf8')) as RunResult;
  };
  // All at once: the engine is full until the last of them ends.
  const saturated = run('simulate', 'sim-full', at(10_000));
  const capacityPerSec = sessions / (saturated.durationMs / 1000);
  log(`capacity: ${capacityPerSec.toPrecision(3)} sessions/s`);
  const predicted = levels.map((level, i) => run('simulate', `sim-${i}`, at(level * capacityPerSec)));
  const measured = levels.map((): RunResult[] => []);
  // Repeats of a level lie apart, so that a drift of the machine is in the noise.
  for (let repeat = 0; repeat < repeats; repeat++)
    for (const [i, level] of levels.entries()) {
      measured[i]!.push(
        run('replay', `live-${i}-${repeat}`, [...at(level * capacityPerSec), '--vocab', '4000']),
      );
      log(`replayed at ${Math.round(level * 100)} %, ${repeat + 1} of ${repeats}`);
    }
  return levels.flatMap((level, i) => rowsOf(level, predicted[i]!, measured[i]!));
}

function rowsOf(level: number, predicted: RunResult, measured: readonly RunResult[]): LadderRow[] {
  return METRICS.flatMap(([name, metric]) =>
    (['mean', 'p95'] as const).map(statistic => {
      const of = ({ metrics }: RunResult): number => metrics[metric]?.[statistic] ?? Number.NaN;
      const values = measured.map(of);
      const middle = mean(values);
      const noiseRatio = deviation(values) / middle;
      const errorRatio = of(predicted) / middle - 1;
      const { ratio, noises } = LIMITS[statistic];
      const limitRatio = Math.max(ratio, noises * (Number.isNaN(noiseRatio) ? 0 : noiseRatio));
      return {
        level,
        metric: `${statistic} ${name}`,
        predicted: of(predicted),
        measured: middle,
        errorRatio,
        noiseRatio,
        limitRatio,
        pass: Math.abs(errorRatio) <= limitRatio,
      };
    }),
  );
}

export function ladderText(rows: readonly LadderRow[], repeats: number): string {
  const percent = (ratio: number): string => (Number.isNaN(ratio) ? '–' : `${(ratio * 100).toFixed(1)} %`);
  const cells = [
    ['level', 'metric', 'predicted', `measured (${repeats})`, 'error', 'noise', 'limit', ''],
    ...rows.map(row => [
      `${Math.round(row.level * 100)} %`,
      row.metric,
      `${row.predicted.toFixed(1)} ms`,
      `${row.measured.toFixed(1)} ms`,
      `${row.errorRatio > 0 ? '+' : ''}${percent(row.errorRatio)}`,
      percent(row.noiseRatio),
      percent(row.limitRatio),
      row.pass ? 'pass' : 'FAIL',
    ]),
  ];
  const widths = cells[0]!.map((_, i) => Math.max(...cells.map(row => row[i]!.length)));
  return cells
    .map(row =>
      row
        .map((cell, i) => cell.padEnd(widths[i]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
