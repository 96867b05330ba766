// The books balance: hand-computed bills, and on drawn runs every breakdown sums to a total that is counted another way.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ledgerOf } from '../../../gateway/ledger/ledger.ts';
import {
  COST_DIMENSIONS,
  type CostBasis,
  IDLE_GROUP,
  type Ledger,
  type TokenPrice,
} from '../../../scenarios/formats/ledger.ts';
import { type AttemptRecord, type ToolRecord, WASTES } from '../../../scenarios/formats/record.ts';
import type { RunOutput } from '../../../scenarios/formats/run.ts';
import { aCall, anAttempt, aRun, aSpan, aTool, aWorkflow, theGoverned } from '../../builders/records.ts';

const PRICE: TokenPrice = { in: 3, cachedIn: 0.3, cacheWrite: 3.75, out: 15 };
const basis: CostBasis = {
  rates: new Map([
    ['main', { prefillNs: 100, decodeNs: 1000, contextNs: 0 }],
    ['split/prefill', { prefillNs: 100, decodeNs: 0, contextNs: 0 }],
    ['split/decode', { prefillNs: 0, decodeNs: 1000, contextNs: 1 }],
  ]),
  price: target => (target === 'frontier' ? PRICE : null),
};

const sum = (values: Iterable<number>): number => {
  let total = 0;
  for (const value of values) total += value;
  return total;
};

const governed = (attempts: AttemptRecord[], more: Partial<RunOutput> = {}): RunOutput =>
  aRun({ governed: theGoverned({ attempts }), ...more });

describe('a provider', () => {
  const hosted = (fields: Partial<AttemptRecord>) =>
    ledgerOf(governed([anAttempt({ target: 'frontier', scheduledMs: null, ...fields })]), basis);

  test('bills uncached, cached and written input, and output, each at its price', () => {
    const { components, totalNanos } = hosted({
      cachedTokens: 400,
      cacheWriteTokens: 500,
      outputTokens: 100,
    });
    // 100 x 3 + 400 x 0.3 + 500 x 3.75 + 100 x 15 USD per million.
    expect(components).toMatchObject({
      api_input: 300_000,
      api_cached_input: 120_000,
      api_cache_write: 1_875_000,
      api_output: 1_500_000,
    });
    expect(totalNanos).toBe(3_795_000);
  });

  test('bills what appeared up to the abort, and what appeared after it is waste of its own', () => {
    const { waste, totalNanos } = hosted({
      outcome: 'cancelled',
      error: 'cancelled',
      outputTokens: 50,
      cancelledMs: 500,
      cancelledTokens: 20,
      waste: 'cancelled',
    });
    expect(totalNanos).toBe(3_000_000 + 750_000);
    expect(waste).toEqual([
      { reason: 'cancelled', nanos: 3_000_000 + 300_000, tokens: 1020, gpuSeconds: 0 },
      { reason: 'after_cancel', nanos: 450_000, tokens: 30, gpuSeconds: 0 },
    ]);
  });

  test('takes nothing for a refusal or for what was never sent, but does for what timed out', () => {
    const failed = { outcome: 'error', outputTokens: 0, firstTokenMs: null } as const;
    expect(hosted({ ...failed, error: 'http_429' }).totalNanos).toBe(0);
    expect(hosted({ ...failed, error: 'budget', sentMs: null }).totalNanos).toBe(0);
    expect(hosted({ ...failed, error: 'timeout' }).totalNanos).toBe(3_000_000);
  });
});

