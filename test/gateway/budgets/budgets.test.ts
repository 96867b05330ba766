// Budgets by hand: what each rule lets through, refuses, and when it may be asked again.
import { describe, expect, test } from 'vitest';
import { type BudgetSession, Budgets } from '../../../gateway/budgets/budgets.ts';
import type { BudgetRule, OwnBudget, TenantRules } from '../../../scenarios/formats/rules.ts';
import { each, llm, rule, session, spend, tenant, tool } from './build.ts';

/** Budgets with one session `s` of workflow `w`, which has the given rule. */
function own(budget: Partial<BudgetRule>): Budgets {
  const budgets = new Budgets({ budgets: [], tenants: new Map() });
  budgets.open(session({ rule: rule(budget) }));
  return budgets;
}

function shared(
  rules: { budgets?: OwnBudget[]; tenants?: Record<string, TenantRules> },
  ...sessions: Partial<BudgetSession>[]
): Budgets {
  const { budgets = [], tenants = {} } = rules;
  const made = new Budgets({ budgets, tenants: new Map(Object.entries(tenants)) });
  for (const some of sessions) made.open(session(some));
  return made;
}

describe('a limit', () => {
  test('is kept to the last token', () => {
    const budgets = own({ limits: { tokens: 100 } });
    expect(spend(budgets, 1, llm(60, 20)).kind).toBe('ok');
    expect(spend(budgets, 2, llm(15, 6)).kind).toBe('exceeded');
    expect(spend(budgets, 3, llm(15, 5)).kind).toBe('ok');
    expect(budgets.standings('s')).toEqual([
      { scope: 'session', measure: 'tokens', limit: 100, used: 100, reserved: 0 },
    ]);
  });

  test('counts what is under way as if it were used', () => {
    const budgets = own({ limits: { outputTokens: 100 } });
    expect(budgets.reserve(1, 's', llm(9, 70), 0).kind).toBe('ok');
    expect(budgets.reserve(2, 's', llm(9, 40), 0).kind).toBe('exceeded');
    budgets.settle(1, llm(9, 10), true, 0);
    expect(budgets.reserve(2, 's', llm(9, 40), 0).kind).toBe('ok');
  });

  test('of money is kept to the cent of a cent: three thirds of a tenth fit into a tenth', () => {
    const budgets = own({ limits: { usd: 0.3 } });
    expect(spend(budgets, 1, llm(1, 1, { usd: 0.1 })).kind).toBe('ok');
    expect(spend(budgets, 2, llm(1, 1, { usd: 0.2 })).kind).toBe('ok');
    expect(spend(budgets, 3, llm(1, 1, { usd: 1e-9 })).kind).toBe('exceeded');
  });

  test('of calls and one of tools count apart', () => {
    const budgets = own({ limits: { llmCalls: 2, toolCalls: 1 } });
    expect([1, 2, 3].map(id => spend(budgets, id, llm(1)).kind)).toEqual(['ok', 'ok', 'exceeded']);
    expect([4, 5].map(id => spend(budgets, id, tool).kind)).toEqual(['ok', 'exceeded']);
  });

  test('says in words what is left and what was wanted', () => {
    const budgets = own({ limits: { usd: 0.5 } });
    spend(budgets, 1, llm(1, 1, { usd: 0.3 }));
    budgets.reserve(2, 's', llm(1, 1, { usd: 0.15 }), 0);
    expect(budgets.reserve(3, 's', llm(1, 1, { usd: 0.1 }), 0)).toEqual({
      kind: 'exceeded',
      onExceed: 'stop',
      measure: 'usd',
      scope: 'session',
      save: { model: null, outputTokens: null },
      why: '0.3 used and 0.15 reserved of the 0.5 USD of its session, and this may take 0.1',
      freeMs: Number.POSITIVE_INFINITY,
      somethingReserved: true,
    });
  });

  test('of the wall clock is of each session, the shortest of all it falls under', () => {
    const budgets = shared(
      { tenants: { t: tenant({ budget: rule({ limits: { wallMs: 5000 } }) }) } },
      { session: 'a', tenant: 't', startMs: 100, rule: rule({ limits: { wallMs: 9000 } }) },
      { session: 'b', tenant: 't', startMs: 700, rule: rule({ limits: { wallMs: 1000 } }) },
      { session: 'c' },
    );
    expect(['a', 'b', 'c', 'never opened'].map(id => budgets.wallEndMs(id))).toEqual([
      5100,
      1700,
      Number.POSITIVE_INFINITY,
      Number.POSITIVE_INFINITY,
    ]);
  });
});

