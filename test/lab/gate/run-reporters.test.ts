// `--reporter` of a run: what CI is told of the promises of a scenario, each at its line.
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { emptyFolder, ROOT, windtunnel, write } from '../../cli/run.ts';

let folder = '';
beforeAll(() => {
  folder = emptyFolder();
  const text = readFileSync(join(ROOT, 'scenarios/library/job-scanner.yaml'), 'utf8');
  write(folder, 'mine.yaml', text.replace('rate(429) < 1%', 'p95(ttft) < 1ms'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const simulate = (...args: string[]) =>
  windtunnel(['simulate', 'mine.yaml', '-d', 'workstation-ministral-14b', '--quiet', ...args], folder);

test('annotations stand beside the line of the promise that broke', () => {
  const { code, out } = simulate('--reporter', 'github');
  const line = readFileSync(join(folder, 'mine.yaml'), 'utf8')
    .split('\n')
    .findIndex(text => text.includes('p95(ttft) < 1ms'));
  expect(code).toBe(99);
  expect(out).toContain(
    `::error file=mine.yaml,line=${line + 1},col=5,title=windtunnel%3A assert p95(ttft) < 1ms::`,
  );
});

test('a document on stdout stays one document', () => {
  const { out, err } = simulate('--json', '--reporter', 'github', '--reporter', 'junit=ci/junit.xml');
  expect(JSON.parse(out).kind).toBe('run');
  expect(err).toContain('::error file=mine.yaml');
  expect(readFileSync(join(folder, 'ci/junit.xml'), 'utf8')).toContain('file="mine.yaml"');
});

test('a reporter that there is not costs no run', () => {
  const { code, err } = simulate('--out', 'none', '--reporter', 'junitt');
  expect(code).toBe(104);
  expect(err).toContain('did you mean "junit"');
  expect(existsSync(join(folder, 'none'))).toBe(false);
});
