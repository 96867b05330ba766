// Budgets: what a call may take is reserved before it is sent, in every budget that it falls under, and settled with
// what it did take. A call is named by its id, so that a further attempt of it never reserves twice.

import { invariant } from '../../scenarios/base/errors.ts';
import { IdTable } from '../../scenarios/base/id-table.ts';
import type {
  BudgetMeasure,
  BudgetRule,
  OnExceed,
  OwnBudget,
  TenantRules,
} from '../../scenarios/formats/rules.ts';
import {
  Account,
  type Amounts,
  amountsOf,
  type BudgetUse,
  noAmounts,
  type Scope,
  type Standing,
} from './account.ts';

export type { BudgetUse } from './account.ts';

/** The most that a call or a run of a tool may take. */
export interface BudgetClaim extends BudgetUse {
  /** Of a step of role `final`: a budget that finalizes lets it through, whatever is left. */
  readonly isFinal?: boolean;
}

export type BudgetVerdict =
  | { readonly kind: 'ok' }
  /** It goes, in its saving form. */
  | { readonly kind: 'soft'; readonly save: BudgetRule['save']; readonly why: string }
  /** Nothing is reserved. */
  | {
      readonly kind: 'exceeded';
      /** `stop` also of a budget that has degraded as far as it may. */
      readonly onExceed: OnExceed;
      readonly measure: BudgetMeasure;
      readonly scope: Scope;
      readonly save: BudgetRule['save'];
      readonly why: string;
      /** When it may fit by time, ms of the run: as the next window begins; Infinity: never by time. */
      readonly freeMs: number;
      /** It may fit once what others have reserved is settled. */
      readonly somethingReserved: boolean;
    };

export interface BudgetSession {
  readonly session: string;
  readonly workflow: string;
  readonly tenant: string | null;
  readonly user: string | null;
  readonly startMs: number;
  /** Its workflow's own. */
  readonly rule: BudgetRule | null;
}

const OK: BudgetVerdict = { kind: 'ok' };

interface Holder {
  /** Every budget that its calls fall under, its own first. */
  readonly accounts: readonly Account[];
  readonly wallEndMs: number;
}

/** What a call has reserved, and where: its session may be over before it is settled. */
interface Reservation {
  readonly accounts: readonly Account[];
  readonly amounts: Amounts;
}

/**
 * The most that is used of a limit: the limit; with `degrade` also its overdraw, with `finalize` also the claims of final
 * steps; and what attempts took beyond their claims. An attempt that is made again without being reserved again comes on
 * top. A limit of the wall clock is each session's own, whoever shares the budget.
 */
export class Budgets {
  private readonly own: readonly OwnBudget[];
  private readonly shared: readonly OwnBudget[];
  private readonly tenants: ReadonlyMap<string, TenantRules>;
  /** Of users, tenants and agent types: one of each name for each rule. */
  private readonly sharedAccounts = new Map<BudgetRule, Map<string, Account>>();
  private readonly sessions = new Map<string, Holder>();
  private readonly reservations = new IdTable<Reservation>();
  /** Amounts that nobody holds, to be written anew. */
  private readonly spare: Amounts[] = [];
  /** What is being settled: written anew each time. */
  private readonly using = noAmounts();

  constructor(rules: {
    readonly budgets: readonly OwnBudget[];
    readonly tenants: ReadonlyMap<string, TenantRules>;
  }) {
    this.own = rules.budgets.filter(({ each }) => each === 'session');
    this.shared = rules.budgets.filter(({ each }) => each !== 'session');
    this.tenants = rules.tenants;
  }

  /** A session starts. */
  open(session: BudgetSession): void {
    const accounts = [...this.ownAccounts(session), ...this.accountsShared(session)];
    const wallMs = accounts.map(({ rule }) => rule.limits.wallMs ?? Number.POSITIVE_INFINITY);
    this.sessions.set(session.session, { accounts, wallEndMs: session.startMs + Math.min(...wallMs) });
  }

  /** A session is over. What calls of it have reserved stays reserved until they are settled. */
  close(session: string): void {
    this.sessions.delete(session);
  }

  private ownAccounts({ workflow, rule }: BudgetSession): Account[] {
    const rules = rule === null ? this.own.filter(each => isOf(each, workflow)) : [rule];
    return rules.map(each => new Account(each, 'session'));
  }

  private accountsShared({ workflow, tenant, user }: BudgetSession): Account[] {
    // Two tenants may each have a user of one name.
    const names = { user: user === null ? null : `${tenant ?? ''}/${user}`, tenant, workflow };
    const { userBudget = null, budget = null } = (tenant === null ? null : this.tenants.get(tenant)) ?? {};
    const accounts: Account[] = [];
    const share = (rule: BudgetRule | null, scope: keyof typeof names): void => {
      const name = names[scope];
      if (rule !== null && name !== null) accounts.push(this.sharedAccount(rule, scope, name));
    };
    share(userBudget, 'user');
    share(budget, 'tenant');
    for (const rule of this.shared)
      if (rule.each !== 'session' && isOf(rule, workflow)) share(rule, rule.each);
    return accounts;
  }

  private sharedAccount(rule: BudgetRule, scope: Scope, name: string): Account {
    const accounts = this.sharedAccounts.get(rule) ?? new Map<string, Account>();
    this.sharedAccounts.set(rule, accounts);
    const account = accounts.get(name) ?? new Account(rule, scope);
    accounts.set(name, account);
    return account;
  }

