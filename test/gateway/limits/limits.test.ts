// Several limits of our own at once: whose calls count together, all or none, and what is remembered of whom.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type LimitWho, OwnLimits, ownLimits } from '../../../gateway/limits/limits.ts';
import { claim, ownLimit, rule, use } from './build.ts';

const who = (some: Partial<LimitWho> = {}): LimitWho => ({
  tenant: 'acme',
  user: 'u1',
  workflow: 'scan',
  session: 'scan/0',
  target: 'local',
  ...some,
});

/** Which of some calls, one after the other at one instant, go. */
const goes = (limits: OwnLimits, callers: readonly LimitWho[]): boolean[] =>
  callers.map((each, id) => limits.ask(id, each, claim({ promptTokens: 100 }), 0) === null);

describe('our own limits', () => {
  test.each([
    ['all', [true, false, false, false]],
    ['tenant', [true, true, false, false]],
    ['user', [true, true, true, false]],
    ['workflow', [true, false, true, false]],
    ['session', [true, true, true, true]],
  ] as const)('each %s has one of its own', (each, expected) => {
    const callers = [
      who({ session: 'a' }),
      who({ tenant: 'other', session: 'b' }), // its u1 is another user
      who({ user: 'u2', workflow: 'chat', session: 'c' }),
      who({ session: 'd' }),
    ];
    expect(goes(new OwnLimits([ownLimit({ each, rpm: 1 })]), callers)).toEqual(expected);
  });

  test('a limit of a target, an alias or a tenant is for its calls alone', () => {
    const limits = new OwnLimits([
      ownLimit({ rpm: 1, model: 'frontier' }),
      ownLimit({ rpm: 1, alias: 'big' }),
      ownLimit({ rpm: 1, tenant: 'acme' }),
    ]);
    const other = { tenant: 'other' };
    expect(
      goes(limits, [
        who({ ...other, target: 'frontier' }),
        who({ ...other, target: 'frontier' }),
        who({ ...other, model: 'big' }),
        who({ ...other, model: 'big' }),
        who(),
        who(),
        who(other),
      ]),
    ).toEqual([true, false, true, false, true, false, true]);
  });

  test('a call that one limit refuses takes nothing of the others, and waits for the longest', () => {
    const perMinute = ownLimit({ rpm: 2 });
    const ofTokens = ownLimit({ each: 'tenant', inputTpm: 100 });
    const limits = new OwnLimits([perMinute, ofTokens]);
    const hundred = claim({ promptTokens: 100 });
    expect(limits.ask(1, who(), hundred, 0)).toBeNull();
    for (let id = 2; id < 10; id++)
      expect(limits.ask(id, who(), hundred, 0)).toEqual({
        by: 'input_tpm',
        limit: ofTokens,
        retryAfterMs: 60_000,
      });
    // The second request of the minute is still there for another tenant; then both limits refuse.
    expect(limits.ask(10, who({ tenant: 'other' }), hundred, 0)).toBeNull();
    expect(limits.ask(11, who(), hundred, 0)).toEqual({
      by: 'input_tpm',
      limit: ofTokens,
      retryAfterMs: 60_000,
    });
    expect(limits.ask(12, who({ tenant: 'third' }), hundred, 0)).toEqual({
      by: 'rpm',
      limit: perMinute,
      retryAfterMs: 30_000,
    });
  });

  test('what a scenario gives to tenants and models stands beside the limits of the gateway', () => {
    const noTenant = { budget: null, userBudget: null, residency: null };
    const limits = ownLimits([ownLimit({ rpm: 7 })], {
      tenants: new Map([
        ['acme', { ...noTenant, limit: rule({ rpm: 3 }) }],
        ['other', { ...noTenant, limit: null }],
      ]),
      models: new Map([['big', { limit: rule({ concurrency: 2 }), fallback: null, success: null }]]),
      cohorts: new Map(),
      isGoverned: true,
    });
    expect(limits).toEqual([
      ownLimit({ rpm: 7 }),
      ownLimit({ rpm: 3, tenant: 'acme' }),
      ownLimit({ concurrency: 2, alias: 'big' }),
    ]);
    const both = new OwnLimits(limits);
    expect(goes(both, [who({ model: 'big' }), who({ model: 'big' }), who({ model: 'big' }), who()])).toEqual([
      true,
      true,
      false,
      true,
    ]);
  });

  test('an ended session is forgotten, and an end that comes later does no harm', () => {
    const limits = new OwnLimits([
      ownLimit({ each: 'session', concurrency: 1 }),
      ownLimit({ concurrency: 2 }),
    ]);
    expect(limits.ask(1, who({ session: 'a' }), claim(), 0)).toBeNull();
    limits.sessionEnded('a');
    expect(limits.size).toBe(1);
    expect(limits.ask(2, who({ session: 'b' }), claim(), 0)).toBeNull();
    expect(limits.ask(3, who({ session: 'c' }), claim(), 0)?.by).toBe('concurrency');
    limits.ended(1, use(), 0);
    limits.ended(1, use(), 0);
    expect(limits.ask(4, who({ session: 'c' }), claim(), 0)).toBeNull();
    expect(limits.ask(5, who({ session: 'd' }), claim(), 0)?.by).toBe('concurrency');
  });

  test('users who have not called for long are forgotten: 100,000 of them leave a few limiters', () => {
    const limits = new OwnLimits([ownLimit({ each: 'user', rpm: 60 })]);
    let [most, refused] = [0, 0];
    for (let id = 0; id < 100_000; id++) {
      const nowMs = id * 10;
      if (limits.ask(id, who({ user: `u${id}` }), claim(), nowMs) !== null) refused += 1;
      limits.ended(id, use(), nowMs);
      most = Math.max(most, limits.size);
    }
    expect(refused).toBe(0);
    // A request is refilled within a second: about 100 users of the last second matter.
    expect(most).toBeLessThanOrEqual(256);
  });

  test('forgetting changes no decision', () => {
    const ask = fc.record({
      user: fc.nat(300),
      gapMs: fc.nat(400),
      lastsFor: fc.nat(3),
      tokens: fc.nat(900),
    });
    const limit = ownLimit({ each: 'user', inputTpm: 1000, rpm: 30, spend: { usd: 1, windowMs: 5000 } });
    fc.assert(
      fc.property(fc.array(ask, { minLength: 200, maxLength: 400 }), asks => {
        // Beside it, a limiter for each user that nobody forgets.
        const together = new OwnLimits([limit]);
        const alone = new Map<number, OwnLimits>();
        let nowMs = 0;
        for (const [id, { user, gapMs, tokens }] of asks.entries()) {
          nowMs += gapMs;
          const own = alone.get(user) ?? new OwnLimits([limit]);
          alone.set(user, own);
          const asked = claim({ promptTokens: tokens, usd: tokens / 1000 });
          const verdicts = [together, own].map(each => each.ask(id, who({ user: `u${user}` }), asked, nowMs));
          expect(verdicts[0]).toEqual(verdicts[1]);
          for (const each of [together, own])
            each.ended(id, use({ promptTokens: tokens, usd: tokens / 1000 }), nowMs);
        }
        expect(together.size).toBeLessThanOrEqual(alone.size);
      }),
      { numRuns: 30 },
    );
  });
});
