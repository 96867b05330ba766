import { describe, expect, test } from 'vitest';
import { Spending, type SpendingOptions, type SpendRequest } from '../../loadgen/spending.ts';

/** 1 USD a million tokens in, 10 out, a tenth of it where cached. */
const price = { in: 1, cachedIn: 0.1, cacheWrite: 1, out: 10 };
const limits = (options: Partial<SpendingOptions>): SpendingOptions => ({
  maxRequests: null,
  maxUsd: null,
  price: () => price,
  usdPerHour: 0,
  ...options,
});
/** Costs 0.001 + 0.001 USD where the server counts as planned. */
const call: SpendRequest = { target: 'api', model: 'm', promptTokens: 1000, outputTokens: 100 };
const counted = { promptTokens: 1000, cachedTokens: 0, outputTokens: 100, httpStatus: 200 };

describe('--max-requests', () => {
  test('stops the run before the request after the last, whatever has ended', () => {
    const spending = new Spending(limits({ maxRequests: 2 }));
    expect(spending.begin(1, call, 0)).toBeNull();
    spending.ended(1, counted);
    expect(spending.begin(2, call, 0)).toBeNull();
    expect(spending.begin(3, call, 0)).toBe('--max-requests 2: as many requests have been sent');
    expect(spending.requests).toBe(2);
  });
});

describe('--max-usd', () => {
  test('sets the most that a call can cost aside, and pays what the server counted', () => {
    const spending = new Spending(limits({ maxUsd: 1 }));
    expect(spending.begin(1, call, 0)).toBeNull();
    // 13 * 1000 + 64 tokens in at 1 USD a million, 100 out at 10.
    expect(spending.usd(0)).toBeCloseTo(0.013064 + 0.001, 9);
    spending.ended(1, { ...counted, cachedTokens: 500, outputTokens: 50 });
    // 500 in, 500 cached at a tenth, 50 out.
    expect(spending.usd(0)).toBeCloseTo(0.0005 + 0.00005 + 0.0005, 9);
  });

  test('stops before a request that could pass it, and says what is spent', () => {
    const spending = new Spending(limits({ maxUsd: 0.02 }));
    expect(spending.begin(1, call, 0)).toBeNull();
    expect(spending.begin(2, call, 0)).toBe(
      '--max-usd 0.02: 0.0141 USD is spent or under way, and the next request may cost 0.0141 USD',
    );
    spending.ended(1, counted);
    expect(spending.begin(2, call, 0)).toBeNull();
  });

  test('never lets real cost pass the limit where calls cost at most what was set aside', () => {
    const spending = new Spending(limits({ maxUsd: 0.1 }));
    let paid = 0;
    let id = 0;
    const inFlight: number[] = [];
    while (spending.begin(++id, call, 0) === null) {
      inFlight.push(id);
      if (inFlight.length < 5) continue;
      spending.ended(inFlight.shift()!, counted);
      paid += 0.002;
    }
    expect(paid + inFlight.length * 0.002).toBeLessThanOrEqual(0.1);
    expect(paid).toBeGreaterThan(0.08);
  });

  test('counts as refused what has no usage and no 200, and as dear as can be what was cut off', () => {
    const spending = new Spending(limits({ maxUsd: 1 }));
    const unsaid = { promptTokens: null, cachedTokens: null, outputTokens: 0 };
    spending.begin(1, call, 0);
    spending.ended(1, { ...unsaid, httpStatus: 429 });
    expect(spending.usd(0)).toBe(0);
    spending.begin(2, call, 0);
    spending.ended(2, { ...unsaid, httpStatus: 200 });
    expect(spending.usd(0)).toBeCloseTo(0.014064, 9);
  });

  test('counts replicas of our own by the hour, and calls to them for nothing', () => {
    const spending = new Spending(limits({ maxUsd: 1, usdPerHour: 2, price: () => null }));
    expect(spending.begin(1, call, 1_799_000)).toBeNull();
    expect(spending.begin(2, call, 1_801_000)).toContain('--max-usd 1: 1.00 USD is spent');
  });
});
