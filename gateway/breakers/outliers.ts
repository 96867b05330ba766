// Outlier ejection: a replica that fails is left out of its pool for a while, but never too many of them at
// once [Envoy].
import type { BreakerRule } from '../../scenarios/formats/rules.ts';
import { OpenTime } from './open-time.ts';
import { type CallEnd, Tally } from './tally.ts';

interface Watched {
  readonly replica: string;
  readonly tally: Tally;
  readonly openTime: OpenTime;
  /** Ejected until then; the past: in use since then. */
  untilMs: number;
  heardMs: number;
}

const NOBODY: readonly string[] = [];
/** Times of `openMs` after which a replica that nobody hears of any more is taken to have gone. */
const FORGET = 20;

/** Of one pool. */
export class Outliers {
  private readonly rule: BreakerRule;
  private readonly watched = new Map<string, Watched>();
  /** In order of their ejection. */
  private out: Watched[] = [];
  private names: readonly string[] = NOBODY;
  /** When the first of them comes back. */
  private nextMs = Number.POSITIVE_INFINITY;

  constructor(rule: BreakerRule) {
    this.rule = rule;
  }

  /** The end of a call to a replica. Calls that were sent before it came back count for nothing. */
  observe(replica: string, end: CallEnd, nowMs: number): 'ejected' | null {
    const each = this.watched.get(replica) ?? this.watch(replica, nowMs);
    this.release(nowMs);
    each.heardMs = nowMs;
    // What was sent before it came back is old news; without `sentMs`, what ends before.
    if ((end.sentMs ?? nowMs) < each.untilMs || nowMs < each.untilMs) return null;
    if (!each.tally.add(end, nowMs) || !this.mayEject()) return null;
    each.untilMs = nowMs + each.openTime.nextMs(nowMs, each.untilMs);
    each.tally.clear();
    this.setOut([...this.out, each]);
    return 'ejected';
  }

  /**
   * Replicas not to be used now: at most `ejectMax` of those heard of, but one may always be. Whoever finds that
   * nobody else is left uses all of them. The same array until it changes.
   */
  ejected(nowMs: number): readonly string[] {
    this.release(nowMs);
    return this.names;
  }

  /** A replica has left the pool. */
  gone(replica: string): void {
    if (!this.watched.delete(replica)) return;
    if (this.names.includes(replica)) this.setOut(this.out.filter(each => each.replica !== replica));
  }

  /** With one more, still within the share; or there is none yet. */
  private mayEject(): boolean {
    const { ejectMax } = this.rule;
    return this.out.length === 0 || (this.out.length + 1) / this.watched.size <= (ejectMax ?? 0);
  }

  private release(nowMs: number): void {
    if (nowMs >= this.nextMs) this.setOut(this.out.filter(each => nowMs < each.untilMs));
  }

  private setOut(out: Watched[]): void {
    this.out = out;
    this.names = out.length === 0 ? NOBODY : out.map(each => each.replica);
    this.nextMs = out.reduce((least, each) => Math.min(least, each.untilMs), Number.POSITIVE_INFINITY);
  }

  private watch(replica: string, nowMs: number): Watched {
    const oldestMs = nowMs - FORGET * this.rule.openMs;
    for (const each of this.watched.values())
      if (each.heardMs < oldestMs && each.untilMs <= nowMs) this.watched.delete(each.replica);
    const { rule } = this;
    const made: Watched = {
      replica,
      tally: new Tally(rule),
      openTime: new OpenTime(rule),
      untilMs: Number.NEGATIVE_INFINITY,
      heardMs: nowMs,
    };
    this.watched.set(replica, made);
    return made;
  }
}
