// The search finds what judging every candidate would find, with far fewer runs.
import { rmSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import { searchRungs } from '../../../lab/size/rungs.ts';
import { type SearchResult, search } from '../../../lab/size/search.ts';
import { cheapestKept, type Sized, type Sizing, shortRungs, sizingOf } from '../../builders/sizing.ts';
import { emptyFolder } from '../../cli/run.ts';

const folder = emptyFolder();
afterAll(() => rmSync(folder, { recursive: true }));

const CHAT = `
windtunnel: 1
seed: 5
models: { m: { model: ministral-3-14b } }
workflows: { main: { steps: [ { llm: reply, adds: { median: 400, p90: 1200, max: 4000 }, out: { median: 120, p90: 300, max: 800 } } ] } }
traffic: [ { workflow: main, arrival: { poisson: { rate: 40/s } }, sessions: 50 } ]
assert: [ 'p95(ttft) < 600ms', 'p95(tpot) < 40ms' ]
`;
const AGENTS = `
windtunnel: 1
seed: 9
models: { m: { model: ministral-3-14b } }
prefixes: { system: { tokens: 3000, scope: global } }
tools: { read: { latency: { median: 300ms, p90: 1s }, result: { median: 900, p90: 2500, max: 6000 } } }
workflows:
  main:
    prefix: [system]
    steps:
      - repeat: turn
        times: 4
        steps:
          - { tool: read }
          - { llm: act, adds: =tokens(read), out: { median: 60, p90: 150 } }
traffic: [ { workflow: main, arrival: { poisson: { rate: 6/s } }, sessions: 50 } ]
assert: [ 'p95(ttft) < 800ms', 'p95(e2e, workflow=main) < 20s' ]
`;
const ROUTERS = 'session-affinity,least-outstanding';
const SEEDS = 5;
const WARM_MS = 10_000;

const rungsOf = ({ setup }: Sizing) => shortRungs(setup.callsPerSec, WARM_MS, SEEDS);
const searched = (sizing: Sizing, budgetUsdPerHour: number | null = null): Promise<SearchResult> =>
  search({
    evaluator: sizing.setup.evaluator,
    bounds: sizing.bounds,
    base: sizing.path,
    rungs: searchRungs(rungsOf(sizing)),
    budgetUsdPerHour,
    tell: () => {},
  });

describe('the cheapest deployment', () => {
  test.each([
    ['single calls', CHAT],
    ['agents with tools and a cache', AGENTS],
  ])(
    'of %s costs what the exhaustive optimum costs, within a fiftieth',
    async (_, text) => {
      const sizing = sizingOf(text, folder, { routing: ROUTERS });
      const { ranking, groups } = await searched(sizing);
      const [winner] = ranking;
      const searchRuns = sizing.setup.evaluator.runs;
      const { best, candidates } = await cheapestKept(sizing, rungsOf(sizing)[2]);
      expect(candidates).toBe(48);
      expect(winner!.trial.candidate.replicas).toBeGreaterThanOrEqual(2);
      expect(winner!.trial.candidate.replicas).toBeLessThanOrEqual(5);
      expect(winner!.usdPerHour! / best!.usdPerHour!).toBeLessThanOrEqual(1.02);
      expect(winner!.usdPerHour! / best!.usdPerHour!).toBeGreaterThanOrEqual(0.98);
      expect(searchRuns).toBeLessThan((48 * SEEDS) / 2);
      expect(winner).toMatchObject({ verdict: 'kept', trial: { seeds: SEEDS } });
      for (const { bound, rung } of groups.filter(({ left }) => left === null)) {
        expect(rung).toBe('long');
        expect(ranking.map(({ trial }) => trial.candidate.group)).toContain(bound.group.name);
      }
    },
    240_000,
  );

  test('of more traffic never costs less, and of twice the traffic no more than twice and a replica', async () => {
    const costs: number[] = [];
    for (const load of [0.5, 1, 2]) {
      const sizing = sizingOf(CHAT, folder, { load, replicas: '1..16', tp: '1', gpu: 'rtx-pro-6000' });
      const { ranking } = await searched(sizing);
      costs.push(ranking[0]!.trial.candidate.replicas);
    }
    expect(costs).toEqual(costs.toSorted((a, b) => a - b));
    expect(costs[0]).toBeLessThan(costs[2]!);
    expect(costs[1]).toBeLessThanOrEqual(2 * costs[0]! + 1);
    expect(costs[2]).toBeLessThanOrEqual(2 * costs[1]! + 1);
  });

  const SMALL: Sized = { gpu: 'rtx-pro-6000', tp: '1' };

  test('is never above the budget, and nothing above it is run', async () => {
    const [free, enough, little] = [null, 9, 7].map(budget => ({
      sizing: sizingOf(CHAT, folder, SMALL),
      budget,
    }));
    const { ranking } = await searched(free!.sizing, free!.budget);
    const usd = ranking[0]!.usdPerHour!;
    expect(usd).toBeLessThan(9);
    expect(usd).toBeGreaterThan(7);
    expect((await searched(enough!.sizing, enough!.budget)).ranking[0]!.usdPerHour).toBe(usd);
    const none = await searched(little!.sizing, little!.budget);
    expect(none.ranking).toEqual([]);
    expect(none.evaluations.length).toBeGreaterThan(0);
    expect(Math.max(...none.evaluations.map(each => each.usdPerHour!))).toBeLessThanOrEqual(7);
    expect(none.groups[0]!.left).toMatch(/beyond the budget/);
    expect(none.groups[0]!.closest).not.toBeNull();
  });

  test('is not there where a promise cannot be kept: what came closest is, after few runs', async () => {
    const sizing = sizingOf(CHAT, folder, { ...SMALL, slo: ['p95(ttft) < 1ms'], replicas: '1..64' });
    const { ranking, groups } = await searched(sizing);
    expect(ranking).toEqual([]);
    expect(groups[0]).toMatchObject({ best: null, left: 'broken with 64 replicas' });
    expect(groups[0]!.closest!.tightest!.text).toBe('p95(ttft) < 1ms');
    expect(sizing.setup.evaluator.runs).toBeLessThan(8);
  });
});
