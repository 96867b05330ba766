// The figure of the spine: the mixed fleet at half the emulator's capacity, simulated and replayed. No evictions; counts,
// tokens and cache hits equal; mean TTFT and E2E within 3 %. Takes a minute of real time.
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { RunResult } from '../../scenarios/formats/result.ts';
import type { ValidationResult } from '../../scenarios/formats/validation.ts';
import { emptyFolder, start, windtunnel } from './run.ts';

const folder = emptyFolder();
afterAll(() => rmSync(folder, { recursive: true }));

const COHORTS = [0, 1, 2, 3, 4];
const at = (rate: string): string[] =>
  COHORTS.flatMap(i => ['--set', `traffic.${i}.arrival.poisson.rate=${rate}`]);
const simulated = (...args: string[]): RunResult =>
  JSON.parse(windtunnel(['simulate', 'mixed-fleet', '-d', 'emulated', '--json', ...args], folder).out);

test('the load is half of the capacity, and an unloaded first token takes over 200 ms', () => {
  // All sessions at once keep the engine saturated; capacity is the fleet over the time that takes.
  const saturatedMs = simulated(...at('1000/s')).durationMs;
  const offeredMs = simulated().durationMs;
  expect(saturatedMs / offeredMs).toBeGreaterThan(0.35);
  expect(saturatedMs / offeredMs).toBeLessThan(0.65);
  expect(simulated(...at('1/h')).metrics.ttft?.mean).toBeGreaterThan(200);
});

test('simulation and replay agree', async () => {
  const ran = await start(
    [
      'validate',
      'mixed-fleet',
      '-d',
      'emulated',
      '--emulate',
      '--tolerance',
      '3%',
      // Half of the sessions, in half of the time.
      ...[2, 4, 3, 4, 15].flatMap((sessions, i) => ['--set', `traffic.${i}.sessions=${sessions}`]),
      '--quiet',
      '--out',
      'fleet',
    ],
    folder,
  ).ended;
  expect(ran.code, ran.out + ran.err).toBe(0);
  const { comparisons, verdict } = JSON.parse(
    readFileSync(join(folder, 'fleet/validation.json'), 'utf8'),
  ) as ValidationResult;
  expect(verdict.fitness).toBe('absolute');
  const row = (metric: string) => comparisons[0]!.rows.find(each => each.metric === metric);
  for (const metric of ['mean TTFT', 'mean E2E'])
    expect(Math.abs(row(metric)?.errorRatio as number)).toBeLessThan(0.03);
  for (const metric of ['calls ok', 'prompt tokens', 'output tokens', 'cached tokens'])
    expect(row(metric)?.errorRatio).toBe(0);
});
