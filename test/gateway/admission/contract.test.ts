// What every admission policy must do, run over the registry.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { admissionPolicies, admissionPolicy } from '../../../gateway/admission/index.ts';
import { Gatekeeper, IDLE, SATURATED } from './build.ts';

const SETUP = {
  pool: { maxBatchedTokens: 8192, kvTokens: 3000 },
  other: { maxBatchedTokens: 8192, kvTokens: 3000 },
};
/** Small limits, so that calls wait and are turned away; others have none. */
const TIGHT: Readonly<Record<string, Record<string, unknown>>> = {
  calls: { max: 2, queue: 3, max_wait: 40 },
  sessions: { max: 2, queue: 2, max_wait: 40 },
  token_bucket: { capacity: 3000, refill: 20_000, queue: 3, max_wait: 40 },
  flow_control: { band_requests: 3, max_wait: 40, fairness: 'round_robin', ordering: 'edf' },
  thunder_agent: { interval: 7, resume_after: 40 },
  dynamo_queue: { queue: 3, max_wait: 40, order: 'session_las' },
};

const event = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('arrive' as const),
      session: fc.nat(5),
      tenant: fc.nat(2),
      priority: fc.integer({ min: -2, max: 2 }),
      promptTokens: fc.integer({ min: 1, max: 4000 }),
      pool: fc.constantFrom('pool', 'other'),
      deadlineMs: fc.option(fc.nat(100)),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('end' as const), which: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('withdraw' as const), which: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('endSession' as const), session: fc.nat(5) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('pressure' as const), isHigh: fc.boolean() }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 30 }) }),
  },
);
type Event = typeof event extends fc.Arbitrary<infer T> ? T : never;

/** Plays events against a gate, then lets it come to rest: no pressure, all that was sent and all sessions end. */
function play(name: string, events: readonly Event[]) {
  const keeper = new Gatekeeper(admissionPolicy(name).create(TIGHT[name] ?? {}, SETUP));
  const inFlight: number[] = [];
  const waiting: number[] = [];
  const verdicts: string[] = [];
  let id = 0;
  const settle = () => {
    for (const each of [...waiting]) {
      const fate = keeper.fates.get(each);
      if (fate === undefined) continue;
      waiting.splice(waiting.indexOf(each), 1);
      if ('sentMs' in fate) inFlight.push(each);
    }
    expect(keeper.gate.waiting).toBe(waiting.length);
  };
  const end = (at: number) => {
    const [ended] = inFlight.splice(at, 1);
    if (ended !== undefined) keeper.end(ended);
  };
  const endSessions = () => {
    for (let session = 0; session <= 5; session++) keeper.endSession(`s${session}`);
  };
  for (const each of events) {
    if (each.kind === 'arrive') {
      const { kind: _, session, tenant, ...call } = each;
      id++;
      waiting.push(id);
      verdicts.push(keeper.arrive({ id, session: `s${session}`, tenant: `t${tenant}`, ...call }));
    } else if (each.kind === 'end') end(each.which);
    else if (each.kind === 'withdraw') {
      const left = waiting[each.which];
      if (left !== undefined) {
        expect(keeper.withdraw(left)).toBe(true);
        expect(keeper.withdraw(left)).toBe(false);
      }
    } else if (each.kind === 'endSession') keeper.endSession(`s${each.session}`);
    else if (each.kind === 'pressure') keeper.pools = each.isHigh ? SATURATED : IDLE;
    else keeper.to(keeper.nowMs + each.ms);
    settle();
  }
  keeper.pools = IDLE;
  for (let rest = 0; rest < 200 && (inFlight.length > 0 || waiting.length > 0); rest++) {
    end(0);
    endSessions();
    keeper.to(keeper.nowMs + 5);
    settle();
  }
  endSessions();
  return { keeper, arrived: id, verdicts };
}

describe.each(Object.entries(admissionPolicies))('admission policy %s', (name, policy) => {
  test('is registered under its own name, with a line of documentation and a source', () => {
    expect(policy.name).toBe(name);
    expect(policy.doc).toMatch(/^[A-Z].*\.$/);
    expect(policy.source.length).toBeGreaterThan(5);
  });

  test('refuses an option it does not have', () => {
    expect(() => policy.create({ chioces: 2 }, SETUP)).toThrow(`policy ${name} has no option chioces`);
  });

  test('sends, refuses or gives back every call that came exactly once, and ends with nobody waiting', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 80 }), events => {
        const { keeper, arrived } = play(name, events);
        expect(keeper.fates.size).toBe(arrived);
        expect(keeper.gate.waiting).toBe(0);
        expect(keeper.gate.nextMs()).toBe(Number.POSITIVE_INFINITY);
      }),
    );
  });

  test('gives the same fates for the same events, and two gates share no memory', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 40 }), events => {
        expect([...play(name, events).keeper.fates]).toEqual([...play(name, events).keeper.fates]);
      }),
      { numRuns: 30 },
    );
  });

  test('lets a lone call in at once when nothing is under way', () => {
    expect(new Gatekeeper(policy.create({}, SETUP)).arrive({ id: 1 })).toBe('send');
  });
});

test('an unknown policy is refused with those there are', () => {
  expect(() => admissionPolicy('bouncer')).toThrow('unknown admission policy "bouncer"');
});

test.each([
  ['saturation', { detector: 'tea-leaves' }, 'option detector of policy saturation is "tea-leaves"'],
  ['saturation', { kv_usage: 2 }, 'option kv_usage of policy saturation is 2'],
  ['calls', { max: 0 }, 'option max of policy calls is 0'],
  ['token_bucket', { refill: Number.NaN }, 'option refill of policy token_bucket'],
])('%s refuses %j', (name, options, message) => {
  expect(() => admissionPolicy(name).create(options, {})).toThrow(message);
});
