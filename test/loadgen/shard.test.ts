// A plan dealt out: every session once with its own draws, limits divided, and the parts put together again.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Shard, sessionsOf, sessionsOfShard, shardOfPlan, shareOf } from '../../loadgen/shard.ts';
import { dividedLimits } from '../../loadgen/shard-limits.ts';
import { mergedRun, type ShardPart } from '../../loadgen/shard-merge.ts';
import { recordLines } from '../../reports/digest.ts';
import { sha256 } from '../../reports/publish.ts';
import { summarise } from '../../reports/summary.ts';
import type { Plan, PlannedSession } from '../../scenarios/formats/plan.ts';
import type { RunOutput } from '../../scenarios/formats/run.ts';
import { walk } from '../../scenarios/workflows/walk.ts';
import { planOf } from '../builders/scenarios.ts';
import { deploymentOf, HEADER, simulated } from '../builders/worlds.ts';

const shardsOf = (count: number): Shard[] => Array.from({ length: count }, (_, index) => ({ index, count }));

/** What the session is, with every length and delay that it draws. */
const drawnOf = (session: PlannedSession): string => {
  const { calls, makespanMs } = walk(session);
  const { id, key, tenant, user, plannedMs } = session;
  return JSON.stringify({ id, key, tenant, user, plannedMs, calls, makespanMs });
};
const allOf = (plan: Plan): string[] => plan.cohorts.flatMap(cohort => [...sessionsOf(cohort)].map(drawnOf));

const mixed = (open: number, agents: number, each: number): string => `
windtunnel: 1
seed: 7
models: { m: { model: ministral-3-14b } }
tools: { fetch: { latency: { median: 300ms, p90: 1s }, result: 40 } }
tenants: { red: {}, blue: {} }
workflows:
  main: { steps: [ { llm: ask, adds: { median: 40, p90: 90 }, out: { median: 10, p90: 30 } }, fetch, { llm: tell, adds: =tokens(prev), out: 5 } ] }
traffic:
  - { workflow: main, arrival: { poisson: { rate: 4/s } }, sessions: ${open}, tenants: { red: 30%, blue: 70% }, users: 5 }
  - { name: loop, workflow: main, arrival: { closed: { agents: ${agents}, think: { median: 1s, p90: 3s }, ramp: 10s } }, sessions: ${agents * each} }
  - { name: once, workflow: main, arrival: { at_once: true }, sessions: 1 }
`;

describe('a plan dealt out', () => {
  test('has every session in one shard, with the draws it had', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 7 }),
        (open, agents, each, count) => {
          const plan = planOf(mixed(open, agents, each));
          const parts = shardsOf(count).map(shard => allOf(shardOfPlan(plan, shard)));
          expect(parts.flat().toSorted()).toEqual(allOf(plan).toSorted());
          expect(new Set(parts.flat()).size).toBe(open + agents * each + 1);
          expect(shardsOf(count).map(shard => sessionsOfShard(plan, shard))).toEqual(
            parts.map(({ length }) => length),
          );
        },
      ),
      { numRuns: 25 },
    );
  });

  test('deals agents evenly, what is left over to the first; each keeps its pauses and its place in the ramp', () => {
    const plan = planOf(mixed(1, 7, 2));
    const loopOf = (each: Plan) => {
      const cohort = each.cohorts[1];
      if (cohort?.kind !== 'closed') throw new Error('the loop is closed');
      return cohort;
    };
    const parts = shardsOf(3).map(shard => loopOf(shardOfPlan(plan, shard)));
    expect(parts.map(({ agents }) => agents)).toEqual([3, 2, 2]);
    const whole = loopOf(plan);
    for (const [index, part] of parts.entries()) {
      for (let agent = 0; agent < part.agents; agent++) {
        const own = index + 3 * agent;
        expect(part.session(agent, 0, 0)?.id).toBe(`loop/${own}.0`);
        expect(part.session(agent, 0, 0)?.plannedMs).toBe((10_000 * own) / 7);
        expect(part.thinkMs(agent, 1)).toBe(whole.thinkMs(own, 1));
      }
    }
  });

  test('spreads many cohorts of one session over the shards', () => {
    const cohort = (name: string, arrival: string) =>
      `{ name: ${name}, workflow: main, arrival: ${arrival}, sessions: 1 }`;
    const names = ['a', 'b', 'c', 'd', 'e', 'f'];
    for (const arrival of ['{ at_once: true }', '{ closed: { agents: 1 } }']) {
      const plan = planOf(
        mixed(1, 1, 1).replace(
          /traffic:[\s\S]*/,
          `traffic: [ ${names.map(name => cohort(name, arrival)).join(', ')} ]`,
        ),
      );
      expect(shardsOf(3).map(shard => sessionsOfShard(plan, shard))).toEqual([2, 2, 2]);
    }
  });
});

