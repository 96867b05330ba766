// The lints of the language: for each a minimal file that it warns of, one that it lets pass, and what it says.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { LINTS } from '../../lab/lint/index.ts';
import { CODES, HELP } from '../../scenarios/base/errors.ts';
import { codesOf, linted } from '../builders/lints.ts';

interface Text {
  steps?: string;
  workflow?: string;
  prefixes?: string;
  tools?: string;
  params?: string;
  more?: string;
  arrival?: string;
  cohort?: string;
}

/** A scenario of one workflow, and what a test adds to it. */
const text = ({
  steps = '[ { llm: answer, adds: 100, out: 20 } ]',
  workflow = '',
  prefixes = '',
  tools = '',
  params = '',
  more = '',
  arrival = 'at_once: true',
  cohort = 'workflow: main',
}: Text): string => `
windtunnel: 1
models: { m: { model: ministral-3-14b } }
params: { ${params} }
prefixes: { ${prefixes} }
tools: { ${tools} }
workflows:
  main:
    ${workflow}
    steps: ${steps}
${more}
traffic:
  - { ${cohort}, arrival: { ${arrival} }, sessions: 20 }
`;

/** The one finding of a text. */
function only(given: Text): ReturnType<typeof linted>[number] {
  const found = linted(text(given));
  expect(found.map(({ code, message }) => `${code} ${message}`)).toHaveLength(1);
  return found[0]!;
}

test('a plain scenario has nothing to warn of', () => {
  expect(linted(text({}))).toEqual([]);
});

describe('WT2001: what changes often in front of what does not', () => {
  const prefixes = 'system: { tokens: 2800 }, company: { tokens: 900, scope: task }';

  test('a task segment in front of a global one, in a step', () => {
    const found = only({ prefixes, steps: '[ { llm: a, prefix: [company, system], out: 5 } ]' });
    expect(found).toMatchObject({ code: 'WT2001', at: 'company' });
    expect(found.message).toContain('up to 2800 tokens of a call');
    expect(found.hint).toContain('prefix: [system, company]');
  });

  test('the same in a workflow; tokens of all that stand behind are added', () => {
    const more = `${prefixes}, tools: { tokens: 12k }`;
    const found = only({
      prefixes: more,
      workflow: 'prefix: [company, system, tools]',
      steps: '[ { llm: a, out: 5 } ]',
    });
    expect(found.message).toContain('14.8k tokens');
    expect(found.at).toBe('company');
  });

  test('an ephemeral segment counts as one that changes', () => {
    const given = 'system: { tokens: 2800 }, news: { tokens: 90, retention: ephemeral }';
    expect(only({ prefixes: given, workflow: 'prefix: [news, system]' }).message).toContain(
      '"news" (ephemeral)',
    );
  });

  test('in the right order nothing is said', () => {
    expect(codesOf(text({ prefixes, steps: '[ { llm: a, prefix: [system, company], out: 5 } ]' }))).toEqual(
      [],
    );
  });
});

describe('WT2002: a prefix that changes in front of a history', () => {
  const prefixes = 'system: { tokens: 1000 }, company: { tokens: 200, scope: task }';
  const steps = (context: string, prefix = '[system, company]'): string =>
    `[ { llm: a, adds: 2000, out: 500 }, { llm: b, prefix: ${prefix}, ${context} out: 5 } ]`;

  test('the tokens of the history are told', () => {
    const found = only({ prefixes, workflow: 'prefix: [system]', steps: steps('') });
    expect(found).toMatchObject({ code: 'WT2002' });
    expect(found.message).toContain('from [system] to [system, company]');
    expect(found.message).toContain('2500 tokens of each call of "b"');
  });

  test('in a loop it is the second pass that changes it back', () => {
    const loop = `[ { repeat: r, times: 3, steps: [ { llm: a, prefix: [system], adds: 2000, out: 500 }, { llm: b, prefix: [system, company], adds: 10, out: 500 } ] } ]`;
    expect(linted(text({ prefixes, steps: loop })).map(({ code, at }) => [code, at])).toEqual([
      ['WT2002', '[system, company]'],
      ['WT2002', '[system]'],
    ]);
  });

  test.each([
    ['the same prefix again', steps('', '[system]')],
    ['an empty thread', steps('context: fresh,')],
    [
      'a history of a few blocks',
      `[ { llm: a, adds: 20, out: 5 }, { llm: b, prefix: [system, company], out: 5 } ]`,
    ],
    ['another thread', steps('thread: side,')],
  ])('%s is no change', (_, given) => {
    expect(
      codesOf(text({ prefixes: prefixes, workflow: 'prefix: [system]', steps: given })).filter(
        code => code !== 'WT2004',
      ),
    ).toEqual([]);
  });
});

