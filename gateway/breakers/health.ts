// What is known of servers by how calls to them end: whether a target may be asked at all, and which of its replicas are
// better left alone. A rule is for whole targets or, with `ejectMax`, for replicas.
import type { BreakerRule } from '../../scenarios/formats/rules.ts';
import { Breakers } from './breakers.ts';
import { Outliers } from './outliers.ts';
import type { CallEnd } from './tally.ts';

/** When a target that is not asked may be asked again, ms; null: the end of a trial decides, not time. */
export interface Broken {
  readonly backMs: number | null;
}

export class Health {
  private readonly breakers = new Breakers();
  /** Of each pool whose replicas are ejected one by one. */
  private readonly outliers = new Map<string, Outliers>();

  /** null: the target may be asked; in a half-open breaker this takes a trial. */
  refuses(rule: BreakerRule | null, target: string, nowMs: number): Broken | null {
    if (rule === null || rule.ejectMax !== null) return null;
    const breaker = this.breakers.of(target, rule);
    if (breaker.allows(nowMs)) return null;
    const { opensAtMs } = breaker;
    return { backMs: opensAtMs < Number.POSITIVE_INFINITY ? opensAtMs : null };
  }

  /** Replicas of the target that are not to be used now; null: nobody counts. */
  avoids(target: string, nowMs: number): readonly string[] | null {
    return this.outliers.get(target)?.ejected(nowMs) ?? null;
  }

  /** What an end changed, and of whom; null: nothing. */
  observe(
    rule: BreakerRule | null,
    { target, replica }: { readonly target: string; readonly replica: string | null },
    end: CallEnd,
    nowMs: number,
  ): { readonly change: 'opened' | 'closed' | 'ejected'; readonly of: string } | null {
    if (rule === null) return null;
    if (rule.ejectMax === null) {
      const change = this.breakers.of(target, rule).observe(end, nowMs);
      return change === null ? null : { change, of: target };
    }
    if (replica === null) return null;
    const outliers = this.outliers.get(target) ?? new Outliers(rule);
    this.outliers.set(target, outliers);
    const change = outliers.observe(replica, end, nowMs);
    return change === null ? null : { change, of: replica };
  }
}
