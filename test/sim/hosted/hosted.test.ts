// Hosted APIs: what one call meets, worked out by hand, and the laws of any number of them.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Issue } from '../../../scenarios/base/issue.ts';
import { constant, type DrawnAmount, parseAmount } from '../../../scenarios/formats/amount.ts';
import type { HostedSpec, OutageSpec } from '../../../scenarios/formats/rules.ts';
import { rule } from '../../gateway/limits/build.ts';
import { API, fault, model, Stage, text } from './build.ts';

function ms(raw: unknown): DrawnAmount {
  const issues: Issue[] = [];
  const amount = parseAmount(raw, 'ms', [], issues);
  if (amount?.kind !== 'draw') throw new Error(issues.map(({ message }) => message).join('; '));
  return amount;
}
const outage = (some: Partial<OutageSpec>): OutageSpec => ({
  atMs: 0,
  perSec: null,
  lastsMs: constant(1000),
  share: 1,
  slowdown: 1,
  ...some,
});

describe('a hosted model', () => {
  test('answers after its first-token time, then a token at an even pace', () => {
    const stage = new Stage([model({ latency: { ...API.latency, perInputTokenMs: 0.1 } })]);
    stage.send(7, { promptTokens: 1000, outputTokens: 11 });
    stage.run();
    // 500 + 1000 x 0.1, then 10 tokens of 10 ms.
    expect(stage.told.map(({ kind, atMs }) => [kind, atMs])).toEqual([
      ['first', 600],
      ['end', 700],
    ]);
    expect(stage.end(7)).toMatchObject({
      outcome: 'ok',
      error: null,
      pool: 'frontier',
      replica: null,
      sentMs: 0,
      scheduledMs: null,
      firstTokenMs: 600,
      endMs: 700,
      promptTokens: 1000,
      cachedTokens: 0,
      computedTokens: null,
      outputTokens: 11,
      itlMsMax: 10,
    });
  });

  test('leaves calls to pools, and timers of others, to the world below', () => {
    const stage = new Stage([model(), model({}, { name: 'silent', api: null })]);
    stage.send(1, { pool: 'local' });
    stage.send(2, { pool: 'silent' });
    stage.abort(1);
    stage.run();
    expect(stage.below).toEqual([
      { kind: 'send', ticket: 1 },
      { kind: 'send', ticket: 2 },
      { kind: 'abort', ticket: 1 },
    ]);
    expect(stage.told).toEqual([]);
  });

  test('shows the tokens that have appeared, and bills those alone when it is given up', () => {
    const stage = new Stage([model({ limits: { model: rule({ outputTpm: 100 }), provider: null } })]);
    stage.send(1, { outputTokens: 100 });
    for (const [atMs, tokens] of [
      [499, 0],
      [500, 1],
      [509.9, 1],
      [510, 2],
    ] as const)
      stage.at(atMs, () => expect(stage.layer.tokensOf?.(1)).toBe(tokens));
    stage.at(795, () => stage.abort(1));
    stage.at(795, () => stage.abort(1));
    stage.at(796, () => stage.send(2, { outputTokens: 71 }));
    stage.run();
    // 500, 510, … 790: 30 tokens. 70 of 100 are left, and about one more flows in meanwhile.
    expect(stage.end(1)).toMatchObject({ outcome: 'cancelled', outputTokens: 30, endMs: 795, itlMsMax: 10 });
    expect(stage.end(2).outcome).toBe('ok');
  });

  test('refuses at once what is too long for its window', () => {
    const stage = new Stage([model({}, { maxModelTokens: 1010 })]);
    stage.send(1, { promptTokens: 1000, outputTokens: 11 });
    stage.send(2, { promptTokens: 1000, outputTokens: 10 });
    stage.run();
    expect(stage.end(1)).toMatchObject({
      outcome: 'error',
      error: 'too_long',
      sentMs: 0,
      endMs: 0,
      firstTokenMs: null,
    });
    expect(stage.end(2).outcome).toBe('ok');
  });

  test('fails a share of calls in place of their first token, and each attempt is drawn anew', () => {
    const stage = new Stage([
      model({ failRatio: 0.3, limits: { model: rule({ tpm: 1e9 }), provider: null } }),
    ]);
    for (let i = 0; i < 2000; i++) stage.send(i, { name: `c${i % 1000}`, attempt: i < 1000 ? 0 : 1 });
    stage.run();
    const failed = Array.from({ length: 2000 }, (_, i) => stage.end(i).error === 'http_500');
    const count = (from: number) => failed.slice(from, from + 1000).filter(Boolean).length;
    // 300 of 1000, standard deviation 14.5.
    for (const from of [0, 1000]) expect(Math.abs(count(from) - 300)).toBeLessThan(60);
    const both = failed.filter((each, i) => i < 1000 && each && failed[i + 1000]).length;
    expect(Math.abs(both - 90)).toBeLessThan(40);
    const one = stage.end(failed.indexOf(true));
    expect(one).toMatchObject({ outcome: 'error', endMs: 500, firstTokenMs: null, outputTokens: 0 });
  });
});