describe('WT2003: what never runs', () => {
  const branch = (cases: string): string => `[ { branch: b, cases: [ ${cases} ] } ]`;
  const call = (name: string): string => `steps: [ { llm: ${name}, out: 5 } ]`;

  test.each([
    ['a weight of 0', branch(`{ weight: 100%, ${call('a')} }, { weight: 0, ${call('b')} }`), '0'],
    [
      'a condition that never holds',
      branch(`{ when: "=2 > 3", ${call('a')} }, { ${call('b')} }`),
      '"=2 > 3"',
    ],
    [
      'a case behind one that always holds',
      branch(`{ when: "=3 > 2", ${call('a')} }, { when: "=iteration > 1", ${call('b')} }, { ${call('c')} }`),
      null,
    ],
    ['no passes', `[ { llm: z, out: 5 }, { repeat: r, times: 0, ${call('a')} } ]`, '0'],
    ['a map over nothing', `[ { llm: z, out: 5 }, { map: r, over: 0, ${call('a')} } ]`, '0'],
  ])('%s', (_, steps, at) => {
    const found = linted(text({ steps }));
    expect(new Set(found.map(({ code }) => code))).toEqual(new Set(['WT2003']));
    if (at !== null) expect(found[0]?.at).toBe(at);
  });

  test('a condition over a parameter that is one number is known; over a drawn one it is not', () => {
    const steps = branch(`{ when: "=n > 3", ${call('a')} }, { ${call('b')} }`);
    expect(codesOf(text({ steps, params: 'n: 2' }))).toEqual(['WT2003']);
    expect(codesOf(text({ steps, params: 'n: { median: 2, p90: 5 }' }))).toEqual([]);
  });

  test('a workflow that nobody starts or calls; a sub-agent is called', () => {
    const more = '  helper: { steps: [ { llm: h, out: 5 } ] }';
    expect(linted(text({ more }))).toEqual([expect.objectContaining({ code: 'WT2003', at: 'helper' })]);
    expect(codesOf(text({ more, steps: '[ { agent: helper } ]' }))).toEqual([]);
  });
});

describe('WT2004: names that nothing uses', () => {
  test.each([
    ['a prefix', { prefixes: 'system: { tokens: 5 }' }, 'system'],
    ['a tool', { tools: 'fetch: { latency: 1s }' }, 'fetch'],
    ['a parameter', { params: 'depth: 3' }, 'depth'],
  ])('%s', (_, given, at) => {
    expect(only(given)).toMatchObject({ code: 'WT2004', at });
  });

  test('a model', () => {
    const two = text({ workflow: 'model: m' }).replace(
      'models: {',
      'models: { spare: { model: gpt-oss-20b },',
    );
    expect(linted(two)).toEqual([expect.objectContaining({ code: 'WT2004', at: 'spare' })]);
    const fallback = two.replace('model: ministral-3-14b', 'model: ministral-3-14b, fallback: [spare]');
    expect(codesOf(fallback)).toEqual([]);
  });

  test('used ones, in an expression inside of another parameter too', () => {
    const given: Text = {
      prefixes: 'system: { tokens: =size }',
      tools: 'fetch: { latency: 1s }',
      params: 'size: 50, depth: =size / 25',
      workflow: 'prefix: [system]',
      steps: '[ { repeat: r, times: =depth, steps: [ fetch, { llm: a, out: 5 } ] } ]',
    };
    expect(codesOf(text(given))).toEqual([]);
  });
});

