// Circuit breakers: the rules of known systems by hand, a slow twin that keeps every end, and laws over
// drawn traffic.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Breaker, type BreakerState } from '../../../gateway/breakers/breaker.ts';
import { Breakers } from '../../../gateway/breakers/breakers.ts';
import type { CallEnd } from '../../../gateway/breakers/tally.ts';
import type { BreakerRule } from '../../../scenarios/formats/rules.ts';
import { anyRule, anyTraffic, failed, GOOD, type Happening, rule } from './build.ts';

const many = (breaker: Breaker, count: number, end: CallEnd, nowMs = 0) =>
  Array.from({ length: count }, () => breaker.observe(end, nowMs));

describe('a closed breaker opens', () => {
  test('on half of a hundred calls, not on fewer calls (Resilience4j)', () => {
    const breaker = new Breaker(rule({ share: 0.5, window: { calls: 100 }, minCalls: 100 }));
    many(breaker, 50, failed());
    many(breaker, 49, GOOD);
    expect([breaker.state, breaker.allows(0), breaker.opensAtMs]).toEqual(['closed', true, Infinity]);
    expect(breaker.observe(GOOD, 5)).toBe('opened');
    expect([breaker.state, breaker.opensAtMs]).toEqual(['open', 60_005]);
  });

  test('a window by count forgets all but its last calls', () => {
    const breaker = new Breaker(rule({ share: 0.5, window: { calls: 4 }, minCalls: 4 }));
    const ends = [failed(), GOOD, GOOD, GOOD, GOOD, failed(), GOOD, failed()];
    expect(ends.map(end => breaker.observe(end, 0))).toEqual([...Array(7).fill(null), 'opened']);
  });

  test('a window that is full is enough, even where more calls are asked for', () => {
    const breaker = new Breaker(rule({ share: 1, window: { calls: 3 }, minCalls: 20 }));
    expect(many(breaker, 3, failed())).toEqual([null, null, 'opened']);
  });

  test('on half of twenty calls within ten seconds, not over a longer time (Hystrix)', () => {
    const hystrix = rule({ share: 0.5, window: { ms: 10_000 }, minCalls: 20, openMs: 5000 });
    const quick = new Breaker(hystrix);
    many(quick, 19, failed(), 500);
    expect(quick.observe(GOOD, 9999)).toBe('opened');
    const slow = new Breaker(hystrix);
    many(slow, 19, failed(), 500);
    expect(slow.observe(GOOD, 10_000)).toBeNull();
  });

  test('on ten failures in a row, however long they take, with no good one between them (SGLang)', () => {
    const breaker = new Breaker(rule({ inARow: 10, window: { ms: 120_000 }, trials: 3 }));
    many(breaker, 9, failed(), 0);
    breaker.observe(GOOD, 0);
    many(breaker, 9, failed(), 1000);
    expect(breaker.observe(failed(), 500_000)).toBe('opened');
  });

  test('on calls that are all slower than 60 s (Resilience4j)', () => {
    const breaker = new Breaker(rule({ slowMs: 60_000, slowShare: 1, window: { calls: 3 }, minCalls: 3 }));
    const slow = { ...GOOD, tookMs: 60_001 };
    const ends = [slow, { ...GOOD, tookMs: 60_000 }, slow, slow, slow];
    expect(ends.map(end => breaker.observe(end, 0))).toEqual([null, null, null, null, 'opened']);
  });

  test('on the reasons of its rule: another error is an answer, and what we ended ourselves is none', () => {
    const breaker = new Breaker(rule({ inARow: 2, minCalls: 1 }));
    const ends = [failed(), failed('context_length'), failed(), failed('cancelled'), failed()];
    expect(ends.map(end => breaker.observe(end, 0))).toEqual([null, null, null, null, 'opened']);
  });

  test('on a share exactly: 7 of 100 are 7 %', () => {
    const breaker = new Breaker(rule({ share: 0.07, window: { calls: 100 }, minCalls: 100 }));
    many(breaker, 7, failed());
    expect(many(breaker, 93, GOOD).at(-1)).toBe('opened');
  });
});

