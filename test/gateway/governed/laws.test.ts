// The laws of the gateway over random workflows on servers that fail, are slow, refuse and are lost, under random rules.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { DeploymentSpec, HostedModel } from '../../../engines/engine.ts';
import { constant } from '../../../scenarios/formats/amount.ts';
import {
  type BudgetRule,
  type GatewaySpec,
  PLAIN_GATEWAY,
  REASONS,
  type RetryRule,
} from '../../../scenarios/formats/rules.ts';
import type { RunOutput } from '../../../scenarios/formats/run.ts';
import { planOf, randomSteps, workflowText } from '../../builders/scenarios.ts';
import { DEPLOYMENT, deploymentOf, simulated } from '../../builders/worlds.ts';

const RETRY: RetryRule = {
  max: 2,
  reasons: ['429', '5xx', 'timeout', 'connect'],
  baseMs: 50,
  capMs: 400,
  factor: 2,
  jitter: 'full',
  obeysRetryAfter: true,
  retryAfterMaxMs: 60_000,
  budgetRatio: null,
  budgetMin: 3,
  isBlind: false,
};

const api = (name: string, failRatio: number, rpm: number | null): HostedModel => ({
  name,
  provider: 'vendor',
  modelId: name,
  price: { in: 3, cachedIn: 0.3, cacheWrite: 3.75, out: 15 },
  maxModelTokens: 200_000,
  endpoint: null,
  api: {
    latency: { ttft: constant(300), tpot: constant(12), perInputTokenMs: 0.01 },
    limits: {
      model: null,
      provider:
        rpm === null
          ? null
          : {
              rpm,
              tpm: null,
              inputTpm: null,
              outputTpm: null,
              concurrency: null,
              spend: null,
              accounting: 'reserve',
              fraction: 0.25,
              burstMs: 1000,
              cachedCounts: true,
              retryAfter: true,
            },
    },
    failRatio,
    outages: [{ atMs: 800, perSec: null, lastsMs: constant(700), share: 1, slowdown: 1 }],
    cache: null,
    place: null,
  },
});

const budgetRule: fc.Arbitrary<BudgetRule> = fc.record({
  limits: fc.record(
    {
      tokens: fc.integer({ min: 500, max: 20_000 }),
      llmCalls: fc.integer({ min: 1, max: 8 }),
      toolCalls: fc.integer({ min: 1, max: 4 }),
      wallMs: fc.integer({ min: 500, max: 20_000 }),
    },
    { requiredKeys: [] },
  ),
  softRatio: fc.option(fc.constant(0.5)),
  save: fc.constant({ model: null, outputTokens: 8 }),
  onExceed: fc.constantFrom('stop', 'finalize', 'degrade', 'queue'),
  overdrawRatio: fc.constant(0.2),
  perMs: fc.constant(null),
});