describe('limits of an API', () => {
  test('the burst of 345 calls of 3,000 tokens at 500k input tokens a minute meets 429s for 64 s', () => {
    const limits = { model: null, provider: rule({ rpm: 1000, inputTpm: 500_000 }) };
    const stage = new Stage([model({ limits })]);
    let refusals = 0;
    let lastRefusedMs = 0;
    let lastSentMs = 0;
    stage.onTold = told => {
      if (told.kind !== 'end') return;
      const { outcome, error, retryAfterMs, endMs, sentMs } = told.result;
      if (outcome === 'ok') {
        lastSentMs = Math.max(lastSentMs, sentMs!);
        return;
      }
      // Refused at once, and told when to come back.
      expect([error, endMs]).toEqual(['http_429', sentMs]);
      refusals += 1;
      lastRefusedMs = Math.max(lastRefusedMs, endMs!);
      const again = told.ticket + 1000;
      stage.at(stage.nowMs + retryAfterMs!, () =>
        stage.send(again, {
          name: `c${told.ticket % 1000}`,
          promptTokens: 3000,
          attempt: Math.floor(again / 1000),
        }),
      );
    };
    for (let i = 0; i < 345; i++) stage.send(i, { name: `c${i}`, promptTokens: 3000, outputTokens: 50 });
    stage.run();
    expect(stage.told.filter(told => told.kind === 'end' && told.result.outcome === 'ok')).toHaveLength(345);
    // (345 x 3,000 - 500,000) / (500,000 / 60 s) = 64.2 s until the last one fits; Retry-After is in whole seconds.
    expect([lastRefusedMs, lastSentMs]).toEqual([64_000, 65_000]);
    // All who wait ask every second: of 179 that are left over, 2.78 go in each.
    expect(refusals).toBeGreaterThan((179 * 64) / 2);
    expect(refusals).toBeLessThan((179 * 66) / 2);
  });

  test('are of the provider for all of its models together, and of one model alone', () => {
    const provider = rule({ concurrency: 3 });
    const stage = new Stage([
      model({ limits: { model: rule({ concurrency: 2 }), provider } }),
      model({ limits: { model: null, provider } }, { name: 'small' }),
      model({ limits: { model: null, provider: null } }, { name: 'elsewhere', provider: 'other' }),
    ]);
    for (const [ticket, pool] of [
      'frontier',
      'frontier',
      'frontier',
      'small',
      'small',
      'elsewhere',
    ].entries())
      stage.send(ticket, { pool, name: `c${ticket}` });
    stage.at(1000, () => stage.send(9, { pool: 'small', name: 'later' }));
    stage.run();
    expect([0, 1, 2, 3, 4, 5, 9].map(ticket => stage.end(ticket).error)).toEqual([
      null,
      null,
      'http_429',
      null,
      'http_429',
      null,
      null,
    ]);
    // Only an end makes room: nothing is said of when.
    expect(stage.end(2).retryAfterMs).toBeNull();
  });

  test('do not say when to come back where the vendor does not', () => {
    for (const retryAfter of [true, false]) {
      const stage = new Stage([model({ limits: { model: rule({ rpm: 1, retryAfter }), provider: null } })]);
      stage.send(1);
      stage.send(2);
      stage.run();
      expect(stage.end(2)).toMatchObject({ error: 'http_429', retryAfterMs: retryAfter ? 60_000 : null });
    }
  });

  test('reserve what the client allows, and settle by what appeared', () => {
    const limits = { model: rule({ outputTpm: 1000 }), provider: null };
    const stage = new Stage([model({ limits })]);
    stage.send(1, { outputTokens: 100, maxOutputTokens: 900 });
    stage.send(2, { outputTokens: 100, maxOutputTokens: 900 });
    stage.at(10_000, () => stage.send(3, { outputTokens: 100, maxOutputTokens: 900 }));
    stage.run();
    expect([1, 2, 3].map(ticket => stage.end(ticket).error)).toEqual([null, 'http_429', null]);
  });

  test('spend is counted by the price, cached input at its own', () => {
    const price = { in: 10, cachedIn: 1, cacheWrite: 12, out: 50 };
    const limits = { model: rule({ spend: { usd: 0.03, windowMs: 600_000 } }), provider: null };
    const stage = new Stage([model({ limits, cache: { ttlMs: 1e6, minTokens: 100 } }, { price })]);
    // 1,280 tokens at 10, 100 at 50: 0.0178 USD; again from the cache 0.00628; then 0.0178 do not fit.
    const ask = { prompt: [text('same', 1280)], outputTokens: 100 };
    stage.send(1, ask);
    stage.at(5000, () => stage.send(2, ask));
    stage.at(10_000, () => stage.send(3, { prompt: [text('other', 1280)], outputTokens: 100 }));
    stage.at(15_000, () => stage.send(4, { prompt: [text('same', 1280)], outputTokens: 90 }));
    stage.run();
    expect([1, 2, 3, 4].map(ticket => stage.end(ticket).error)).toEqual([null, null, 'http_429', null]);
  });
});

