// Budgets on drawn sequences of calls: no limit is passed by more than is stated, and everything that is reserved is given
// back or used.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Standing } from '../../../gateway/budgets/account.ts';
import { type BudgetClaim, type BudgetSession, Budgets } from '../../../gateway/budgets/budgets.ts';
import type { BudgetMeasure, BudgetRule, OwnBudget } from '../../../scenarios/formats/rules.ts';
import { session, tenant } from './build.ts';

const SESSIONS: readonly BudgetSession[] = [
  session({ session: 'a', workflow: 'w', tenant: 't', user: 'u0' }),
  session({ session: 'b', workflow: 'w', tenant: 't', user: 'u1' }),
  session({ session: 'c', workflow: 'v', tenant: 't', user: 'u0' }),
  session({ session: 'd', workflow: 'v', tenant: 'x', user: 'u0' }),
];

/** Whether two sessions are one holder of a budget. */
const SAME: Record<Standing['scope'], (a: BudgetSession, b: BudgetSession) => boolean> = {
  session: (a, b) => a.session === b.session,
  user: (a, b) => a.tenant === b.tenant && a.user === b.user,
  tenant: (a, b) => a.tenant === b.tenant,
  workflow: (a, b) => a.workflow === b.workflow,
};

const amount = fc.integer({ min: 0, max: 60 });
const anyClaim: fc.Arbitrary<BudgetClaim> = fc.record({
  inputTokens: amount,
  outputTokens: amount,
  usd: amount.map(cents => cents / 1000),
  kind: fc.constantFrom('llm', 'llm', 'tool'),
  isFinal: fc.boolean(),
});
/** Least and greatest drawn limit. */
const RANGES = {
  inputTokens: [20, 300],
  outputTokens: [20, 300],
  tokens: [20, 400],
  llmCalls: [1, 8],
  toolCalls: [1, 4],
  usd: [0.02, 0.3],
} as const satisfies Partial<Record<BudgetMeasure, readonly [number, number]>>;
const anyLimits: fc.Arbitrary<BudgetRule['limits']> = fc
  .subarray(Object.keys(RANGES) as (keyof typeof RANGES)[], { maxLength: 2 })
  .chain(measures =>
    fc.tuple(...measures.map(() => fc.integer({ min: 0, max: 10 }))).map(tenths =>
      Object.fromEntries(
        measures.map((measure, row) => {
          const [least, most] = RANGES[measure];
          const limit = least + ((most - least) * tenths[row]!) / 10;
          return [measure, measure === 'usd' ? Math.round(limit * 1000) / 1000 : Math.round(limit)];
        }),
      ),
    ),
  );
const anyRule: fc.Arbitrary<BudgetRule> = fc.record({
  limits: anyLimits,
  softRatio: fc.option(fc.constantFrom(0.5, 0.8)),
  save: fc.constant({ model: null, outputTokens: 10 }),
  onExceed: fc.constantFrom('stop', 'finalize', 'degrade', 'queue'),
  overdrawRatio: fc.constantFrom(0, 0.2),
  perMs: fc.constant(null),
});

/** What may happen to one of a few calls: it is (again) reserved, an attempt ends, it ends, it is not made. */
const anyEvent = fc.record({
  id: fc.integer({ min: 0, max: 7 }),
  what: fc.constantFrom('reserve', 'reserve', 'reserve', 'attempt', 'end', 'end', 'release'),
  claim: anyClaim,
  /** Share of its claim that it uses: above 1 it uses more than it said. */
  share: fc.constantFrom(0, 0.3, 0.5, 1, 1.5),
});
type Event = typeof anyEvent extends fc.Arbitrary<infer T> ? T : never;

const measured = (measure: BudgetMeasure, claim: BudgetClaim, calls: number): number => {
  switch (measure) {
    case 'tokens':
      return claim.inputTokens + claim.outputTokens;
    case 'llmCalls':
      return claim.kind === 'llm' ? calls : 0;
    case 'toolCalls':
      return claim.kind === 'tool' ? calls : 0;
    case 'wallMs':
      return 0;
    default:
      return claim[measure];
  }
};

const part = (claim: BudgetClaim, share: number): BudgetClaim => ({
  ...claim,
  inputTokens: Math.round(claim.inputTokens * share),
  outputTokens: Math.round(claim.outputTokens * share),
  usd: Math.round(claim.usd * share * 1000) / 1000,
});

