// Scenarios that start from others, name files of measured values, or are TypeScript.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { UserError } from '../../scenarios/base/errors.ts';
import { loadScenario } from '../../scenarios/cli/load.ts';
import { formatIssues } from '../../scenarios/formats/source.ts';
import { walk } from '../../scenarios/workflows/walk.ts';
import { sessionsOf } from '../builders/scenarios.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'windtunnel-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const write = (name: string, text: string): string => {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return path;
};
const load = (name: string, options = {}) => {
  const loaded = loadScenario(join(folder, name), options);
  return { ...loaded, problems: formatIssues(loaded.issues, loaded.source, { colour: false }) };
};

const BASE = `
windtunnel: 1
name: base
params: { size: { median: 100, p90: 300 }, width: 3 }
models: { m: { model: ministral-3-14b } }
workflows:
  chat: { steps: [ { llm: answer, adds: =size, out: 20 } ] }
  spare: { steps: [ { llm: other, adds: 5, out: 2 } ] }
traffic: [ { workflow: chat, arrival: { at_once: true }, sessions: 2 } ]
assert: [ rate(429) < 1% ]
`;

describe('extends', () => {
  test('mappings merge, lists and amounts replace, null removes, the name is its own', () => {
    write('base.yaml', BASE);
    write(
      'mine.yaml',
      'extends: base.yaml\nparams: { size: { mean: 7, sd: 0 } }\nworkflows: { spare: null }\n' +
        'traffic: [ { workflow: chat, arrival: { at_once: true }, sessions: 5 } ]\n',
    );
    const { file, problems, compiled } = load('mine.yaml');
    expect(problems).toBe('');
    expect(file?.params).toEqual({ size: { mean: 7, sd: 0 }, width: 3 });
    expect(Object.keys(file?.workflows ?? {})).toEqual(['chat']);
    expect(file?.traffic).toHaveLength(1);
    expect(compiled?.plan).toMatchObject({ name: 'mine', sessionCount: 5 });
    expect(file?.assert).toEqual(['rate(429) < 1%']);
  });

  test('a chain, several bases, and a library scenario; later ones win', () => {
    write('a.yaml', BASE);
    write('b.yaml', 'windtunnel: 1\nparams: { width: 4 }\n');
    write('c.yaml', 'extends: [a.yaml, b.yaml]\nseed: 5\n');
    write('d.yaml', 'extends: c.yaml\n');
    expect(load('d.yaml').file).toMatchObject({ seed: 5, params: { width: 4 } });
    write('e.yaml', 'extends: job-scanner\nparams: { companies: 2 }\n');
    expect(load('e.yaml').file).toMatchObject({ params: { companies: 2 } });
  });

  test('a problem is shown in the file that says it', () => {
    write('base.yaml', BASE.replace('out: 20', 'ot: 20'));
    write('mine.yaml', 'extends: base.yaml\nparams: { size: 5, width: wide }\n');
    const { problems } = load('mine.yaml');
    expect(problems).toMatch(/mine\.yaml:2:\d+ {2}error {2}WT1006/);
    expect(problems).toMatch(/base\.yaml:7:\d+ {2}error {2}WT1003 unknown key "ot"[\s\S]*did you mean "out"/);
  });

  test('a base that is not there and a circle are refused at the line', () => {
    write('mine.yaml', 'windtunnel: 1\nextends: job-scaner\ntraffic: []\n');
    expect(load('mine.yaml').problems).toMatch(
      /mine\.yaml:2:10 {2}error {2}WT1102 no scenario "job-scaner" to extend[\s\S]*did you mean "job-scanner"/,
    );
    write('x.yaml', 'extends: y.yaml\n');
    write('y.yaml', 'extends: x.yaml\n');
    expect(load('x.yaml').problems).toMatch(
      /WT1104 files extend each other in a circle: .*x\.yaml -> .*y\.yaml/,
    );
  });

  test('what is no file name, and a file that is no scenario, are refused at the line', () => {
    write('base.yaml', BASE);
    write('list.yaml', '- 1\n');
    write('empty.yaml', '');
    for (const [given, expected] of [
      ['5', /mine\.yaml:1:10 {2}error {2}WT1005 expected the name of a file, got 5/],
      ['[base.yaml, { a: b }]', /mine\.yaml:1:22 {2}error {2}WT1005 expected the name of a file/],
      ['null', /expected the name of a file, got null/],
      ['[]', /expected at least 1 item/],
      ['list.yaml', /mine\.yaml:1:10 {2}error {2}WT1005 .*list\.yaml is no scenario: it is not a mapping/],
      ['empty.yaml', /empty\.yaml is no scenario/],
    ] as const) {
      write('mine.yaml', `extends: ${given}\n${BASE}`);
      expect(load('mine.yaml').problems).toMatch(expected);
    }
  });

  test('a key that a scenario has not is shown without what JavaScript knows of it', () => {
    write('mine.yaml', `${BASE}constructor: 5\n`);
    expect(load('mine.yaml').problems).toMatch(/unknown key "constructor"/);
    expect(load('mine.yaml').problems).not.toMatch(/native code|hint/);
  });

  test('--set goes on top of what was merged', () => {
    write('base.yaml', BASE);
    write('mine.yaml', 'extends: base.yaml\n');
    expect(load('mine.yaml', { set: ['params.width=9'] }).file?.params).toMatchObject({ width: 9 });
  });
});

