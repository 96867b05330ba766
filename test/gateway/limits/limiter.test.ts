// Limits of an API: cases worked out by hand, and the laws of each way to count.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type LimitClaim, Limiter } from '../../../gateway/limits/limiter.ts';
import { claim, rule, use } from './build.ts';

describe('a limiter', () => {
  test('lets a burst of 345 calls of 3,000 tokens at 500k input tokens a minute through in 64.2 s', () => {
    const limiter = new Limiter(rule({ rpm: 1000, inputTpm: 500_000 }));
    let id = 0;
    let nowMs = 0;
    const sent: number[] = [];
    while (sent.length < 345) {
      const refusal = limiter.ask(id, claim({ promptTokens: 3000 }), nowMs);
      if (refusal === null) {
        sent.push(nowMs);
        limiter.ended(id++, use({ promptTokens: 3000 }), nowMs);
      } else {
        expect(refusal.by).toBe('input_tpm');
        nowMs += refusal.retryAfterMs;
      }
    }
    // 500,000 / 3,000: 166 at once. The last needs (345 x 3,000 - 500,000) / (500,000 / 60) s.
    expect(sent.filter(atMs => atMs === 0)).toHaveLength(166);
    expect(sent.at(-1)).toBeCloseTo(64_200, 3);
  });

  test('with a burst of a second lets one request through at a time, and a prompt beyond the burst when it is full', () => {
    const limiter = new Limiter(rule({ rpm: 30, inputTpm: 30_000, burstMs: 1000 }));
    expect(limiter.ask(1, claim({ promptTokens: 3000 }), 0)).toBeNull();
    // A request every 2 s; 3,000 tokens of 500 a second leave a debt of 2,500, which is full again after 6 s.
    expect(limiter.ask(2, claim({ promptTokens: 3000 }), 0)).toEqual({ by: 'input_tpm', retryAfterMs: 6000 });
    expect(limiter.ask(2, claim({ promptTokens: 100 }), 5200)).toBeNull();
    expect(limiter.ask(3, claim({ promptTokens: 0 }), 5200)).toEqual({ by: 'rpm', retryAfterMs: 2000 });
  });

  test('never lets a call through that is larger than a minute of its limit', () => {
    const limiter = new Limiter(rule({ tpm: 10_000 }));
    const large = claim({ promptTokens: 9000, maxOutputTokens: 1001 });
    expect(limiter.ask(1, large, 0)).toEqual({ by: 'tpm', retryAfterMs: Number.POSITIVE_INFINITY });
    expect(limiter.ask(1, { ...large, maxOutputTokens: 1000 }, 0)).toBeNull();
  });

  test('counts input from the cache or not, as the rule says', () => {
    const cached = claim({ promptTokens: 1000, cachedTokens: 900 });
    const counts = new Limiter(rule({ inputTpm: 1000 }));
    const free = new Limiter(rule({ inputTpm: 1000, cachedCounts: false }));
    expect([1, 2].map(id => counts.ask(id, cached, 0)?.by ?? null)).toEqual([null, 'input_tpm']);
    expect(Array.from({ length: 11 }, (_, id) => free.ask(id, cached, 0)?.by ?? null)).toEqual([
      ...new Array<null>(10).fill(null),
      'input_tpm',
    ]);
  });

  test.each([
    ['reserve', 1],
    ['fraction', 6],
    ['charge_after', 40],
  ] as const)(
    'of 40 calls that may use 1,000 output tokens each, %s lets %i begin on 1,500',
    (accounting, begin) => {
      const limiter = new Limiter(rule({ outputTpm: 2000, accounting, fraction: 0.25, burstMs: 45_000 }));
      const each = claim({ maxOutputTokens: 1000 });
      const asked = Array.from({ length: 40 }, (_, id) => limiter.ask(id, each, 0));
      expect(asked.filter(refusal => refusal === null)).toHaveLength(begin);
    },
  );

  test('counts calls at once, and only an end makes room', () => {
    const limiter = new Limiter(rule({ concurrency: 2 }));
    expect([1, 2, 3].map(id => limiter.ask(id, claim(), 0))).toEqual([
      null,
      null,
      { by: 'concurrency', retryAfterMs: Number.POSITIVE_INFINITY },
    ]);
    limiter.ended(3, use(), 1); // was refused: nothing of it counts
    expect(limiter.ask(4, claim(), 1)?.by).toBe('concurrency');
    limiter.ended(1, use(), 2);
    limiter.ended(1, use(), 2);
    expect([5, 6].map(id => limiter.ask(id, claim(), 2)?.by ?? null)).toEqual([null, 'concurrency']);
  });

  test('holds spend back until its slot of the rolling window has left, what is reserved included', () => {
    const limiter = new Limiter(rule({ spend: { usd: 10, windowMs: 600_000 } }));
    expect(limiter.ask(1, claim({ usd: 6 }), 0)).toBeNull();
    expect(limiter.ask(2, claim({ usd: 6 }), 0)).toEqual({
      by: 'spend',
      retryAfterMs: Number.POSITIVE_INFINITY,
    });
    limiter.ended(1, use({ usd: 5 }), 15_000);
    expect(limiter.ask(2, claim({ usd: 5 }), 15_000)).toBeNull();
    limiter.ended(2, use({ usd: 5 }), 25_000);
    // Slots are 10 s: what was spent at 15 s leaves with the slot that ends at 20 s, 10 min later.
    expect(limiter.ask(3, claim({ usd: 4 }), 30_000)).toEqual({ by: 'spend', retryAfterMs: 590_000 });
    expect(limiter.ask(3, claim({ usd: 4 }), 620_000)).toBeNull();
  });
});

