import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { issue } from '../../scenarios/base/issue.ts';
import {
  checkSchema,
  formatIssues,
  issuesFromZod,
  issuesToJson,
  keysOf,
  parseSource,
} from '../../scenarios/formats/source.ts';

const text = `windtunnel: 1
pools:
  main:
    modle: mistral-small-4
    gpu: "12 apples"
  tiny: &shared { replicas: 2, limits: [1, 20] }
  other: *shared
empty:
`;

const underlined = (path: (string | number)[], atKey = false): string => {
  const at = parseSource(text, 'd.yaml').position(path, atKey);
  return `${at.line}:${at.column} ${at.lineText.slice(at.column - 1, at.endColumn - 1)}`;
};

describe('positions in a source file', () => {
  it('gives the place of a value, of its key, and of what is inside flow collections', () => {
    expect(underlined(['windtunnel'])).toBe('1:13 1');
    expect(underlined(['pools', 'main', 'modle'], true)).toBe('4:5 modle');
    expect(underlined(['pools', 'main', 'modle'])).toBe('4:12 mistral-small-4');
    expect(underlined(['pools', 'tiny', 'limits', 1])).toBe('6:44 20');
  });

  it('points at the key of a block mapping, and at the nearest parent of what is missing', () => {
    expect(underlined(['pools', 'main'])).toBe('3:3 main');
    expect(underlined(['pools', 'main', 'model'])).toBe('3:3 main');
    expect(underlined(['empty'])).toBe('8:1 empty');
    expect(underlined(['nowhere', 0, 'at', 'all'])).toMatch(/^1:1 /);
  });

  it('follows anchors', () => {
    expect(underlined(['pools', 'other', 'replicas'])).toBe('6:29 2');
    expect(parseSource(text, 'd.yaml').value).toMatchObject({ pools: { other: { replicas: 2 } } });
  });
});

describe('what is wrong with the text itself', () => {
  const only = (source: ReturnType<typeof parseSource>) => issuesToJson(source.issues, source)[0];

  it('reports a duplicate key at its second place', () => {
    const source = parseSource('a: 1\nb: 2\na: 3\n', 'd.yaml');
    expect(only(source)).toMatchObject({
      line: 3,
      column: 1,
      code: 'WT1005',
      message: 'the key "a" appears twice',
    });
  });

  it('reports broken YAML where it breaks', () => {
    const source = parseSource('a: [1, 2\nb: 3\n', 'd.yaml');
    expect(only(source)).toMatchObject({ line: 2, code: 'WT1002' });
    expect(source.value).toBeNull();
  });

  it('reads JSON, and text after a second document marker is refused', () => {
    expect(parseSource('{"a": [1, 2.5, null, "x"]}', 'd.json').value).toEqual({ a: [1, 2.5, null, 'x'] });
    expect(parseSource('a: 1\n---\nb: 2\n', 'd.yaml').issues).not.toEqual([]);
  });

  it('keeps yes, 012 and merge keys as they are written (YAML 1.2)', () => {
    expect(parseSource('a: yes\nb: 10m\n"<<": 1\n', 'd.yaml').value).toEqual({ a: 'yes', b: '10m', '<<': 1 });
  });

  it('bounds size, nesting and anchor expansion', () => {
    expect(parseSource('#'.repeat(1_000_001), 'd.yaml').issues[0]?.message).toContain('at most 1000000');
    expect(parseSource('['.repeat(101), 'd.yaml').issues[0]?.message).toContain('nested deeper than 100');
    const laughs = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]'];
    for (let i = 1; i < 9; i++)
      laughs.push(
        `a${i}: &a${i} [${Array(10)
          .fill(`*a${i - 1}`)
          .join(', ')}]`,
      );
    expect(parseSource(laughs.join('\n'), 'd.yaml').issues[0]?.code).toBe('WT1002');
  });
});