describe('--set', () => {
  beforeEach(() => write('base.yaml', BASE));
  const set = (...assignments: string[]) => load('base.yaml', { set: assignments });

  test('the number behind the last item of a list adds one', () => {
    expect(set('assert.1=rate(error) < 1%').file?.assert).toEqual(['rate(429) < 1%', 'rate(error) < 1%']);
  });

  test.each([
    ['traffic.3={}', /"3" is no place in a list of 1/],
    ['traffic.foo=5', /"foo" is no place in a list of 1/],
    ['traffic.length=0', /"length" is no place/],
    ['windtunnel.x=5', /"windtunnel" has no keys/],
    ['params.__proto__.x=5', /nothing is at "__proto__"/],
    ['__proto__=5', /no key is called so/],
    ['constructor.prototype.x=5', /nothing is at "constructor"/],
    ['extends=job-scanner', /bases are merged before/],
  ])('%s is refused', (assignment, expected) => {
    expect(() => set(assignment)).toThrow(expected);
    expect(() => set(assignment)).toThrow(UserError);
  });

  test('into a file that is no mapping leaves that to be told', () => {
    write('text.yaml', 'hello\n');
    expect(load('text.yaml', { set: ['seed=5'] }).problems).toMatch(/WT1002 the file is not a mapping/);
  });
});

describe('measured values from a file', () => {
  const scenario = (amount: string): string =>
    BASE.replace('{ median: 100, p90: 300 }', `{ empirical: ${amount} }`).replace(
      'sessions: 2',
      'sessions: 400',
    );
  const lengths = (name: string): Map<number, number> => {
    const { compiled, problems } = load(name);
    expect(problems).toBe('');
    const plan = compiled?.plan;
    if (plan == null) throw new Error('no plan');
    const counts = new Map<number, number>();
    for (const session of sessionsOf(plan)) {
      const tokens = walk(session).calls[0]?.promptTokens as number;
      counts.set(tokens, (counts.get(tokens) ?? 0) + 1);
    }
    return counts;
  };

  test.each([
    [
      'a column of a CSV',
      'data/lengths.csv',
      'id,tokens\na,10\nb,10\nc,10\nd,700\n',
      '{ file: data/lengths.csv, column: tokens }',
    ],
    ['lines of numbers', 'l.txt', '10\n10\n10\n700\n', '{ file: l.txt }'],
    [
      'a field of JSON lines',
      'l.jsonl',
      '{"n":10}\n{"n":10}\n{"n":10}\n{"n":700}\n',
      '{ file: l.jsonl, column: n }',
    ],
    ['a JSON list', 'l.json', '[10, 10, 10, 700]', '{ file: l.json }'],
  ])('%s', (_name, file, text, amount) => {
    write(file, text);
    write('s.yaml', scenario(amount));
    const counts = lengths('s.yaml');
    expect([...counts.keys()].sort((a, b) => a - b)).toEqual([10, 700]);
    expect((counts.get(700) as number) / 400).toBeCloseTo(0.25, 1);
  });

  test('a wrong column or a missing file is named with what there is', () => {
    write('l.csv', 'id,tokens\na,10\n');
    write('s.yaml', scenario('{ file: l.csv, column: token }'));
    expect(load('s.yaml').problems).toMatch(/s\.yaml:4:.*no column "token": id, tokens/);
    write('t.yaml', scenario('{ file: nowhere.csv }'));
    expect(load('t.yaml').problems).toMatch(/there is no file nowhere\.csv/);
    write('l2.csv', 'tokens\nmany\n');
    write('u.yaml', scenario('{ file: l2.csv }'));
    expect(load('u.yaml').problems).toMatch(/line 1 is not a number/);
  });

  test('an empty cell is no 0, a folder is no file, and lines are counted as in the file', () => {
    write('l.csv', 'id,tokens\na,10\nb,\n');
    write('s.yaml', scenario('{ file: l.csv, column: tokens }'));
    expect(load('s.yaml').problems).toMatch(/line 3 is not a number/);
    write('t.yaml', scenario('{ file: . }'));
    expect(load('t.yaml').problems).toMatch(/t\.yaml:4:.*cannot read \.: EISDIR/);
    write('l.txt', '10\n\n\nmany\n');
    write('u.yaml', scenario('{ file: l.txt }'));
    expect(load('u.yaml').problems).toMatch(/line 4 is not a number/);
  });
});