/** What comes: calls with a claim, each of which lasts a while and uses a share of what it claimed. */
const call = fc.record({
  gapMs: fc.integer({ min: 0, max: 4000 }),
  lastsMs: fc.integer({ min: 0, max: 30_000 }),
  promptTokens: fc.integer({ min: 0, max: 3000 }),
  maxOutputTokens: fc.integer({ min: 1, max: 2000 }),
  usedShare: fc.double({ min: 0, max: 1, noNaN: true }),
});
type Drawn = {
  gapMs: number;
  lastsMs: number;
  promptTokens: number;
  maxOutputTokens: number;
  usedShare: number;
};

/** Takings from the token bucket, and what was given back, by instant; refused calls are not tried again. */
function play(limiter: Limiter, calls: readonly Drawn[]) {
  const ends: { atMs: number; id: number; used: ReturnType<typeof use> }[] = [];
  const moves: { atMs: number; tokens: number }[] = [];
  let nowMs = 0;
  let underWayMost = 0;
  const endUpTo = (untilMs: number) => {
    ends.sort((a, b) => a.atMs - b.atMs || a.id - b.id);
    while (ends[0] !== undefined && ends[0].atMs <= untilMs) {
      const { atMs, id, used } = ends.shift()!;
      limiter.ended(id, used, atMs);
      const { promptTokens, maxOutputTokens } = calls[id]!;
      moves.push({
        atMs,
        tokens: used.promptTokens + used.outputTokens - reservedOf(limiter, promptTokens, maxOutputTokens),
      });
    }
  };
  for (const [id, { gapMs, lastsMs, promptTokens, maxOutputTokens, usedShare }] of calls.entries()) {
    nowMs += gapMs;
    endUpTo(nowMs);
    if (limiter.ask(id, claim({ promptTokens, maxOutputTokens }), nowMs) !== null) continue;
    moves.push({ atMs: nowMs, tokens: reservedOf(limiter, promptTokens, maxOutputTokens) });
    const used = use({ promptTokens, outputTokens: Math.floor(maxOutputTokens * usedShare) });
    ends.push({ atMs: nowMs + lastsMs, id, used });
    underWayMost = Math.max(underWayMost, ends.length);
  }
  endUpTo(Number.POSITIVE_INFINITY);
  return { moves, underWayMost };
}

function reservedOf({ rule }: Limiter, promptTokens: number, maxOutputTokens: number): number {
  switch (rule.accounting) {
    case 'reserve':
      return promptTokens + maxOutputTokens;
    case 'fraction':
      return promptTokens + rule.fraction * maxOutputTokens;
    case 'charge_after':
      return 0;
  }
}

/** The most that was taken, net, in any window beyond what flowed in: what the bucket must have held. */
function mostBeyondRefill(moves: readonly { atMs: number; tokens: number }[], perMinute: number): number {
  let most = 0;
  for (let from = 0; from < moves.length; from++) {
    let taken = 0;
    for (let to = from; to < moves.length; to++) {
      taken += moves[to]!.tokens;
      most = Math.max(most, taken - (perMinute * (moves[to]!.atMs - moves[from]!.atMs)) / 60_000);
    }
  }
  return most;
}

