import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { linesOf, parseMetrics } from '../../../engines/metrics/text.ts';

const samplesOf = (text: string) =>
  [...parseMetrics(text).samples].map(([name, list]) => [
    name,
    list.map(({ labels, value }) => [{ ...labels }, value]),
  ]);

describe('what a line says', () => {
  test.each([
    ['up 1', [['up', [[{}, 1]]]]],
    ['up{} 1 1395066363000', [['up', [[{}, 1]]]]],
    ['  a{x="1", y="two" , } +3.5e-3\r', [['a', [[{ x: '1', y: 'two' }, 0.0035]]]]],
    ['a\t{x="1"}\t2\t17', [['a', [[{ x: '1' }, 2]]]]],
    [String.raw`a{x="C:\\DIR\\\n\"q\" \t"} 1`, [['a', [[{ x: 'C:\\DIR\\\n"q" \\t' }, 1]]]]],
    ['a{x="}, 5 # {"} 1', [['a', [[{ x: '}, 5 # {' }, 1]]]]],
    ['a_bucket{le="+Inf"} 7 # {trace_id="k"} 0.67 1.5', [['a_bucket', [[{ le: '+Inf' }, 7]]]]],
    ['{"my.name", x="1"} 4', [['my.name', [[{ x: '1' }, 4]]]]],
    [
      'vllm:num 2\nvllm:num_more 3\nvllm:num 4',
      [
        [
          'vllm:num',
          [
            [{}, 2],
            [{}, 4],
          ],
        ],
        ['vllm:num_more', [[{}, 3]]],
      ],
    ],
    [
      'a NaN\nb +Inf\nc -Inf\nd Inf',
      [
        ['a', [[{}, Number.NaN]]],
        ['b', [[{}, Infinity]]],
        ['c', [[{}, -Infinity]]],
        ['d', [[{}, Infinity]]],
      ],
    ],
  ])('%j', (text, expected) => expect(samplesOf(text)).toEqual(expected));

  test.each([
    '',
    'a',
    'a{x="1"}',
    'a{x="1} 2',
    'a{x=1} 2',
    'a{x} 2',
    'a{"b","c"} 2',
    'a{x="1" y="2"} 3',
    'a one',
    '{x="1"} 2',
    '<html><body>404</body></html>',
    '{"error":"no"}',
    '# EOF',
    '# HELP a is 1',
  ])('%j says nothing', text => expect(samplesOf(text)).toEqual([]));

  test('a wrong line is left out, and those around it are read', () => {
    expect(samplesOf('a 1\nb{ 2\nc 3')).toEqual([
      ['a', [[{}, 1]]],
      ['c', [[{}, 3]]],
    ]);
  });
});

test('families that are declared and have no sample are known by their type', () => {
  const { types, samples } = parseMetrics('# HELP a b c\n# TYPE a counter\n# TYPE "x.y" gauge\n# EOF\n');
  expect([...types]).toEqual([
    ['a', 'counter'],
    ['x.y', 'gauge'],
  ]);
  expect(samples.size).toBe(0);
});

test('only wanted names are kept, and found lines say the same as the whole text', () => {
  const text = 'ab 1\na{x="1"} 2\nb 3\na 4\nxa 5\na';
  const wanted = (name: string): boolean => name === 'a';
  expect([...parseMetrics(text, wanted).samples.keys()]).toEqual(['a']);
  expect(linesOf(text, ['a'])).toBe('a{x="1"} 2\na 4\n');
  expect(parseMetrics(linesOf(text, ['a', 'b'])).samples.get('a')).toEqual(
    parseMetrics(text).samples.get('a'),
  );
});

// ---- laws -----------------------------------------------------------------------------------------------------

const SEEDED = { seed: 8, numRuns: 500 };
const nameOf = fc.stringMatching(/^[a-zA-Z_:][a-zA-Z0-9_:]{0,12}$/);
const labelOf = fc.stringMatching(/^[a-zA-Z][a-zA-Z0-9_]{0,8}$/);
const numberOf = fc.oneof(fc.double(), fc.integer());
const sampleOf = fc.record({
  name: nameOf,
  labels: fc.dictionary(
    labelOf,
    fc.string({ unit: 'binary' }).map(text => text.replaceAll('\r', '')),
    {
      maxKeys: 4,
      noNullPrototype: true,
    },
  ),
  value: numberOf,
});
const written = ({
  name,
  labels,
  value,
}: {
  name: string;
  labels: Record<string, string>;
  value: number;
}) => {
  const escaped = (text: string) =>
    text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
  const inside = Object.entries(labels).map(([key, text]) => `${key}="${escaped(text)}"`);
  const number = value === Infinity ? '+Inf' : value === -Infinity ? '-Inf' : String(value);
  return `${name}${inside.length === 0 ? '' : `{${inside.join(',')}}`} ${number}`;
};

test('what is written is read back, whatever its labels hold', () => {
  fc.assert(
    fc.property(fc.array(sampleOf, { maxLength: 8 }), list => {
      const { samples } = parseMetrics(list.map(written).join('\n'));
      for (const name of new Set(list.map(sample => sample.name))) {
        const own = list.filter(sample => sample.name === name);
        expect(samples.get(name)?.map(({ labels }) => ({ ...labels }))).toEqual(
          own.map(({ labels }) => labels),
        );
        // -0 is written 0.
        expect(samples.get(name)?.map(({ value }) => value + 0)).toEqual(own.map(({ value }) => value + 0));
      }
    }),
    SEEDED,
  );
});

test('no text makes it throw, and what it reads is names and numbers', () => {
  const hostile = fc.array(
    fc.oneof(
      fc.string({ unit: 'binary' }),
      sampleOf.map(written),
      fc.constantFrom('{', '}', '"', '\\', '\n', '# TYPE ', ',', '=', ' ', '\u0000', 'a{b="c'),
    ),
  );
  fc.assert(
    fc.property(hostile, pieces => {
      for (const [name, list] of parseMetrics(pieces.join('')).samples) {
        expect(name).not.toBe('');
        for (const { value } of list) expect(typeof value).toBe('number');
      }
    }),
    SEEDED,
  );
});