describe('TypeScript', () => {
  test('a scenario written in TypeScript means what its YAML means', () => {
    write('base.yaml', BASE);
    write(
      'mine.ts',
      `import { type Scenario, scenario } from 'agent-windtunnel';
const calls: number = 3;
const file: Scenario = scenario({
  windtunnel: 1,
  name: 'base',
  params: { size: { median: 100, p90: 300 }, width: calls },
  models: { m: { model: 'ministral-3-14b' } },
  workflows: {
    chat: { steps: [{ llm: 'answer', adds: '=size', out: 20 }] },
    spare: { steps: [{ llm: 'other', adds: 5, out: 2 }] },
  },
  traffic: [{ workflow: 'chat', arrival: { at_once: true }, sessions: 2 }],
  assert: ['rate(429) < 1%'],
});
export default file;
`,
    );
    const typed = load('mine.ts');
    expect(typed.problems).toBe('');
    expect(typed.file).toEqual(load('base.yaml').file);
    expect(typed.compiled?.plan?.sha256).toBe(load('base.yaml').compiled?.plan?.sha256);
  });

  test('a problem is told by its path, and a file without a scenario says so', () => {
    write('mine.ts', "export default { windtunnel: 1, traffic: [{ workflw: 'chat' }] };\n");
    expect(load('mine.ts').problems).toMatch(/mine\.ts traffic\[0\]\.workflw {2}error {2}WT1003/);
    write('none.ts', 'export const x = 1;\n');
    expect(() => load('none.ts')).toThrow(UserError);
    expect(() => load('none.ts')).toThrow(/no scenario as its default export/);
    write('broken.ts', 'export default {{\n');
    expect(() => load('broken.ts')).toThrow(/cannot be run/);
  });

  test.each([
    ['a promise', 'export default async () => ({ windtunnel: 1 });', /gives a promise/],
    ['what JSON cannot hold', 'export default { windtunnel: 1, seed: 5n };', /cannot be run: .*BigInt/],
    ['a circle', 'const a: object[] = []; a.push(a); export default { a };', /cannot be run: .*circular/],
    ['nothing that is an error', 'throw null;', /cannot be run: null/],
    ['a text', "throw 'boom';", /cannot be run: boom/],
  ])('a file that gives %s says so', (_name, text, expected) => {
    write('odd.ts', `${text}\n`);
    expect(() => load('odd.ts')).toThrow(expected);
    expect(() => load('odd.ts')).toThrow(UserError);
  });

  test('a function is called, what is undefined is not there, and a number that is none is shown', () => {
    const steps = "[{ llm: 'a', adds: undefined, out: OUT }]";
    const file = (out: string): string =>
      `export default () => ({ windtunnel: 1, seed: undefined, models: { m: { model: 'x' } }, workflows: { main: { steps: ${steps.replace('OUT', out)} } }, traffic: [{ workflow: 'main', arrival: { at_once: true }, sessions: 1 }] });\n`;
    write('good.ts', file('5'));
    expect(load('good.ts').problems).toBe('');
    write('nan.ts', file('0 / 0'));
    expect(load('nan.ts').problems).toMatch(
      /nan\.ts workflows\.main\.steps\[0\]\.out {2}error {2}WT1006 .*"NaN"/,
    );
  });
});