describe('WT2005: loops without a bound', () => {
  const repeat = (how: string): string => `[ { repeat: r, ${how}, steps: [ { llm: a, out: 5 } ] } ]`;

  test('passes from a heavy tail; a max settles it', () => {
    const found = only({ steps: repeat('times: { median: 3, p90: 20 }') });
    expect(found).toMatchObject({ code: 'WT2005' });
    // 3 exp(sigma z(0.999)) with sigma = ln(20 / 3) / 1.2816 = 1.4803: 291.
    expect(found.message).toMatch(/below 3, but 1 in 1000 is above 291/);
    expect(codesOf(text({ steps: repeat('times: { median: 3, p90: 20, max: 30 }') }))).toEqual([]);
    expect(codesOf(text({ steps: repeat('times: { median: 3, p90: 20 }, max: 30') }))).toEqual([]);
    expect(codesOf(text({ steps: repeat('times: { median: 3, p90: 5 }') }))).toEqual([]);
  });

  test('a width from a parameter with a heavy tail', () => {
    const steps = '[ { map: m, over: =width, steps: [ { llm: a, out: 5 } ] } ]';
    expect(only({ steps, params: 'width: { dist: pareto, min: 2, alpha: 0.8 }' }).message).toContain(
      'branches of "m"',
    );
    expect(codesOf(text({ steps, params: 'width: { dist: pareto, min: 2, alpha: 0.8, max: 9 }' }))).toEqual(
      [],
    );
  });

  test('a stop that hardly ever comes: 1 / p passes', () => {
    expect(only({ steps: repeat('until: { p: 0.5% }, max: 10000') }).message).toContain(
      '200 passes on average',
    );
    expect(codesOf(text({ steps: repeat('until: { p: 25% }, max: 10') }))).toEqual([]);
  });

  test('a condition that never holds', () => {
    expect(only({ steps: repeat('until: "=1 > 2", max: 40') }).message).toContain(
      'always makes its 40 passes',
    );
  });

  test('closed agents whose workflow takes no time', () => {
    const steps = '[ { branch: b, cases: [ { when: "=n > 0.5", steps: [ { wait: 1s } ] } ] } ]';
    const params = 'n: { choice: { 0.1: 1 } }';
    const restless = (arrival: string) =>
      linted(text({ steps, params, arrival })).filter(({ code }) => code === 'WT2005');
    expect(restless('closed: { agents: 5 }')).toEqual([
      expect.objectContaining({ message: expect.stringContaining('start anew without any time passing') }),
    ]);
    expect(restless('closed: { agents: 5, think: 1s }')).toEqual([]);
    expect(restless('at_once: true')).toEqual([]);
  });
});

describe('WT2006: weights that do not sum to 100 %', () => {
  const branch = (a: string, b: string): string =>
    `[ { branch: b, cases: [ { weight: ${a}, steps: [ { llm: x, out: 5 } ] }, { weight: ${b}, steps: [ { llm: y, out: 5 } ] } ] } ]`;

  test('of cases, with what they are taken as', () => {
    const found = only({ steps: branch('80%', '10%') });
    expect(found).toMatchObject({ code: 'WT2006', at: 'cases' });
    expect(found.message).toBe('the weights sum to 90 %: 80 %, 10 % are taken as 88.9 %, 11.1 %');
  });

  test.each([
    ['of a choice', { steps: '[ { llm: a, out: { choice: { 5: 50%, 9: 40% } } } ]' }, 'choice'],
    [
      'of a mixture',
      {
        steps:
          '[ { llm: a, out: { mixture: [ { weight: 50%, median: 5, p90: 9 }, { weight: 30%, median: 50, p90: 90 } ] } } ]',
      },
      'mixture',
    ],
    ['of tenants', { cohort: 'workflow: main, tenants: { one: 50%, two: 20% }' }, 'tenants'],
    [
      'of a mix',
      { cohort: 'mix: { main: 50%, other: 20% }', more: '  other: { steps: [ { llm: o, out: 5 } ] }' },
      'mix',
    ],
  ])('%s', (_, given, at) => {
    expect(only(given)).toMatchObject({ code: 'WT2006', at });
  });

  test('a whole, a rounded whole, and equal parts are fine', () => {
    for (const [a, b] of [
      ['80%', '20%'],
      ['66.7%', '33.3%'],
      ['1', '1'],
    ] as const)
      expect(codesOf(text({ steps: branch(a, b) }))).toEqual([]);
  });
});

