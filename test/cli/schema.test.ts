// `schema` prints or writes what an editor needs.
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { deploymentJsonSchema, scenarioJsonSchema } from '../../scenarios/formats/json-schema/json-schema.ts';
import { emptyFolder, windtunnel } from './run.ts';

const folder = emptyFolder();
afterAll(() => rmSync(folder, { recursive: true }));
const run = (...args: string[]) => windtunnel(['schema', ...args], folder);

test('prints the schema of scenarios, or of deployments', () => {
  expect(JSON.parse(run().out)).toEqual(scenarioJsonSchema());
  expect(JSON.parse(run('deployment').out)).toEqual(deploymentJsonSchema());
});

test('writes a file, and says the line that names it', () => {
  const { code, out } = run('--out', 'scenario.schema.json');
  expect([code, out]).toEqual([
    0,
    'first line of a scenario:\n# yaml-language-server: $schema=scenario.schema.json\n',
  ]);
  expect(JSON.parse(readFileSync(join(folder, 'scenario.schema.json'), 'utf8'))).toEqual(
    scenarioJsonSchema(),
  );
  expect(JSON.parse(run('--out', 'again.json', '--json').out)).toEqual({ out: 'again.json' });
});

test('refuses other kinds, and files that cannot be written', () => {
  expect(run('plan')).toMatchObject({ code: 104, err: expect.stringContaining('deployment') });
  expect(run('--out', 'no/such/folder.json')).toMatchObject({
    code: 104,
    err: expect.stringContaining('cannot write'),
  });
});