describe('replicas', () => {
  const busy = [{ pool: 'main', replica: 'main/0', busyMs: 600 }];

  test('are idle while they do not compute, and their work is split by marginal time', () => {
    // 1 s at a thousandth of a dollar: 0.6 of it work. Weights: 1000 x 100 + 100 x 1000; 500 x 100 + 150 x 1000.
    const calls = [
      aCall({ outputTokens: 101, computedTokens: 1100 }),
      aCall({ session: 's1', step: 'other', promptTokens: 500, computedTokens: 650, outputTokens: 151 }),
    ];
    const workflows = [aWorkflow(), aWorkflow({ session: 's1' })];
    const ledger = ledgerOf(aRun({ calls, workflows, replicas: [aSpan()], busy, durationMs: 1000 }), basis);
    expect(ledger.components).toMatchObject({ gpu_work: 600_000, gpu_idle: 400_000 });
    expect([...ledger.attemptNanos]).toEqual([300_000, 300_000]);
    expect(ledger.rows.step).toEqual([
      { group: IDLE_GROUP, nanos: 400_000, wastedNanos: 0 },
      { group: 'answer', nanos: 300_000, wastedNanos: 0 },
      { group: 'other', nanos: 300_000, wastedNanos: 0 },
    ]);
    expect(ledger.gpuSeconds).toEqual({ busy: 0.6, paid: 1 });
  });

  test('of a disaggregated pool are split by prompts on one side and by decoding on the other', () => {
    const calls = [
      aCall({ pool: 'split', promptTokens: 3000, computedTokens: 3000, outputTokens: 1 }),
      aCall({ pool: 'split', session: 's1', promptTokens: 1000, computedTokens: 1100, outputTokens: 101 }),
    ];
    const replicas = ['split/prefill/0', 'split/decode/0'].map(replica => aSpan({ pool: 'split', replica }));
    const ledger = ledgerOf(
      aRun({
        calls,
        replicas,
        busy: replicas.map(({ pool, replica }) => ({ pool, replica, busyMs: 1000 })),
        durationMs: 1000,
      }),
      basis,
    );
    expect([...ledger.attemptNanos]).toEqual([750_000, 250_000 + 1_000_000]);
  });

  test('that nothing is known of cost what is paid, with a note; without a price they cost nothing', () => {
    const unknown = ledgerOf(aRun({ replicas: [aSpan()], durationMs: 1000 }), basis);
    expect(unknown.components).toMatchObject({ gpu_work: 1_000_000, gpu_idle: 0 });
    expect(unknown.notes.join()).toContain('is not known');
    const free = ledgerOf(
      aRun({ replicas: [aSpan({ usdPerGpuHour: null })], busy, durationMs: 1000 }),
      basis,
    );
    expect(free.totalNanos).toBe(0);
    expect(free.notes.join()).toContain('no price is known for the GPUs of main');
    expect(free.gpuSeconds.busy).toBe(0.6);
  });

  test('that computed for nobody are idle', () => {
    const ledger = ledgerOf(aRun({ calls: [], replicas: [aSpan()], busy, durationMs: 1000 }), basis);
    expect(ledger.components).toMatchObject({ gpu_work: 0, gpu_idle: 1_000_000 });
  });

  test('that go on after a cancel: the decode time from then on is waste of its own', () => {
    const cancelled = anAttempt({
      outcome: 'cancelled',
      computedTokens: 1100,
      cancelledMs: 600,
      cancelledTokens: 51,
      waste: 'over_budget',
    });
    const { waste } = ledgerOf(governed([cancelled], { replicas: [aSpan()], busy, durationMs: 1000 }), basis);
    // 50 of 100 decode steps, which are half of the work.
    expect(waste).toEqual([
      { reason: 'after_cancel', nanos: 150_000, tokens: 50, gpuSeconds: 0.15 },
      { reason: 'over_budget', nanos: 450_000, tokens: 1051, gpuSeconds: expect.closeTo(0.45, 9) },
    ]);
  });
});

test('what went well is lost with its session, its tools too', () => {
  const ledger = ledgerOf(
    aRun({
      workflows: [aWorkflow({ status: 'failed', error: 'http_500' })],
      governed: theGoverned({
        attempts: [anAttempt({ target: 'frontier' }), anAttempt({ target: 'frontier', waste: 'retried' })],
        tools: [aTool({ usd: 0.000_25 })],
        classifierUsd: 0.001,
        idleToolsUsd: 0,
      }),
    }),
    basis,
  );
  const each = 3_000_000 + 1_515_000;
  expect(ledger.waste).toEqual([
    { reason: 'retried', nanos: each, tokens: 1101, gpuSeconds: 0 },
    { reason: 'session_failed', nanos: each + 250_000, tokens: 1101, gpuSeconds: 0 },
  ]);
  expect(ledger.components).toMatchObject({ tools: 250_000, classifier: 1_000_000 });
});