const spec: fc.Arbitrary<GatewaySpec> = fc.record({
  ...Object.fromEntries(Object.entries(PLAIN_GATEWAY).map(([key, value]) => [key, fc.constant(value)])),
  budgets: fc
    .option(budgetRule, { freq: 2 })
    .map(rule => (rule === null ? [] : [{ ...rule, each: 'session', workflow: null }])),
  retry: fc.option(
    fc.record({
      ...(Object.fromEntries(
        Object.entries(RETRY).map(([key, value]) => [key, fc.constant(value)]),
      ) as Record<keyof RetryRule, fc.Arbitrary<never>>),
      max: fc.integer({ min: 0, max: 4 }) as fc.Arbitrary<never>,
      jitter: fc.constantFrom('none', 'full', 'equal', 'decorrelated') as fc.Arbitrary<never>,
    }),
  ),
  timeout: fc.option(
    fc.record({
      attemptMs: fc.option(fc.integer({ min: 100, max: 3000 })),
      ttftMs: fc.option(fc.integer({ min: 100, max: 1500 })),
      totalMs: fc.option(fc.integer({ min: 500, max: 8000 })),
    }),
  ),
  hedge: fc.option(
    fc.record({
      afterMs: fc.integer({ min: 50, max: 600 }),
      max: fc.integer({ min: 1, max: 2 }),
      shareMax: fc.constant(null),
    }),
  ),
  breaker: fc.option(
    fc.constant({
      inARow: 3,
      share: null,
      window: { calls: 10 },
      minCalls: 1,
      openMs: 500,
      trials: 1,
      slowMs: null,
      slowShare: 1,
      reasons: ['5xx', 'timeout'] as const,
      growsOpen: false,
      ejectMax: null,
    }),
  ),
  fallback: fc.constantFrom(
    new Map(),
    new Map([['sold', { general: ['spare', 'main'], contextLength: [], contentPolicy: [] }]]),
  ),
  degraded: fc.constantFrom('fail_closed', 'fall_back', 'queue'),
  degradedWaitMs: fc.constant(3000),
  propagatesCancel: fc.boolean(),
  limits: fc.constantFrom(
    [],
    [
      {
        rpm: 600,
        tpm: null,
        inputTpm: null,
        outputTpm: null,
        concurrency: 2,
        spend: null,
        accounting: 'reserve' as const,
        fraction: 0.25,
        burstMs: 1000,
        cachedCounts: true,
        retryAfter: true,
        each: 'all' as const,
        model: null,
        maxWaitMs: 5000,
      },
    ],
  ),
  anomalies: fc.option(
    fc.constantFrom('flag', 'throttle', 'cancel').map(action => ({
      repeats: 3,
      calls: 6,
      toolCascade: null,
      burn: null,
      contextGrowth: null,
      action,
      throttleMs: 300,
    })),
  ),
}) as unknown as fc.Arbitrary<GatewaySpec>;

const anyWorld = fc.record({
  steps: randomSteps,
  gateway: spec,
  failRatio: fc.constantFrom(0, 0.1, 0.5, 1),
  rpm: fc.constantFrom(null, 60, 6000),
  target: fc.constantFrom('sold', 'main'),
  cancel: fc.constantFrom('', 'cancel: { hazard: 20%/s }', 'cancel: { after: 900ms }'),
});
type AnyWorld = typeof anyWorld extends fc.Arbitrary<infer T> ? T : never;

function runOf({ steps, gateway, failRatio, rpm, target, cancel }: AnyWorld): RunOutput {
  const text = workflowText(steps, '', 4).replace('workflows:\n', 'workflows:\n');
  const withCancel = cancel === '' ? text : text.replace(/\n( +)steps:/, `\n$1${cancel}\n$1steps:`);
  const plan = planOf(withCancel);
  const plain = deploymentOf(DEPLOYMENT());
  const deployment: DeploymentSpec = {
    ...plain,
    gateway: { ...gateway, choose: [{ ...ANY, use: [{ target, weight: 1 }], escalate: null }] },
    hosted: [api('sold', failRatio, rpm), api('spare', 0, null)],
  };
  return simulated(plan, deployment);
}
const ANY = {
  roles: null,
  complexities: null,
  sensitivities: null,
  models: null,
  workflows: null,
  tenants: null,
};