describe('a call', () => {
  test('that is tried again reserves once, counts once, and pays for what each attempt used', () => {
    const budgets = own({ limits: { tokens: 100, llmCalls: 3 } });
    budgets.reserve(1, 's', llm(20, 20), 0);
    budgets.settle(1, llm(20, 5), false, 0);
    budgets.reserve(1, 's', llm(20, 20), 0);
    expect(budgets.standings('s').map(({ used, reserved }) => [used, reserved])).toEqual([
      [25, 40],
      [0, 1],
    ]);
    budgets.settle(1, llm(20, 10), true, 0);
    expect(budgets.standings('s').map(({ used, reserved }) => [used, reserved])).toEqual([
      [55, 0],
      [1, 0],
    ]);
  });

  test('whose second attempt no longer fits is refused, and holds nothing', () => {
    const budgets = own({ limits: { tokens: 100 } });
    budgets.reserve(1, 's', llm(60), 0);
    budgets.settle(1, llm(60), false, 0);
    expect(budgets.reserve(1, 's', llm(60), 0).kind).toBe('exceeded');
    expect(budgets.standings('s')).toMatchObject([{ used: 60, reserved: 0 }]);
  });

  test('that is not made after all costs nothing', () => {
    const budgets = own({ limits: { tokens: 100, llmCalls: 1 } });
    budgets.reserve(1, 's', llm(60), 0);
    budgets.release(1);
    budgets.release(1);
    expect(budgets.standings('s')).toMatchObject([
      { used: 0, reserved: 0 },
      { used: 0, reserved: 0 },
    ]);
  });

  test('of a session that is over still pays into what it shares', () => {
    const budgets = shared(
      { budgets: [each('workflow', { limits: { tokens: 100 } })] },
      { session: 'a' },
      { session: 'b' },
    );
    budgets.reserve(1, 'a', llm(70), 0);
    budgets.close('a');
    expect(budgets.standings('b')).toMatchObject([{ used: 0, reserved: 70 }]);
    budgets.settle(1, llm(30), true, 0);
    expect(budgets.standings('b')).toMatchObject([{ used: 30, reserved: 0 }]);
  });

  test('of a session that never opened is our own mistake', () => {
    const budgets = shared({});
    expect(() => budgets.reserve(1, 'ghost', llm(1), 0)).toThrow(/"ghost", which is not open/);
  });
});

describe('the soft limit', () => {
  const save = { model: 'small', outputTokens: 50 };

  test('makes calls save from its share on', () => {
    const budgets = own({ limits: { tokens: 100 }, softRatio: 0.5, save });
    expect(spend(budgets, 1, llm(49)).kind).toBe('ok');
    expect(spend(budgets, 2, llm(1)).kind).toBe('ok');
    expect(spend(budgets, 3, llm(10))).toEqual({
      kind: 'soft',
      save,
      why: '50 used and 0 reserved of the 100 tokens of its session',
    });
  });

  test('of what is reserved counts too, so that a fan-out does not pass it unseen', () => {
    const budgets = own({ limits: { tokens: 100 }, softRatio: 0.5, save });
    expect(budgets.reserve(1, 's', llm(50), 0).kind).toBe('ok');
    expect(budgets.reserve(2, 's', llm(10), 0).kind).toBe('soft');
  });
});

describe('beyond the limit', () => {
  test('degrade goes on in the saving form for its overdraw, and then stops', () => {
    const save = { model: 'small', outputTokens: null };
    const budgets = own({ limits: { tokens: 100 }, onExceed: 'degrade', overdrawRatio: 0.2, save });
    expect(spend(budgets, 1, llm(100)).kind).toBe('ok');
    expect(spend(budgets, 2, llm(15))).toMatchObject({ kind: 'soft', save });
    expect(spend(budgets, 3, llm(6))).toMatchObject({ kind: 'exceeded', onExceed: 'stop', save });
    expect(spend(budgets, 4, llm(5)).kind).toBe('soft');
  });

  test('finalize lets final steps through and no other', () => {
    const budgets = own({ limits: { tokens: 100 }, onExceed: 'finalize' });
    spend(budgets, 1, llm(90));
    expect(spend(budgets, 2, llm(40))).toMatchObject({ kind: 'exceeded', onExceed: 'finalize' });
    expect(spend(budgets, 3, llm(40, 0, { isFinal: true })).kind).toBe('ok');
    expect(budgets.standings('s')).toMatchObject([{ used: 130 }]);
  });

  test('a final step is nothing special to a budget that stops', () => {
    const budgets = own({ limits: { tokens: 100 }, onExceed: 'stop' });
    expect(spend(budgets, 1, llm(140, 0, { isFinal: true })).kind).toBe('exceeded');
  });

  test('queue says what may free it: the next window, a settlement, or nothing', () => {
    const budgets = own({ limits: { tokens: 100 }, onExceed: 'queue', perMs: 1000 });
    budgets.reserve(1, 's', llm(80), 2300);
    const asked = (tokens: number, nowMs: number) => budgets.reserve(2, 's', llm(tokens), nowMs);
    expect(asked(30, 2300)).toMatchObject({ freeMs: 3000, somethingReserved: true });
    budgets.settle(1, llm(80), true, 2400);
    expect(asked(30, 2400)).toMatchObject({ freeMs: 3000, somethingReserved: false });
    expect(asked(101, 2400)).toMatchObject({
      onExceed: 'queue',
      freeMs: Number.POSITIVE_INFINITY,
      somethingReserved: false,
    });
    expect(asked(30, 3000)).toEqual({ kind: 'ok' });
  });

  test('what was reserved before a window began is still to come in it', () => {
    const budgets = own({ limits: { tokens: 100 }, onExceed: 'queue', perMs: 1000 });
    budgets.reserve(1, 's', llm(80), 900);
    expect(budgets.reserve(2, 's', llm(30), 1000).kind).toBe('exceeded');
    budgets.settle(1, llm(75), true, 1100);
    expect(budgets.standings('s')).toMatchObject([{ used: 75, reserved: 0 }]);
    expect(budgets.reserve(2, 's', llm(25), 1100).kind).toBe('ok');
  });

  test('what forbids for good is told before what only asks to wait, whichever comes first', () => {
    const waits = rule({ limits: { tokens: 10 }, onExceed: 'queue', perMs: 1000 });
    const stops = each('workflow', { limits: { tokens: 10 }, onExceed: 'stop' });
    const finalizes = each('workflow', { limits: { tokens: 10 }, onExceed: 'finalize' });
    const never = each('workflow', { limits: { tokens: 10 }, onExceed: 'queue' });
    const told = (...budgets: OwnBudget[]) => {
      const made = shared({ budgets }, { rule: waits });
      spend(made, 1, llm(8));
      return made.reserve(2, 's', llm(5), 0);
    };
    expect(told(stops, finalizes)).toMatchObject({ onExceed: 'stop', scope: 'workflow' });
    expect(told(finalizes, stops)).toMatchObject({ onExceed: 'stop' });
    expect(told(never, finalizes)).toMatchObject({ onExceed: 'finalize' });
    expect(told(never)).toMatchObject({ onExceed: 'queue', scope: 'workflow', somethingReserved: false });
    expect(told()).toMatchObject({ onExceed: 'queue', scope: 'session', freeMs: 1000 });
  });
});

