// Our own rate limits, several at once: of all calls, or of each tenant, user, workflow or session. A call goes when all
// that it meets let it go; else none takes anything of it. What belongs to nobody any more is forgotten.
import { IdTable } from '../../scenarios/base/id-table.ts';
import type { OwnLimit, ScenarioRules } from '../../scenarios/formats/rules.ts';
import { type LimitClaim, Limiter, type LimitRefusal, type LimitUse } from './limiter.ts';

/** Whose call it is, and where it goes. */
export interface LimitWho {
  readonly tenant: string | null;
  readonly user: string | null;
  readonly workflow: string;
  readonly session: string;
  /** The pool or hosted model that it goes to. */
  readonly target: string;
  /** The alias that it asks for; absent: limits of an alias are not for it. */
  readonly model?: string;
}

/** The limit that a call waits for longest. */
export interface OwnRefusal extends LimitRefusal {
  readonly limit: OwnLimit;
}

/** The gateway's limits, then those that the scenario gives to tenants and models. */
export function ownLimits(gateway: readonly OwnLimit[], rules: ScenarioRules | undefined): OwnLimit[] {
  const limits = [...gateway];
  const shared = { each: 'all', model: null, maxWaitMs: null } as const;
  for (const [tenant, { limit }] of rules?.tenants ?? [])
    if (limit !== null) limits.push({ ...limit, ...shared, tenant });
  for (const [alias, { limit }] of rules?.models ?? [])
    if (limit !== null) limits.push({ ...limit, ...shared, alias });
  return limits;
}

/** Limiters that a sweep starts to look through. */
const SWEEP_FROM = 64;

/** One limit: a limiter for each who has one. */
class Shares {
  readonly limit: OwnLimit;
  /** By tenant where users have one each, since they are named within it; else of one name. Then by who. */
  private readonly limiters = new Map<string, Map<string, Limiter>>();
  private count = 0;
  private sweepAt = SWEEP_FROM;

  constructor(limit: OwnLimit) {
    this.limit = limit;
  }

  isFor({ target, model, tenant }: LimitWho): boolean {
    const { limit } = this;
    return (
      (limit.model === null || limit.model === target) &&
      (limit.alias === undefined || limit.alias === model) &&
      (limit.tenant === undefined || limit.tenant === tenant)
    );
  }

  of(who: LimitWho, nowMs: number): Limiter {
    const { each } = this.limit;
    const group = each === 'user' ? (who.tenant ?? '') : '';
    const name = each === 'all' ? '' : (who[each] ?? '');
    let members = this.limiters.get(group);
    let limiter = members?.get(name);
    if (limiter !== undefined) return limiter;
    if (this.count >= this.sweepAt) {
      this.sweep(nowMs);
      members = this.limiters.get(group);
    }
    if (members === undefined) {
      members = new Map();
      this.limiters.set(group, members);
    }
    limiter = new Limiter(this.limit);
    members.set(name, limiter);
    this.count += 1;
    return limiter;
  }

  forget(session: string): void {
    if (this.limit.each === 'session' && this.limiters.get('')?.delete(session)) this.count -= 1;
  }

  get size(): number {
    return this.count;
  }

  /** Those go whose like would decide the same if it was made anew. */
  private sweep(nowMs: number): void {
    for (const [group, members] of this.limiters) {
      for (const [name, limiter] of members)
        if (limiter.isIdle(nowMs)) {
          members.delete(name);
          this.count -= 1;
        }
      if (members.size === 0) this.limiters.delete(group);
    }
    this.sweepAt = Math.max(SWEEP_FROM, 2 * this.count);
  }
}

/** Ids are whole numbers from 0 on; one that did not go, or met no limit, ends without effect. */
export class OwnLimits {
  private readonly shares: readonly Shares[];
  /** Of the call that asks: a place for each limit; null: it is not for this call. */
  private readonly met: (Limiter | null)[];
  /** The same of calls under way: a row for each, used again once it has ended. */
  private readonly underWay: (Limiter | null)[] = [];
  private readonly rowOf = new IdTable<number>();
  private readonly free: number[] = [];

  constructor(limits: readonly OwnLimit[]) {
    this.shares = limits.map(limit => new Shares(limit));
    this.met = limits.map(() => null);
  }

  /** null: it may go, and counts from now on at all limits it meets. Hot: once per call. */
  ask(id: number, who: LimitWho, claim: LimitClaim, nowMs: number): OwnRefusal | null {
    const { shares, met } = this;
    let worst: LimitRefusal | null = null;
    let limit: OwnLimit | null = null;
    for (let i = 0; i < shares.length; i++) {
      const each = shares[i]!;
      const limiter = each.isFor(who) ? each.of(who, nowMs) : null;
      met[i] = limiter;
      const refusal = limiter === null ? null : limiter.refusal(claim, nowMs);
      if (refusal === null || (worst !== null && refusal.retryAfterMs <= worst.retryAfterMs)) continue;
      worst = refusal;
      limit = each.limit;
    }
    if (worst !== null) return { by: worst.by, limit: limit!, retryAfterMs: worst.retryAfterMs };
    let row = -1;
    for (let i = 0; i < met.length; i++) {
      const limiter = met[i]!;
      if (limiter === null) continue;
      if (row < 0) row = this.rowFor(id);
      limiter.take(id, claim, nowMs);
      this.underWay[row * met.length + i] = limiter;
    }
    return null;
  }

  /** What a call that went has used. */
  ended(id: number, use: LimitUse, nowMs: number): void {
    const row = this.rowOf.get(id);
    if (row === undefined) return;
    this.rowOf.delete(id);
    this.free.push(row);
    const { underWay } = this;
    const width = this.shares.length;
    for (let place = row * width; place < (row + 1) * width; place++) {
      underWay[place]?.ended(id, use, nowMs);
      underWay[place] = null;
    }
  }

  /** What its calls still under way use is counted nowhere any more. */
  sessionEnded(session: string): void {
    for (let i = 0; i < this.shares.length; i++) this.shares[i]!.forget(session);
  }

  /** Limiters in memory. */
  get size(): number {
    let size = 0;
    for (const shares of this.shares) size += shares.size;
    return size;
  }

  /** An empty row. */
  private rowFor(id: number): number {
    const { underWay } = this;
    const width = this.shares.length;
    const row = this.free.pop() ?? underWay.length / width;
    if (row * width === underWay.length) for (let i = 0; i < width; i++) underWay.push(null);
    this.rowOf.set(id, row);
    return row;
  }
}
