// `--set` reaches both files of a run: what begins with a key that only deployments have is for the deployment.
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RunResult } from '../../scenarios/formats/result.ts';
import { workflowText } from '../builders/scenarios.ts';
import { DEPLOYMENT } from '../builders/worlds.ts';
import { emptyFolder, windtunnel, write } from './run.ts';

const folder = emptyFolder();
afterAll(() => rmSync(folder, { recursive: true }));
const run = (...args: string[]) => windtunnel(args, folder);
beforeAll(() => {
  write(folder, 's.yaml', workflowText('[ { llm: a, adds: 100, out: 10 } ]', '', 3));
  write(folder, 'd.yaml', DEPLOYMENT());
});

test('a run has what --set says of its scenario and of its deployment, and its command says so', () => {
  const set = ['--set', 'pools.main.replicas=3', '--set', 'seed=5'];
  const { code } = run('simulate', 's.yaml', '-d', 'd.yaml', ...set, '--out', 'r', '--quiet');
  expect(code).toBe(0);
  const result = JSON.parse(readFileSync(join(folder, 'r', 'result.json'), 'utf8')) as RunResult;
  expect(result.replicas).toMatchObject([{ readyMax: 3 }]);
  expect(result.header.seed).toBe(5);
  expect(result.header.command).toContain('--set pools.main.replicas=3');
});

test('what is not there is refused by its path, in either file', () => {
  const refused = (path: string) => run('check', 's.yaml', '-d', 'd.yaml', '--set', `${path}=3`);
  expect(refused('pools.mian.replicas')).toMatchObject({
    code: 104,
    err: expect.stringContaining('nothing is at "mian"'),
  });
  expect(refused('workflow.task')).toMatchObject({ code: 104 });
});