test('shares are whole, sum to the whole, and differ by one at most', () => {
  fc.assert(
    fc.property(fc.nat(1000), fc.integer({ min: 1, max: 40 }), (amount, count) => {
      const shares = shardsOf(count).map(shard => shareOf(amount, shard));
      expect(shares.reduce((sum, share) => sum + share, 0)).toBe(amount);
      expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(1);
      expect(shares).toEqual(shares.toSorted((a, b) => b - a));
    }),
  );
});

describe('limits of a run', () => {
  const LIMITED = `
windtunnel: 1
deployment: limited
pools: { m: { model: ministral-3-14b, limits: { max_model_len: 65536, kv_blocks: 4096 }, step: { model: affine, base: 4ms, per_token: 20us } } }
tools: { box: { runs: [fetch], concurrency: 5, warm_pool: 3 } }
gateway:
  admission: { policy: calls, max: 2, queue: 9 }
  rate_limits:
    - { each: all, rpm: 100, tpm: 9k, concurrency: 7 }
    - { each: session, rpm: 30 }
  budgets:
    - { each: tenant, tokens: 300k, usd: 9, wall: 5m }
    - { each: session, tokens: 10k }
`;

  test('are divided where they are shared, and are the session’s own where they are not', () => {
    const plan = planOf(mixed(6, 2, 1));
    const parts = shardsOf(3).map(shard => dividedLimits(plan, deploymentOf(LIMITED), shard));
    const gateways = parts.map(({ deployment }) => deployment.gateway!);
    expect(gateways.map(({ limits }) => limits[0])).toMatchObject([
      { rpm: 100 / 3, tpm: 3000, concurrency: 3 },
      { rpm: 100 / 3, tpm: 3000, concurrency: 2 },
      { rpm: 100 / 3, tpm: 3000, concurrency: 2 },
    ]);
    for (const { limits, budgets } of gateways) {
      expect(limits[1]).toMatchObject({ each: 'session', rpm: 30 });
      expect(budgets[0]!.limits).toMatchObject({ tokens: 100_000, usd: 3, wallMs: 300_000 });
      expect(budgets[1]!.limits).toMatchObject({ tokens: 10_000 });
    }
    expect(parts.map(({ deployment }) => deployment.toolRuntimes[0])).toMatchObject([
      { concurrency: 2, warmPool: 1 },
      { concurrency: 2, warmPool: 1 },
      { concurrency: 1, warmPool: 1 },
    ]);
    // 2 calls at once cannot be divided by 3.
    expect(parts.map(({ deployment }) => deployment.admission.options)).toEqual([
      { max: 1, queue: 3 },
      { max: 1, queue: 3 },
      { max: 1, queue: 3 },
    ]);
    const [notes] = parts.map(each => each.notes);
    expect(notes!.join('\n')).toContain('limits and budgets are divided by 3');
    expect(notes!.join('\n')).toContain(
      '`max` of admission calls is below the number of shards: each has 1, together 3',
    );
    expect(new Set(parts.map(each => JSON.stringify(each.notes))).size).toBe(1);
  });

  test('stay as they are in a run of one shard, and nothing is said', () => {
    const plan = planOf(mixed(6, 2, 1));
    const deployment = deploymentOf(LIMITED);
    expect(dividedLimits(plan, deployment, { index: 0, count: 1 })).toEqual({ plan, deployment, notes: [] });
  });
});