/** The plain twin: lists of what was reserved and used, added up anew each time. */
class Book {
  readonly live = new Map<number, { session: BudgetSession; claim: BudgetClaim }>();
  readonly used: { session: BudgetSession; use: BudgetClaim; calls: number; allowed: BudgetClaim }[] = [];

  reservedOf({ scope, measure }: Standing, whose: BudgetSession): number {
    let sum = 0;
    for (const { session: other, claim } of this.live.values())
      if (SAME[scope](whose, other)) sum += measured(measure, claim, 1);
    return sum;
  }

  usedOf({ scope, measure }: Standing, whose: BudgetSession): number {
    let sum = 0;
    for (const { session: other, use, calls } of this.used)
      if (SAME[scope](whose, other)) sum += measured(measure, use, calls);
    return sum;
  }

  /** Tokens and USD beyond claims; and what final steps claimed, which a budget that finalizes lets through. */
  overdrawOf({ scope, measure }: Standing, whose: BudgetSession, letsFinal: boolean): number {
    let sum = 0;
    for (const { session: other, use, calls, allowed } of this.used) {
      if (!SAME[scope](whose, other)) continue;
      const own = measured(measure, use, calls);
      sum += letsFinal && allowed.isFinal ? own : Math.max(0, own - measured(measure, allowed, 1));
    }
    for (const { session: other, claim } of this.live.values())
      if (letsFinal && claim.isFinal && SAME[scope](whose, other)) sum += measured(measure, claim, 1);
    return sum;
  }
}

interface Rules {
  readonly session: BudgetRule;
  readonly user: BudgetRule;
  readonly tenant: BudgetRule;
  readonly workflow: BudgetRule;
}
const anyRules: fc.Arbitrary<Rules> = fc.record({
  session: anyRule,
  user: anyRule,
  tenant: anyRule,
  workflow: anyRule,
});

function opened(rules: Rules): Budgets {
  const shared: OwnBudget = { ...rules.workflow, each: 'workflow', workflow: null };
  const tenants = new Map(
    ['t', 'x'].map(name => [name, tenant({ budget: rules.tenant, userBudget: rules.user })]),
  );
  const budgets = new Budgets({ budgets: [shared], tenants });
  for (const each of SESSIONS) budgets.open({ ...each, rule: rules.session });
  return budgets;
}

/** Lets the event happen to both; a further attempt is always reserved first. */
function happen(budgets: Budgets, book: Book, { id, what, claim, share }: Event): void {
  const known = book.live.get(id);
  if (what === 'reserve') {
    const whose = known?.session ?? SESSIONS[id % SESSIONS.length]!;
    const verdict = budgets.reserve(id, whose.session, claim, 0);
    if (verdict.kind === 'exceeded') book.live.delete(id);
    else book.live.set(id, { session: whose, claim });
    return;
  }
  if (what === 'release') {
    budgets.release(id);
    book.live.delete(id);
    return;
  }
  if (known === undefined) return;
  const use = part(known.claim, share);
  budgets.settle(id, use, what === 'end', 0);
  book.used.push({ session: known.session, use, calls: what === 'end' ? 1 : 0, allowed: known.claim });
  if (what === 'end') book.live.delete(id);
  else happen(budgets, book, { id, what: 'reserve', claim: known.claim, share });
}

const events = fc.array(anyEvent, { minLength: 1, maxLength: 60, size: 'max' });
const almost = (a: number, b: number): boolean => Math.abs(a - b) < 1e-6;

