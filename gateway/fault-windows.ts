// When a planned fault is on: from its time, or again and again at its rate, for as long as it lasts. The instants are
// drawn from the seed and the fault's place alone, whatever else a run does.

import { quantile } from '../scenarios/base/distributions.ts';
import { NANOSECOND_MS } from '../scenarios/base/instants.ts';
import { extend, extendText, type Key, seedKey, uniform } from '../scenarios/base/key.ts';
import type { PlannedFault } from '../scenarios/formats/plan.ts';

/** One fault of the plan; instants that are asked for must not go back. */
export class FaultWindows {
  readonly fault: PlannedFault;
  private readonly key: Key;
  /** How often it has begun. */
  begun = 0;
  /** When it begins next, ms; Infinity: never again. */
  nextMs: number;
  private untilMs = Number.NEGATIVE_INFINITY;

  constructor(fault: PlannedFault, seedText: string) {
    this.fault = fault;
    this.key = extend(extendText(seedKey(seedText), 'faults'), fault.fault);
    this.nextMs = (fault.atMs ?? 0) + (fault.perSec === null ? 0 : this.gapMs(fault.perSec));
  }

  isOn(nowMs: number): boolean {
    this.advance(nowMs);
    return nowMs < this.untilMs;
  }

  /** How often it began since the last look. */
  advance(nowMs: number): number {
    const before = this.begun;
    while (this.nextMs <= nowMs + NANOSECOND_MS) {
      const { lastsMs, perSec } = this.fault;
      this.untilMs = this.nextMs + lastsMs;
      this.begun += 1;
      this.nextMs = perSec === null ? Number.POSITIVE_INFINITY : this.nextMs + this.gapMs(perSec);
    }
    return this.begun - before;
  }

  /** What began before now reached nobody. */
  missed(nowMs: number): void {
    this.advance(nowMs - 2 * NANOSECOND_MS);
  }

  /** Whether it reaches what has this key, one of `share`. */
  hits(key: Key): boolean {
    const { share, fault } = this.fault;
    return share >= 1 || uniform(extend(extendText(key, 'fault'), fault)) < share;
  }

  /** Exponential: faults know nothing of each other. */
  private gapMs(perSec: number): number {
    return quantile({ kind: 'exponential', mean: 1000 / perSec }, uniform(extend(this.key, this.begun)));
  }
}

/** The faults of one kind. */
export const windowsOf = (
  faults: readonly PlannedFault[],
  kind: PlannedFault['kind'],
  seedText: string,
): FaultWindows[] =>
  faults.filter(fault => fault.kind === kind).map(fault => new FaultWindows(fault, seedText));
