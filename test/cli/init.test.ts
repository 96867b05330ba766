// `init` in an empty folder, in one that is not, and with wrong names; `catalog` as a newcomer reads it.
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { emptyFolder, ROOT, windtunnel, write } from './run.ts';

let folder = '';
beforeEach(() => {
  folder = emptyFolder();
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const run = (...args: string[]) => windtunnel(args, folder);
const read = (name: string) => readFileSync(join(folder, name), 'utf8');

describe('init', () => {
  test('in an empty folder writes a scenario, its schema, and the next commands, which work', () => {
    const { code, out } = run('init');
    expect(code).toBe(0);
    expect(readdirSync(folder).sort()).toEqual(['job-scanner.yaml', 'scenario.schema.json']);
    expect(read('job-scanner.yaml').split('\n')[0]).toBe(
      '# yaml-language-server: $schema=scenario.schema.json',
    );
    expect(JSON.parse(read('scenario.schema.json')).title).toBe('Windtunnel scenario');
    const commands = [...out.matchAll(/^ {2}windtunnel (.+)$/gm)].map(match => match[1]!.split(' '));
    expect(commands).toHaveLength(3);
    for (const command of commands) expect(run(...command), command.join(' ')).toMatchObject({ code: 0 });
  });

  test('takes a preset under another name, a deployment beside it, and a folder that is not there yet', () => {
    const { code, out } = run(
      'init',
      'our-agents',
      '--from',
      'coding-agent',
      '-d',
      'hybrid',
      '--out',
      'sub/own',
    );
    expect(code).toBe(0);
    expect(readdirSync(join(folder, 'sub/own')).sort()).toEqual([
      'deployment.schema.json',
      'hybrid.yaml',
      'our-agents.yaml',
      'scenario.schema.json',
    ]);
    expect(read('sub/own/our-agents.yaml')).toMatch(/^name: our-agents$/m);
    expect(read('sub/own/hybrid.yaml')).toMatch(/^deployment: hybrid$/m);
    expect(read('sub/own/hybrid.yaml')).toMatch(
      /^# yaml-language-server: \$schema=deployment\.schema\.json$/m,
    );
    expect(out).toContain('windtunnel check sub/own/our-agents.yaml -d sub/own/hybrid.yaml');
    expect(out).toContain('windtunnel simulate sub/own/our-agents.yaml -d sub/own/hybrid.yaml');
    expect(run('check', 'sub/own/our-agents.yaml', '-d', 'sub/own/hybrid.yaml')).toMatchObject({ code: 0 });
  });

  test('overwrites nothing but its own schema, and writes all or nothing', () => {
    run('init', 'mine');
    const before = read('mine.yaml');
    write(folder, 'mine.yaml', `${before}# my change\n`);
    const again = run('init', 'mine', '-d', 'emulated');
    expect(again).toMatchObject({ code: 104, err: expect.stringContaining('mine.yaml exists already') });
    expect(again.err).toContain('--force');
    expect(read('mine.yaml')).toContain('# my change');
    expect(existsSync(join(folder, 'emulated.yaml'))).toBe(false);
    expect(run('init', 'other', '-d', 'emulated')).toMatchObject({ code: 0 });
    expect(run('init', 'mine', '--force')).toMatchObject({ code: 0 });
    expect(read('mine.yaml')).toBe(before);
  });

  test('does not take over a schema that is not its own', () => {
    write(folder, 'scenario.schema.json', '{ "title": "mine" }');
    expect(run('init')).toMatchObject({
      code: 104,
      err: expect.stringContaining('scenario.schema.json exists already'),
    });
  });

  test('a file of the same name for both is refused', () => {
    expect(run('init', 'emulated', '-d', 'emulated')).toMatchObject({
      code: 104,
      err: expect.stringContaining('scenario and deployment would both be emulated.yaml'),
    });
    expect(readdirSync(folder)).toEqual([]);
  });

  test('wrong names are answered with the nearest, and nothing is written', () => {
    for (const [args, message] of [
      [['init', '--from', 'job-scaner'], 'did you mean "job-scanner"?'],
      [['init', '--from', 'coding'], 'did you mean "coding-agent"?'],
      [['init', '-d', 'hybird'], 'did you mean "hybrid"?'],
      [['init', 'a/b'], '"a/b" is no name for a file'],
      [['init', '--frm', 'chat'], 'did you mean "from"'],
    ] as const) {
      expect(run(...args), args.join(' ')).toMatchObject({
        code: 104,
        err: expect.stringContaining(message),
      });
    }
    expect(readdirSync(folder)).toEqual([]);
  });

  test('a file where the folder should be is named', () => {
    write(folder, 'taken', '');
    expect(run('init', '--out', 'taken')).toMatchObject({
      code: 104,
      err: expect.stringContaining('cannot write to taken'),
    });
  });

  test.skipIf(process.getuid?.() === 0)('a folder that may not be written to is named', () => {
    mkdirSync(join(folder, 'locked'));
    chmodSync(join(folder, 'locked'), 0o555);
    expect(run('init', '--out', 'locked')).toMatchObject({
      code: 104,
      err: expect.stringContaining('cannot write to locked'),
    });
  });

  test('names that YAML would read as something else are quoted', () => {
    expect(run('init', 'yes', '--from', 'chat')).toMatchObject({ code: 0 });
    expect(run('init', '7', '--from', 'chat')).toMatchObject({ code: 0 });
    expect(run('init', 'true', '--from', 'chat')).toMatchObject({ code: 0 });
    for (const name of ['yes', '7', 'true']) expect(run('check', `${name}.yaml`)).toMatchObject({ code: 0 });
  });

  test('paths of traces, bases and measured values still lead where they led', () => {
    mkdirSync(join(folder, 'from/data'), { recursive: true });
    write(folder, 'from/data/lengths.csv', '10\n20\n30\n');
    write(folder, 'from/base.yaml', libraryText('chat'));
    write(
      folder,
      'from/mine.yaml',
      `windtunnel: 1
extends: base.yaml
name: mine
params: { answer: { empirical: { file: data/lengths.csv } } }
`,
    );
    expect(run('check', 'from/mine.yaml')).toMatchObject({ code: 0 });
    expect(run('init', 'moved', '--from', 'from/mine.yaml', '--out', 'to/there')).toMatchObject({ code: 0 });
    expect(read('to/there/moved.yaml')).toContain('extends: ../../from/base.yaml');
    expect(read('to/there/moved.yaml')).toContain('file: ../../from/data/lengths.csv');
    expect(run('check', 'to/there/moved.yaml')).toMatchObject({ code: 0 });
  });

  test('so does the path of a recorded session', () => {
    mkdirSync(join(folder, 'from'));
    copyFileSync(join(ROOT, 'test/fixtures/weka/array.json'), join(folder, 'from/session.json'));
    write(
      folder,
      'from/mine.yaml',
      'windtunnel: 1\ntraffic:\n  - { trace: session.json, arrival: { at_once: true } }\n',
    );
    expect(run('check', 'from/mine.yaml')).toMatchObject({ code: 0 });
    expect(run('init', 'moved', '--from', 'from/mine.yaml')).toMatchObject({ code: 0 });
    expect(read('moved.yaml')).toContain('{ trace: from/session.json, arrival');
    expect(run('check', 'moved.yaml')).toMatchObject({ code: 0 });
  });

  test('--list names everything there is, with a line each; --json for programs', () => {
    const { out } = run('init', '--list');
    for (const name of [
      'job-scanner',
      'workflow-gateway',
      'coding-agent',
      'business-api',
      'hybrid',
      'api-only',
    ])
      expect(out).toMatch(new RegExp(`^ {2}${name} +\\S.{10,}`, 'm'));
    const entries = JSON.parse(run('init', '--list', '--json').out) as {
      kind: string;
      description: string;
    }[];
    expect(entries.filter(each => each.kind === 'preset')).toHaveLength(5);
    expect(entries.every(each => each.description.length > 10)).toBe(true);
    const { written, next } = JSON.parse(run('init', 'x', '--json').out);
    expect(written).toEqual(['x.yaml', 'scenario.schema.json']);
    expect(next).toHaveLength(3);
  });
});

/** A library scenario as `init` writes it. */
function libraryText(name: string): string {
  run('init', name, '--from', name, '--out', 'library');
  return read(`library/${name}.yaml`);
}

describe('catalog', () => {
  test('lists every kind, with sources', () => {
    const { out } = run('catalog');
    for (const text of [
      'h200-141gb-sxm',
      'mistral-small-4',
      'claude-opus-5-5',
      'least-outstanding',
      'roofline',
      'job-scanner',
    ])
      expect(out).toContain(text);
    expect(out.match(/^sources:$/gm)).toHaveLength(3);
    expect(out).toContain('litellm 1.109.1');
    expect(out).toContain('nginx `least_conn`');
    expect(out).toContain('docs/policies.md has their options');
  });

  test('words narrow a list, and bring the whole sources', () => {
    const { out } = run('catalog', 'models', 'mistral', 'small');
    expect(out).toContain('mistral-small-4: transformers 5.19.0 models/mistral4/');
    expect(out).not.toContain('mistral-large-4');
    expect(run('catalog', 'prices', 'opus').out).not.toContain('sonnet');
  });

  test('a word that is no list is looked for in all of them', () => {
    const { out } = run('catalog', 'h200');
    expect(out).toContain('h200-141gb-sxm');
    expect(out).toContain('8xh200-mistral-small-4');
    expect(out).not.toContain('API model');
  });

  test('nothing found is an error with the nearest list', () => {
    expect(run('catalog', 'modls')).toMatchObject({
      code: 104,
      err: expect.stringContaining('did you mean "models"?'),
    });
    expect(run('catalog', 'models', 'nonesuch')).toMatchObject({
      code: 104,
      err: expect.stringContaining('`windtunnel catalog models` lists them all'),
    });
  });

  test('--json gives the rows as they are, sources included', () => {
    const { gpus } = JSON.parse(run('catalog', 'gpus', 'b200', '--json').out);
    expect(gpus.map((gpu: { id: string }) => gpu.id)).toEqual(['b200-sxm', 'gb200-nvl72']);
    expect(gpus[0].source.length).toBeGreaterThan(0);
    const all = JSON.parse(run('catalog', '--json').out);
    expect(Object.keys(all)).toEqual(['gpus', 'models', 'prices', 'policies', 'library']);
    expect(all.policies[0]).toMatchObject({ key: 'gateway.admission', name: 'always' });
  });

  test('policies stand under the key that names them, each with its system', () => {
    const { out } = run('catalog', 'policies');
    const headings = [...out.matchAll(/^ {2}(\S.*?) {3}\S/gm)].map(match => match[1]);
    expect(headings).toEqual([
      'gateway.admission',
      'routing',
      'limits.scheduling_policy',
      'retention',
      'autoscaler',
      'step: { model }',
    ]);
    const some = run('catalog', 'policies', 'dynamo').out;
    expect(some).toContain('as in: NVIDIA Dynamo planner 1.6.1');
    expect(some).not.toContain('round-robin');
  });
});
