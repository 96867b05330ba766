// The JSON Schemas that editors use say of a file what the parser says: on the library, on the documentation, on amounts,
// quantities and steps drawn at random.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import addFormats from 'ajv-formats';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Issue } from '../../scenarios/base/issue.ts';
import { parseAmount, SHAPES } from '../../scenarios/formats/amount.ts';
import {
  deploymentJsonSchema,
  type JsonSchema,
  scenarioJsonSchema,
} from '../../scenarios/formats/json-schema/json-schema.ts';
import { DIMENSIONS, type Dimension, parseScalar } from '../../scenarios/formats/quantity.ts';
import { parseSource } from '../../scenarios/formats/source.ts';
import { parseStep, VERBS, type Verb } from '../../scenarios/formats/steps.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const LIBRARY = join(ROOT, 'scenarios', 'library');

const schemas = { scenario: scenarioJsonSchema(), deployment: deploymentJsonSchema() };
type Kind = keyof typeof schemas;

const ajv = new Ajv({ strict: false, allErrors: true });
addFormats.default(ajv);
const validators = { scenario: ajv.compile(schemas.scenario), deployment: ajv.compile(schemas.deployment) };

/** What the schema has against a file; empty when it is valid. */
function problems(kind: Kind, value: unknown): string[] {
  validators[kind](value);
  return (validators[kind].errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}

const problemsOf = (kind: Kind, text: string): string[] => problems(kind, parseSource(text, 'test').value);

/** A validator of one definition. */
const definition = (name: string) => {
  const { definitions } = schemas.scenario;
  const validate = ajv.compile({ definitions, $ref: `#/definitions/${name}` });
  return (value: unknown): boolean => validate(value) as boolean;
};

const yamlFiles = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(name => name.endsWith('.yaml'));

test.each(['scenario', 'deployment'] as const)(
  'the schema of a %s is a JSON Schema itself, with no loose reference',
  kind => {
    expect(ajv.validateSchema(schemas[kind])).toBe(true);
    const references = JSON.stringify(schemas[kind]).matchAll(/"\$ref":"#\/definitions\/([^"]+)"/g);
    const { definitions } = schemas[kind] as { definitions: object };
    expect(Object.keys(definitions)).toEqual(expect.arrayContaining([...references].map(match => match[1])));
  },
);

describe('files that are good', () => {
  const library = yamlFiles(LIBRARY).map(name => ({
    name,
    kind: (/^deployments\b/.test(name) ? 'deployment' : 'scenario') as Kind,
  }));
  test('there are some of both', () => {
    expect(new Set(library.map(({ kind }) => kind))).toEqual(new Set(['scenario', 'deployment']));
  });
  test.each(library)('$name is valid', ({ name, kind }) => {
    expect(problemsOf(kind, readFileSync(join(LIBRARY, name), 'utf8'))).toEqual([]);
  });
});

/** Whole YAML files of the documentation, each with the codes it is said to fail with. */
const snippets = readdirSync(join(ROOT, 'docs'))
  .filter(name => name.endsWith('.md'))
  .flatMap(name =>
    [
      ...readFileSync(join(ROOT, 'docs', name), 'utf8').matchAll(
        /(?:^<!-- wrong: (.+) -->\n)?^```yaml\n(windtunnel: 1\n[\s\S]*?)^```$/gm,
      ),
    ].map(([, wrong, text], index) => ({
      where: `${name}, file ${index + 1}`,
      wrong: wrong?.split(' ') ?? [],
      text: text as string,
      kind: (/^deployment:/m.test(text as string) ? 'deployment' : 'scenario') as Kind,
    })),
  );

describe('files of the documentation', () => {
  test('there are some', () => expect(snippets.length).toBeGreaterThan(10));
  test.each(snippets.filter(({ wrong }) => wrong.length === 0))('$where is valid', ({ kind, text }) => {
    expect(problemsOf(kind, text)).toEqual([]);
  });
  // Names, steps that cannot have run and the like are beyond a schema.
  const seen = ['WT1003', 'WT1006'];
  test.each(snippets.filter(({ wrong }) => wrong.some(code => seen.includes(code))))(
    '$where is refused, as it says',
    ({ kind, text }) => expect(problemsOf(kind, text)).not.toEqual([]),
  );
});

const scenario = (steps: string, arrival = 'at_once: true'): string => `
windtunnel: 1
models: { m: { model: ministral-3-14b } }
workflows: { a: { steps: ${steps} } }
traffic: [ { workflow: a, arrival: { ${arrival} }, sessions: 1 } ]
`;