describe('the prompt cache of an API', () => {
  const cached = {
    cache: { ttlMs: 300_000, minTokens: 1024 },
    latency: { ...API.latency, perInputTokenMs: 0.1 },
  };

  test('has a prefix from its first token on, for as long as it is used, in steps of 128 tokens', () => {
    const stage = new Stage([model(cached)]);
    const system = text('system', 2000);
    const ask = (ticket: number, atMs: number) =>
      stage.at(atMs, () => stage.send(ticket, { prompt: [system, text(`own ${ticket}`, 100)] }));
    ask(1, 0);
    ask(2, 699); // the first one's token comes at 500 + 210
    ask(3, 711);
    ask(4, 300_000); // within 5 min of the last use
    ask(5, 700_000); // beyond
    stage.run();
    // 2,000 tokens are 15 chunks of 128, and some.
    expect([1, 2, 3, 4, 5].map(ticket => stage.end(ticket).cachedTokens)).toEqual([0, 0, 1920, 1920, 0]);
    expect(stage.end(3).firstTokenMs! - stage.end(3).sentMs!).toBeCloseTo(500 + 180 * 0.1, 6);
  });

  test('knows nothing of short prefixes, and nothing of other models', () => {
    const stage = new Stage([model(cached), model(cached, { name: 'small' })]);
    const long = text('long', 4096);
    for (const [ticket, [pool, prompt]] of [
      ['frontier', [text('short', 1000)]],
      ['frontier', [text('short', 1000), text('more', 1000)]],
      ['frontier', [long]],
      ['small', [long]],
      ['frontier', [long]],
    ].entries())
      stage.at(ticket * 10_000, () =>
        stage.send(ticket, { pool: pool as string, prompt: prompt as ReturnType<typeof text>[] }),
      );
    stage.run();
    expect([0, 1, 2, 3, 4].map(ticket => stage.end(ticket).cachedTokens)).toEqual([0, 0, 0, 0, 4096]);
  });
});

