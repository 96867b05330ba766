// The questions on a library scenario, short: what they answer must hold when it is tried.
import { describe, expect, test } from 'vitest';
import { keeps } from '../../../../lab/size/kept.ts';
import { growth } from '../../../../lab/size/questions/growth.ts';
import { idle } from '../../../../lab/size/questions/idle.ts';
import { questions } from '../../../../lab/size/questions/index.ts';
import { maxLoad } from '../../../../lab/size/questions/max-load.ts';
import { models } from '../../../../lab/size/questions/models.ts';
import { resized } from '../../../../lab/size/questions/replicas.ts';
import { stretchAt } from '../../../../lab/size/questions/trial.ts';
import { without } from '../../../../lab/size/questions/without.ts';
import { isAbsent } from '../../../../reports/charts/chart.ts';
import type { GrowthMonths } from '../../../../reports/size/charts/growth.ts';
import type { IdleCosts } from '../../../../reports/size/charts/idle.ts';
import type { ModelFit } from '../../../../reports/size/charts/model-fit.ts';
import { UserError } from '../../../../scenarios/base/errors.ts';
import { askingOf } from '../../../builders/asking.ts';

const ONE = { deploymentSet: ['pools.main.replicas=1'] };
const SHORT = { ...ONE, warmMs: 30_000, spanMs: 60_000 };

test('each question has a name of its own and says what it asks', () => {
  expect(new Set(questions.map(({ name }) => name)).size).toBe(questions.length);
  for (const { name, describe: told } of questions) {
    expect(name).toMatch(/^[a-z-]+$/);
    expect(told.length).toBeGreaterThan(20);
  }
});

describe('--max-load', () => {
  test('at the answer the promises hold, and at 1.1 times as much one is broken', async () => {
    const asking = askingOf(ONE);
    const { data, title, isMet, charts, lines } = await maxLoad.ask(asking, '');
    const { loadRatio, loadRatioCi95, brokenFirst } = data as {
      loadRatio: number;
      loadRatioCi95: [number, number] | null;
      brokenFirst: string;
    };
    // Surely, or not at all.
    expect(isMet).toBe((loadRatioCi95?.[0] ?? loadRatio) >= 1);
    expect(title).toContain('times today');
    expect(brokenFirst).toBe('p95(tpot) < 50ms');
    expect(lines.some(line => line.startsWith('Why: '))).toBe(true);
    expect(charts.every(({ spec }) => !isAbsent(spec))).toBe(true);
    const trials = [loadRatio, 1.1 * loadRatio].map(loadFactor => ({
      candidate: asking.candidate,
      loadFactor,
      stretch: stretchAt(asking, loadFactor),
      seeds: asking.seeds,
    }));
    const [at, beyond] = await asking.evaluator.evaluate(trials);
    expect(keeps(at!)).toBe(true);
    expect(beyond!.verdict).not.toBe('kept');
  }, 120_000);

  test('says so where no traffic at all keeps a promise', async () => {
    const asking = askingOf({ ...SHORT, seeds: 1, slos: ['p95(ttft) < 1ms'] });
    const { title, isMet, data } = await maxLoad.ask(asking, '');
    expect(title).toContain('cannot keep its promises at any traffic');
    expect(isMet).toBe(false);
    expect(data).toMatchObject({ loadRatio: 0, brokenFirst: 'p95(ttft) < 1ms' });
  }, 120_000);

  test('refuses traffic that comes all at once', async () => {
    const asking = askingOf({
      ...SHORT,
      scenario: 'demo',
      set: ['traffic=[{ workflow: scan, arrival: { at_once: true }, sessions: 3 }]'],
    });
    await expect(maxLoad.ask(asking, '')).rejects.toThrow('no rate to raise');
  });
});