describe('who shares a budget', () => {
  const used = (budgets: Budgets, of: string) =>
    budgets.standings(of).map(({ scope, used: tokens }) => [scope, tokens]);

  test('users, tenants and agent types each have one row, and users of two tenants are two', () => {
    const budgets = shared(
      {
        budgets: [each('user'), each('workflow', { workflow: 'w' })],
        tenants: { t: tenant({ budget: rule(), userBudget: rule() }) },
      },
      { session: 'a', tenant: 't', user: 'u0', rule: rule() },
      { session: 'b', tenant: 't', user: 'u1', workflow: 'other' },
      { session: 'c', tenant: 'x', user: 'u0' },
      { session: 'd', tenant: 't', user: 'u0', workflow: 'other' },
    );
    spend(budgets, 1, llm(7), { of: 'a' });
    expect(used(budgets, 'a')).toEqual([
      ['session', 7],
      ['user', 7],
      ['tenant', 7],
      ['user', 7],
      ['workflow', 7],
    ]);
    expect(used(budgets, 'b')).toEqual([
      ['user', 0],
      ['tenant', 7],
      ['user', 0],
    ]);
    expect(used(budgets, 'c')).toEqual([
      ['user', 0],
      ['workflow', 7],
    ]);
    expect(used(budgets, 'd')).toEqual([
      ['user', 7],
      ['tenant', 7],
      ['user', 7],
    ]);
  });

  test('a budget of each session is for those whose workflow has none', () => {
    const budgets = shared(
      { budgets: [each('session', { limits: { tokens: 5 } })] },
      { session: 'a', rule: rule({ limits: { tokens: 50 } }) },
      { session: 'b' },
      { session: 'c' },
    );
    expect(spend(budgets, 1, llm(20), { of: 'a' }).kind).toBe('ok');
    expect(spend(budgets, 2, llm(20), { of: 'b' }).kind).toBe('exceeded');
    expect(spend(budgets, 3, llm(5), { of: 'b' }).kind).toBe('ok');
    expect(spend(budgets, 4, llm(5), { of: 'c' }).kind).toBe('ok');
  });

  test('a call takes from all of them or from none', () => {
    const budgets = shared(
      { budgets: [each('workflow', { limits: { tokens: 10 } })] },
      { rule: rule({ limits: { tokens: 50 } }) },
    );
    expect(spend(budgets, 1, llm(20)).kind).toBe('exceeded');
    expect(used(budgets, 's')).toEqual([
      ['session', 0],
      ['workflow', 0],
    ]);
  });
});

test('who waits is asked again only when something has changed for them', () => {
  const queue = rule({ onExceed: 'queue', perMs: 1000 });
  const budgets = new Budgets({ budgets: [], tenants: new Map([['t', tenant({ budget: queue })]]) });
  budgets.open(session({ tenant: 't' }));
  budgets.reserve(1, 's', llm(70), 0);
  expect(budgets.waitsOn('s', llm(30), 0)).toBe(false);
  expect(budgets.waitsOn('s', llm(31), 0)).toBe(true);
  budgets.settle(1, llm(40), true, 0);
  expect(budgets.waitsOn('s', llm(60), 0)).toBe(false);
  expect(budgets.waitsOn('s', llm(61), 0)).toBe(true);
  // The next window is empty; what no window holds does not wait.
  expect(budgets.waitsOn('s', llm(61), 1000)).toBe(false);
  expect(budgets.waitsOn('s', llm(101), 0)).toBe(false);
});
