import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { routingPolicies } from '../../../gateway/routing/index.ts';
import { keepThreads } from '../../../lab/grid/run-grid.ts';
import { spaceOf, writeBase } from '../../../lab/size/base.ts';
import { fleetAnswer } from '../../../lab/size/fixed/answer.ts';
import { fleetBaseOfDeployment, fleetBaseOfScenario } from '../../../lab/size/fixed/base.ts';
import { fleetOf, refuseTooManyKinds } from '../../../lab/size/fixed/given.ts';
import { optionsOf, type PoolOption } from '../../../lab/size/fixed/options.ts';
import {
  abilitiesOf,
  candidateOf,
  combinationsOf,
  filled,
  freeOf,
  gpusOf,
  moved,
} from '../../../lab/size/fixed/split.ts';
import { capacityOf } from '../../../lab/size/questions/capacity.ts';
import { type Setup, setupOf } from '../../../lab/size/setup.ts';
import { groupsOf } from '../../../lab/size/space.ts';
import { emptyFolder, windtunnel, write } from '../../cli/run.ts';

const folder = emptyFolder();
afterAll(() => rmSync(folder, { recursive: true }));

/** Two models, short sessions, a promise about each: the large one's calls are longer, so it needs more GPUs. */
const SCENARIO = `
windtunnel: 1
name: two-models
seed: 3
models:
  small: { model: qwen3-8b }
  large: { model: ministral-3-14b }
prefixes:
  system: { tokens: 500, scope: global, retention: durable }
workflows:
  task:
    prefix: [system]
    steps:
      - { llm: sort, model: small, adds: 3000, out: 20 }
      - { llm: write, model: large, adds: 1500, out: 100 }
traffic:
  - { workflow: task, arrival: { poisson: { rate: 1/s } }, sessions: 40 }
assert:
  - p95(ttft, model=small) < 2s
  - p95(ttft, model=large) < 3s
`;

const OPTIONS = {
  seed: undefined,
  set: [] as string[],
  deployment: undefined,
  out: undefined,
  strict: false,
  json: true,
  quiet: true,
  slo: [] as string[],
  load: 1,
  seeds: 2,
} as unknown as Parameters<typeof setupOf>[0];

const SPACE = { tp: '1,2', replicas: '1..64', split: false, routing: undefined, vary: [], price: [] };
const FLEET = [{ gpu: 'l40s', gpus: 8 }];
const H200 = [{ gpu: 'h200-141gb-sxm', gpus: 8 }];
/** As long as the tests can wait. */
const STRETCH = { warmMs: 10_000, spanMs: 30_000 };

beforeAll(() => {
  write(folder, 's.yaml', SCENARIO);
});

const threads = keepThreads();
afterAll(() => threads.close());

function setup(jobs: number): Setup {
  const made = setupOf(
    { ...OPTIONS, scenario: join(folder, 's.yaml'), jobs },
    { run: threads.run, isStopped: () => false },
  );
  const [short, middle, long] = made.rungs;
  const stretched = <R>(rung: R): R => ({ ...rung, stretch: STRETCH });
  return { ...made, rungs: [stretched(short), stretched(middle), stretched(long)] };
}

/** What `windtunnel size` puts together before it searches. */
function askedOf(made: Setup) {
  const base = fleetBaseOfScenario(made.context, undefined);
  const spaces = base.pools.map(({ pool, own }) =>
    spaceOf({ ...base, pool, own }, { ...SPACE, gpu: 'l40s' }, Object.keys(routingPolicies)),
  );
  const path = writeBase(base, join(folder, 'inputs'));
  return {
    setup: made,
    path,
    alone: { base: path, value: base.value },
    fleet: FLEET,
    spaces,
    trafficRatio: 1,
    seeds: 2,
    tell: () => {},
  };
}

describe('splits', () => {
  const option = (pool: string, tensorParallel: number, work: number, gpu = 'h200-141gb-sxm'): PoolOption => {
    const space = {
      ...spaceOf(
        { value: {}, models: [], pool, own: { gpu: null, price: null }, notes: [] },
        { ...SPACE, gpu, tp: String(tensorParallel) },
        Object.keys(routingPolicies),
      ),
      replicas: { min: 1, max: 1 },
    };
    return { group: groupsOf(space)[0]!, model: 'm', usdPerGpuHour: 2, prefillRatio: 0.5, work };
  };

  test('begin with GPUs by the work of each pool, and use no more than there are', () => {
    // Three times the work: 6 of 8 GPUs.
    const [found] = combinationsOf([[option('a', 1, 3)], [option('b', 1, 1)]], H200, true);
    expect(found!.start).toEqual([6, 2]);
    expect(found!.boundRatio).toBe(2);
    expect(abilitiesOf(found!, [6, 2])).toEqual([2, 2]);
    expect(abilitiesOf({ ...found!, isBounded: false }, [6, 2])).toEqual([Infinity, Infinity]);
  });

  test('never use more GPUs than the fleet has, whatever is moved', () => {
    const [found] = combinationsOf(
      [[option('a', 1, 3)], [option('b', 4, 1)]],
      [{ gpu: 'h200-141gb-sxm', gpus: 15 }],
      true,
    );
    const fleet = [{ gpu: 'h200-141gb-sxm', gpus: 15 }];
    let split = found!.start;
    const seen = new Set<string>();
    while (!seen.has(split.join())) {
      seen.add(split.join());
      expect(freeOf(found!.options, split, fleet)[0]!.gpus).toBeGreaterThanOrEqual(0);
      split = moved(found!, split, { from: 0, to: 1, count: 1 }, fleet) ?? split;
    }
    // To b in fours, as far as a keeps one: 3 x 4 + 3.
    expect(split).toEqual([3, 3]);
    expect(moved(found!, split, { from: 0, to: 1, count: 1 }, fleet)).toBeNull();
  });

  test('leave idle only what no replica fits into', () => {
    const options = [option('a', 4, 1), option('b', 8, 1)];
    const fleet = [{ gpu: 'h200-141gb-sxm', gpus: 31 }];
    expect(gpusOf(options, filled(options, [1, 1], fleet))).toEqual([12, 16]);
    expect(freeOf(options, [3, 2], fleet)).toEqual([{ gpu: 'h200-141gb-sxm', gpus: 3 }]);
  });

  test('GPUs of one kind do not become those of another', () => {
    const fleet = [...H200, { gpu: 'h100-80gb-sxm', gpus: 4 }];
    const [found] = combinationsOf([[option('a', 1, 1)], [option('b', 1, 1, 'h100')]], fleet, true);
    expect(found!.start).toEqual([8, 4]);
    expect(moved(found!, [8, 4], { from: 0, to: 1, count: 2 }, fleet)).toBeNull();
  });
});