describe('an open breaker', () => {
  const opened = (some: Partial<BreakerRule> = {}) => {
    const breaker = new Breaker(rule({ inARow: 1, openMs: 1000, ...some }));
    breaker.observe(failed(), 0);
    return breaker;
  };

  test('lets nothing go until its time is over, then so many trials', () => {
    const breaker = opened({ trials: 3 });
    expect([0, 500, 999.9].map(ms => breaker.allows(ms))).toEqual([false, false, false]);
    expect([1000, 1000, 1500, 1600, 9e9].map(ms => breaker.allows(ms))).toEqual([
      true,
      true,
      true,
      false,
      false,
    ]);
    expect([breaker.state, breaker.opensAtMs]).toEqual(['half_open', Infinity]);
  });

  test('closes when all trials ended well, and has forgotten what was before', () => {
    const breaker = opened({ trials: 2, inARow: null, share: 0.5, window: { calls: 10 } });
    breaker.allows(1000);
    breaker.allows(1000);
    expect(breaker.observe({ ...GOOD, tookMs: 100 }, 1100)).toBeNull();
    expect(breaker.observe({ ...GOOD, tookMs: 200 }, 1200)).toBe('closed');
    expect(breaker.observe(GOOD, 1300)).toBeNull();
    expect(breaker.state).toBe('closed');
  });

  test('opens again on the first trial that fails, for its full time', () => {
    const breaker = opened({ trials: 2 });
    breaker.allows(1500);
    expect(breaker.observe(failed('timeout', 300), 1800)).toBe('opened');
    expect(breaker.opensAtMs).toBe(2800);
  });

  test('opens again when the trials are slow', () => {
    const breaker = opened({ slowMs: 100 });
    breaker.allows(1000);
    expect(breaker.observe({ ...GOOD, tookMs: 101 }, 1101)).toBe('opened');
  });

  test('ends of calls that were sent before it opened are no trials, and count for nothing later', () => {
    const breaker = opened({ trials: 1 });
    breaker.allows(1000);
    expect(breaker.observe({ ...failed('timeout', 1095), sentMs: 5 }, 1100)).toBeNull();
    expect(breaker.observe({ ...GOOD, tookMs: 1150, sentMs: 0 }, 1150)).toBeNull();
    expect(breaker.state).toBe('half_open');
    expect(breaker.observe({ ...GOOD, tookMs: 200, sentMs: 1000 }, 1200)).toBe('closed');
    expect(breaker.observe({ ...failed('timeout', 9990), sentMs: 10 }, 10_000)).toBeNull();
    expect(breaker.observe({ ...failed('timeout', 500), sentMs: 9500 }, 10_000)).toBe('opened');
  });

  test('a trial that was cancelled, or never sent, may be made again', () => {
    const breaker = opened({ trials: 1 });
    breaker.allows(1000);
    expect(breaker.allows(1100)).toBe(false);
    breaker.observe(failed('cancelled', 200), 1200);
    expect([breaker.allows(1300), breaker.allows(1300)]).toEqual([true, false]);
    breaker.giveBack();
    expect([breaker.allows(1400), breaker.allows(1400)]).toEqual([true, false]);
  });

  test('stays open longer each time, at most tenfold, and calms down by one in 10 s of use (Envoy)', () => {
    const breaker = new Breaker(rule({ inARow: 1, openMs: 30_000, growsOpen: true }));
    const lasts: number[] = [];
    let nowMs = 0;
    for (let i = 0; i < 12; i += 1) {
      breaker.observe(failed(), nowMs);
      lasts.push((breaker.opensAtMs - nowMs) / 30_000);
      nowMs = breaker.opensAtMs;
      breaker.allows(nowMs);
    }
    expect(lasts).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 10]);
    breaker.observe(GOOD, nowMs); // closed
    breaker.observe(failed(), nowMs + 75_000); // 7 of its 10 taken back, then one more
    expect(breaker.opensAtMs - (nowMs + 75_000)).toBe(4 * 30_000);
  });
});