describe('outages', () => {
  test('fail calls from their beginning to their end, at once; calls under way go on', () => {
    const stage = new Stage([model({ outages: [outage({ atMs: 1000, lastsMs: constant(2000) })] })]);
    const times = [900, 999.5, 1000, 2999, 3000];
    for (const [ticket, atMs] of times.entries()) stage.at(atMs, () => stage.send(ticket));
    stage.run();
    expect(times.map((_, ticket) => stage.end(ticket).error)).toEqual([
      null,
      null,
      'http_503',
      'http_503',
      null,
    ]);
    expect(stage.end(2)).toMatchObject({ sentMs: 1000, endMs: 1000, retryAfterMs: null });
  });

  test('fail a share of calls and slow the others down', () => {
    const stage = new Stage([model({ outages: [outage({ share: 0.25, slowdown: 3 })] })]);
    for (let ticket = 0; ticket < 1000; ticket++) stage.send(ticket, { name: `c${ticket}`, outputTokens: 2 });
    stage.run();
    const ends = Array.from({ length: 1000 }, (_, ticket) => stage.end(ticket));
    const failed = ends.filter(({ error }) => error === 'http_503').length;
    expect(Math.abs(failed - 250)).toBeLessThan(60);
    const well = ends.filter(({ outcome }) => outcome === 'ok');
    expect(well).toHaveLength(1000 - failed);
    for (const { firstTokenMs, endMs } of well) expect([firstTokenMs, endMs]).toEqual([1500, 1530]);
  });

  test.each([
    [null, ['http_503', 'http_503', 'http_503']],
    ['anthropic', ['http_503', 'http_503', null]],
    ['small', [null, 'http_503', null]],
    ['nobody', [null, null, null]],
  ])('a planned one of %s reaches its models', (target, errors) => {
    const names = ['frontier', 'small', 'elsewhere'];
    const stage = new Stage(
      names.map(name =>
        model({}, { name, modelId: name, provider: name === 'elsewhere' ? 'other' : 'anthropic' }),
      ),
      { faults: [fault({ target, lastsMs: 5000 })] },
    );
    for (const [ticket, pool] of names.entries()) stage.send(ticket, { pool });
    stage.run();
    expect(names.map((_, ticket) => stage.end(ticket).error)).toEqual(errors);
  });

  test('a degraded model is slower while it lasts, and fails nobody', () => {
    const faults = [
      fault({ kind: 'degraded_model', target: 'claude', factor: 2, atMs: 1000, lastsMs: 1000 }),
    ];
    const stage = new Stage([model()], { faults });
    for (const atMs of [0, 1000, 2000]) stage.at(atMs, () => stage.send(atMs, { outputTokens: 2 }));
    stage.run();
    expect([0, 1000, 2000].map(atMs => stage.end(atMs).endMs! - atMs)).toEqual([510, 1020, 510]);
  });

  test('at a rate come as often and last as long as is said, for all models of a provider together', () => {
    const outages = [
      outage({ atMs: null, perSec: 1 / 3600, lastsMs: ms({ dist: 'exponential', mean: '6m' }) }),
    ];
    const stage = new Stage([model({ outages }), model({ outages }, { name: 'small' })]);
    const probes = 20_000;
    // Every minute: down for a share of 1 - e^(-6/60) of the time.
    for (let i = 0; i < probes; i++)
      stage.at(i * 60_000, () => {
        stage.send(2 * i, { outputTokens: 1 });
        stage.send(2 * i + 1, { pool: 'small', outputTokens: 1 });
      });
    stage.run();
    const errors = new Map<number, string | null>();
    for (const told of stage.told) if (told.kind === 'end') errors.set(told.ticket, told.result.error);
    let [down, apart] = [0, 0];
    for (let i = 0; i < probes; i++) {
      if (errors.get(2 * i) !== errors.get(2 * i + 1)) apart += 1;
      if (errors.get(2 * i) === 'http_503') down += 1;
    }
    expect(apart).toBe(0);
    expect(down / probes).toBeCloseTo(1 - Math.exp(-0.1), 1);
    expect(down / probes).toBeGreaterThan(0.07);
  });
});