describe('on any sequence of calls', () => {
  test('what is used and reserved is what was settled and claimed, for every holder', () => {
    fc.assert(
      fc.property(anyRules, events, (rules, all) => {
        const budgets = opened(rules);
        const book = new Book();
        for (const event of all) {
          happen(budgets, book, event);
          const wrong = SESSIONS.flatMap(whose =>
            budgets
              .standings(whose.session)
              .filter(
                standing =>
                  !almost(standing.reserved, book.reservedOf(standing, whose)) ||
                  !almost(standing.used, book.usedOf(standing, whose)),
              ),
          );
          expect(wrong).toEqual([]);
        }
        for (const id of [...book.live.keys()]) budgets.release(id);
        for (const whose of SESSIONS)
          for (const { reserved } of budgets.standings(whose.session)) expect(reserved).toBe(0);
      }),
      { numRuns: 300 },
    );
  });

  test('no limit is passed by more than its overdraw, final steps, and what calls took beyond their claims', () => {
    let passed = 0;
    fc.assert(
      fc.property(anyRules, events, (rules, all) => {
        const budgets = opened(rules);
        const book = new Book();
        for (const event of all) {
          happen(budgets, book, event);
          const wrong = SESSIONS.flatMap(whose =>
            budgets.standings(whose.session).filter(standing => {
              const { onExceed, overdrawRatio } = rules[standing.scope];
              const { limit, used, reserved } = standing;
              const most = onExceed === 'degrade' ? limit * (1 + overdrawRatio) : limit;
              const overdraw = book.overdrawOf(standing, whose, onExceed === 'finalize');
              if (used > limit) passed++;
              return used + reserved > most + overdraw + 1e-6;
            }),
          );
          expect(wrong).toEqual([]);
        }
      }),
      { numRuns: 300 },
    );
    // The law says something: limits are passed, by what is stated.
    expect(passed).toBeGreaterThan(100);
  });

  test('a call that keeps to its claim is refused exactly where some limit would be passed', () => {
    fc.assert(
      fc.property(anyRules, events, anyClaim, (rules, all, claim) => {
        const budgets = opened(rules);
        const book = new Book();
        for (const event of all) happen(budgets, book, event);
        const before = budgets.standings('a');
        const isRefused = budgets.reserve(99, 'a', claim, 0).kind === 'exceeded';
        const passes = before.some(({ scope, measure, limit, used, reserved }) => {
          const { onExceed, overdrawRatio } = rules[scope];
          if (onExceed === 'finalize' && claim.isFinal) return false;
          const most = onExceed === 'degrade' ? limit * (1 + overdrawRatio) : limit;
          return used + reserved + measured(measure, claim, 1) > most + 1e-9;
        });
        expect(isRefused).toBe(passes);
        if (isRefused) expect(budgets.standings('a')).toEqual(before);
      }),
      { numRuns: 300 },
    );
  });

  test('to reserve twice is to reserve once', () => {
    fc.assert(
      fc.property(anyRules, events, anyClaim, anyClaim, (rules, all, first, second) => {
        const [once, twice] = [opened(rules), opened(rules)];
        for (const event of all) for (const each of [once, twice]) happen(each, new Book(), event);
        twice.reserve(99, 'a', first, 0);
        expect(twice.reserve(99, 'a', second, 0)).toEqual(once.reserve(99, 'a', second, 0));
        expect(twice.standings('a')).toEqual(once.standings('a'));
      }),
      { numRuns: 200 },
    );
  });

  test('no window holds more than its limit and what calls took beyond their claims', () => {
    const steps = fc.array(fc.tuple(anyEvent, fc.integer({ min: 0, max: 40 })), {
      maxLength: 80,
      size: 'max',
    });
    fc.assert(
      fc.property(anyRule, steps, (drawn, all) => {
        const perMs = 100;
        const rule: BudgetRule = { ...drawn, onExceed: 'queue', perMs };
        const budgets = new Budgets({ budgets: [], tenants: new Map() });
        budgets.open(session({ rule }));
        const live = new Map<number, BudgetClaim>();
        const windows = new Map<number, { use: BudgetClaim; claim: BudgetClaim }[]>();
        let nowMs = 0;
        for (const [{ id, what, claim, share }, passMs] of all) {
          nowMs += passMs;
          const known = live.get(id);
          if (what === 'reserve' && known === undefined) {
            const verdict = budgets.reserve(id, 's', claim, nowMs);
            if (verdict.kind !== 'exceeded') live.set(id, claim);
            else if (verdict.freeMs < Number.POSITIVE_INFINITY)
              expect(verdict.freeMs).toBe((Math.floor(nowMs / perMs) + 1) * perMs);
          } else if (what === 'end' && known !== undefined) {
            const use = part(known, share);
            budgets.settle(id, use, true, nowMs);
            live.delete(id);
            const window = Math.floor(nowMs / perMs);
            windows.set(window, [...(windows.get(window) ?? []), { use, claim: known }]);
          }
        }
        for (const settled of windows.values())
          for (const [measure, limit] of Object.entries(rule.limits) as [BudgetMeasure, number][]) {
            const used = settled.reduce((sum, { use }) => sum + measured(measure, use, 1), 0);
            const beyond = settled.reduce(
              (sum, { use, claim }) =>
                sum + Math.max(0, measured(measure, use, 1) - measured(measure, claim, 1)),
              0,
            );
            expect(used).toBeLessThanOrEqual(limit + beyond + 1e-6);
          }
      }),
      { numRuns: 300 },
    );
  });
});