describe('breakers of a run', () => {
  test('are one for a target and a rule, also where the rule is written twice', () => {
    const breakers = new Breakers();
    const some = rule({ inARow: 3 });
    const one = breakers.of('local', some);
    expect(breakers.of('local', some)).toBe(one);
    expect(breakers.of('local', { ...some })).toBe(one);
    expect(breakers.of('frontier', some)).not.toBe(one);
    expect(breakers.of('local', { ...some, inARow: 4 })).not.toBe(one);
  });
});

/** The same breaker with a memory of everything: what its rule says, as plainly as it can be said. */
class SlowBreaker {
  readonly rule: BreakerRule;
  state: BreakerState = 'closed';
  private ends: { atMs: number; isBad: boolean; isSlow: boolean }[] = [];
  private openings: { atMs: number; lengthMs: number; calmMs: number }[] = [];
  private closedMs = 0;
  private sent = 0;
  private passed: { isSlow: boolean }[] = [];

  constructor(of: BreakerRule) {
    this.rule = of;
  }

  get untilMs(): number {
    const last = this.openings.at(-1);
    return last === undefined ? 0 : last.atMs + last.lengthMs;
  }

  allows(nowMs: number): boolean {
    if (this.state === 'open' && nowMs >= this.untilMs) {
      this.state = 'half_open';
      this.sent = 0;
      this.passed = [];
    }
    if (this.state === 'half_open' && this.sent < this.rule.trials) {
      this.sent += 1;
      return true;
    }
    return this.state === 'closed';
  }

  observe({ reason, tookMs, sentMs }: CallEnd, nowMs: number): 'opened' | 'closed' | null {
    const isBad = reason !== null && this.rule.reasons.includes(reason);
    const isKnown = isBad || reason !== 'cancelled';
    const isSlow = this.rule.slowMs !== null && tookMs > this.rule.slowMs;
    if (this.state === 'open' || sentMs! < this.untilMs) return null;
    if (this.state === 'half_open') {
      if (isBad) return this.open(nowMs, nowMs);
      if (!isKnown) this.sent -= 1;
      else this.passed.push({ isSlow });
      if (this.passed.length < this.rule.trials) return null;
      const slow = this.passed.filter(each => each.isSlow).length;
      if (this.rule.slowMs !== null && slow / this.rule.trials >= this.rule.slowShare)
        return this.open(nowMs, nowMs);
      this.state = 'closed';
      this.closedMs = nowMs;
      this.ends = [];
      return 'closed';
    }
    if (!isKnown) return null;
    this.ends.push({ atMs: nowMs, isBad, isSlow });
    return this.isTooBad(nowMs) ? this.open(nowMs, this.closedMs) : null;
  }

  private isTooBad(nowMs: number): boolean {
    const { inARow, share, window, slowMs, slowShare } = this.rule;
    const last = this.ends.slice(-(inARow ?? 0));
    if (inARow !== null && last.length === inARow && last.every(end => end.isBad)) return true;
    const within =
      'calls' in window
        ? this.ends.slice(-window.calls)
        : this.ends.filter(
            end => Math.floor(end.atMs / (window.ms / 10)) > Math.floor(nowMs / (window.ms / 10)) - 10,
          );
    const enough = 'calls' in window ? Math.min(this.rule.minCalls, window.calls) : this.rule.minCalls;
    if (within.length < enough) return false;
    const part = (is: (end: { isBad: boolean; isSlow: boolean }) => boolean) =>
      within.filter(is).length / within.length;
    return (
      (share !== null && part(end => end.isBad) >= share) ||
      (slowMs !== null && part(end => end.isSlow) >= slowShare)
    );
  }

