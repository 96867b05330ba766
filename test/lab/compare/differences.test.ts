// Inputs key by key: what counts as one difference, and what undoing it gives.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { differencesOf } from '../../../lab/compare/differences.ts';
import { DEPLOYMENT, SCENARIO, theInputs, withPool } from '../../builders/stored-inputs.ts';

const base = theInputs();
const wheres = (candidate: ReturnType<typeof theInputs>): string[] =>
  differencesOf(base, candidate).map(({ where }) => where);

describe('differences of inputs', () => {
  test('are one for each key, with both values', () => {
    const candidate = theInputs({ deployment: withPool({ replicas: 2 }), seed: 7, routing: 'prefix-cache' });
    expect(differencesOf(base, candidate)).toMatchObject([
      { where: 'deployment: pools.main.replicas', baseline: '1', candidate: '2' },
      { where: 'routing', baseline: "the deployment's", candidate: 'prefix-cache' },
      { where: 'seed', baseline: '1', candidate: '7' },
    ]);
  });

  test('undone one by one, in any order, give the baseline', () => {
    const candidate = theInputs({
      scenario: {
        ...SCENARIO,
        params: { words: 40 },
        workflows: { chat: { ...SCENARIO.workflows.chat, slo: '8s' } },
      },
      deployment: withPool({
        replicas: 2,
        step: { model: 'affine', base: '9ms', per_token: '250us' },
        place: 'edge',
      }),
      seed: 'other',
      routing: 'random',
    });
    const found = differencesOf(base, candidate);
    expect(found.length).toBe(7);
    fc.assert(
      fc.property(fc.shuffledSubarray(found, { minLength: found.length }), order => {
        expect(order.reduce((inputs, { undone }) => undone(inputs), candidate)).toEqual(base);
      }),
    );
    const [first] = found;
    expect(wheres(first!.undone(candidate))).toEqual(found.slice(1).map(({ where }) => where));
  });

  test('are none for names, for the order of keys, and of a run with itself', () => {
    const { windtunnel, deployment: _, ...rest } = DEPLOYMENT;
    const renamed = { ...rest, deployment: 'another', windtunnel };
    expect(wheres(theInputs({ deployment: renamed, scenario: { ...SCENARIO, name: 'other' } }))).toEqual([]);
    expect(wheres(base)).toEqual([]);
  });

  test('take keys together where one comes and another goes, but for the top', () => {
    const policies = { ...DEPLOYMENT, routing: { 'power-of-two': { choices: 2 } } };
    const other = { ...DEPLOYMENT, routing: { 'prefix-cache': { depth: 2 } } };
    const found = differencesOf(theInputs({ deployment: policies }), theInputs({ deployment: other }));
    expect(found.map(({ where }) => where)).toEqual(['deployment: routing']);
    const { routing: __, ...unrouted } = DEPLOYMENT;
    expect(wheres(theInputs({ deployment: { ...unrouted, allow_hosts: ['x'] } }))).toEqual([
      'deployment: allow_hosts',
      'deployment: routing',
    ]);
  });

  test('are at most twelve a file: the deepest are taken together', () => {
    const params = (by: number) =>
      Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`p${i}`, i + by]));
    const from = theInputs({ scenario: { ...SCENARIO, params: params(0) } });
    const to = theInputs({ scenario: { ...SCENARIO, params: params(1), models: { main: { model: 'x' } } } });
    const found = differencesOf(from, to);
    expect(found.map(({ where }) => where)).toEqual(['scenario: models', 'scenario: params'].sort());
    expect(found.every(({ baseline }) => baseline.length <= 60)).toBe(true);
    expect(found.reduce((inputs, { undone }) => undone(inputs), to)).toEqual(from);
  });
});
