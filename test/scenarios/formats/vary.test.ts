import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UserError } from '../../../scenarios/base/errors.ts';
import { deploymentSet } from '../../../scenarios/cli/run-options.ts';
import { assignment, axisName, parseAxes, parseVary } from '../../../scenarios/formats/vary.ts';

const values = (text: string): readonly unknown[] => parseVary(text).values;

const refusal = (text: string): string => {
  try {
    parseVary(text);
  } catch (error) {
    expect(error).toBeInstanceOf(UserError);
    return `${(error as UserError).message} | ${(error as UserError).hint}`;
  }
  throw new Error(`${text} was taken`);
};

describe('values', () => {
  test('a list has YAML values; commas inside of brackets and quotes belong to theirs', () => {
    expect(values('pools.main.replicas=8, 16')).toEqual([8, 16]);
    expect(values('routing=random,{ policy: power-of-two, choices: 3 },"a,b"')).toEqual([
      'random',
      { policy: 'power-of-two', choices: 3 },
      'a,b',
    ]);
    expect(values('pools.main.limits.enable_chunked_prefill=true,false')).toEqual([true, false]);
  });

  test('ranges are whole, geometric, in steps or evenly spaced, and may stand in a list', () => {
    expect(values('pools.main.replicas=1..4')).toEqual([1, 2, 3, 4]);
    expect(values('pools.main.replicas=1..64:x2')).toEqual([1, 2, 4, 8, 16, 32, 64]);
    expect(values('load=0.5..2:0.25')).toEqual([0.5, 0.75, 1, 1.25, 1.5, 1.75, 2]);
    expect(values('load=0.1..0.5:0.1')).toEqual([0.1, 0.2, 0.3, 0.4, 0.5]);
    expect(values('load=0.5..2#4')).toEqual([0.5, 1, 1.5, 2]);
    expect(values('pools.main.replicas=1..3,8')).toEqual([1, 2, 3, 8]);
    expect(values('traffic.0.arrival.poisson.rate=0.5..2/s:0.5')).toEqual(['0.5/s', '1/s', '1.5/s', '2/s']);
  });

  test('only evenly spaced numbers are a range to draw from', () => {
    expect(parseVary('load=0.5..2#4').range).toEqual({ from: 0.5, to: 2, unit: '' });
    expect(parseVary('pools.main.replicas=1..8').range).toBeNull();
    expect(parseVary('load=0.5..2#4,8').range).toBeNull();
  });

  test('evenly spaced values begin and end where the range does, and grow', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1000 }),
        fc.integer({ min: 1, max: 1000 }),
        fc.integer({ min: 2, max: 50 }),
        (from, more, count) => {
          const found = values(`load=${from}..${from + more}#${count}`) as number[];
          expect(found).toHaveLength(count);
          expect([found[0], found.at(-1)]).toEqual([from, from + more]);
          expect(found.every((value, i) => i === 0 || value > found[i - 1]!)).toBe(true);
        },
      ),
    );
  });
});

describe('paths', () => {
  test('belong to the file that has their first key, as with --set', () => {
    expect(parseVary('params.postings=1,2').of).toBe('scenario');
    expect(parseVary('pools.main.gpu=a,b').of).toBe('deployment');
    expect(parseVary('load=1,2').of).toBe('load');
    expect(parseVary('seed=1..3').of).toBe('seed');
    const [pool, params] = [assignment('pools.main.replicas', 2), assignment('params.postings', 3)];
    expect(deploymentSet([pool, params])).toEqual([pool]);
  });

  test('several move together with a value of each', () => {
    const axis = parseVary('pools.main.gpu,pools.main.precision.weights=h100-80gb-sxm/fp8,[b200, nvfp4]');
    expect(axisName(axis)).toBe('pools.main.gpu,pools.main.precision.weights');
    expect(axis.values).toEqual(['h100-80gb-sxm', 'b200']);
    expect(axis.linked).toEqual([
      { path: 'pools.main.precision.weights', of: 'deployment', values: ['fp8', 'nvfp4'] },
    ]);
    expect(parseVary('load,pools.main.replicas=0.5/2,1/4').linked[0]!.values).toEqual([2, 4]);
  });

  test('stand in one --vary only', () => {
    expect(() => parseAxes(['load=1,2', 'seed,load=1/3,2/4'])).toThrow('--vary load is given twice');
  });
});

test.each([
  ['pools.main.replicas', 'expected path=values'],
  ['pols.main.replicas=1', 'did you mean "pools"?'],
  ['a b=1', '"a b" is no path'],
  ['extends=x', 'cannot vary'],
  ['load=', 'no value'],
  ['load=a', 'a is no load'],
  ['load=0,1', '0 is no load'],
  ['seed=1.5', '1.5 is no seed'],
  ['load=1..2.5', 'needs a step'],
  ['load=2..1', 'expected from..to with to above from'],
  ['load=1..2:x1', 'never gets there'],
  ['load=0..2:x2', 'never gets there'],
  ['load=1..2#1', 'expected 2 values or more'],
  ['load=1..x', 'is no range'],
  ['pools.main.replicas=1..100000', 'has 100000 values'],
  ['pools.main.replicas=3,3', '3 is there twice'],
  ['pools.main.replicas=2..4,3', '3 is there twice'],
  ['routing={a: 1', 'not valid YAML'],
  ['routing=a,null', 'an empty value'],
  ['params.x=1s..2m#3', 'write the same unit at both'],
  ['pools.main.gpu,pools.main.tp=h100/1/2', 'is not one value of each of 2 paths'],
])('refuses %s', (text, why) => {
  expect(refusal(text)).toContain(why);
});
