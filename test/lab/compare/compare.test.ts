// Whole comparisons of small simulations and of live runs that were kept.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { compareRuns, compareSides } from '../../../lab/compare/compare.ts';
import { type Side, sideOfBaseline, sideOfInputs, sideOfRun, simulated } from '../../../lab/compare/side.ts';
import { seedsFrom } from '../../../lab/grid/seeds.ts';
import { figuresOfBlocks } from '../../../reports/compare/figures.ts';
import { sha256 } from '../../../reports/publish.ts';
import { summarise } from '../../../reports/summary.ts';
import { version } from '../../../scenarios/cli/version.ts';
import type { Baseline } from '../../../scenarios/formats/baseline.ts';
import type { RunComparison } from '../../../scenarios/formats/comparison.ts';
import type { RunResult } from '../../../scenarios/formats/result.ts';
import { VALIDATION_SCHEMA_VERSION } from '../../../scenarios/formats/validation.ts';
import { aComparedRun } from '../../builders/compared.ts';
import { aFigure } from '../../builders/comparisons.ts';
import { DEPLOYMENT, SCENARIO, theInputs, withPool } from '../../builders/stored-inputs.ts';

const ONE = { jobs: 1, seeds: 4 } as const;
const SLOWER = withPool({ step: { model: 'affine', base: '10ms', per_token: '250us' } });

const base = await simulated(sideOfInputs('a', theInputs()), seedsFrom(1, 4), 1);
const figure = ({ figures }: RunComparison, id: string) => figures.find(each => each.id === id)!;