describe('the best use of eight GPUs', () => {
  test('is within 5 % of the best of all splits and combinations, each held to the same runs', {
    timeout: 600_000,
  }, async () => {
    const asked = askedOf(setup(1));
    const { found } = await fleetAnswer(asked);
    const groups = asked.spaces.map(space => groupsOf({ ...space, replicas: { min: 1, max: 1 } }));
    const { options } = optionsOf({ ...asked.alone, groups, context: asked.setup.context, trafficRatio: 1 });
    const combinations = combinationsOf(options, FLEET, true);
    expect(combinations).toHaveLength(4);
    const { evaluator, rungs } = asked.setup;
    let best = 0;
    for (const combination of combinations)
      for (let a = 1; a <= 7; a++)
        for (let b = 1; b <= 7; b++) {
          const split = [a, b];
          // What leaves room for a replica holds no more than what does not.
          if (filled(combination.options, split, FLEET).join() !== split.join()) continue;
          if (freeOf(combination.options, split, FLEET)[0]!.gpus < 0) continue;
          const most = Math.min(...abilitiesOf(combination, split));
          if (most <= best) continue;
          const candidate = candidateOf(combination, split, asked.path);
          const asking = { evaluator, candidate, stretch: rungs[2].stretch, seeds: 2, tell: () => {} };
          const { loadRatio } = await capacityOf(asking as never, candidate);
          best = Math.max(best, Math.min(most, loadRatio));
        }
    expect(found.answer!.loadRatio).toBeGreaterThan(0.95 * best);
    expect(found.answer!.gpus).toBeLessThanOrEqual(8);
    expect(found.enough!.split.gpus).toBeLessThanOrEqual(found.answer!.gpus);
    expect(found.enough!.split.sized!.verdict).not.toBe('broken');
    expect(found.more!.split.gpus).toBeLessThanOrEqual(16);
    expect(found.runnerUp!.loadRatio).toBeLessThanOrEqual(found.answer!.loadRatio);
  });

  test('is the same with one thread and with two', { timeout: 600_000 }, async () => {
    const answer = (jobs: number) => {
      const { spaces, ...asked } = askedOf(setup(jobs));
      const fleet = [{ gpu: 'l40s', gpus: 3 }];
      return fleetAnswer({
        ...asked,
        fleet,
        spaces: spaces.map(each => ({ ...each, tensorParallels: [1] })),
      });
    };
    const [one, two] = [await answer(1), await answer(2)];
    expect(JSON.stringify(two.found)).toBe(JSON.stringify(one.found));
  });
});

describe('bad input', () => {
  test('names what is wrong with the fleet', () => {
    expect(fleetOf('h200:64, h100:32')).toEqual([
      { gpu: 'h200-141gb-sxm', gpus: 64 },
      { gpu: 'h100-80gb-sxm', gpus: 32 },
    ]);
    expect(() => fleetOf('h900:8')).toThrow('h900: the catalogue has no such GPU');
    expect(() => fleetOf('h200:0')).toThrow('0 GPUs, where a whole number from 1');
    expect(() => fleetOf('h200:2.5')).toThrow('2.5 GPUs');
    expect(() => fleetOf('h200')).toThrow('expected GPU:COUNT');
    expect(() => fleetOf('h200:8,h200-141gb-sxm:8')).toThrow('is there twice');
    expect(() => refuseTooManyKinds(fleetOf('h200:8,h100:8'), ['main'])).toThrow('one kind would stand idle');
  });

  test('a file without pools has nothing to use GPUs for', () => {
    expect(() => fleetBaseOfDeployment({ providers: {} }, [])).toThrow('no pool');
  });

  test('a model that fits nowhere says so and why, and other options of the fleet are refused', {
    timeout: 60_000,
  }, () => {
    write(folder, 'big.yaml', SCENARIO.replace('ministral-3-14b', 'llama-3.1-405b'));
    const ran = windtunnel(['size', 'big.yaml', '--fleet', 'l40s:8', '--tp', '1,2', '--quiet'], folder);
    expect(ran.code).toBe(104);
    expect(ran.err).toContain('pool "large" fits on none of these GPUs');
    const both = windtunnel(['size', 's.yaml', '--fleet', 'h200:8', '--gpu', 'h100', '--quiet'], folder);
    expect(both.code).toBe(104);
    expect(both.err).toContain('--gpu beside --fleet');
    const few = windtunnel(['size', 's.yaml', '--fleet', 'h200:1', '--quiet'], folder);
    expect(few.code).toBe(104);
    expect(few.err).toContain('too few for a replica of each pool (small, large)');
  });
});