describe('issues in words', () => {
  it('prints place, code, the lines around and a hint, ordered by place', () => {
    const source = parseSource(text, 'd.yaml');
    const issues = [
      issue(['pools', 'main', 'gpu'], 'WT1005', 'expected a number, got "12 apples"'),
      issue(['pools', 'main', 'modle'], 'WT1003', 'unknown key "modle"', 'did you mean "model"?', {
        atKey: true,
      }),
    ];
    expect(
      formatIssues(issues, source, { colour: false }),
    ).toBe(`d.yaml:4:5  error  WT1003 unknown key "modle"
    3 |   main:
  > 4 |     modle: mistral-small-4
      |     ^^^^^
    5 |     gpu: "12 apples"
  hint: did you mean "model"?

d.yaml:5:10  error  WT1005 expected a number, got "12 apples"
    4 |     modle: mistral-small-4
  > 5 |     gpu: "12 apples"
      |          ^^^^^^^^^^^
    6 |   tiny: &shared { replicas: 2, limits: [1, 20] }`);
  });

  it('colours only when asked', () => {
    const source = parseSource('a: 1', 'd.yaml');
    const issues = [issue(['a'], 'WT1005', 'no', null, { severity: 'warning' })];
    expect(formatIssues(issues, source, { colour: true })).toContain('\u001b[33mwarning');
    expect(formatIssues(issues, source, { colour: false })).not.toContain('\u001b');
  });
});

describe('issues from zod', () => {
  const schema = z.strictObject({
    name: z.string(),
    count: z.int().min(1).optional(),
    share: z.number().gt(0).optional(),
    kind: z.enum(['open', 'closed']).optional(),
    pools: z.record(z.string(), z.strictObject({ model: z.string() })).optional(),
    either: z.union([z.string(), z.strictObject({ policy: z.string() })]).optional(),
    step: z
      .discriminatedUnion('model', [
        z.strictObject({ model: z.literal('a') }),
        z.strictObject({ model: z.literal('b'), base: z.number() }),
      ])
      .optional(),
  });
  const found = (input: unknown) =>
    checkSchema(schema, input, ['root']).issues.map(each => [
      each.path.slice(1).join('.'),
      each.code,
      each.message,
      each.hint,
    ]);

  it.each([
    [{}, ['name', 'WT1004', 'missing key "name"', null]],
    [{ name: 3 }, ['name', 'WT1005', 'expected a text, got 3', null]],
    [{ name: 'x', count: '12 apples' }, ['count', 'WT1005', 'expected a number, got "12 apples"', null]],
    [{ name: 'x', count: 1.5 }, ['count', 'WT1005', 'expected a whole number, got 1.5', null]],
    [{ name: 'x', count: 0 }, ['count', 'WT1005', 'expected at least 1, got 0', null]],
    [{ name: 'x', share: 0 }, ['share', 'WT1005', 'expected more than 0, got 0', null]],
    [
      { name: 'x', kind: 'opn' },
      ['kind', 'WT1005', 'expected one of "open", "closed"; got "opn"', 'did you mean "open"?'],
    ],
    [
      { name: 'x', pools: { main: { model: 'm', modle: 1 } } },
      ['pools.main.modle', 'WT1003', 'unknown key "modle"', 'did you mean "model"?'],
    ],
    [
      { name: 'x', zebra: 1 },
      ['zebra', 'WT1003', 'unknown key "zebra"', 'known keys: name, count, share, kind, pools, either, step'],
    ],
    [
      { name: 'x', either: 3 },
      ['either', 'WT1005', 'expected a text or a mapping (key: value), got 3', null],
    ],
    [{ name: 'x', either: { polcy: 'a' } }, ['either.policy', 'WT1004', 'missing key "policy"', null]],
    [
      { name: 'x', step: { model: 'c' } },
      ['step.model', 'WT1005', 'expected one of "a", "b"; got "c"', null],
    ],
    [
      { name: 'x', step: { model: 'b', base: 'q' } },
      ['step.base', 'WT1005', 'expected a number, got "q"', null],
    ],
  ])('says in plain words what is wrong with %j', (input, expected) => {
    expect(found(input)).toContainEqual(expected);
  });

  it('takes the known keys as a list too', () => {
    const result = schema.safeParse({ name: 'x', nmae: 1 });
    const issues = issuesFromZod(result.error!, [], { input: { name: 'x', nmae: 1 }, keys: ['name'] });
    expect(issues[0]).toMatchObject({ path: ['nmae'], atKey: true, hint: 'did you mean "name"?' });
  });

  it('finds the keys of a schema through optionals, records and unions', () => {
    expect(keysOf(schema, ['pools', 'any'])).toEqual(['model']);
    expect(keysOf(schema, ['step'])).toEqual(['model', 'base']);
  });
});

