// Budgets for tests: rules that default everything a test is not about.
import type { BudgetClaim, BudgetSession, Budgets, BudgetVerdict } from '../../../gateway/budgets/budgets.ts';
import type { BudgetRule, OwnBudget, TenantRules } from '../../../scenarios/formats/rules.ts';

export const rule = (some: Partial<BudgetRule> = {}): BudgetRule => ({
  limits: { tokens: 100 },
  softRatio: null,
  save: { model: null, outputTokens: null },
  onExceed: 'stop',
  overdrawRatio: 0.2,
  perMs: null,
  ...some,
});

export const each = (whom: OwnBudget['each'], some: Partial<OwnBudget> = {}): OwnBudget => ({
  ...rule(some),
  each: whom,
  workflow: some.workflow ?? null,
});

export const tenant = (some: Partial<TenantRules>): TenantRules => ({
  budget: null,
  userBudget: null,
  limit: null,
  residency: null,
  ...some,
});

export const session = (some: Partial<BudgetSession> = {}): BudgetSession => ({
  session: 's',
  workflow: 'w',
  tenant: null,
  user: null,
  startMs: 0,
  rule: null,
  ...some,
});

/** A claim, or a use, of so many tokens. */
export const llm = (inputTokens: number, outputTokens = 0, some: Partial<BudgetClaim> = {}): BudgetClaim => ({
  inputTokens,
  outputTokens,
  usd: 0,
  kind: 'llm',
  ...some,
});

export const tool: BudgetClaim = { inputTokens: 0, outputTokens: 0, usd: 0, kind: 'tool' };

/** Reserves and settles what was claimed, as a call does that goes well; the verdict. */
export function spend(
  budgets: Budgets,
  id: number,
  claim: BudgetClaim,
  { of = 's', nowMs = 0 }: { of?: string; nowMs?: number } = {},
): BudgetVerdict {
  const verdict = budgets.reserve(id, of, claim, nowMs);
  if (verdict.kind !== 'exceeded') budgets.settle(id, claim, true, nowMs);
  return verdict;
}
