// What may be tried again: each reason to stop by hand, the order between them, and laws over drawn failures.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Retries, type RetryAsk } from '../../../gateway/retries/retries.ts';
import { REASONS, type RetryRule } from '../../../scenarios/formats/rules.ts';
import { anyAsk, anyRule, ask, rule } from './build.ts';

const next = (some: Partial<RetryRule>, one: Partial<RetryAsk>) => new Retries().next(rule(some), ask(one));

describe('another attempt', () => {
  test('follows the backoff, as often as the rule says', () => {
    expect(next({}, { made: 0 })).toEqual({ pauseMs: 500 });
    expect(next({}, { made: 1 })).toEqual({ pauseMs: 1000 });
    expect(next({}, { made: 2 })).toEqual({ stops: 'max' });
    expect(next({ max: 0 }, {})).toEqual({ stops: 'max' });
  });

  test('is made for the reasons of the rule only', () => {
    const tried = REASONS.filter(reason => 'pauseMs' in next({}, { reason }));
    expect(tried).toEqual(['429', '5xx', 'timeout', 'connect']);
    expect(next({}, { reason: 'context_length' })).toEqual({ stops: 'reason' });
  });

  test('is made whatever the reason where the gateway itself wants it, as often as the rule says', () => {
    expect(next({}, { isWanted: true, reason: 'other' })).toEqual({ pauseMs: 500 });
    expect(next({}, { isWanted: true, reason: 'other', made: 2 })).toEqual({ stops: 'max' });
  });

  test('is as the server says where Retry-After is obeyed, whatever the reason', () => {
    expect(next({}, { told: false })).toEqual({ stops: 'server' });
    expect(next({ isBlind: true }, { told: false })).toEqual({ stops: 'server' });
    expect(next({}, { told: true, reason: 'other' })).toEqual({ pauseMs: 500 });
    expect(next({}, { told: true, reason: 'other', made: 2 })).toEqual({ stops: 'max' });
    expect(next({ obeysRetryAfter: false }, { told: false })).toEqual({ pauseMs: 500 });
    expect(next({ obeysRetryAfter: false }, { told: true, reason: 'other' })).toEqual({ stops: 'reason' });
  });

  test('is not made of an answer that has begun, nor of what does harm when it runs twice', () => {
    expect(next({}, { began: true })).toEqual({ stops: 'began' });
    expect(next({}, { idempotent: false })).toEqual({ stops: 'not_idempotent' });
  });

  test('a blind rule ignores these two and nothing else', () => {
    const harm = { began: true, idempotent: false };
    expect(next({ isBlind: true }, harm)).toEqual({ pauseMs: 500 });
    expect(next({ isBlind: true }, { ...harm, made: 2 })).toEqual({ stops: 'max' });
    expect(next({ isBlind: true }, { ...harm, reason: 'denied' })).toEqual({ stops: 'reason' });
    expect(next({ isBlind: true, budgetRatio: 0 }, harm)).toEqual({ stops: 'retry_budget' });
    expect(next({ isBlind: true }, { ...harm, totalMs: 500 })).toEqual({ stops: 'deadline' });
  });

  test('is not waited for when it could only start at the deadline', () => {
    expect(next({}, { elapsedMs: 9000, totalMs: 9501 })).toEqual({ pauseMs: 500 });
    expect(next({}, { elapsedMs: 9000, totalMs: 9500 })).toEqual({ stops: 'deadline' });
    expect(next({}, { retryAfterMs: 30_000, totalMs: 20_000 })).toEqual({ stops: 'deadline' });
  });
});

describe('a retry budget', () => {
  const envoy = rule({ budgetRatio: 0.2, budgetMin: 3 });
  const granted = (retries: Retries) => {
    if (!('pauseMs' in retries.next(envoy, ask()))) return false;
    retries.retryStarted();
    return true;
  };

  test('grants 20 % of the calls under way, and three whatever their number', () => {
    const retries = new Retries();
    for (let i = 0; i < 10; i += 1) retries.callStarted();
    expect([1, 2, 3, 4].map(() => granted(retries))).toEqual([true, true, true, false]);
    for (let i = 0; i < 10; i += 1) retries.callStarted(); // 20 % of 20 is 4
    expect([granted(retries), granted(retries)]).toEqual([true, false]);
    retries.retryEnded();
    expect([granted(retries), granted(retries)]).toEqual([true, false]);
    for (let i = 0; i < 10; i += 1) retries.callEnded();
    retries.retryEnded();
    expect(granted(retries)).toBe(false); // three are under way, of ten calls
  });

  test('without a share there is no limit', () => {
    const retries = new Retries();
    for (let i = 0; i < 1000; i += 1) retries.retryStarted();
    expect(retries.next(rule(), ask())).toEqual({ pauseMs: 500 });
  });

  test('a share is met exactly: 7 % of 100 calls are 7 retries', () => {
    const retries = new Retries();
    const some = rule({ budgetRatio: 0.07 });
    for (let i = 0; i < 100; i += 1) retries.callStarted();
    let count = 0;
    while ('pauseMs' in retries.next(some, ask())) {
      retries.retryStarted();
      count += 1;
    }
    expect(count).toBe(7);
  });
});