describe('files that are wrong', () => {
  test.each([
    ['an unknown key of the file', `${scenario('[ fetch ]')}modles: {}\n`],
    ['a key of another verb', scenario('[ { llm: a, out: 5, over: 3 } ]')],
    ['a verb that does not exist', scenario('[ { lmm: a, out: 5 } ]')],
    ['a step without a verb', scenario('[ { out: 5 } ]')],
    ['a missing key', scenario('[ { llm: a } ]')],
    [
      'a wrong key deep inside',
      scenario('[ { map: m, over: 2, steps: [ { try: t, steps: [ { llm: a, out: 5, ads: 1 } ] } ] } ]'),
    ],
    [
      'a wrong key in a branch',
      scenario('[ { parallel: p, branches: [ [ { llm: a, out: 5, ads: 1 } ] ] } ]'),
    ],
    ['a wrong key in a case', scenario('[ { branch: b, cases: [ { wieght: 1, steps: [ fetch ] } ] } ]')],
    ['a duration without its unit', scenario('[ { wait: 350 } ]')],
    ['a rate without its unit', scenario('[ fetch ]', 'poisson: { rate: 3 }')],
    ['an unknown distribution', scenario('[ { wait: { dist: gama, mean: 3s, cv: 2 } } ]')],
    ['a distribution that lacks a key', scenario('[ { wait: { dist: gamma, mean: 3s } } ]')],
    ['an empty list of steps', scenario('[]')],
  ])('%s', (_, text) => {
    expect(problemsOf('scenario', text)).not.toEqual([]);
  });

  test('an unknown key of a pool', () => {
    const pool = (key: string) =>
      `windtunnel: 1\ndeployment: d\npools: { main: { model: m, ${key}: h100 } }\n`;
    expect(problemsOf('deployment', pool('gpu'))).toEqual([]);
    expect(problemsOf('deployment', pool('gpuu'))).not.toEqual([]);
  });
});

describe('a file that extends another', () => {
  test('needs nothing that the other has, and may remove by null', () => {
    const text = `
extends: coding-agent
models: { main: null }
tools: { shell: { latency: { median: 2s, p90: 5s } } }
params: { depth: null }
workflows: { session: { prefix: [system], budget: { wall: null } } }
`;
    expect(problemsOf('scenario', text)).toEqual([]);
    expect(problemsOf('scenario', text.replace('extends: coding-agent', 'windtunnel: 1'))).not.toEqual([]);
  });
  test.each([
    ['an unknown key', 'modles: {}'],
    ['an unknown key deep inside', 'tools: { shell: { latncy: 2s } }'],
    ['a step that lacks a key, since lists replace', 'workflows: { a: { steps: [ { llm: a } ] } }'],
    ['a duration without its unit', 'tools: { shell: { latency: 2 } }'],
    ['half an amount, since amounts replace', 'tools: { shell: { latency: { max: 2s } } }'],
  ])('is refused for %s', (_, text) => {
    expect(problemsOf('scenario', `extends: coding-agent\n${text}\n`)).not.toEqual([]);
  });
});

describe('quantities', () => {
  const texts = fc
    .tuple(
      fc.constantFrom('', ' ', '$', '+'),
      fc.constantFrom('0', '1', '12', '0.5', '.5', '1.', '1e3', '0.0', '1_000', '1,000', 'x', ''),
      fc.constantFrom('', ' '),
      fc.constantFrom(
        '',
        'ms',
        's',
        'm',
        'M',
        'k',
        'K',
        'd',
        '%',
        '/s',
        '/h',
        '%/s',
        '/min',
        'USD',
        'USD/h',
        'GB',
      ),
    )
    .map(parts => parts.join(''));

  test.each(Object.keys(DIMENSIONS) as Dimension[])(
    '%s: the pattern accepts what the parser reads',
    dimension => {
      const own = { definitions: { ...defined('deployment'), ...defined('scenario') } };
      const name = `quantity-${dimension}`;
      if (!Object.hasOwn(own.definitions, name)) return;
      const validate = ajv.compile({ definitions: own.definitions, $ref: `#/definitions/${name}` });
      const agree = (value: string | number): void => {
        const read = parseScalar(value, dimension);
        // Upper bounds of a text are the parser's alone.
        const beyond =
          dimension === 'ratio' &&
          'error' in read &&
          typeof value === 'string' &&
          !/^\s*-|[^\d%.e+ ]/.test(value);
        if (!beyond) expect([value, validate(value)]).toEqual([value, 'value' in read]);
      };
      fc.assert(fc.property(texts, agree), { seed: 1, numRuns: 1500 });
      for (const number of [0, 1, 0.5, 2, -1, 350]) agree(number);
    },
  );
});

const defined = (kind: Kind): JsonSchema => schemas[kind].definitions as JsonSchema;