  /**
   * Takes what the claim says from every budget it falls under, all or none. What the same id had reserved before is given
   * back first: a further attempt of a call replaces the one before, and a refused one leaves nothing reserved.
   */
  reserve(id: number, session: string, claim: BudgetClaim, nowMs: number): BudgetVerdict {
    const holder = this.sessions.get(session);
    invariant(holder !== undefined, () => `call ${id} reserves for session "${session}", which is not open`);
    this.release(id);
    const { accounts } = holder;
    if (accounts.length === 0) return OK;
    const wanted = amountsOf(claim, 1, this.spare.pop() ?? noAmounts());
    let worst: Extract<BudgetVerdict, { kind: 'exceeded' }> | null = null;
    let soft: BudgetVerdict | null = null;
    for (let i = 0; i < accounts.length; i++) {
      const account = accounts[i]!;
      account.roll(nowMs);
      const isLetThrough = claim.isFinal === true && account.rule.onExceed === 'finalize';
      const row = isLetThrough ? -1 : account.exceededBy(wanted);
      if (row >= 0) {
        const verdict = exceeded(account, row, wanted);
        if (worst === null || severity(verdict) > severity(worst)) worst = verdict;
      } else if (soft === null && worst === null) soft = softVerdict(account, wanted);
    }
    if (worst !== null) {
      this.spare.push(wanted);
      return worst;
    }
    for (let i = 0; i < accounts.length; i++) accounts[i]!.reserve(wanted);
    this.reservations.set(id, { accounts, amounts: wanted });
    return soft ?? OK;
  }

  /**
   * Whether a claim that has nothing reserved would wait, refused by budgets alone that queue. Hot: for each that waits,
   * as another ends.
   */
  waitsOn(session: string, claim: BudgetClaim, nowMs: number): boolean {
    const wanted = amountsOf(claim, 1, this.using);
    let waits = false;
    for (const account of this.sessions.get(session)?.accounts ?? []) {
      account.roll(nowMs);
      if (account.exceededBy(wanted) < 0) continue;
      const { onExceed, save } = account.rule;
      // A shorter answer might fit.
      if (onExceed !== 'queue' || save.outputTokens !== null) return false;
      if (account.freeMs(wanted) === Number.POSITIVE_INFINITY && !account.waitsForReserved(wanted))
        return false;
      waits = true;
    }
    return waits;
  }

  /**
   * What an attempt did take is booked. `isLast`: the call has ended, and its reservation with it; it counts as one call
   * however many attempts it had. Else the reservation stays for the next attempt.
   */
  settle(id: number, use: BudgetUse, isLast: boolean, nowMs: number): void {
    const reservation = this.reservations.get(id);
    // No budget is for it.
    if (reservation === undefined) return;
    const used = amountsOf(use, isLast ? 1 : 0, this.using);
    const { accounts, amounts } = reservation;
    for (let i = 0; i < accounts.length; i++) {
      const account = accounts[i]!;
      account.roll(nowMs);
      if (isLast) account.settle(used, amounts);
      else account.use(used);
    }
    if (!isLast) return;
    this.spare.push(amounts);
    this.reservations.delete(id);
  }

  /** A call is not made after all: what it has reserved is given back, and it does not count. */
  release(id: number): void {
    const reservation = this.reservations.get(id);
    if (reservation === undefined) return;
    for (const account of reservation.accounts) account.release(reservation.amounts);
    this.spare.push(reservation.amounts);
    this.reservations.delete(id);
  }

  /** When the session's wall clock runs out, ms of the run; Infinity: never. */
  wallEndMs(session: string): number {
    return this.sessions.get(session)?.wallEndMs ?? Number.POSITIVE_INFINITY;
  }

  /** How the limits of an open session stand; windows as of the last call that asked. */
  standings(session: string): Standing[] {
    return this.sessions.get(session)?.accounts.flatMap(account => account.standings()) ?? [];
  }
}

const isOf = (rule: OwnBudget, workflow: string): boolean =>
  rule.workflow === null || rule.workflow === workflow;

function softVerdict(account: Account, wanted: Amounts): BudgetVerdict | null {
  const row = account.softBy(wanted);
  if (row < 0) return null;
  return { kind: 'soft', save: account.rule.save, why: account.words(row) };
}

function exceeded(
  account: Account,
  row: number,
  wanted: Amounts,
): Extract<BudgetVerdict, { kind: 'exceeded' }> {
  const { onExceed, save } = account.rule;
  return {
    kind: 'exceeded',
    onExceed: onExceed === 'degrade' ? 'stop' : onExceed,
    measure: account.standing(row).measure,
    scope: account.scope,
    save,
    why: account.wants(row, wanted),
    freeMs: account.freeMs(wanted),
    somethingReserved: account.waitsForReserved(wanted),
  };
}

/** Of several budgets that refuse, the one that is told: who waits for a budget does so only when no other forbids it. */
function severity({ onExceed, freeMs, somethingReserved }: Extract<BudgetVerdict, { kind: 'exceeded' }>) {
  if (onExceed === 'stop') return 3;
  if (onExceed === 'finalize') return 2;
  return Number.isFinite(freeMs) || somethingReserved ? 0 : 1;
}