test('beyond what is counted exactly the books refuse, and name the likely cause', () => {
  const huge = aRun({ replicas: [aSpan({ usdPerGpuHour: 1e13 })], durationMs: 3_600_000 });
  expect(() => ledgerOf(huge, basis)).toThrow('9 million USD');
});

// ---- drawn runs ----

const name = (prefix: string) => fc.nat(3).map(n => `${prefix}${n}`);
const maybe = <T>(one: fc.Arbitrary<T>) => fc.option(one, { nil: null });
const tokens = fc.nat(50_000);

const drawnAttempt: fc.Arbitrary<AttemptRecord> = fc
  .record({
    session: name('s'),
    workflow: name('w'),
    step: name('step'),
    role: maybe(name('role')),
    tenant: maybe(name('t')),
    user: maybe(name('u')),
    target: fc.constantFrom('main', 'split', 'frontier', 'nowhere'),
    promptTokens: tokens,
    cachedTokens: maybe(tokens),
    cacheWriteTokens: maybe(tokens),
    computedTokens: maybe(tokens),
    outputTokens: fc.nat(2000),
    sentMs: maybe(fc.constant(1)),
    scheduledMs: maybe(fc.constant(2)),
    firstTokenMs: maybe(fc.constant(3)),
    outcome: fc.constantFrom('ok', 'error', 'cancelled', 'unfinished'),
    error: maybe(fc.constantFrom('timeout', 'http_429', 'http_500')),
    cancelledTokens: maybe(fc.nat(2000)),
    waste: maybe(fc.constantFrom(...WASTES)),
  })
  .map(fields => anAttempt(fields as Partial<AttemptRecord>));

const drawnTool: fc.Arbitrary<ToolRecord> = fc
  .record({
    session: name('s'),
    workflow: name('w'),
    usd: fc.double({ min: 0, max: 2, noNaN: true }),
    waste: maybe(fc.constantFrom(...WASTES)),
  })
  .map(fields => aTool(fields));

const drawnRun: fc.Arbitrary<RunOutput> = fc
  .record({
    attempts: fc.array(drawnAttempt, { maxLength: 60 }),
    tools: fc.array(drawnTool, { maxLength: 10 }),
    classifierUsd: fc.double({ min: 0, max: 3, noNaN: true }),
    idleToolsUsd: fc.double({ min: 0, max: 3, noNaN: true }),
    statuses: fc.array(fc.constantFrom('completed', 'failed', 'cancelled', 'unfinished'), {
      minLength: 4,
      maxLength: 4,
    }),
    spans: fc.array(
      fc.record({
        set: fc.constantFrom('main', 'split/prefill', 'split/decode'),
        askedMs: fc.nat(4000),
        goneMs: maybe(fc.integer({ min: 4000, max: 9000 })),
        gpus: fc.integer({ min: 1, max: 8 }),
        usdPerGpuHour: maybe(fc.double({ min: 0, max: 12, noNaN: true })),
        busyRatio: fc.double({ min: 0, max: 1, noNaN: true }),
      }),
      { maxLength: 8 },
    ),
    knowsBusy: fc.boolean(),
    isGoverned: fc.boolean(),
  })
  .map(({ attempts, tools, classifierUsd, idleToolsUsd, statuses, spans, knowsBusy, isGoverned }) => {
    const durationMs = 10_000;
    const replicas = spans.map(({ set, busyRatio: _, ...span }, i) =>
      aSpan({ ...span, pool: set.split('/')[0] as string, replica: `${set}/${i}` }),
    );
    return aRun({
      durationMs,
      replicas,
      calls: attempts.map(({ target, ...attempt }) =>
        aCall({ ...(attempt as object), pool: target, session: attempt.session }),
      ),
      workflows: statuses.map((status, i) =>
        aWorkflow({ session: `s${i}`, workflow: `w${i % 2}`, status: status as 'completed' }),
      ),
      ...(isGoverned ? { governed: theGoverned({ attempts, tools, classifierUsd, idleToolsUsd }) } : {}),
      ...(knowsBusy
        ? {
            busy: replicas.map(({ pool, replica, askedMs, goneMs }, i) => ({
              pool,
              replica,
              busyMs: ((goneMs ?? durationMs) - askedMs) * spans[i]!.busyRatio,
            })),
          }
        : {}),
    });
  });