describe('amounts', () => {
  /** Of each key a value that goes with the others'. */
  const VALUES: Record<string, unknown> = {
    median: '3s',
    p90: '5s',
    sigma: 1.2,
    mean: '4s',
    sd: '1s',
    min: '1s',
    max: '9s',
    cv: 2,
    shape: 1.5,
    scale: '2s',
    alpha: 1.5,
    n: 100,
    s: 1.1,
    pareto: '30%',
  };
  const keys = Object.keys(VALUES);
  const ofTime = definition('amount-ms');
  const parses = (raw: unknown): boolean => {
    const issues: Issue[] = [];
    return parseAmount(raw, 'ms', [], issues) !== null && issues.length === 0;
  };

  test.each([undefined, ...Object.keys(SHAPES), 'gama'])('dist %s with any keys: both say the same', dist => {
    const property = fc.property(fc.subarray(keys), chosen => {
      const raw = Object.fromEntries(chosen.map(key => [key, VALUES[key]]));
      const amount = dist === undefined ? raw : { dist, ...raw };
      expect([amount, ofTime(amount)]).toEqual([amount, parses(amount)]);
    });
    fc.assert(property, { seed: 2, numRuns: 2000 });
  });

  test.each([
    ['350ms', true],
    ['=tokens(prev) * 3', true],
    [350, false],
    [0, true],
    [true, false],
    [{ choice: { '1s': '56%', '2s': 0.4 } }, true],
    [{ choice: {} }, false],
    [
      {
        mixture: [
          { weight: '90%', median: '1s', p90: '2s' },
          { weight: 0.1, dist: 'uniform', min: '5s', max: '9s' },
        ],
        max: '8s',
      },
      true,
    ],
    [{ mixture: [{ median: '1s', p90: '2s' }] }, false],
    [{ mixture: [{ weight: 1, median: '1s', p90: '2s', min: '1s' }] }, false],
    [{ mixture: [] }, false],
    [{ empirical: ['1s', '2s'] }, true],
    [{ empirical: { values: ['1s', '2s'], weights: [1, 2] }, max: '1s' }, true],
    [{ empirical: [] }, false],
  ])('%j is %s for both', (raw, good) => {
    expect(ofTime(raw)).toBe(good);
    expect(parses(raw)).toBe(good);
  });
});

describe('steps', () => {
  /** The least that each verb needs. */
  const LEAST: Record<Verb, Record<string, unknown>> = {
    llm: { llm: 'a', out: 5 },
    tool: { tool: 'fetch' },
    human: { human: '2s' },
    wait: { wait: '2s' },
    parallel: { parallel: 'p', branches: ['fetch', ['fetch']] },
    map: { map: 'm', over: 3, steps: ['fetch'] },
    repeat: { repeat: 'r', times: 2, steps: ['fetch'] },
    branch: {
      branch: 'b',
      cases: [
        { weight: '80%', steps: ['fetch'] },
        { weight: 0.2, steps: ['fetch'] },
      ],
    },
    agent: { agent: 'w' },
    try: { try: 't', steps: ['fetch'] },
    compact: { compact: 'c', out: 500 },
  };
  /** Values for every key that a step may have. */
  const step = definition('step');
  const parses = (raw: unknown): boolean => {
    const issues: Issue[] = [];
    return parseStep(raw, [], issues) !== null && issues.length === 0;
  };
  const everyKey = [...new Set(Object.values(VERBS).flatMap(schema => Object.keys(schema.shape)))];

  test.each(Object.keys(VERBS) as Verb[])('%s: what it needs, and no key of another verb', verb => {
    const least = LEAST[verb];
    expect(step(least)).toBe(true);
    expect(parses(least)).toBe(true);
    for (const key of Object.keys(least)) {
      const { [key]: _, ...rest } = least;
      // `times` may be left out for `until`, which the parser asks for while compiling.
      if (key !== 'times') expect([key, step(rest)]).toEqual([key, false]);
    }
    for (const key of everyKey.filter(each => !Object.hasOwn(VERBS[verb].shape, each))) {
      expect([key, step({ ...least, [key]: 'x' })]).toEqual([key, false]);
      expect([key, parses({ ...least, [key]: 'x' })]).toEqual([key, false]);
    }
  });

  test('a bare text is a tool; a number, an empty mapping and null are no steps', () => {
    expect([step('fetch'), step(5), step({}), step(null)]).toEqual([true, false, false, false]);
  });
});

describe('descriptions', () => {
  /** Keys that say nothing about themselves, by path. */
  function silent(schema: JsonSchema): string[] {
    const found: string[] = [];
    const definitions = (schema.definitions ?? {}) as Record<string, JsonSchema>;
    const visit = (node: unknown, path: string): void => {
      if (typeof node !== 'object' || node === null) return;
      const { properties, ...rest } = node as JsonSchema;
      for (const [key, each] of Object.entries((properties ?? {}) as Record<string, JsonSchema>)) {
        const target = definitions[String(each.$ref).replace('#/definitions/', '')];
        if (each.description === undefined && target?.description === undefined) found.push(`${path}.${key}`);
        visit(each, `${path}.${key}`);
      }
      for (const [key, each] of Object.entries(rest))
        if (key !== 'if' && key !== 'definitions') visit(each, path);
    };
    visit(schema, '');
    for (const [name, each] of Object.entries(definitions)) visit(each, name);
    return found;
  }
  test.each(['scenario', 'deployment'] as const)('every key of a %s has one', kind => {
    expect(silent(schemas[kind])).toEqual([]);
  });
});