  private open(nowMs: number, calmSinceMs: number): 'opened' {
    this.openings.push({ atMs: nowMs, lengthMs: 0, calmMs: nowMs - calmSinceMs });
    const times = this.openings.reduce(
      (sum, { calmMs }) => Math.min(10, Math.max(0, sum - Math.floor(calmMs / 10_000)) + 1),
      0,
    );
    this.openings.at(-1)!.lengthMs = this.rule.openMs * (this.rule.growsOpen ? times : 1);
    this.ends = [];
    this.state = 'open';
    return 'opened';
  }
}

/** Drives both with calls and ends; `told` sees each answer. */
function drive(
  some: BreakerRule,
  traffic: readonly Happening[],
  told: (both: { breaker: Breaker; slow: SlowBreaker; nowMs: number }, answers: readonly unknown[]) => void,
) {
  const breaker = new Breaker(some);
  const slow = new SlowBreaker(some);
  const live: number[] = [];
  let nowMs = 0;
  for (const { waitMs, kind, pick, reason } of traffic) {
    nowMs += waitMs;
    const both = { breaker, slow, nowMs };
    if (kind === 'call') {
      const answers = [breaker.allows(nowMs), slow.allows(nowMs)];
      if (answers[0] === true) live.push(nowMs);
      told(both, answers);
    } else if (live.length > 0) {
      const [sentMs] = live.splice(pick % live.length, 1);
      const end = { ok: reason === null, reason, tookMs: nowMs - sentMs!, sentMs: sentMs! };
      told(both, [breaker.observe(end, nowMs), slow.observe(end, nowMs)]);
    }
  }
}

test('a twin that keeps every end says the same, whatever comes', () => {
  fc.assert(
    fc.property(anyRule, anyTraffic, (some, traffic) => {
      drive(some, traffic, ({ breaker, slow }, [fast, plain]) => {
        expect(fast).toBe(plain);
        expect(breaker.state).toBe(slow.state);
        expect(breaker.opensAtMs).toBe(slow.state === 'open' ? slow.untilMs : Infinity);
      });
    }),
    { numRuns: 1000 },
  );
});

test('drawn traffic reaches every state and every way out of it', () => {
  const seen = new Set<string>();
  const note = fc.property(anyRule, anyTraffic, (some, traffic) => {
    let before: BreakerState = 'closed';
    drive(some, traffic, ({ breaker }) => {
      seen.add(`${before} to ${breaker.state}`);
      before = breaker.state;
    });
  });
  fc.assert(note, { numRuns: 1000, seed: 7 });
  expect([...seen].filter(way => !/^(\w+) to \1$/.test(way)).sort()).toEqual([
    'closed to open',
    'half_open to closed',
    'half_open to open',
    'open to half_open',
  ]);
});

test('nothing goes while it is open, and no more than its trials are under way while it is half open', () => {
  fc.assert(
    fc.property(anyRule, anyTraffic, (some, traffic) => {
      const breaker = new Breaker(some);
      const live: number[] = [];
      let nowMs = 0;
      let openUntilMs = 0;
      let trialsFrom = 0;
      for (const { waitMs, kind, pick, reason } of traffic) {
        nowMs += waitMs;
        if (kind === 'call') {
          const wasOpen = breaker.state === 'open';
          const goes = breaker.allows(nowMs);
          if (goes) expect(nowMs).toBeGreaterThanOrEqual(openUntilMs);
          if (goes) live.push(nowMs);
          if (wasOpen && goes) trialsFrom = openUntilMs;
          if (breaker.state === 'half_open')
            expect(live.filter(sentMs => sentMs >= trialsFrom).length).toBeLessThanOrEqual(some.trials);
        } else if (live.length > 0) {
          const [sentMs] = live.splice(pick % live.length, 1);
          const end = { ok: reason === null, reason, tookMs: nowMs - sentMs!, sentMs: sentMs! };
          breaker.observe(end, nowMs);
          if (breaker.state === 'open') openUntilMs = breaker.opensAtMs;
        }
      }
    }),
    { numRuns: 500 },
  );
});