describe('two simulations', () => {
  test('of the same inputs are the same run, without simulating', async () => {
    const again = { ...base, name: 'b' };
    const { pairing, verdict, figures, headline } = await compareSides(base, again, ONE);
    expect(pairing).toBe('identical');
    expect(verdict).toBe('unchanged');
    for (const each of figures)
      expect(each).toMatchObject({ changeRatio: 0, ci95: [0, 0], verdict: 'unchanged' });
    expect(headline).toBe('b and a are the same run: every record is equal');
  });

  test('simulated twice are exactly equal, seed by seed', async () => {
    const again = await simulated(sideOfInputs('b', theInputs()), seedsFrom(1, 4), 2);
    expect(again.figures).toEqual(base.figures);
    expect(again.digest).toBe(base.digest);
    // Another order of keys is another file, and no other run.
    const { routing, ...rest } = DEPLOYMENT;
    const turned = sideOfInputs('b', theInputs({ deployment: { routing, ...rest } }));
    const compared = await compareSides(base, turned, ONE);
    for (const each of compared.figures) expect(each).toMatchObject({ changeRatio: 0, verdict: 'unchanged' });
  });

  test('of which one has slower steps: judged by seed, with where they part and why', async () => {
    const slower = sideOfInputs('b', theInputs({ deployment: SLOWER }));
    const compared = await compareSides(base, slower, { ...ONE, explain: true });
    expect(compared).toMatchObject({ pairing: 'seeds', blocks: 4, verdict: 'regressed', warnings: [] });
    const makespan = figure(compared, 'makespan.p95');
    expect(makespan.verdict).toBe('regressed');
    expect(makespan.ci95![0]).toBeGreaterThan(0);
    expect(compared.headline).toMatch(/^b is .* slower at the workflow p95 \[/);
    expect(compared.firstDifference).not.toBeNull();
    // One difference is the whole change.
    expect(compared.explained).toMatchObject([
      { where: 'deployment: pools.main.step.base', baseline: '8ms', candidate: '10ms', problem: null },
    ]);
    const [effect] = compared.explained![0]!.effects;
    expect(effect!.changeRatio).toBeCloseTo(makespan.changeRatio!, 9);
  });

  test('that differ twice: the larger effect first, and effects with their rest sum to the change', async () => {
    const both = withPool({ replicas: 2, step: { model: 'affine', base: '40ms', per_token: '250us' } });
    const compared = await compareSides(base, sideOfInputs('b', theInputs({ deployment: both, seed: 5 })), {
      ...ONE,
      explain: true,
    });
    const explained = compared.explained!;
    expect(explained.map(({ where }) => where)).toEqual([
      'deployment: pools.main.step.base',
      'deployment: pools.main.replicas',
      'seed',
      'the rest: differences that act together',
    ]);
    for (const { id, changeRatio } of compared.figures.filter(({ isPrimary }) => isPrimary)) {
      const sum = explained.reduce(
        (total, { effects }) => total + (effects.find(effect => effect.id === id)?.changeRatio ?? 0),
        0,
      );
      expect(sum).toBeCloseTo(changeRatio!, 9);
    }
    expect(explained[2]!.problem).toBe('both sides are simulated with the same seeds');
    expect(compared.warnings.join()).toContain('the seeds differ (1, 5)');
  });

  test('of which undoing one difference alone cannot be simulated say so, and go on', async () => {
    const renamed = {
      ...DEPLOYMENT,
      pools: { other: { ...DEPLOYMENT.pools.main, model: 'mistral-small-4' } },
    };
    const asked = { ...SCENARIO, models: { main: { model: 'mistral-small-4' } } };
    const compared = await compareSides(
      base,
      sideOfInputs('b', theInputs({ deployment: renamed, scenario: asked })),
      { ...ONE, explain: true },
    );
    expect(compared.warnings.join()).toContain('models.main.model (ministral-3-14b, now mistral-small-4)');
    expect(compared.explained!.map(({ where }) => where).sort()).toEqual([
      'deployment: pools',
      'scenario: models.main.model',
    ]);
  });

  test('whose seed decides nothing differ exactly', async () => {
    const fixed = { ...SCENARIO, traffic: [{ workflow: 'chat', sessions: 5, arrival: { at_once: true } }] };
    const sides = [DEPLOYMENT, SLOWER].map((deployment, i) =>
      sideOfInputs('ab'[i]!, theInputs({ scenario: fixed, deployment })),
    );
    const compared = await compareSides(sides[0]!, sides[1]!, ONE);
    expect(compared.pairing).toBe('exact');
    const { changeRatio, ci95, pValue } = figure(compared, 'makespan.p95');
    expect(ci95).toEqual([changeRatio, changeRatio]);
    expect(pValue).toBeNull();
  });

  test('are simulated again where another version made them, and what the upgrade moved is no regression', async () => {
    const stored: Side = {
      ...base,
      name: 'old',
      toolVersion: '0.0.1',
      figures: base.figures.map(each => ({
        ...each,
        values: each.values.map(x => (x === null ? null : x * 0.8)),
      })),
    };
    const { verdict, warnings, figures } = await compareSides(
      stored,
      { ...base, name: 'new', digest: 'x' },
      ONE,
    );
    expect(verdict).toBe('unchanged');
    for (const { changeRatio } of figures) expect(changeRatio).toBe(0);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain(
      `the upgrade from 0.0.1 to ${version} itself moved old (workflow p95 +25 %`,
    );
  });
});

test('three runs are held against the first, which is simulated once', async () => {
  const told: string[] = [];
  const sides = [DEPLOYMENT, SLOWER, withPool({ replicas: 2 })].map((deployment, i) =>
    sideOfInputs('abc'[i]!, theInputs({ deployment })),
  );
  const result = await compareRuns(sides[0]!, sides.slice(1), {
    ...ONE,
    seeds: 2,
    firstDifference: false,
    onProgress: text => told.push(text),
  });
  expect(result.comparisons.map(({ name }) => name)).toEqual(['b', 'c']);
  expect(result.runs).toHaveLength(3);
  expect(told).toEqual(
    ['a', 'b', 'c'].flatMap(name => [1, 2].map(done => `${name}: ${done} of 2 simulations`)),
  );
});

describe('live runs', () => {
  const live = (scale: number): RunResult => summarise(aComparedRun({ scale, world: 'live' }), sha256);
  const sideOf = (name: string, result: RunResult): Side => {
    const figures = figuresOfBlocks(result)!;
    const blocks = figures[0]!.values.map((_, i) => `slice ${i + 1}`);
    return {
      name,
      world: 'live',
      toolVersion: version,
      inputs: null,
      digest: result.digest,
      blocks,
      figures,
      result,
    };
  };

  test('made one after the other are compared by slices of time, with a warning', async () => {
    const compared = await compareSides(sideOf('a', live(1)), sideOf('b', live(1.5)));
    expect(compared).toMatchObject({ pairing: 'apart', verdict: 'regressed', blocks: 10 });
    expect(figure(compared, 'makespan.p95').changeRatio).toBeCloseTo(0.5, 1);
    expect(compared.warnings.join()).toContain('one after the other');
  });

  test('are not compared with simulations', async () => {
    await expect(compareSides(base, sideOf('b', live(1)))).rejects.toThrow('a is simulated, b is live');
  });

  test('that our client spoilt are compared with a warning', async () => {
    const spoilt = summarise(
      { ...aComparedRun({ world: 'live' }), valid: false, invalidReason: 'late' },
      sha256,
    );
    const { warnings } = await compareSides(sideOf('a', live(2)), sideOf('b', spoilt));
    expect(warnings[0]).toMatch(/^b is not valid: /);
  });
});

describe('what cannot be compared', () => {
  const folder = mkdtempSync(join(tmpdir(), 'windtunnel-sides-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const kept = (name: string, result: unknown): string => {
    const path = join(folder, name);
    writeFileSync(path, JSON.stringify(result));
    return path;
  };
  const result = base.result!;

  test('is one run alone', async () => {
    await expect(compareRuns(base, [])).rejects.toThrow('one run alone is compared with nothing');
  });

  test('is a run of another scenario, unless that is allowed', async () => {
    const other = sideOfInputs(
      'b',
      theInputs({ scenario: { ...SCENARIO, name: 'other', params: { words: 30 } } }),
    );
    await expect(compareSides(base, other, ONE)).rejects.toThrow(
      'a ran the scenario "chats", b ran "other"; they differ in params.words',
    );
    const compared = await compareSides(base, other, { ...ONE, seeds: 2, allowDifferent: true });
    expect(compared.warnings[0]).toContain('params.words (20, now 30)');
    // Another plan has no first difference.
    expect(compared.firstDifference).toBeNull();
  });

  test('is a run of which nobody kept what it was made of', async () => {
    const old = await sideOfRun(kept('old.json', { ...result, digest: 'other' }));
    await expect(compareSides(base, old, ONE)).rejects.toThrow('it has no inputs.json');
  });

  test('is a run that was cut off, and a validation', async () => {
    const cut = kept('cut.json', { ...result, verdict: { ...result.verdict, status: 'interrupted' } });
    await expect(sideOfRun(cut)).rejects.toThrow('was cut off before its end');
    const validation = kept('v.json', { kind: 'validation', schemaVersion: VALIDATION_SCHEMA_VERSION });
    await expect(sideOfRun(validation)).rejects.toThrow('is a validation, which holds');
  });

  test('are plans of two versions, which cannot be made again', async () => {
    const plan = (name: string, toolVersion: string): Side => ({
      ...base,
      name,
      toolVersion,
      digest: name,
      blocks: [],
      figures: [],
      inputs: theInputs({ problem: 'it ran a written plan, whose draws are fixed' }),
    });
    await expect(compareSides(plan('a', '0.0.1'), plan('b', version))).rejects.toThrow(
      'a was made by version 0.0.1 and b by',
    );
    const compared = await compareSides(plan('a', version), plan('b', version));
    expect(compared.pairing).toBe('exact');
  });

  test('is a trace that is not there any more', async () => {
    const traced = {
      ...SCENARIO,
      traffic: [{ name: 't', trace: ['gone.jsonl'], arrival: { recorded: true } }],
    };
    await expect(compareSides(base, sideOfInputs('b', theInputs({ scenario: traced })), ONE)).rejects.toThrow(
      /gone\.jsonl/,
    );
  });

  test('is the baseline of a shape', () => {
    const shape: Baseline = {
      schemaVersion: 1,
      kind: 'baseline',
      name: 'agents',
      world: 'shape',
      toolVersion: version,
      inputs: null,
      digest: null,
      blocks: [1],
      figures: [aFigure([1])],
      commit: null,
      history: [],
    };
    expect(() => sideOfBaseline(shape)).toThrow('is the shape of a scenario');
    expect(sideOfBaseline({ ...shape, world: 'sim' })).toMatchObject({
      name: 'agents',
      blocks: [1],
      result: null,
    });
  });
});