describe('laws of a limiter', () => {
  const TPM = 12_000;

  test('reserve: in no window more is taken than the burst, or one request, and what flows in', () => {
    fc.assert(
      fc.property(
        fc.array(call, { maxLength: 60 }),
        fc.constantFrom(1000, 10_000, 60_000),
        (calls, burstMs) => {
          const { moves } = play(new Limiter(rule({ tpm: TPM, burstMs })), calls);
          const largest = Math.max(0, ...moves.map(({ tokens }) => tokens));
          const burst = Math.max((TPM * burstMs) / 60_000, largest);
          expect(mostBeyondRefill(moves, TPM)).toBeLessThanOrEqual(burst + 1e-3);
        },
      ),
    );
  });

  test('charge_after: it is overdrawn by no more than what is under way at once can use', () => {
    fc.assert(
      fc.property(fc.array(call, { maxLength: 60 }), calls => {
        const { moves, underWayMost } = play(
          new Limiter(rule({ tpm: TPM, accounting: 'charge_after' })),
          calls,
        );
        const largest = Math.max(0, ...moves.map(({ tokens }) => tokens));
        expect(mostBeyondRefill(moves, TPM)).toBeLessThanOrEqual(TPM + underWayMost * largest + 1e-3);
      }),
    );
  });

  test.each(['reserve', 'fraction', 'charge_after'] as const)(
    '%s: what is reserved and not given back is what was used',
    accounting => {
      fc.assert(
        fc.property(fc.array(call, { maxLength: 40 }), calls => {
          const limiter = new Limiter(rule({ tpm: 1e6, accounting, burstMs: 60_000 }));
          const together = calls.map(each => ({ ...each, gapMs: 0, lastsMs: 0 }));
          let used = 0;
          for (const [id, each] of together.entries()) {
            expect(limiter.ask(id, claim(each), 0)).toBeNull();
            const outputTokens = Math.floor(each.maxOutputTokens * each.usedShare);
            used += each.promptTokens + outputTokens;
            limiter.ended(id, use({ promptTokens: each.promptTokens, outputTokens }), 0);
          }
          // Exactly what is left fits, and no token more.
          const left = 1e6 - used;
          const asked =
            accounting === 'charge_after' ? null : limiter.refusal(claim({ promptTokens: left }), 0);
          expect(asked).toBeNull();
          limiter.take(1e6, claim({ promptTokens: left, maxOutputTokens: 0 }), 0);
          limiter.ended(1e6, use({ promptTokens: left }), 0);
          expect(limiter.refusal(claim({ promptTokens: 1 }), 0)?.retryAfterMs).toBeCloseTo(0.06, 6);
        }),
      );
    },
  );

  test('a refused call goes when it is said to come back, and not a millisecond before, when nobody else asks', () => {
    const claims = fc.record({
      promptTokens: fc.integer({ min: 0, max: 4000 }),
      maxOutputTokens: fc.integer({ min: 0, max: 2000 }),
      usd: fc.double({ min: 0, max: 2, noNaN: true }),
    });
    fc.assert(
      fc.property(
        fc.array(claims, { minLength: 1, maxLength: 60 }),
        fc.constantFrom('reserve' as const, 'fraction' as const, 'charge_after' as const),
        fc.constantFrom(1000, 7000, 60_000),
        (asks, accounting, burstMs) => {
          const limiter = new Limiter(
            rule({
              rpm: 90,
              tpm: 9000,
              inputTpm: 6000,
              outputTpm: 3000,
              spend: { usd: 5, windowMs: 90_000 },
              accounting,
              burstMs,
            }),
          );
          let nowMs = 0;
          for (const [id, each] of asks.entries()) {
            const asked: LimitClaim = { ...each, cachedTokens: 0 };
            const refusal = limiter.ask(id, asked, nowMs);
            if (refusal !== null) {
              if (refusal.retryAfterMs > 1)
                expect(limiter.refusal(asked, nowMs + refusal.retryAfterMs - 1)).not.toBeNull();
              nowMs += refusal.retryAfterMs;
              expect(limiter.ask(id, asked, nowMs)).toBeNull();
            }
            limiter.ended(
              id,
              use({ promptTokens: each.promptTokens, outputTokens: each.maxOutputTokens, usd: each.usd }),
              nowMs,
            );
          }
        },
      ),
    );
  });

  test('spend: no window of its length ever holds more than the limit', () => {
    const spend = fc.record({
      gapMs: fc.integer({ min: 0, max: 20_000 }),
      usd: fc.integer({ min: 0, max: 40 }),
    });
    fc.assert(
      fc.property(fc.array(spend, { maxLength: 80 }), spends => {
        const limiter = new Limiter(rule({ spend: { usd: 100, windowMs: 60_000 } }));
        const spent: { atMs: number; usd: number }[] = [];
        let nowMs = 0;
        for (const [id, { gapMs, usd }] of spends.entries()) {
          nowMs += gapMs;
          if (limiter.ask(id, claim({ usd }), nowMs) !== null) continue;
          limiter.ended(id, use({ usd }), nowMs);
          spent.push({ atMs: nowMs, usd });
          const inWindow = spent.filter(({ atMs }) => atMs > nowMs - 60_000);
          expect(inWindow.reduce((sum, each) => sum + each.usd, 0)).toBeLessThanOrEqual(100);
        }
      }),
    );
  });
});
