// What an editor offers, explains and refuses in a scenario or a deployment: asked of the YAML language server that
// VS Code, Neovim and Helix run, which finds the schema by the first line of the file.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { deploymentJsonSchema, scenarioJsonSchema } from '../../scenarios/formats/json-schema/json-schema.ts';
import { VERBS } from '../../scenarios/formats/steps.ts';
import { type Editor, type Place, startLanguageServer } from './language-server.ts';

const folder = mkdtempSync(join(tmpdir(), 'windtunnel-editor-'));
let server: ReturnType<typeof startLanguageServer>;

beforeAll(() => {
  writeFileSync(join(folder, 'scenario.schema.json'), JSON.stringify(scenarioJsonSchema()));
  writeFileSync(join(folder, 'deployment.schema.json'), JSON.stringify(deploymentJsonSchema()));
  server = startLanguageServer();
});
afterAll(async () => {
  await server.stop();
  rmSync(folder, { recursive: true });
});

let documents = 0;

/** Opens a text in which `|` is the cursor. */
async function edit(text: string, kind = 'scenario'): Promise<Editor & { cursor: Place }> {
  const whole = `# yaml-language-server: $schema=./${kind}.schema.json\n${text}`;
  const offset = whole.indexOf('|');
  const before = (offset < 0 ? whole : whole.slice(0, offset)).split('\n');
  const cursor = { line: before.length - 1, character: before.at(-1)?.length ?? 0 };
  const editor = await server.open(join(folder, `file-${documents++}.yaml`), whole.replace('|', ''));
  return { ...editor, cursor };
}

async function offered(text: string, kind?: string): Promise<string[]> {
  const { completion, cursor } = await edit(text, kind);
  return completion(cursor);
}

async function said(text: string, kind?: string): Promise<string[]> {
  const { diagnostics } = await edit(text, kind);
  return (await diagnostics()).map(({ message }) => message);
}

/** A scenario whose only step is the given one, in block style. */
const step = (text: string): string => `windtunnel: 1
models: { m: { model: ministral-3-14b } }
traffic: [ { workflow: a, arrival: { at_once: true }, sessions: 1 } ]
workflows:
  a:
    steps:
      - ${text}`;

describe('what is offered', () => {
  const verbs = Object.keys(VERBS);

  test('in an empty file, its keys', async () => {
    expect(await offered('|')).toEqual(
      expect.arrayContaining(['windtunnel', 'models', 'workflows', 'traffic']),
    );
  });

  test('for a new step, the verbs and nothing else', async () => {
    expect((await offered(step('|'))).sort()).toEqual([...verbs].sort());
    expect((await offered(step('l|'))).sort()).toEqual([...verbs].sort());
  });

  test.each([
    ['in a branch of a parallel', 'parallel: p\n        branches:\n          - |'],
    [
      'in a case of a branch',
      'branch: b\n        cases:\n          - weight: 30%\n            steps:\n              - |',
    ],
    ['in what runs on an error', 'try: t\n        steps: [ fetch ]\n        on_error:\n          - |'],
  ])('%s too', async (_, text) => {
    expect((await offered(step(text))).sort()).toEqual([...verbs].sort());
  });

  test('once a verb is there, its keys and none of another verb', async () => {
    const call = await offered(step('llm: answer\n        |'));
    expect(call).toEqual(expect.arrayContaining(['out', 'adds', 'reads', 'role', 'prefix', 'context']));
    for (const key of ['over', 'times', 'cases', 'branches', 'tool']) expect(call).not.toContain(key);
    const map = await offered(step('map: all\n        |'));
    expect(map).toEqual(expect.arrayContaining(['over', 'max_parallel', 'join', 'steps']));
    for (const key of ['out', 'times', 'role']) expect(map).not.toContain(key);
    expect(await offered(step('{ llm: answer, out: 3, ad| }'))).toContain('adds');
  });

  test('for a role, its values', async () => {
    expect(await offered(step('llm: answer\n        out: 5\n        role: |'))).toEqual(
      expect.arrayContaining(['planner', 'worker', 'evaluator', 'router', 'final', 'summarizer']),
    );
  });

  test('for an amount, the keys of distributions; for a named one, its own', async () => {
    expect(await offered(step('llm: answer\n        out:\n          |'))).toEqual(
      expect.arrayContaining(['median', 'mean', 'mixture', 'choice', 'empirical', 'dist']),
    );
    const gamma = await offered(step('wait:\n          dist: gamma\n          |'));
    expect(gamma).toEqual(expect.arrayContaining(['mean', 'cv', 'shape', 'scale']));
    expect(gamma).not.toContain('median');
    expect(await offered(step('wait:\n          dist: |'))).toContain('weibull');
  });

  test('for an arrival, the processes; inside of one, its keys', async () => {
    const cohort = 'windtunnel: 1\ntraffic:\n  - workflow: a\n    arrival:\n      ';
    expect(await offered(`${cohort}|\n`)).toEqual(
      expect.arrayContaining(['poisson', 'constant', 'cron', 'closed', 'diurnal', 'phases']),
    );
    expect(await offered(`${cohort}closed:\n        |\n`)).toEqual(
      expect.arrayContaining(['agents', 'think']),
    );
  });

  test('in a deployment, the keys of a pool and of its step model', async () => {
    const pool = 'windtunnel: 1\ndeployment: d\npools:\n  main:\n    model: ministral-3-14b\n    ';
    expect(await offered(`${pool}|`, 'deployment')).toEqual(
      expect.arrayContaining(['gpu', 'replicas', 'tensor_parallel', 'limits', 'step', 'endpoints']),
    );
    const affine = await offered(`${pool}step:\n      model: affine\n      |`, 'deployment');
    expect(affine).toEqual(expect.arrayContaining(['base', 'per_token', 'per_sequence']));
  });
});