/** Nano-dollars of tokens, counted in whole billionths of a cent. */
const bill = (count: number, usdPerMTok: number): bigint =>
  BigInt(count) * BigInt(Math.round(usdPerMTok * 1000));

/** The total another way: what is paid for, with no thought of who caused it. */
function independentNanos(run: RunOutput): number {
  let gpu = 0;
  for (const { askedMs, goneMs, gpus, usdPerGpuHour } of run.replicas ?? [])
    gpu += Math.round(((gpus * ((goneMs ?? run.durationMs) - askedMs)) / 3.6e6) * (usdPerGpuHour ?? 0) * 1e9);
  let api = 0n;
  const requests = run.governed?.attempts ?? run.calls.map(call => ({ ...call, target: call.pool }));
  for (const each of requests as AttemptRecord[]) {
    const free = each.outcome === 'error' && each.error !== 'timeout';
    const served = each.firstTokenMs !== null || each.scheduledMs !== null;
    if (each.target !== 'frontier' || each.sentMs === null || (free && !served)) continue;
    const cached = Math.min(each.promptTokens, each.cachedTokens ?? 0);
    const written = Math.min(each.promptTokens - cached, each.cacheWriteTokens ?? 0);
    api += bill(each.promptTokens - cached - written, PRICE.in);
    api +=
      bill(cached, PRICE.cachedIn) + bill(written, PRICE.cacheWrite) + bill(each.outputTokens, PRICE.out);
  }
  const tools = sum((run.governed?.tools ?? []).map(({ usd }) => Math.round(usd * 1e9)));
  const { classifierUsd = 0, idleToolsUsd = 0 } = run.governed ?? {};
  return gpu + Number(api) + tools + Math.round(classifierUsd * 1e9) + Math.round(idleToolsUsd * 1e9);
}

const cents = (nanos: number): bigint => (BigInt(nanos) + 5_000_000n) / 10_000_000n;

test('on drawn runs every breakdown sums to the total, which is what was paid for', () => {
  let wasted = 0;
  fc.assert(
    fc.property(drawnRun, run => {
      const ledger: Ledger = ledgerOf(run, basis);
      expect(ledger.totalNanos).toBe(independentNanos(run));
      expect(sum(Object.values(ledger.components))).toBe(ledger.totalNanos);
      for (const dimension of COST_DIMENSIONS) {
        const rows = ledger.rows[dimension];
        expect(sum(rows.map(({ nanos }) => nanos))).toBe(ledger.totalNanos);
        expect(cents(sum(rows.map(({ nanos }) => nanos)))).toBe(cents(ledger.totalNanos));
        expect(sum(rows.map(({ wastedNanos }) => wastedNanos))).toBe(
          sum(ledger.waste.map(({ nanos }) => nanos)),
        );
        for (const { nanos, wastedNanos } of rows) {
          expect(Number.isSafeInteger(nanos)).toBe(true);
          expect(wastedNanos >= 0 && wastedNanos <= nanos).toBe(true);
        }
      }
      const { gpu_idle, tools_idle, classifier } = ledger.components;
      const shared = gpu_idle + tools_idle + classifier;
      expect(sum(ledger.attemptNanos) + sum(ledger.toolNanos) + shared).toBe(ledger.totalNanos);
      const { busy, paid } = ledger.gpuSeconds;
      expect(busy).toBeLessThanOrEqual(paid + 1e-9);
      expect(sum(ledger.waste.map(({ gpuSeconds }) => gpuSeconds))).toBeLessThanOrEqual(busy + 1e-9);
      wasted += ledger.waste.length;
    }),
    { numRuns: 400 },
  );
  // Or the draws would not test what they are for.
  expect(wasted).toBeGreaterThan(1000);
});