describe('WT2007: a retry of what does harm when it runs twice', () => {
  const steps = '[ notion, { llm: a, out: 5 } ]';

  test('of the tool, and of a step that runs it', () => {
    const tools = 'notion: { latency: 1s, idempotent: false, retry: { max: 2 } }';
    expect(only({ tools, steps })).toMatchObject({ code: 'WT2007', at: 'retry' });
    expect(only({ tools, steps }).message).toContain('once it has begun, it is never tried again');
    const blind = tools.replace('max: 2', 'max: 2, blind: true');
    expect(only({ tools: blind, steps }).message).toContain('a blind retry runs it a second time');
    const preset = tools.replace('{ max: 2 }', 'openai');
    expect(only({ tools: preset, steps })).toMatchObject({ code: 'WT2007', at: 'retry' });
    const plain = 'notion: { latency: 1s, idempotent: false }';
    const inStep = '[ { tool: notion, retry: { max: 2 } }, { llm: a, out: 5 } ]';
    expect(only({ tools: plain, steps: inStep })).toMatchObject({ code: 'WT2007', at: 'retry' });
  });

  test('not of one that is idempotent, nor a retry of no attempts', () => {
    for (const tool of [
      'idempotent: true, retry: { max: 2 }',
      'idempotent: false, retry: { max: 0 }',
      'idempotent: false',
    ])
      expect(codesOf(text({ tools: `notion: { latency: 1s, ${tool} }`, steps }))).toEqual([]);
  });
});

describe('WT2020: models that stand in for one another in a circle', () => {
  const models = (b: string, c: string) =>
    text({ steps: '[ { llm: answer, model: m, adds: 100, out: 20 } ]' }).replace(
      'models: { m: { model: ministral-3-14b } }',
      `models:\n  m: { model: ministral-3-14b, fallback: [b] }\n  b: { model: ministral-3-14b, fallback: ${b} }\n  c: { model: ministral-3-14b, fallback: ${c} }`,
    );

  test('is told once, with its way', () => {
    const found = linted(models('{ context_length: [c] }', '[m]'));
    expect(found.map(({ code, message }) => `${code} ${message}`)).toEqual([
      'WT2020 m -> b -> c -> m: when all of them fail, nothing is left to try',
    ]);
  });

  test('not of a chain with an end', () => {
    expect(codesOf(models('[c]', '{ general: [] }').replace(', fallback: { general: [] }', ''))).toEqual([]);
  });
});

describe('every lint', () => {
  test('has a code with a meaning and a help, and is in the list once', () => {
    for (const { code } of LINTS) {
      expect(CODES[code]).toBeTruthy();
      expect(HELP[code].length).toBeGreaterThan(CODES[code].length / 2);
    }
    expect(new Set(LINTS).size).toBe(LINTS.length);
  });

  test('is tried by a test that names its code', () => {
    const tests = ['scenarios/lint.test.ts', 'lab/lint.test.ts'].map(name =>
      readFileSync(join(import.meta.dirname, '..', name), 'utf8'),
    );
    for (const { code } of LINTS)
      expect(
        tests.some(each => each.includes(`describe('${code}:`)),
        code,
      ).toBe(true);
  });

  test('is silent about a sub-agent that is called twice, but for one time', () => {
    const more =
      '  helper: { steps: [ { repeat: r, times: { median: 3, p90: 20 }, steps: [ { llm: h, out: 5 } ] } ] }';
    expect(codesOf(text({ more, steps: '[ { agent: helper }, { agent: helper } ]' }))).toEqual(['WT2005']);
  });
});

const LIBRARY = join(import.meta.dirname, '..', '..', 'scenarios', 'library');
const library = ['.', 'presets'].flatMap(folder =>
  readdirSync(join(LIBRARY, folder))
    .filter(name => name.endsWith('.yaml'))
    .map(name => join(folder, name)),
);
test.each(library)('%s of the library has nothing to warn of', name => {
  expect(linted(readFileSync(join(LIBRARY, name), 'utf8'))).toEqual([]);
});
