// Two deployments live, in turns, each round on emulators of their own.
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { ComparisonResult } from '../../scenarios/formats/comparison.ts';
import { DEPLOYMENT, SCENARIO, withPool } from '../builders/stored-inputs.ts';
import { emptyFolder, start, write } from './run.ts';

const folder = emptyFolder();
afterAll(() => rmSync(folder, { recursive: true }));

// Tried again where our own client lagged: nothing is said of such rounds.
test('steps of twice the time are found in eight rounds, A B B A', { retry: 1 }, async () => {
  write(folder, 's.yaml', JSON.stringify(SCENARIO));
  write(folder, 'a.yaml', JSON.stringify(DEPLOYMENT));
  write(
    folder,
    'b.yaml',
    JSON.stringify(withPool({ step: { model: 'affine', base: '16ms', per_token: '500us' } })),
  );
  const ran = await start(
    [
      'compare',
      '--scenario',
      's.yaml',
      '-d',
      'a.yaml',
      '-d',
      'b.yaml',
      '--emulate',
      '--blocks',
      '8',
      '--quiet',
      '--out',
      'out',
    ],
    folder,
  ).ended;
  expect(ran.code, ran.out + ran.err).toBe(0);
  const result = JSON.parse(readFileSync(join(folder, 'out', 'comparison.json'), 'utf8')) as ComparisonResult;
  expect(result.comparisons[0]).toMatchObject({ pairing: 'interleaved', blocks: 8, verdict: 'regressed' });
  const rounds = readdirSync(join(folder, 'out', 'blocks'));
  expect(rounds).toHaveLength(16);
  const startedAt = (round: string): string => {
    const path = join(folder, 'out', 'blocks', round, 'result.json');
    expect(existsSync(path)).toBe(true);
    return (JSON.parse(readFileSync(path, 'utf8')) as { header: { startedAt: string } }).header.startedAt;
  };
  const order = rounds.toSorted((a, b) => (startedAt(a) < startedAt(b) ? -1 : 1));
  expect(order.slice(0, 4)).toEqual(['01-a', '01-b', '02-b', '02-a']);
});