describe('what is explained', () => {
  test('a key, by its description', async () => {
    const { hover, cursor } = await edit(step('llm: answer\n        out: 5\n        rea|soning: 300'));
    expect(await hover(cursor)).toContain('generated and billed first, then dropped from the thread');
  });

  test('a key of a distribution, and of a pool', async () => {
    const amount = await edit(step('wait: { dist: gamma, mean: 3s, c|v: 2 }'));
    expect(await amount.hover(amount.cursor)).toContain('deviation over mean');
    const pool = await edit(
      'windtunnel: 1\ndeployment: d\npools:\n  main: { model: m, tensor_par|allel: 2 }\n',
      'deployment',
    );
    expect(await pool.hover(pool.cursor)).toContain('GPUs that share each layer');
  });
});

describe('what is refused', () => {
  test('nothing in a good file', async () => {
    expect(
      await said(step('{ llm: answer, adds: =tokens(prev) + 20, out: { median: 216, p90: 899 } }')),
    ).toEqual([]);
  });

  test('an unknown key, by name and place', async () => {
    const { diagnostics } = await edit(step('llm: answer\n        out: 5\n        ads: 200'));
    expect(await diagnostics()).toEqual([
      expect.objectContaining({
        message: 'Property ads is not allowed.',
        range: expect.objectContaining({ start: { line: 9, character: 8 } }),
      }),
    ]);
  });

  test.each([
    ['a verb that does not exist', '{ lmm: answer }', 'Property lmm is not allowed.'],
    ['a key that is missing', '{ llm: answer }', 'Missing property "out".'],
    [
      'a duration without its unit',
      '{ wait: 350 }',
      'expected a duration, such as 350ms, or an expression that starts with =',
    ],
    [
      'a unit that is no duration',
      '{ wait: 350k }',
      'expected a duration, such as 350ms, or an expression that starts with =',
    ],
    [
      'a key of another distribution',
      '{ wait: { dist: gamma, mean: 3s, cv: 2, median: 2s } }',
      'Property median is not allowed.',
    ],
    [
      'a key of another form',
      '{ llm: a, out: 5, timeout: { atempt: 3s } }',
      'Property atempt is not allowed.',
    ],
  ])('%s', async (_, text, message) => {
    expect(await said(step(text))).toEqual([message]);
  });

  test('an unknown key of a pool', async () => {
    const text = 'windtunnel: 1\ndeployment: d\npools:\n  main: { model: m, gpuu: h100 }\n';
    expect(await said(text, 'deployment')).toEqual(['Property gpuu is not allowed.']);
  });

  test('a file that extends another may leave out what that one has', async () => {
    expect(
      await said('extends: coding-agent\ntools: { shell: { latency: { median: 2s, p90: 5s } } }\n'),
    ).toEqual([]);
    expect(await said('extends: coding-agent\ntool: {}\n')).toEqual(['Property tool is not allowed.']);
    const latency = 'extends: coding-agent\ntools:\n  shell:\n    latency:\n      |';
    expect(await offered(latency)).toEqual(expect.arrayContaining(['median', 'p90', 'mixture']));
  });
});