describe('laws of hosted APIs', () => {
  const api: Partial<HostedSpec> = {
    latency: {
      ttft: ms({ median: '600ms', p90: '1.4s' }),
      tpot: ms({ median: '12ms', p90: '20ms' }),
      perInputTokenMs: 0.05,
    },
    limits: { model: rule({ inputTpm: 60_000 }), provider: rule({ concurrency: 4, rpm: 300 }) },
    failRatio: 0.1,
    outages: [outage({ atMs: null, perSec: 0.05, lastsMs: ms('3s'), share: 0.5, slowdown: 2 })],
    cache: { ttlMs: 5000, minTokens: 256 },
  };
  const ask = fc.record({
    atMs: fc.integer({ min: 0, max: 40_000 }),
    pool: fc.constantFrom('frontier', 'small', 'local'),
    promptTokens: fc.integer({ min: 1, max: 5000 }),
    outputTokens: fc.integer({ min: 0, max: 300 }),
    abortAfterMs: fc.option(fc.integer({ min: 0, max: 3000 })),
  });
  type Ask = typeof ask extends fc.Arbitrary<infer T> ? T : never;

  const play = (asks: readonly Ask[], tickets: (index: number) => number = index => index) => {
    const stage = new Stage([model(api, { maxModelTokens: 5100 }), model(api, { name: 'small' })], {
      seed: 7,
    });
    for (const [index, { atMs, abortAfterMs, ...asked }] of asks.entries()) {
      const { promptTokens } = asked;
      const prompt = [{ ...text('shared', Math.ceil(promptTokens / 2)) }, text(`own ${index}`, promptTokens)];
      stage.at(atMs, () => stage.send(tickets(index), { ...asked, name: `c${index}`, prompt }));
      if (abortAfterMs !== null) stage.at(atMs + abortAfterMs, () => stage.abort(tickets(index)));
    }
    stage.run();
    return stage;
  };

  test('every call ends once, in order of causes, with the tokens that its time allows', () => {
    fc.assert(
      fc.property(fc.array(ask, { maxLength: 60 }), asks => {
        const stage = play(asks);
        for (const [index, { atMs, pool, outputTokens, abortAfterMs }] of asks.entries()) {
          if (pool === 'local') {
            expect(stage.told.filter(({ ticket }) => ticket === index)).toEqual([]);
            continue;
          }
          const end = stage.end(index);
          const firsts = stage.told.filter(({ kind, ticket }) => kind === 'first' && ticket === index);
          expect(firsts.map(each => each.atMs)).toEqual(end.firstTokenMs === null ? [] : [end.firstTokenMs]);
          expect(end.sentMs).toBe(atMs);
          expect(end.endMs).toBe(end.atMs);
          expect(end.firstTokenMs ?? atMs).toBeGreaterThanOrEqual(atMs);
          expect(end.endMs!).toBeGreaterThanOrEqual(end.firstTokenMs ?? atMs);
          if (end.outcome === 'ok') expect(end.outputTokens).toBe(outputTokens);
          if (end.outcome === 'error') expect(end.outputTokens).toBe(0);
          if (end.outcome === 'cancelled') {
            expect(end.endMs).toBe(atMs + abortAfterMs!);
            expect(end.outputTokens).toBeLessThanOrEqual(outputTokens);
            expect(end.outputTokens > 0).toBe(end.firstTokenMs !== null);
          }
          expect(['ok', 'error', 'cancelled']).toContain(end.outcome);
        }
      }),
    );
  });

  test('the same calls fare the same, whatever their tickets are', () => {
    fc.assert(
      fc.property(fc.array(ask, { maxLength: 40 }), asks => {
        const plain = play(asks).told.map(told => ({ ...told, ticket: 0 }));
        const other = play(asks, index => 5000 - index * 7).told.map(told => ({ ...told, ticket: 0 }));
        expect(other).toEqual(plain);
      }),
      { numRuns: 40 },
    );
  });

  test('a run that is stopped tells of each call that has not ended, once', () => {
    fc.assert(
      fc.property(fc.array(ask, { maxLength: 40 }), fc.integer({ min: 0, max: 40_000 }), (asks, stopMs) => {
        const stage = new Stage([model(api), model(api, { name: 'small' })]);
        const sent = asks.filter(({ atMs, pool }) => atMs <= stopMs && pool !== 'local');
        for (const [ticket, { atMs, abortAfterMs, ...asked }] of sent.entries())
          stage.at(atMs, () => stage.send(ticket, { ...asked, name: `c${ticket}` }));
        stage.run(stopMs);
        const before = stage.told.length;
        stage.layer.stop?.(stopMs);
        for (const told of stage.told.slice(before))
          if (told.kind === 'end' && told.result.outcome !== 'error')
            expect(told.result).toMatchObject({ outcome: 'unfinished', error: 'interrupted', endMs: stopMs });
        for (const ticket of sent.keys()) stage.end(ticket);
        stage.run();
        for (const ticket of sent.keys()) stage.end(ticket);
      }),
    );
  });
});
