// `compare` as a user runs it: two kept runs, two deployments, and what is wrong with the command line.
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ComparisonResult } from '../../scenarios/formats/comparison.ts';
import { DEPLOYMENT, SCENARIO, withPool } from '../builders/stored-inputs.ts';
import { emptyFolder, type Ran, windtunnel, write } from './run.ts';

const folder = emptyFolder();
afterAll(() => rmSync(folder, { recursive: true }));

/** Few seeds and one figure that decides: enough for what is large. */
const FEW = ['--seeds', '3', '--primary', 'makespan.p95'];

const run = (...args: string[]): Ran => windtunnel([...args, '--quiet'], folder);
const resultOf = (out: string): ComparisonResult =>
  JSON.parse(readFileSync(join(folder, out, 'comparison.json'), 'utf8')) as ComparisonResult;

beforeAll(() => {
  write(folder, 's.yaml', JSON.stringify(SCENARIO));
  write(folder, 'a.yaml', JSON.stringify(DEPLOYMENT));
  write(
    folder,
    'b.yaml',
    JSON.stringify(withPool({ step: { model: 'affine', base: '12ms', per_token: '250us' } })),
  );
  for (const [name, deployment] of [
    ['one', 'a.yaml'],
    ['same', 'a.yaml'],
    ['slower', 'b.yaml'],
  ] as const)
    expect(run('simulate', 's.yaml', '-d', deployment, '--out', name).code).toBe(0);
});

describe('compare', () => {
  test('of a run with its twin says that they are the same', () => {
    const { code, out } = run('compare', 'one', 'same', '--out', 'twins');
    expect(code).toBe(0);
    expect(out).toMatch(/^= same and one are the same run: every record is equal/);
    expect(resultOf('twins').comparisons[0]).toMatchObject({ pairing: 'identical', verdict: 'unchanged' });
  });

  test('of a slower deployment says how much slower, writes its files, and exits with 0: it is no gate', () => {
    const { code, out } = run('compare', 'one', 'slower', ...FEW, '--explain', '--out', 'ab');
    expect(code).toBe(0);
    const lines = out.trim().split('\n');
    expect(lines[0]).toMatch(/^✗ slower is \d.* slower at the .*, against one$/);
    expect(lines.length).toBeLessThanOrEqual(25);
    expect(out).toContain('first difference: at ');
    expect(out).toContain('why: deployment: pools.main.step.base 8ms → 12ms: makespan.p95 +');
    expect(existsSync(join(folder, 'ab', 'report.html'))).toBe(true);
    expect(resultOf('ab').runs).toHaveLength(2);
    // The same inputs and seeds, the same bytes.
    run('compare', 'one', 'slower', ...FEW, '--explain', '--jobs', '1', '--out', 'again');
    expect(resultOf('again')).toEqual(resultOf('ab'));
  });

  test('makes the runs itself, of a scenario on two deployments', () => {
    const { code, out } = run(
      'compare',
      '--scenario',
      's.yaml',
      '-d',
      'a.yaml',
      '-d',
      'b.yaml',
      ...FEW,
      '--json',
      '--out',
      'fresh',
    );
    expect(code).toBe(0);
    const printed = JSON.parse(out) as ComparisonResult;
    expect(printed).toEqual(resultOf('fresh'));
    const kept = resultOf('ab').comparisons[0]!.figures;
    // As the kept runs, simulated again for the same seeds.
    expect(printed.comparisons[0]!.figures).toEqual(kept);
  });

  test('lets others decide than the usual figures, and by how much', () => {
    run(
      'compare',
      'one',
      'slower',
      '--seeds',
      '3',
      '--primary',
      'tpot.p50',
      '--min-effect',
      '90%',
      '--out',
      'mild',
    );
    const [compared] = resultOf('mild').comparisons;
    expect(compared!.figures.filter(({ isPrimary }) => isPrimary).map(({ id }) => id)).toEqual(['tpot.p50']);
    expect(compared!.verdict).toBe('unchanged');
  });
});

test.each([
  [[], 'nothing to compare'],
  [['one'], 'one run alone is compared with nothing'],
  [['one', 'nowhere'], 'nowhere: no such folder'],
  [['one', 'slower', '--primary', 'speed'], 'there is no figure "speed"'],
  [['one', 'slower', '--primary', 'ttft.p50,ttft.p95,itl.p95,e2e.p95'], 'expected 1 to 3'],
  [['one', 'slower', '--seeds', '1'], '--seeds 1'],
  [['one', 'slower', '--min-effect', 'much'], '--min-effect much'],
  [['one', '-d', 'a.yaml'], '--deployment needs --scenario'],
  [['one', '--scenario', 's.yaml', '-d', 'a.yaml', '-d', 'b.yaml'], 'one is one already'],
  [['--scenario', 's.yaml', '-d', 'a.yaml'], '--scenario needs two deployments'],
  [['--scenario', 's.yaml', '-d', 'a.yaml', '-d', 'b.yaml', '--live', '--blocks', '4'], '--blocks 4'],
  [
    ['--scenario', 's.yaml', '-d', 'a.yaml', '-d', 'b.yaml', '--live', '--endpoint', 'http://127.0.0.1:1/v1'],
    '--endpoint would serve every deployment alike',
  ],
])('compare %j is bad input, and nothing is written', (args, said) => {
  const { code, err } = run('compare', ...args, '--out', 'bad');
  expect(code).toBe(104);
  expect(err).toContain(said);
  expect(existsSync(join(folder, 'bad', 'comparison.json'))).toBe(false);
});