it('a long JSON file that a program wrote is read, and a long YAML file is refused', () => {
  const weights = Array.from({ length: 300_000 }, (_, i) => i);
  const json = JSON.stringify({ windtunnel: 1, weights });
  expect(json.length).toBeGreaterThan(1_000_000);
  expect(parseSource(json, 'big.json')).toMatchObject({ value: { windtunnel: 1 }, issues: [] });
  expect(parseSource(`# yaml\n${json}`, 'big.yaml').issues[0]?.message).toMatch(/at most 1000000 are read/);
  expect(parseSource(json.slice(0, -1), 'big.json').issues).toHaveLength(1);
});

describe('text that is YAML and no plain value', () => {
  const problems = (yaml: string): string => {
    const source = parseSource(yaml, 'd.yaml');
    return formatIssues(source.issues, source, { colour: false });
  };

  it('an alias inside of its own anchor is refused where it stands', () => {
    expect(problems('a: &x { b: [1, *x] }\n')).toMatch(/d\.yaml:1:16 {2}error {2}WT1002 \*x stands inside/);
    expect(problems('a: &x [1]\nb: *x\n')).toBe('');
  });

  it('a key that means a prototype is no key', () => {
    expect(problems('a: { __proto__: { seed: 5 } }\n')).toMatch(
      /d\.yaml:1:6 {2}error {2}WT1003 unknown key "__proto__"/,
    );
  });

  it('nesting beyond what can be read is an error like any other', () => {
    for (const deep of [`a: \n ${'- '.repeat(20_000)}1\n`, '? '.repeat(20_000)])
      expect(problems(deep)).toMatch(/WT1002 nested too deep to be read/);
  });

  it('an empty file is told without a place', () => {
    expect(formatIssues([issue([], 'WT1002', 'nothing')], parseSource('', 'd.yaml'), { colour: false })).toBe(
      'd.yaml  error  WT1002 nothing',
    );
  });
});

describe('a value in none of several forms', () => {
  const schema = z.strictObject({
    wait: z.union([
      z.union([z.string(), z.number()]),
      z.strictObject({ most: z.union([z.string(), z.number()]) }),
    ]),
    join: z.union([z.enum(['all', 'any']), z.int().positive()]),
    over: z.union([z.string(), z.array(z.union([z.string(), z.number()])).min(1)]),
  });
  const messageOf = (value: object): string[] =>
    checkSchema(schema, { wait: 1, join: 1, over: 'x', ...value }, []).issues.map(
      each => `${each.path.join('.')}: ${each.message}`,
    );

  it('names every form there is', () => {
    expect(messageOf({ join: 'none' })).toEqual(['join: expected "all" or "any" or a number, got "none"']);
    expect(messageOf({ wait: true })).toEqual([
      'wait: expected a text or a number or a mapping (key: value), got true',
    ]);
  });

  it('blames the part that is wrong when only one form was meant', () => {
    expect(messageOf({ wait: { most: null } })).toEqual(['wait.most: expected a text or a number, got null']);
    expect(messageOf({ over: ['a', null] })).toEqual(['over.1: expected a text or a number, got null']);
    expect(messageOf({ over: [] })).toEqual(['over: expected at least 1 item, got []']);
  });
});