test('nothing is tried again that may not be, and no attempt starts at its deadline or later', () => {
  fc.assert(
    fc.property(anyRule, anyAsk, (some, one) => {
      const answer = new Retries().next(some, one);
      if (!('pauseMs' in answer)) return;
      expect(one.made).toBeLessThan(some.max);
      const told = some.obeysRetryAfter ? one.told : null;
      expect(told).not.toBe(false);
      if (told !== true) expect(some.reasons).toContain(one.reason);
      if (!some.isBlind) expect([one.began, one.idempotent]).toEqual([false, true]);
      expect(answer.pauseMs).toBeGreaterThanOrEqual(0);
      if (one.totalMs !== null) expect(one.elapsedMs + answer.pauseMs).toBeLessThan(one.totalMs);
    }),
  );
});

test('what is refused for no reason of its own would be granted: each stop names its cause', () => {
  const unbound = { budgetRatio: null, max: 100, reasons: REASONS };
  const cure = {
    max: [{ max: 100 }, {}],
    reason: [{ reasons: REASONS }, {}],
    server: [{}, { told: null }],
    began: [{}, { began: false }],
    not_idempotent: [{}, { idempotent: true }],
    retry_budget: [{ budgetRatio: null }, {}],
    deadline: [{}, { totalMs: null }],
  } as const;
  fc.assert(
    fc.property(anyRule, anyAsk, (some, one) => {
      const answer = new Retries().next(some, one);
      if ('pauseMs' in answer) return;
      const [ofRule, ofAsk] = cure[answer.stops];
      const cured = new Retries().next({ ...some, ...ofRule }, { ...one, ...ofAsk });
      expect('stops' in cured ? cured.stops : 'none').not.toBe(answer.stops);
      const free = { ...one, began: false, idempotent: true, totalMs: null, told: null };
      expect(new Retries().next({ ...some, ...unbound }, free)).toHaveProperty('pauseMs');
    }),
  );
});

test('attempts stay within max + 1 and retries under way within the budget, whatever fails', () => {
  const events = fc.array(fc.tuple(fc.constantFrom('call', 'fail', 'ok'), fc.nat()), {
    maxLength: 200,
    size: 'max',
  });
  fc.assert(
    fc.property(anyRule, events, (drawn, steps) => {
      const some = { ...drawn, reasons: REASONS };
      const retries = new Retries();
      const live: { made: number }[] = [];
      let underWay = 0;
      const end = (at: number) => {
        const [call] = live.splice(at, 1);
        if (call!.made > 0) retries.retryEnded();
        if (call!.made > 0) underWay -= 1;
        retries.callEnded();
      };
      for (const [kind, pick] of steps) {
        if (kind === 'call') {
          live.push({ made: 0 });
          retries.callStarted();
          continue;
        }
        if (live.length === 0) continue;
        const at = pick % live.length;
        const call = live[at]!;
        if (kind === 'ok') {
          end(at);
          continue;
        }
        if (call.made > 0) {
          retries.retryEnded();
          underWay -= 1;
        }
        const failed = call.made;
        if ('stops' in retries.next(some, ask({ made: failed }))) {
          live.splice(at, 1);
          retries.callEnded();
          continue;
        }
        call.made += 1;
        retries.retryStarted();
        underWay += 1;
        expect(call.made + 1).toBeLessThanOrEqual(some.max + 1);
        const most = Math.max(some.budgetMin, (some.budgetRatio ?? 1) * live.length);
        expect(underWay).toBeLessThanOrEqual(most + 1e-9);
      }
    }),
  );
});

/** Requests that a chain of layers sends for one call, each with so many retries; `works` answers each request. */
function requests(layers: readonly number[], works: () => boolean): number {
  let sent = 0;
  const run = ([max, ...below]: readonly number[]): boolean => {
    if (max === undefined) {
      sent += 1;
      return works();
    }
    const retries = new Retries();
    for (let made = 0; !run(below); made += 1)
      if ('stops' in retries.next(rule({ max }), ask({ made }))) return false;
    return true;
  };
  run(layers);
  return sent;
}

describe('layers that each retry', () => {
  test('multiply: an SDK, a gateway and a router send 3 x 6 x 6 requests for one call that always fails', () => {
    expect(requests([2, 5, 5], () => false)).toBe(108);
    expect(requests([10], () => false)).toBe(11);
  });

  test('send as many as one layer with all of their attempts would', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(3), { minLength: 1, maxLength: 3 }), fc.nat(80), (layers, failures) => {
        const attempts = layers.reduce((all, max) => all * (max + 1), 1);
        let left = failures;
        expect(requests(layers, () => left-- <= 0)).toBe(Math.min(failures + 1, attempts));
      }),
    );
  });
});