describe('parts of a run put together', () => {
  const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));
  const plan = planOf(mixed(18, 4, 2));
  // With a gateway that writes attempts and decisions.
  const whole = simulated(
    plan,
    `
windtunnel: 1
deployment: test
pools: { m: { model: ministral-3-14b, replicas: 2, limits: { max_model_len: 65536, kv_blocks: 4096, max_num_batched_tokens: 512, max_num_seqs: 8 }, step: { model: affine, base: 8ms, per_token: 80us } } }
gateway: { retry: openai, rate_limits: [ { each: all, rpm: 90 } ] }
`,
  );
  const client = (lagP99: number) => ({
    workers: 1,
    lagMs: { n: 0, p50: 0, p95: 0, p99: 0, max: 0 },
    sessionLagMs: { n: 0, p50: 0, p95: 0, p99: 0, max: 0 },
    loopDelayMs: { n: 4, p50: 1, p95: 2, p99: lagP99, max: 9 },
    cpuCores: 0.25,
    chunks: 10,
    chunkGapMs: { count: 1, sum: 2, min: 2, max: 2, buckets: [[2689, 1]] as [number, number][] },
    rate: null,
    inFlightMax: 2,
    serverInFlightMax: 3,
    socketsOpened: 5,
  });
  /** The sessions of a run dealt out by any rule, as machines would have delivered them. */
  const dealt = (run: RunOutput, count: number, toShard: (session: string) => number): ShardPart[] =>
    shardsOf(count).map(({ index }) => {
      const own = <Row extends { session: string }>(rows: readonly Row[]): Row[] =>
        rows.filter(({ session }) => toShard(session) === index);
      const { governed } = run;
      return {
        name: `shard ${index + 1} of ${count}`,
        lost: null,
        output: {
          ...run,
          header: HEADER,
          calls: own(run.calls),
          nodes: own(run.nodes),
          workflows: own(run.workflows),
          // Everybody has looked at the same servers.
          timeline: run.timeline,
          itlMs: index === 0 ? run.itlMs : { count: 0, sum: 0, min: 0, max: 0, buckets: [] },
          ...(governed === undefined
            ? {}
            : {
                governed: {
                  ...governed,
                  attempts: own(governed.attempts),
                  tools: own(governed.tools),
                  decisions: own(governed.decisions),
                  cancels: own(governed.cancels),
                  anomalies: own(governed.anomalies),
                  classifierUsd: index === 0 ? governed.classifierUsd : 0,
                  idleToolsUsd: index === 0 ? governed.idleToolsUsd : 0,
                },
              }),
        },
      };
    });
  const numberOf = (session: string): number => Number(/(\d+)$/.exec(session)?.[1]);

  test('are the same run however its sessions were dealt out', () => {
    expect(whole.governed!.attempts.length).toBeGreaterThan(40);
    const alone = mergedRun(
      dealt(whole, 1, () => 0),
      HEADER,
      [],
    );
    for (const count of [2, 3, 5]) {
      for (const rule of [
        (session: string) => numberOf(session) % count,
        (session: string) => (numberOf(session) * 7 + session.length) % count,
      ]) {
        const merged = mergedRun(dealt(whole, count, rule), HEADER, []);
        expect(plain(merged)).toEqual(plain(alone));
        expect([...recordLines(merged)]).toEqual([...recordLines(alone)]);
      }
    }
  });

  test('have the records of the one process, in order of their planned time, and its summary', () => {
    const merged = mergedRun(
      dealt(whole, 3, session => numberOf(session) % 3),
      HEADER,
      [],
    );
    const byName = (rows: readonly { session: string; call: string }[]) =>
      rows.toSorted((a, b) => (a.session + a.call < b.session + b.call ? -1 : 1));
    expect(byName(merged.calls)).toEqual(byName(whole.calls));
    for (const [i, call] of merged.calls.entries())
      expect(call.plannedMs).toBeGreaterThanOrEqual(merged.calls[i - 1]?.plannedMs ?? 0);
    const one = summarise(whole, sha256);
    const all = summarise(merged, sha256);
    expect(all.counts).toEqual(one.counts);
    expect(all.tokens).toEqual(one.tokens);
    for (const metric of ['ttft', 'e2e', 'makespan', 'itl'] as const)
      expect(all.metrics[metric]?.p95).toBeCloseTo(one.metrics[metric]!.p95!, 9);
  });

  test('add counts up, take the worst delay, and judge by the worst client', () => {
    const parts = dealt(whole, 2, session => numberOf(session) % 2).map((part, index) => ({
      ...part,
      output: {
        ...part.output,
        header: { ...HEADER, warnings: ['of all', ...(index === 1 ? ['of one'] : [])] },
        measured: { client: client(index === 0 ? 4 : 8), prompts: [], servers: [], gpus: [] },
        ...(index === 1 ? { valid: false, invalidReason: 'our client sent late' } : {}),
      },
    }));
    const merged = mergedRun(parts, { ...HEADER, warnings: ['before'] }, []);
    expect(merged.measured!.client).toMatchObject({
      workers: 2,
      cpuCores: 0.5,
      chunks: 20,
      socketsOpened: 10,
      loopDelayMs: { p99: 8 },
      serverInFlightMax: 3,
      chunkGapMs: { count: 2, sum: 4, buckets: [[2689, 2]] },
    });
    expect(merged.measured!.client.lagMs.n).toBe(whole.calls.filter(({ sentMs }) => sentMs !== null).length);
    expect(merged.header.warnings).toEqual(['before', 'of all', 'shard 2 of 2: of one']);
    expect(merged).toMatchObject({
      valid: false,
      invalidReason: 'shard 2 of 2: our client sent late',
      interrupted: false,
    });
    expect(merged.isPartial).toBeUndefined();
  });

  test('of which one was lost are a partial run: not valid, and not taken for interrupted', () => {
    const parts = dealt(whole, 2, session => numberOf(session) % 2).map((part, index) =>
      index === 0 ? part : { ...part, lost: 'was lost', output: { ...part.output, interrupted: true } },
    );
    const merged = mergedRun(parts, HEADER, []);
    expect(merged).toMatchObject({
      valid: false,
      isPartial: true,
      invalidReason: 'shard 2 of 2 was lost',
      interrupted: false,
    });
    const { verdict } = summarise(merged, sha256);
    expect(verdict.status).toBe('invalid');
    expect(verdict.headline).toBe('a part of the run is missing: shard 2 of 2 was lost');
  });
});