describe('any workflow on any servers under any rules', () => {
  test('every call and session ends once; attempts add up; the same bytes again', {
    timeout: 120_000,
  }, () => {
    fc.assert(
      fc.property(anyWorld, world => {
        const run = runOf(world);
        const again = runOf(world);
        expect(again.calls).toEqual(run.calls);
        expect(again.governed).toEqual(run.governed);
        const planned = run.workflows.reduce((sum, each) => sum + each.calls, 0);
        expect(run.calls).toHaveLength(planned);
        expect(new Set(run.calls.map(call => `${call.session} ${call.call}`)).size).toBe(planned);
        expect(run.workflows).toHaveLength(4);
        for (const { status } of run.workflows) expect(status).not.toBe('unfinished');
        const attempts = run.governed?.attempts ?? [];
        const made = new Map<string, number>();
        for (const { session, call, attempt } of attempts) {
          const path = `${session} ${call}`;
          made.set(path, Math.max(made.get(path) ?? 0, attempt + 1));
        }
        for (const { session, call, attempts: told } of run.calls)
          expect(told).toBe(made.get(`${session} ${call}`) ?? 0);
      }),
      { numRuns: 150 },
    );
  });

  test('attempts obey the rules they were made by', { timeout: 120_000 }, () => {
    fc.assert(
      fc.property(anyWorld, world => {
        const { gateway } = world;
        const run = runOf(world);
        for (const call of run.calls) {
          const own = (run.governed?.attempts ?? []).filter(
            each => each.session === call.session && each.call === call.call,
          );
          const used = own.filter(({ waste }) => waste === null);
          // One answer is used, and only of a call that ended well.
          const wasGivenUp = own.some(({ cancelledMs, outcome }) => cancelledMs !== null && outcome === 'ok');
          expect(used.length).toBe(call.outcome === 'ok' && !wasGivenUp ? 1 : 0);
          for (const target of new Set(own.map(each => each.target))) {
            const retries = own.filter(each => each.kind === 'retry' && each.target === target).length;
            if (gateway.degraded !== 'queue') expect(retries).toBeLessThanOrEqual(gateway.retry?.max ?? 0);
          }
          const hedges = own.filter(each => each.kind === 'hedge').length;
          expect(hedges).toBeLessThanOrEqual((gateway.hedge?.max ?? 0) * own.length);
          for (const { because, sentMs, firstTokenMs, endMs, cancelledMs } of own) {
            if (because !== null) expect(REASONS).toContain(because);
            if (firstTokenMs !== null) expect(firstTokenMs).toBeGreaterThanOrEqual(sentMs as number);
            if (cancelledMs !== null) expect(endMs as number).toBeGreaterThanOrEqual(cancelledMs);
          }
        }
      }),
      { numRuns: 150 },
    );
  });

  test('nothing is sent of a session that is over, and all of it ends', { timeout: 120_000 }, () => {
    fc.assert(
      fc.property(anyWorld, world => {
        const run = runOf(world);
        const ends = new Map(run.workflows.map(({ session, endMs }) => [session, endMs as number]));
        for (const { session, sentMs, endMs, cancelledMs } of run.governed?.attempts ?? []) {
          const overMs = ends.get(session) as number;
          expect(sentMs as number).toBeLessThanOrEqual(overMs + 1e-6);
          expect(endMs).not.toBeNull();
          // What runs on was given up at the latest when its session ended.
          if ((endMs as number) > overMs + 1e-6) expect(cancelledMs).not.toBeNull();
        }
        const cancels = run.governed?.cancels ?? [];
        for (const { cleanMs, atMs } of cancels) expect(cleanMs).toBeGreaterThanOrEqual(atMs);
        // One end, one record, however much of it was under way.
        const ended = run.workflows.filter(({ status }) => status === 'cancelled');
        const told = cancels.map(({ session }) => session);
        expect(new Set(told).size).toBe(told.length);
        expect(ended.every(({ session }) => told.includes(session))).toBe(true);
      }),
      { numRuns: 100 },
    );
  });
});

describe('budgets of sessions', () => {
  test('no session uses more tokens than its budget and the stated overdraw', { timeout: 120_000 }, () => {
    fc.assert(
      fc.property(anyWorld, budgetRule, (world, rule) => {
        const limit = 3000;
        const gateway = {
          ...world.gateway,
          budgets: [{ ...rule, limits: { tokens: limit }, each: 'session' as const, workflow: null }],
        };
        const run = runOf({ ...world, gateway });
        const used = new Map<string, number>();
        const beyond = new Map<string, number>();
        for (const each of run.governed?.attempts ?? []) {
          const isBilled = each.outcome === 'ok' || each.firstTokenMs !== null || each.outputTokens > 0;
          const add = (to: Map<string, number>, tokens: number) =>
            to.set(each.session, (to.get(each.session) ?? 0) + tokens);
          if (isBilled) add(used, each.promptTokens + each.outputTokens);
          // 99.9 % of the answers of these steps stay below what is reserved for them.
          add(beyond, Math.max(0, each.outputTokens - 100));
        }
        const stretch = rule.onExceed === 'degrade' ? 1 + rule.overdrawRatio : 1;
        for (const [session, tokens] of used)
          expect(tokens).toBeLessThanOrEqual(limit * stretch + (beyond.get(session) ?? 0));
      }),
      { numRuns: 150 },
    );
  });
});