describe('--growth', () => {
  test('breaks when compound growth reaches what is held; later months never need fewer replicas', async () => {
    const { data, title } = await growth.ask(askingOf({ ...SHORT, seeds: 1 }), '40%/month');
    const { loadRatio, breaksAtMonths, months } = data as GrowthMonths & { loadRatio: number };
    expect(1.4 ** breaksAtMonths!).toBeCloseTo(loadRatio, 6);
    expect(title).toContain('breaks it in');
    const replicas = months.map(month => month.replicas ?? Number.POSITIVE_INFINITY);
    expect(replicas).toEqual(replicas.toSorted((a, b) => a - b));
    expect(replicas[0]).toBe(1);
    expect(replicas.at(-1)).toBeGreaterThan(1);
    expect(months[0]!.usdPerMonth).toBeCloseTo(3.39 * 730, 6);
  }, 240_000);
});

describe('--without', () => {
  test('a pool that is lost as a whole breaks promises; one replica of eight does not', async () => {
    const asking = askingOf({ seeds: 1 });
    const one = await without.ask(asking, 'pools.main/1');
    expect(one.title).toContain('every promise holds');
    expect(one.isMet).toBe(true);
    const all = await without.ask(asking, 'main');
    expect(all.isMet).toBe(false);
    expect(all.title).toMatch(/p95\(ttft\) < 2s breaks/);
    expect(all.lines.join(' ')).toContain('No fallback of the gateway names it');
    expect(all.data).toMatchObject({ needed: 9 });
  }, 120_000);

  test('a provider that is down answers nobody, though no promise on latencies notices', async () => {
    const asking = askingOf({
      seeds: 1,
      deployment: 'api-only',
      deploymentSet: ['providers.mistral.limits={ rpm: 100000 }'],
      set: ['models.local.model=mistral-small-4'],
    });
    const { title, isMet } = await without.ask(asking, 'mistral');
    expect(title).toContain('100 % of the calls get no answer');
    expect(isMet).toBe(false);
  }, 60_000);
});

describe('--models', () => {
  test('a model that does not fit one GPU gets more of them; cost follows', async () => {
    const asking = askingOf({ ...SHORT, seeds: 1 });
    const { data, isMet, lines } = await models.ask(asking, 'mistral-small-4,deepseek-v3');
    const [small, large] = (data as ModelFit).models;
    expect(isMet).toBe(true);
    expect(small).toMatchObject({ replicas: 1, gpus: 1, weights: 'fp8', tensorParallel: 1 });
    expect(large!.tensorParallel).toBe(8);
    expect(large!.usdPerHour).toBeCloseTo(8 * 3.39, 6);
    expect(lines.join(' ')).toContain('Quality is not judged');
  }, 120_000);

  test('refuses a model that nobody knows, with a hint', async () => {
    await expect(models.ask(askingOf(SHORT), 'mistral-smal')).rejects.toThrow(UserError);
  });
});

test('--idle: a few workflows an hour let the pool sleep, and most of them meet a cold start', async () => {
  const set = [0, 1, 2, 3, 4].map(i => `traffic.${i}.arrival.poisson.rate=0.5/h`);
  const { data, title } = await idle.ask(
    askingOf({ ...ONE, seeds: 1, set, warmMs: 0, spanMs: 86_400_000 }),
    '',
  );
  const { points, metRatio, usdSavedPerMonth } = data as IdleCosts & {
    metRatio: number;
    usdSavedPerMonth: number;
  };
  const own = points.at(-1)!;
  expect(own.workflowsPerHour).toBeGreaterThan(1);
  expect(own.warmUsdPerMonth).toBeCloseTo(3.39 * 730, -2);
  expect(usdSavedPerMonth).toBeGreaterThan(0.4 * own.warmUsdPerMonth);
  expect(metRatio).toBeGreaterThan(0.5);
  expect(own.zeroMsP95!).toBeGreaterThan(own.warmMsP95! + 30_000);
  expect(title).toContain('Scaling to zero saves');
}, 120_000);

test('resized deployments keep the proportions of their pools, a replica each at least', () => {
  const asking = askingOf({ deployment: 'edge-and-central' });
  const { deployment, gpus, usdPerHour } = resized(asking, 10);
  expect(deployment.set).toEqual(['pools.edge.replicas=2', 'pools.central.replicas=8']);
  expect(gpus).toBe(10);
  const [edge, central] = asking.deployment.pools;
  expect(usdPerHour).toBeCloseTo(2 * edge!.usdPerGpuHour! + 8 * central!.usdPerGpuHour!, 9);
});
