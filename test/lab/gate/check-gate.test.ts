// `check --gate` as a CI owner meets it: no baseline, one that holds, one that is broken, and its history.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { emptyFolder, windtunnel } from '../../cli/run.ts';

describe('check --gate', () => {
  let folder = '';
  beforeAll(() => {
    folder = emptyFolder();
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  const check = (...args: string[]) => windtunnel(['check', 'job-scanner', ...args], folder);
  const baseline = () =>
    JSON.parse(readFileSync(join(folder, '.windtunnel/baselines/job-scanner.shape.json'), 'utf8'));

  test('without a baseline says how to save one', () => {
    const { code, err } = check('--gate');
    expect(code).toBe(104);
    expect(err).toContain('there is no baseline "job-scanner.shape"');
    expect(err).toContain('windtunnel check SCENARIO --gate --save');
  });

  test('holds what it has saved, and asks for no more', () => {
    expect(check('--gate', '--save')).toMatchObject({ code: 0 });
    const { code, out } = check('--gate');
    expect(code).toBe(0);
    expect(out).toContain('✓ PASSED  job-scanner asks for no more than its baseline');
  });

  test('fails a wider fan-out with 99, in words, JUnit and annotations', () => {
    const { code, out } = check(
      '--gate',
      '--set',
      'params.postings=20',
      '--reporter',
      'junit=out/j.xml',
      '--reporter',
      'github',
    );
    expect(code).toBe(99);
    expect(out).toMatch(/✗ FAILED {2}job-scanner asks for more: scan: calls /);
    expect(out).toMatch(/^::error title=windtunnel%3A scan\/calls::/m);
    expect(readFileSync(join(folder, 'out/j.xml'), 'utf8')).toContain('<failure message="scan: calls ');
  });

  test('allows what it is told to', () => {
    expect(check('--gate', '--set', 'params.postings=15', '--max-increase', '1%').code).toBe(99);
    expect(check('--gate', '--set', 'params.postings=15', '--max-increase', '50%').code).toBe(0);
    expect(check('--gate', '--max-increase', 'much')).toMatchObject({ code: 104 });
  });

  test('keeps the states that a baseline had, and shows the drift', () => {
    const before = baseline();
    expect(check('--gate', '--save', '--set', 'params.postings=16').code).toBe(0);
    expect(baseline().history).toHaveLength(1);
    expect(baseline().history[0].means['scan/calls']).toBe(
      before.figures.find((each: { id: string }) => each.id === 'scan/calls').values[0],
    );
    expect(check('--gate', '--set', 'params.postings=16').out).toMatch(/[▁-█]{2,3} scan: calls/);
  });

  test('names what is wrong with a file or a name', () => {
    expect(check('--gate', '--name', '../x')).toMatchObject({ code: 104 });
    expect(check('--gate', '--reporter', 'junti').err).toContain('did you mean "junit"');
    mkdirSync(join(folder, '.windtunnel/baselines'), { recursive: true });
    writeFileSync(join(folder, '.windtunnel/baselines/cut.shape.json'), '{"kind":');
    const { code, err } = check('--gate', '--name', 'cut');
    expect(code).toBe(104);
    expect(err).toContain('cut.shape.json is not valid JSON');
  });
});
